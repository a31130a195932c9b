"""Every file system that nodes share on every block device that they share, in every situation.

What is special to a file system or a block device is in a file of its own beside this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from srbuild.lab.rows.blocks import BLOCKS, DRBD, ISCSI, SCSI
from srbuild.lab.rows.filesystems import FILE_SYSTEMS, GFS2, OCFS2, OCFS2_PCMK
from srbuild.lab.rows.row import Row
from srbuild.lab.rows.situations import (
    disk_late,
    link_long,
    link_short,
    node_killed,
    refused,
    server_late,
    two_nodes,
)
from srbuild.lab.scenario import Scenario

ROWS = tuple(
    Row(OCFS2_PCMK if (fs, block) == (OCFS2, DRBD) else fs, block)
    for block in BLOCKS
    for fs in FILE_SYSTEMS
)
# What the README builds: the root in the container that srbuild chooses.
MAIN = Row(GFS2, ISCSI)
LOSSES = (
    ("-link-short", "n2's link is lost for a while: nobody is fenced", link_short),
    ("-link-long", "n2's link is lost for good: n2 alone is off, n1 goes on", link_long),
    ("-node-killed", "n2 dies: n1 goes on once it is fenced", node_killed),
)


def scenarios(row: Row) -> Iterator[Scenario]:
    """All that may happen to a row."""
    if row.block is not DRBD:  # whose two disks are compared, too
        summary = f"two nodes share one {row.fs.name} root by {row.block.name} and leave it clean"
        pair = replace(row, container="lxc") if row == MAIN else row
        yield pair.scenario("", summary, partial(two_nodes, row=pair))
    if row.block.late:
        run = partial(server_late, row=row, late=row.block.late)
        yield row.scenario("-target-late", "the storage is down at boot and back 20 s later", run)
    if row.block is SCSI:
        run = partial(disk_late, row=row)
        yield row.scenario("-disk-late", "the disk is plugged in while n1 waits for it", run)
    for refusal in row.block.refusals:
        run = partial(refused, row=row, refusal=refusal)
        yield row.scenario(refusal.suffix, refusal.summary, run)
    fence = (row.fs.fence,) if row.fs.fence else ()
    for suffix, summary, situation in LOSSES:
        yield row.scenario(suffix, summary, partial(situation, row=row), fence)


SCENARIOS = tuple(scenario for row in ROWS for scenario in scenarios(row))
