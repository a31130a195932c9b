"""OCFS2 on one SCSI disk that two nodes share: together, and when something is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import MAKER, Lab, NodeSpec
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk, Vm
from srbuild.lab.scenario import Scenario
from srbuild.lab.server import Agent
from srbuild.paths import HostPath

N1 = NodeSpec("n1", "52:54:00:00:00:01")
N2 = NodeSpec("n2", "52:54:00:00:00:02")
NODES = (N1, N2, NodeSpec("n3", "52:54:00:00:00:03"))
WWN = 0x5000C50000000001
UUID = "5EEDFACE5EEDFACE5EEDFACE5EEDFACE"  # as make-ocfs2.sh gives it
DEAD_THRESHOLD = 7
DEAD_S = 2 * (DEAD_THRESHOLD - 1)
BOOT = 240  # seconds that two nodes may take from start to power off, on two slow cores


def disk_spec(slots: int = 2, cluster: str = "lab", beat: str = "local") -> DiskSpec:
    """A disk with room for `slots` nodes of `cluster`."""
    return DiskSpec(256, "make-ocfs2", (cluster, str(slots), beat))


def cluster_file(device: str, nodes: int = 2, o2cb: str = "") -> str:
    """The lab's cluster file with so many nodes, as a user would write it."""
    head = f"""\
name = "lab"
[block]
type = "scsi"
device = "{device}"
timeout = 20
[fs]
type = "ocfs2"
[container]
type = "none"
[o2cb]
dead_threshold = {DEAD_THRESHOLD}
idle_timeout_ms = 10000
{o2cb}
"""
    tables = [
        f'[[node]]\nname = "{node.name}"\nid = {i}\nmac = ["{node.mac}"]\n'
        f'address = "10.9.0.{20 + i}/24"\n'
        for i, node in enumerate(NODES[:nodes], 1)
    ]
    return head + "".join(tables)


BY_WWN = cluster_file(f"WWN=0x{WWN:x}")


def shared(path: HostPath) -> tuple[Disk, ...]:
    """The disk as every node has it, on one bus."""
    return (Disk(path, keep=True, serial="ROOT", wwn=WWN),)


def check(lab: Lab, path: HostPath, nodes: dict[str, tuple[str, ...]]) -> None:
    """Have a server look at the disk now that the nodes are gone."""
    check_shared_root(lab, lab.server(MAKER, Disk(path)), "check-ocfs2", nodes)


def share(lab: Lab, spec: DiskSpec, cluster: str) -> None:
    """Both nodes boot, read each other's tokens and leave the disk clean."""
    path = lab.own_disk("root", lab.disk(spec))
    with lab.step("n1 and n2 boot, exchange tokens on the shared root and power off"):
        nodes = [
            lab.start(N1, cluster, ("n2",), disks=shared(path)),
            lab.start(N2, cluster, ("n1",), disks=shared(path)),
        ]
        lab.wait_power_off(nodes, BOOT)
    check(lab, path, {"n1": ("n2",), "n2": ("n1",)})


def two_nodes(lab: Lab) -> None:
    """Each node beats on the root itself."""
    share(lab, disk_spec(), BY_WWN)


def global_heartbeat(lab: Lab) -> None:
    """The nodes beat on a device that the cluster file names."""
    beat = f'heartbeat_device = ["{UUID}"]'
    share(lab, disk_spec(beat="global"), cluster_file(f"UUID={UUID}", o2cb=beat))


def user_stack(lab: Lab) -> None:
    """Corosync and dlm_controld in O2CB's place."""
    more = '[corosync]\ntoken = 3000\n[fence]\nmethod = "unsafe-none"\n[[node]]'
    head, nodes = BY_WWN.split("[o2cb]")[0], BY_WWN.split("[[node]]", 1)[1]
    share(lab, disk_spec(beat="pcmk"), head + more + nodes)


def _held(lab: Lab, path: HostPath) -> list[tuple[Vm, Agent]]:
    held = [
        lab.hold(N1, BY_WWN, ("n2",), disks=shared(path)),
        lab.hold(N2, BY_WWN, ("n1",), disks=shared(path)),
    ]
    for _, agent in held:
        agent.wait_ready(lab.left(BOOT))
    return held


def node_killed(lab: Lab) -> None:
    """n2 dies at once; n1 goes on once it counts as dead, and repairs what it left."""
    path = lab.own_disk("root", lab.disk(disk_spec()))
    with lab.step("n1 and n2 boot and read each other's tokens"):
        (first, agent), (second, victim) = _held(lab, path)
    with lab.step("n2 dies with files open; n1 writes on what it shared"):
        victim.require("write-shared")
        second.kill()
        begin = time.monotonic()
        agent.require("write-shared", seconds=lab.left(150))
        seconds = time.monotonic() - begin
    lab.proof["blocked_s"] = round(seconds, 1)
    lab.expect(seconds >= DEAD_S / 2, f"n1 waits for n2 to be dead, but it wrote after {seconds} s")
    with lab.step("n1 leaves"):
        agent.require("leave")
        lab.wait_power_off([first], 90)
    check(lab, path, {"n1": ("n2",), "n2": ("n1",)})


def _stops(lab: Lab, spec: DiskSpec, cluster: str, point: str, *words: str) -> None:
    path = lab.own_disk("root", lab.disk(spec))
    with lab.step(f"n1 boots and stops at {point}"):
        node = lab.start(N1, cluster, (), disks=shared(path))
        lab.wait_failure(node, 150, point, *words)


def wrong_name(lab: Lab) -> None:
    """A file system of another cluster is not mounted."""
    _stops(lab, disk_spec(cluster="other"), BY_WWN, "mount", "'other'", "'lab'", "tunefs.ocfs2")


def few_slots(lab: Lab) -> None:
    """A file system with less slots than the cluster has nodes is not mounted."""
    cluster = cluster_file(f"WWN=0x{WWN:x}", nodes=3)
    _stops(lab, disk_spec(), cluster, "mount", "room for 2 nodes", "tunefs.ocfs2 -N 3")


def no_disk(lab: Lab) -> None:
    """A disk that is not there is waited for, then named."""
    wanted = "WWN=0x5000c5000000ffff"
    _stops(lab, disk_spec(), cluster_file(wanted), "storage", wanted, "the disks that are here")


def other_numbers(lab: Lab) -> None:
    """A node that was told another patience than its peer does not get at the disk."""
    path = lab.own_disk("root", lab.disk(disk_spec()))
    with lab.step("n1 boots and stays"):
        first, agent = lab.hold(N1, BY_WWN, (), disks=shared(path))
        agent.wait_ready(lab.left(BOOT))
    impatient = BY_WWN.replace("idle_timeout_ms = 10000", "idle_timeout_ms = 20000")
    with lab.step("n2, with another idle_timeout_ms, stops at mount"):
        node = lab.start(N2, impatient, (), disks=shared(path))
        lab.wait_failure(node, lab.left(300), "mount", "could not be mounted as ocfs2")
    with lab.step("n1 leaves"):
        agent.require("leave")
        lab.wait_power_off([first], 120)


def _scenario(suffix: str, summary: str, run: Callable[[Lab], None]) -> Scenario:
    return Scenario(f"ocfs2-scsi{suffix}", summary, "ocfs2", "scsi", ("lab-ocfs2",), run)


SCENARIOS = (
    _scenario("", "two nodes share one OCFS2 root on a SCSI disk and leave it clean", two_nodes),
    _scenario(
        "-global-heartbeat", "the nodes beat on the device that the cluster names", global_heartbeat
    ),
    Scenario(
        "ocfs2-scsi-user-stack",
        "corosync and the distributed lock manager in O2CB's place",
        "ocfs2",
        "scsi",
        ("lab-ocfs2",),
        user_stack,
        ("ocfs2-pcmk",),
    ),
    _scenario("-node-killed", "a node dies, the other goes on", node_killed),
    _scenario("-wrong-name", "a file system of another cluster is refused", wrong_name),
    _scenario("-few-slots", "a file system with too few slots is refused", few_slots),
    _scenario("-no-disk", "a disk that is not there is named at storage", no_disk),
    _scenario(
        "-other-numbers", "a node with other timeouts than its peer is refused", other_numbers
    ),
)
