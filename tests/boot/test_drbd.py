"""A root that DRBD mirrors between two virtual machines' own disks."""

from __future__ import annotations

import pytest

from srbuild.lab.rows.blocks import SECRET, WRONG_SECRET
from support.boots import Boot, both_read_each_other, consoles, summary

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]


def test_two_nodes_share_one_root_and_both_disks_hold_it(boot: Boot) -> None:
    result = boot("gfs2-drbd")
    both_read_each_other(result)
    assert result.proof["same"] is True
    assert SECRET not in consoles(result)


@pytest.mark.matrix
def test_ocfs2_as_well(boot: Boot) -> None:
    both_read_each_other(boot("ocfs2-drbd"))


@pytest.mark.matrix
@pytest.mark.parametrize("fs", ["gfs2", "ocfs2"])
def test_a_node_alone_waits_for_its_peer(boot: Boot, fs: str) -> None:
    both_read_each_other(boot(f"{fs}-drbd-peer-absent"))


@pytest.mark.matrix
def test_a_node_that_was_away_takes_what_is_newer_first(boot: Boot) -> None:
    result = boot("gfs2-drbd-resync")
    assert result.proof["fsck"] == 0
    assert "Outdated" in summary(result)


@pytest.mark.matrix
def test_a_split_brain_is_refused_and_one_side_chosen(boot: Boot) -> None:
    result = boot("gfs2-drbd-split-brain")
    assert result.proof["fsck"] == 0
    assert "split brain of r0" in summary(result)


@pytest.mark.matrix
@pytest.mark.parametrize("fs", ["gfs2", "ocfs2"])
def test_nodes_with_different_secrets_do_not_mirror(boot: Boot, fs: str) -> None:
    result = boot(f"{fs}-drbd-wrong-secret")
    assert "shared_secret" in summary(result)
    assert WRONG_SECRET not in consoles(result)


@pytest.mark.matrix
def test_a_disk_without_metadata_stays_as_it_is(boot: Boot) -> None:
    assert "drbdadm create-md r0" in summary(boot("gfs2-drbd-no-metadata"))


@pytest.mark.matrix
def test_with_one_primary_a_node_takes_over_when_the_other_leaves(boot: Boot) -> None:
    assert boot("ext4-drbd").proof["fsck"] == 0
