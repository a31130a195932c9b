"""Roots on logical volumes, over several paths and shared by nodes, in virtual machines."""

from __future__ import annotations

from typing import cast

import pytest

from srbuild.lab.scenarios import multipath
from support.boots import Boot, both_read_each_other, summary

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]


def test_a_volume_over_two_paths_outlives_one_and_is_the_only_one_active(boot: Boot) -> None:
    """The positive boot of multipath's row, too."""
    proof = boot("lvm-multipath").proof
    mapped = cast("tuple[str, ...]", proof["mapped"])
    assert "rootvg-root" in mapped
    assert "othervg-other" not in mapped
    assert cast("dict[str, float]", proof["seconds"])["write 0"] < multipath.WRITE
    assert proof["fsck"] == 0


@pytest.mark.matrix
def test_two_nodes_share_a_volume_under_the_lock_manager(boot: Boot) -> None:
    both_read_each_other(boot("lvm-shared"))


@pytest.mark.matrix
def test_a_wrong_group_stops_at_storage_and_the_right_one_is_shown(boot: Boot) -> None:
    said = summary(boot("lvm-wrong-group"))
    for word in ("'storage'", "no volume group rootgv", "rootvg", "[lvm]"):
        assert word in said
