"""GFS2 on one iSCSI LUN: a node that is alone, and one that nobody knows."""

from __future__ import annotations

from srbuild.lab.cluster import BOTH, N1, N2
from srbuild.lab.lab import Lab, NodeSpec
from srbuild.lab.rows.blocks import ISCSI
from srbuild.lab.rows.filesystems import GFS2
from srbuild.lab.rows.row import Row
from srbuild.lab.rows.situations import ALONE
from srbuild.lab.steps import BOOT, goes_on

ROW = Row(GFS2, ISCSI)
STRANGER = NodeSpec("n1", "52:54:00:00:00:99")


def peer_absent_wait(lab: Lab) -> None:
    """Alone, n1 waits for quorum; with n2 both go on."""
    storage, cluster = ROW.serve(lab), ROW.cluster()
    with lab.step("n1 boots alone and waits for quorum"):
        first = lab.start(N1, cluster, ("n2",))
        first.wait_text("waiting for quorum", lab.left(120))
        goes_on(lab, first, "keeps waiting for quorum", unsaid="lab: n1 runs on")
    with lab.step("n2 boots too; both share the root and power off"):
        second = lab.start(N2, cluster, ("n1",))
        lab.wait_power_off([first, second], BOOT)
    storage.check(BOTH)


def peer_absent_go_on(lab: Lab) -> None:
    """Alone, n1 goes on when the cluster file allows it."""
    storage = ROW.serve(lab)
    with lab.step("n1 boots alone, goes on without n2 and powers off"):
        node = lab.start(N1, ROW.cluster(ALONE), ())
        lab.wait_power_off([node], BOOT)
    storage.check({"n1": ()})


def unknown_mac(lab: Lab) -> None:
    """A machine that the cluster file does not know stops at `identity`."""
    with lab.step("a machine with an unknown MAC boots and stops at identity"):
        node = lab.start(STRANGER, ROW.cluster(), ())
        lab.wait_failure(node, 120, "identity", STRANGER.mac, "n1", "n2", N1.mac, N2.mac)


SCENARIOS = tuple(
    ROW.scenario(suffix, summary, run)
    for suffix, summary, run in (
        ("-peer-absent", "a node alone waits for quorum until its peer comes", peer_absent_wait),
        (
            "-peer-absent-go-on",
            "a node alone goes on when the cluster file says so",
            peer_absent_go_on,
        ),
        (
            "-unknown-mac",
            "a machine that no cluster file names stops at identity",
            unknown_mac,
        ),
    )
)
