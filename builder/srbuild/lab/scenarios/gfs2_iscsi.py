"""GFS2 on one iSCSI LUN, shared by two nodes: together, and when something is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import MAKER, Lab, NodeSpec
from srbuild.lab.proof import check_shared_root
from srbuild.lab.scenario import Scenario

N1 = NodeSpec("n1", "52:54:00:00:00:01")
N2 = NodeSpec("n2", "52:54:00:00:00:02")
STRANGER = NodeSpec("n1", "52:54:00:00:00:99")
DISK = DiskSpec(256, "make-gfs2", ("lab:root", "2", "8"))
PORTAL = "10.9.0.1:3260"
TARGET = "iqn.2026-01.lab:root"
USER = "labuser"
SECRET = "labsecret1234"
WRONG_SECRET = "wrongsecret99"
SERVER = f"""\
{MAKER}
[iscsi-target]
device = "/dev/vda"
target = "{TARGET}"
portal = "{PORTAL}"
chap_user = "{USER}"
chap_secret = "{SECRET}"
"""
BOOT = 240  # seconds that two nodes may take from start to power off, on two slow cores


def cluster_file(secret: str = SECRET, wait_for_all: bool = True) -> str:
    """The lab's cluster file, as a user would write it."""
    return f"""\
name = "lab"
[network]
gateway = "10.9.0.254"
[block]
type = "iscsi"
portal = ["{PORTAL}"]
target = "{TARGET}"
chap_user = "{USER}"
chap_secret = "{secret}"
[fs]
type = "gfs2"
options = "noatime"
[container]
type = "none"
[corosync]
token = 3000
wait_for_all = {str(wait_for_all).lower()}
[fence]
method = "unsafe-none"
[[node]]
name = "n1"
id = 1
mac = ["{N1.mac}"]
address = "10.9.0.21/24"
[node.iscsi]
initiator = "iqn.2026-01.lab:n1"
[[node]]
name = "n2"
id = 2
mac = ["{N2.mac}"]
address = "10.9.0.22/24"
[node.iscsi]
initiator = "iqn.2026-01.lab:n2"
"""


def two_nodes(lab: Lab) -> None:
    """Both nodes share the root and leave it clean."""
    server = lab.serve(DISK, SERVER)
    cluster = cluster_file()
    with lab.step("n1 and n2 boot, exchange tokens on the shared root and power off"):
        nodes = [lab.start(N1, cluster, ("n2",)), lab.start(N2, cluster, ("n1",))]
        lab.wait_power_off(nodes, BOOT)
    check_shared_root(lab, server, "check-gfs2", {"n1": ("n2",), "n2": ("n1",)})


def target_late(lab: Lab) -> None:
    """The target is down at boot and comes back 20 s after the node began to wait for it."""
    server = lab.serve(DISK, SERVER)
    server.require("target-down")
    with lab.step("n1 boots without the target and waits for it"):
        node = lab.start(N1, cluster_file(wait_for_all=False), ())
        node.wait_text("could not be reached", lab.left(90))
        resume = time.monotonic() + 20
        while time.monotonic() < resume:
            lab.expect(node.alive, "n1 keeps waiting for the target")
            time.sleep(0.5)
    with lab.step("the target is back; n1 boots and powers off"):
        server.require("target-up")
        lab.wait_power_off([node], BOOT)
    check_shared_root(lab, server, "check-gfs2", {"n1": ()})


def wrong_secret(lab: Lab) -> None:
    """A wrong CHAP secret stops the boot at `storage` with the target, status and a hint."""
    lab.serve(DISK, SERVER)
    with lab.step("n1 boots with a wrong CHAP secret and stops at storage"):
        node = lab.start(N1, cluster_file(secret=WRONG_SECRET), ())
        lab.wait_failure(node, 150, "storage", TARGET, "status", "hint")


def peer_absent_wait(lab: Lab) -> None:
    """Alone, n1 waits for quorum; with n2 both go on."""
    server = lab.serve(DISK, SERVER)
    cluster = cluster_file(wait_for_all=True)
    with lab.step("n1 boots alone and waits for quorum"):
        first = lab.start(N1, cluster, ("n2",))
        first.wait_text("waiting for quorum", lab.left(120))
        resume = time.monotonic() + 20
        while time.monotonic() < resume:
            lab.expect(first.alive, "n1 keeps waiting for quorum")
            lab.expect(b"lab: n1 runs on" not in first.text(), "no root before quorum")
            time.sleep(0.5)
    with lab.step("n2 boots too; both share the root and power off"):
        second = lab.start(N2, cluster, ("n1",))
        lab.wait_power_off([first, second], BOOT)
    check_shared_root(lab, server, "check-gfs2", {"n1": ("n2",), "n2": ("n1",)})


def peer_absent_go_on(lab: Lab) -> None:
    """Alone, n1 goes on when the cluster file allows it."""
    server = lab.serve(DISK, SERVER)
    with lab.step("n1 boots alone, goes on without n2 and powers off"):
        node = lab.start(N1, cluster_file(wait_for_all=False), ())
        lab.wait_power_off([node], BOOT)
    check_shared_root(lab, server, "check-gfs2", {"n1": ()})


def unknown_mac(lab: Lab) -> None:
    """A machine that the cluster file does not know stops at `identity`."""
    with lab.step("a machine with an unknown MAC boots and stops at identity"):
        node = lab.start(STRANGER, cluster_file(), ())
        lab.wait_failure(node, 120, "identity", STRANGER.mac, "n1", "n2", N1.mac, N2.mac)


def _scenario(suffix: str, summary: str, run: Callable[[Lab], None]) -> Scenario:
    server = ("lab-gfs2", "iscsi-target")
    return Scenario(f"gfs2-iscsi{suffix}", summary, "gfs2", "iscsi", server, run)


SCENARIOS = (
    _scenario("", "two nodes share one GFS2 root over iSCSI and leave it clean", two_nodes),
    _scenario("-target-late", "the target is down at boot and back 20 s later", target_late),
    _scenario("-wrong-secret", "a wrong CHAP secret stops the boot at storage", wrong_secret),
    _scenario(
        "-peer-absent", "a node alone waits for quorum until its peer comes", peer_absent_wait
    ),
    _scenario(
        "-peer-absent-go-on",
        "a node alone goes on when the cluster file says so",
        peer_absent_go_on,
    ),
    _scenario(
        "-unknown-mac", "a machine that no cluster file names stops at identity", unknown_mac
    ),
)
