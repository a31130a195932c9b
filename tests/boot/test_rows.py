"""File systems that nodes share on block devices that they share: together, refused, and lost.

The same pairs' other sides are in test_FS_BLK.py, and so are the boots of `make test`.
"""

from __future__ import annotations

from typing import cast

import pytest

from srbuild.lab.rows.pair import AFTER
from srbuild.lab.rows.row import Row
from srbuild.lab.rows.situations import DURING
from srbuild.lab.scenarios.drbd import SCENARIOS as MIRRORS
from srbuild.lab.scenarios.rows import ROWS, SCENARIOS
from support.boots import Boot, both_read_each_other, summary, tokens

pytestmark = [pytest.mark.boot, pytest.mark.matrix, pytest.mark.timeout(900)]

ELSEWHERE = {  # what is looked at in more ways in files of its own
    "gfs2-iscsi",
    "gfs2-iscsi-target-late",
    "gfs2-iscsi-wrong-secret",
    "gfs2-aoe",
    "gfs2-aoe-target-late",
    "gfs2-aoe-wrong-slot",
    "gfs2-drbd",
    "gfs2-fc",
    "gfs2-fc-wrong-wwpn",
    "gfs2-fc-wrong-lun",
    "gfs2-scsi",
    "ocfs2-drbd",
    "ocfs2-scsi",
    "ocfs2-scsi-node-killed",
    "ocfs2-scsi-no-disk",
}
LATE = ("-target-late", "-disk-late")
NAMES = {s.name for s in (*SCENARIOS, *MIRRORS)} - ELSEWHERE


def named(*suffixes: str) -> list[str]:
    """The scenarios of all rows that end so."""
    return [f"{row.name}{end}" for row in ROWS for end in suffixes if f"{row.name}{end}" in NAMES]


REFUSALS = {
    f"{row.name}{refusal.suffix}": (row, refusal.words)
    for row in ROWS
    for refusal in row.block.refusals
    if f"{row.name}{refusal.suffix}" in NAMES
}


@pytest.mark.parametrize("name", named(""))
def test_two_nodes_share_the_root(boot: Boot, name: str) -> None:
    both_read_each_other(boot(name))


@pytest.mark.parametrize("name", named(*LATE))
def test_storage_that_comes_late_is_waited_for(boot: Boot, name: str) -> None:
    result = boot(name)
    assert result.proof["fsck"] == 0
    assert tokens(result).keys() == {"n1"}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_wrong_with_the_storage_stops_the_boot(boot: Boot, name: str) -> None:
    said = summary(boot(name))
    for word in ("'storage'", "hint", *REFUSALS[name][1]):
        assert word in said


@pytest.mark.parametrize("name", named("-link-short"))
def test_a_link_that_comes_back_costs_nobody_his_life(boot: Boot, name: str) -> None:
    result = boot(name)
    both_read_each_other(result)
    assert tokens(result).keys() >= {AFTER, DURING}
    assert result.proof.get("fenced", []) == []


@pytest.mark.parametrize("name", named("-link-long", "-node-killed"))
def test_of_two_nodes_one_is_lost_and_the_other_goes_on(boot: Boot, name: str) -> None:
    result = boot(name)
    both_read_each_other(result)
    assert AFTER in tokens(result)
    assert cast("float", result.proof["blocked_seconds"]) > 0
    if name.startswith(("gfs2", "ocfs2-drbd")):  # by their peer, not by themselves
        assert result.proof["fenced"] == ["n2"]


def test_every_scenario_of_the_rows_is_run() -> None:
    shown = {*named("", *LATE, "-link-short", "-link-long", "-node-killed"), *REFUSALS}
    assert shown == {s.name for s in SCENARIOS} - ELSEWHERE
    assert all(isinstance(row, Row) for row in ROWS)
