"""GFS2 over iSCSI in virtual machines: one image, two nodes, one shared root."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, cast

import pytest

from srbuild.lab.lab import Lab
from srbuild.lab.scenario import Result, Scenario
from srbuild.lab.scenarios import gfs2_iscsi

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]

Boot: TypeAlias = Callable[[str], Result]


def consoles(result: Result) -> str:
    return "".join(Path(path).read_text(errors="replace") for path in result.logs.values())


def test_two_nodes_share_one_root_and_leave_it_clean(boot: Boot) -> None:
    proof = boot("gfs2-iscsi").proof
    tokens = cast("dict[str, str]", proof["tokens"])
    assert proof["fsck"] == 0
    assert len({*tokens.values()}) == 2
    assert proof["seen"] == {"n1": {"n2": tokens["n2"]}, "n2": {"n1": tokens["n1"]}}


def test_fencing_that_is_off_is_announced_and_no_secret_shows(boot: Boot) -> None:
    said = consoles(boot("gfs2-iscsi-peer-absent-go-on"))
    assert "unsafe-none" in said
    assert gfs2_iscsi.SECRET not in said


def test_a_target_that_comes_back_is_waited_for(boot: Boot) -> None:
    result = boot("gfs2-iscsi-target-late")
    assert "could not be reached" in consoles(result)
    assert cast("dict[str, str]", result.proof["tokens"]).keys() == {"n1"}


def test_a_wrong_secret_stops_at_storage_and_is_not_shown(boot: Boot) -> None:
    result = boot("gfs2-iscsi-wrong-secret")
    summary = "\n".join(cast("list[str]", result.proof["summary"]))
    for word in ("'storage'", gfs2_iscsi.TARGET, gfs2_iscsi.PORTAL, "status   1", "chap_secret"):
        assert word in summary
    assert gfs2_iscsi.WRONG_SECRET not in consoles(result)


def test_a_node_alone_waits_for_quorum(boot: Boot) -> None:
    result = boot("gfs2-iscsi-peer-absent")
    assert "waiting for quorum" in consoles(result)
    assert cast("dict[str, str]", result.proof["tokens"]).keys() == {"n1", "n2"}


def test_an_unknown_machine_stops_at_identity_and_lists_the_nodes(boot: Boot) -> None:
    summary = "\n".join(cast("list[str]", boot("gfs2-iscsi-unknown-mac").proof["summary"]))
    for word in ("'identity'", gfs2_iscsi.STRANGER.mac, gfs2_iscsi.N1.mac, gfs2_iscsi.N2.mac):
        assert word in summary


@pytest.mark.matrix
def test_a_node_that_dies_leaves_no_clean_disk(run: Callable[[Scenario], Result]) -> None:
    """The control: what the lab takes for proof of a clean disk is no foregone conclusion."""
    lines: list[str] = []

    def die(lab: Lab) -> None:
        server = lab.serve(gfs2_iscsi.DISK, gfs2_iscsi.SERVER)
        node = lab.start(gfs2_iscsi.N1, gfs2_iscsi.cluster_file(wait_for_all=False), ("n2",))
        node.wait_text("n1 left its token", 200)
        node.kill()
        lines.extend(server.require("check-gfs2"))

    modules = ("lab-gfs2", "iscsi-target")
    assert run(Scenario("gfs2-iscsi-dead", "", "gfs2", "iscsi", modules, die)).passed
    assert any(line.startswith("fsck ") and line != "fsck 0" for line in lines)
