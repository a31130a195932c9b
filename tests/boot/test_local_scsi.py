"""Single nodes' roots, the disk found by its names, and GFS2 on one bus, in virtual machines."""

from __future__ import annotations

from typing import cast

import pytest

from srbuild.lab.scenarios import local_scsi
from support.boots import Boot, both_read_each_other, consoles, summary, tokens

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]


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
    said = summary(boot("ext4-scsi-ambiguous-label"))
    assert "SERIAL=LEFT" in said
    assert "SERIAL=RIGHT" in said


@pytest.mark.matrix
def test_a_disk_that_comes_late_is_waited_for(boot: Boot) -> None:
    result = boot("ext4-scsi-late-disk")
    assert tokens(result).keys() == {"n1"}


@pytest.mark.matrix
def test_nodes_share_an_ext4_that_nobody_writes_to(boot: Boot) -> None:
    result = boot("ext4-scsi-overlay")
    assert result.proof["unchanged"]
    assert "n2 left its token" in consoles(result)


@pytest.mark.matrix
def test_a_reservation_is_respected_and_cleared_as_said(boot: Boot) -> None:
    result = boot("ext4-iscsi-scsi-reserved")
    assert "removing the reservation" in consoles(result)
    said = summary(result)
    assert local_scsi.KEY in said
    assert tokens(result).keys() >= {"n2"}


@pytest.mark.matrix
def test_gfs2_on_one_bus(boot: Boot) -> None:
    both_read_each_other(boot("gfs2-scsi"))
