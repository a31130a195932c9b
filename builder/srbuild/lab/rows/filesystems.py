"""The file systems that nodes share in the lab."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from srbuild.lab.rows.row import FileSystem, Terms


def _on_corosync(fs: str, terms: Terms) -> str:
    fence = 'method = "agent"\nagent = "lab"\ncheck = "fail"'
    return f"""\
[fs]
type = "{fs}"
options = "noatime"
[corosync]
token = {1000 * (terms.limit or GFS2.limit)}
wait_for_all = {str(not terms.alone).lower()}
[fence]
{fence if terms.fencing else 'method = "unsafe-none"'}
"""


GFS2 = FileSystem(
    "gfs2",
    ("lab:root", "2", "8"),
    partial(_on_corosync, "gfs2"),
    "gfs2",
    "lab:root",
    limit=3,
    fence="fence-lab",
)
"""Silence is noticed by corosync, which has the token, and the lab's device turns the node off."""


def _ocfs2(terms: Terms) -> str:
    limit = terms.limit or OCFS2.limit
    return f"""\
[fs]
type = "ocfs2"
[o2cb]
dead_threshold = {limit // 2 + 1}
idle_timeout_ms = {1000 * (limit - 2)}
"""


OCFS2 = FileSystem(
    "ocfs2", ("lab", "2", "local"), _ocfs2, "ocfs2", limit=12, last_words="to be fencing"
)
"""A node that can't beat resets itself, and so does the second of two that lose each other."""

OCFS2_PCMK = replace(
    OCFS2,
    words=("lab", "2", "pcmk"),
    tables=partial(_on_corosync, "ocfs2"),
    limit=GFS2.limit,
    fence=GFS2.fence,
    last_words="",
    modules=("ocfs2-pcmk",),
)
"""With corosync in O2CB's place, as where the nodes have no disk in common to beat on."""

FILE_SYSTEMS = (GFS2, OCFS2)
