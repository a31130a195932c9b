"""Roots on logical volumes, over several paths and shared by nodes, in virtual machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

import pytest

from srbuild.lab.scenario import Result
from srbuild.lab.scenarios import multipath

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]

Boot: TypeAlias = Callable[[str], Result]


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
    proof = boot("lvm-shared").proof
    tokens = cast("dict[str, str]", proof["tokens"])
    assert proof["fsck"] == 0
    assert proof["seen"] == {"n1": {"n2": tokens["n2"]}, "n2": {"n1": tokens["n1"]}}


@pytest.mark.matrix
def test_a_wrong_group_stops_at_storage_and_the_right_one_is_shown(boot: Boot) -> None:
    summary = "\n".join(cast("list[str]", boot("lvm-wrong-group").proof["summary"]))
    for word in ("'storage'", "no volume group rootgv", "rootvg", "[lvm]"):
        assert word in summary
