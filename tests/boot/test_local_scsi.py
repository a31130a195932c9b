"""Single nodes' roots, the disk found by its names, and GFS2 on one bus, in virtual machines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, cast

import pytest

from srbuild.lab.scenario import Result
from srbuild.lab.scenarios import local_scsi

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]

Boot: TypeAlias = Callable[[str], Result]


def consoles(result: Result) -> str:
    return "".join(Path(path).read_text(errors="replace") for path in result.logs.values())


@pytest.mark.parametrize(
    "scenario",
    ["ext4-scsi", *(pytest.param(s, marks=pytest.mark.matrix) for s in ("xfs-scsi", "btrfs-scsi"))],
)
def test_a_node_alone_leaves_its_root_clean(boot: Boot, scenario: str) -> None:
    proof = boot(scenario).proof
    assert proof["fsck"] == 0
    assert cast("dict[str, str]", proof["tokens"]).keys() == {"n1"}


@pytest.mark.matrix
def test_two_disks_with_one_label_are_both_named(boot: Boot) -> None:
    summary = "\n".join(cast("list[str]", boot("ext4-scsi-ambiguous-label").proof["summary"]))
    assert "SERIAL=LEFT" in summary
    assert "SERIAL=RIGHT" in summary


@pytest.mark.matrix
def test_a_disk_that_comes_late_is_waited_for(boot: Boot) -> None:
    result = boot("ext4-scsi-late-disk")
    assert cast("dict[str, str]", result.proof["tokens"]).keys() == {"n1"}


@pytest.mark.matrix
def test_nodes_share_an_ext4_that_nobody_writes_to(boot: Boot) -> None:
    result = boot("ext4-scsi-overlay")
    assert result.proof["unchanged"]
    assert "n2 left its token" in consoles(result)


@pytest.mark.matrix
def test_a_reservation_is_respected_and_cleared_as_said(boot: Boot) -> None:
    result = boot("ext4-iscsi-scsi-reserved")
    assert "removing the reservation" in consoles(result)
    summary = "\n".join(cast("list[str]", result.proof["summary"]))
    assert local_scsi.KEY in summary
    assert cast("dict[str, str]", result.proof["tokens"]).keys() >= {"n2"}


@pytest.mark.matrix
def test_gfs2_on_one_bus(boot: Boot) -> None:
    tokens = cast("dict[str, str]", boot("gfs2-scsi").proof["tokens"])
    assert len({*tokens.values()}) == 2
