"""GFS2 over iSCSI in virtual machines: one image, two nodes, one shared root."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from srbuild.lab.cluster import N1, N2
from srbuild.lab.lab import Lab
from srbuild.lab.rows.blocks import IQN, PORTAL, SECRET, WRONG_SECRET
from srbuild.lab.rows.situations import ALONE
from srbuild.lab.scenario import Result, Scenario
from srbuild.lab.scenarios.gfs2_iscsi import ROW, STRANGER
from support.boots import Boot, both_read_each_other, consoles, summary, tokens

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]


def test_two_nodes_share_one_root_and_leave_it_clean(boot: Boot) -> None:
    both_read_each_other(boot("gfs2-iscsi"))


def test_fencing_that_is_off_is_announced_and_no_secret_shows(boot: Boot) -> None:
    said = consoles(boot("gfs2-iscsi-peer-absent-go-on"))
    assert "unsafe-none" in said
    assert SECRET not in said


def test_a_target_that_comes_back_is_waited_for(boot: Boot) -> None:
    result = boot("gfs2-iscsi-target-late")
    assert "could not be reached" in consoles(result)
    assert tokens(result).keys() == {"n1"}


def test_a_wrong_secret_stops_at_storage_and_is_not_shown(boot: Boot) -> None:
    result = boot("gfs2-iscsi-wrong-secret")
    said = summary(result)
    for word in ("'storage'", IQN, PORTAL, "status   1", "chap_secret"):
        assert word in said
    assert WRONG_SECRET not in consoles(result)


def test_a_node_alone_waits_for_quorum(boot: Boot) -> None:
    result = boot("gfs2-iscsi-peer-absent")
    assert "waiting for quorum" in consoles(result)
    assert tokens(result).keys() == {"n1", "n2"}


def test_an_unknown_machine_stops_at_identity_and_lists_the_nodes(boot: Boot) -> None:
    said = summary(boot("gfs2-iscsi-unknown-mac"))
    for word in ("'identity'", STRANGER.mac, N1.mac, N2.mac):
        assert word in said


@pytest.mark.matrix
def test_a_node_that_dies_leaves_no_clean_disk(run: Callable[[Scenario], Result]) -> None:
    """The control: what the lab takes for proof of a clean disk is no foregone conclusion."""
    lines: list[str] = []

    def die(lab: Lab) -> None:
        storage = ROW.serve(lab)
        node = lab.start(N1, ROW.cluster(ALONE), ("n2",))
        node.wait_text("n1 left its token", 200)
        node.kill()
        lines.extend(storage.order("check-gfs2"))

    assert run(ROW.scenario("-dead", "", die)).passed
    assert any(line.startswith("fsck ") and line != "fsck 0" for line in lines)
