"""GFS2 by AoE: two nodes share a root, and what is wrong with target or links is found or borne."""

from __future__ import annotations

from typing import cast

import pytest

from support.boots import Boot, both_read_each_other, summary

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]


def test_two_nodes_share_the_root(boot: Boot) -> None:
    both_read_each_other(boot("gfs2-aoe"))


@pytest.mark.matrix
def test_a_target_that_answers_late(boot: Boot) -> None:
    assert boot("gfs2-aoe-target-late").proof["fsck"] == 0


@pytest.mark.matrix
def test_a_wrong_slot_stops_the_boot_and_the_right_one_is_named(boot: Boot) -> None:
    said = summary(boot("gfs2-aoe-wrong-slot"))
    for word in ("'storage'", "e1.3", "others answered: e1.2"):
        assert word in said


@pytest.mark.matrix
def test_jumbo_frames_from_end_to_end(boot: Boot) -> None:
    frames = cast("dict[str, str]", boot("gfs2-aoe-jumbo").proof["frames"])
    assert int(frames["bytes"]) >= 16 << 20
    assert int(frames["average"]) > 6000


@pytest.mark.matrix
def test_either_of_two_links_may_be_cut(boot: Boot) -> None:
    assert boot("gfs2-aoe-path-lost").proof["fsck"] == 0


@pytest.mark.matrix
def test_writes_wait_for_the_only_link(boot: Boot) -> None:
    proof = boot("gfs2-aoe-link-back").proof
    assert proof["fsck"] == 0
    assert cast("float", proof["waited"]) >= 20
