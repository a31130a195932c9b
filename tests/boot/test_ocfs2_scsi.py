"""OCFS2 on a shared SCSI disk in virtual machines: no storage server, two nodes on one bus."""

from __future__ import annotations

import pytest

from srbuild.lab.scenarios import ocfs2_scsi
from support.boots import Boot, both_read_each_other, consoles, summary

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]


def test_two_nodes_share_one_root_and_leave_it_clean(boot: Boot) -> None:
    both_read_each_other(boot("ocfs2-scsi"))


@pytest.mark.matrix
def test_a_global_heartbeat(boot: Boot) -> None:
    result = boot("ocfs2-scsi-global-heartbeat")
    both_read_each_other(result)
    assert f"beating on {ocfs2_scsi.UUID}" in consoles(result)


@pytest.mark.matrix
def test_the_user_stack(boot: Boot) -> None:
    result = boot("ocfs2-scsi-user-stack")
    both_read_each_other(result)
    assert "cluster_stack=pcmk" in consoles(result)


@pytest.mark.matrix
def test_the_survivor_goes_on_and_keeps_what_both_wrote(boot: Boot) -> None:
    result = boot("ocfs2-scsi-node-killed")
    print(f"blocked for {result.proof['blocked_seconds']} s")
    both_read_each_other(result)


@pytest.mark.matrix
@pytest.mark.parametrize(
    "scenario", ["ocfs2-scsi-wrong-name", "ocfs2-scsi-few-slots", "ocfs2-scsi-no-disk"]
)
def test_what_cannot_be_the_root_stops_the_boot(boot: Boot, scenario: str) -> None:
    said = summary(boot(scenario))
    assert "hint" in said


@pytest.mark.matrix
def test_nodes_must_have_the_same_timeouts(boot: Boot) -> None:
    assert "could not be mounted" in consoles(boot("ocfs2-scsi-other-numbers"))
