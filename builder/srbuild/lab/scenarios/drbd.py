"""A root that DRBD mirrors between two nodes' own disks: together, apart, and split."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import MAKER, Lab, NodeSpec, console_text
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk, Vm, wait_until
from srbuild.lab.scenario import Scenario
from srbuild.lab.server import Agent
from srbuild.paths import HostPath

N1 = NodeSpec("n1", "52:54:00:00:00:01")
N2 = NodeSpec("n2", "52:54:00:00:00:02")
SIZE = 256  # MiB of each disk
DATA = (SIZE - 1) << 20  # bytes of it that the file system may have; DRBD's own lie behind
WWN = 0x5000C50000000001
SECRET = "labsecret1234"
WRONG_SECRET = "wrongsecret99"
BOOT = 240  # seconds that two nodes may take from start to power off, on two slow cores
DISKS = {
    "gfs2": DiskSpec(SIZE, "make-mirror", ("gfs2", "lab:root,2,8")),
    "ocfs2": DiskSpec(SIZE, "make-mirror", ("ocfs2", "lab,2,local")),
    "ext4": DiskSpec(SIZE, "make-mirror", ("local", "ext4,root")),
}
CLUSTERS = {
    "gfs2": '[corosync]\ntoken = 3000\nwait_for_all = {all}\n[fence]\nmethod = "unsafe-none"\n',
    "ocfs2": "[o2cb]\ndead_threshold = 7\nidle_timeout_ms = 10000\n",
    "ext4": "",
}
ALONE = "alone = true\nalone_after = 5\n"


def cluster_file(fs: str = "gfs2", block: str = "", secret: str = SECRET) -> str:
    """The lab's cluster file, as a user would write it; `block` are more lines of [block]."""
    more = CLUSTERS[fs].replace("{all}", "false" if ALONE in block else "true")
    return f"""\
name = "lab"
[block]
type = "drbd"
shared_secret = "{secret}"
{block}
[fs]
type = "{fs}"
[container]
type = "none"
{more}
[[node]]
name = "n1"
id = 1
mac = ["{N1.mac}"]
address = "10.9.0.21/24"
[node.drbd]
disk = "WWN=0x{WWN:x}"
[[node]]
name = "n2"
id = 2
mac = ["{N2.mac}"]
address = "10.9.0.22/24"
[node.drbd]
disk = "/dev/vda"
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """The two nodes' disks, which live as long as the run."""

    lab: Lab
    first: HostPath
    second: HostPath

    def disks(self, node: NodeSpec) -> tuple[Disk, ...]:
        """The disk that `node` has: n1 as a SCSI disk, n2 as a virtio disk."""
        if node is N1:
            return (Disk(self.first, keep=True, serial="N1", wwn=WWN),)
        return (Disk(self.second, keep=True),)

    def start(self, node: NodeSpec, cluster: str, peers: Sequence[str] = (), extra: str = "") -> Vm:
        """Start `node`; see `Lab.start`."""
        return self.lab.start(node, cluster, peers, extra, self.disks(node))

    def hold(
        self, node: NodeSpec, cluster: str, peers: Sequence[str] = (), extra: str = ""
    ) -> tuple[Vm, Agent]:
        """Start `node` and have it wait for what it is told; see `Lab.hold`."""
        return self.lab.hold(node, cluster, peers, extra, self.disks(node))

    def leave(self, vm: Vm, agent: Agent) -> None:
        """Have a held node leave, and wait for its end."""
        with self.lab.step(f"{vm.machine.name} leaves"):
            agent.require("leave")
            self.lab.wait_power_off([vm], 120)

    def check(self, node: NodeSpec, fs: str, seen: dict[str, tuple[str, ...]]) -> None:
        """Have a server check the file system on `node`'s disk, the last that was written."""
        job = "check-local" if fs == "ext4" else f"check-{fs}"
        path = self.first if node is N1 else self.second
        check_shared_root(self.lab, self.lab.server(MAKER, Disk(path)), job, seen)


def mirror(lab: Lab, fs: str = "gfs2") -> Pair:
    """Two disks that are one mirror's sides, with the same data."""
    made = lab.disk(DISKS[fs])
    return Pair(lab, lab.own_disk("n1", made), lab.own_disk("n2", made))


def same_data(pair: Pair) -> bool:
    """Whether both disks hold the same, but for DRBD's own data."""
    with pair.first.open("rb") as one, pair.second.open("rb") as other:
        for _ in range(0, DATA, 1 << 20):
            if one.read(1 << 20) != other.read(1 << 20):
                return False
    return True


def two_nodes(lab: Lab, fs: str = "gfs2") -> None:
    """Both nodes share the root; what either writes is on both disks."""
    pair, cluster = mirror(lab, fs), cluster_file(fs)
    before = pair.first.read_bytes()[:DATA]
    with lab.step("n1 and n2 boot and exchange tokens on the shared root"):
        first = pair.hold(N1, cluster, ("n2",))
        second = pair.hold(N2, cluster, ("n1",))
        for _, agent in (first, second):
            agent.wait_ready(lab.left(BOOT))
    with lab.step("both disks hold the same"):
        wait_until(lab.left(60), "the same data on both disks", lambda: same_data(pair))
    lab.proof["same"] = True
    lab.expect(pair.first.read_bytes()[:DATA] != before, "the nodes wrote something")
    pair.leave(*first)
    pair.leave(*second)
    pair.check(N2, fs, {"n1": ("n2",), "n2": ("n1",)})


def ocfs2_two_nodes(lab: Lab) -> None:
    """The same with OCFS2."""
    two_nodes(lab, "ocfs2")


def peer_absent(lab: Lab) -> None:
    """Alone, n1 waits for its peer; with n2 both go on."""
    pair, cluster = mirror(lab), cluster_file()
    with lab.step("n1 boots alone and waits for n2"):
        first = pair.hold(N1, cluster, ("n2",))
        first[0].wait_text("waiting for n2 to mirror r0", lab.left(150))
        resume = time.monotonic() + 20
        while time.monotonic() < resume:
            lab.expect(first[0].alive, "n1 keeps waiting")
            lab.expect(b"the root's disk is" not in first[0].text(), "no root without n2")
            time.sleep(0.5)
    with lab.step("n2 boots too; both share the root"):
        second = pair.hold(N2, cluster, ("n1",))
        for _, agent in (first, second):
            agent.wait_ready(lab.left(BOOT))
    pair.leave(*first)
    pair.leave(*second)
    pair.check(N2, "gfs2", {"n1": ("n2",), "n2": ("n1",)})


def resync(lab: Lab) -> None:
    """n1 goes on alone and writes; n2 comes later, takes what is newer, and shares the root."""
    pair = mirror(lab)
    cluster = cluster_file(block=ALONE)
    with lab.step("n1 boots alone, as it may, and writes"):
        first = pair.hold(N1, cluster)
        first[1].wait_ready(lab.left(BOOT))
        for name in ("1", "2", "3", "4"):
            first[1].require("write-root", name)
        lab.expect("GOING ON WITHOUT n2" in console_text(first[0]), "a warning")
        lab.expect(not same_data(pair), "n2's disk has not what n1 wrote")
    with lab.step("n2 boots, waits until its disk is up to date and shares the root"):
        second = pair.hold(N2, cluster, ("n1",))
        second[1].wait_ready(lab.left(BOOT))
        said = console_text(second[0])
        lab.expect("taking what is newer from n1" in said, "n2 says that it waits for the data")
        shown = re.findall(r"taking what is newer from n1: ([0-9.]+)%", said)
        lab.proof["progress"] = shown
        begin, end = said.find("taking what is newer"), said.find("the root's disk is")
        lab.expect(0 < begin < end, "n2 has the root only once its disk is up to date")
        wait_until(lab.left(60), "the same data on both disks", lambda: same_data(pair))
    pair.leave(*first)
    pair.leave(*second)
    pair.check(N2, "gfs2", {"n1": (), "n2": ("n1",)})
    with lab.step("n1, which left first, may not go on alone: its data is old"):
        node = pair.start(N1, cluster)
        lab.wait_failure(node, 150, "storage", "cannot go on alone", "Outdated")


def _run_alone(pair: Pair, node: NodeSpec, cluster: str) -> None:
    with pair.lab.step(f"{node.name} boots alone, writes and powers off"):
        pair.lab.wait_power_off([pair.start(node, cluster)], BOOT)


def split_brain(lab: Lab) -> None:
    """Both wrote without the other: refused, until one is told to give up its changes."""
    pair, cluster = mirror(lab), cluster_file()
    for node in (N1, N2):
        _run_alone(pair, node, cluster_file(block=ALONE))
    with lab.step("n1 and n2 boot together and are refused"):
        nodes = [pair.start(N1, cluster), pair.start(N2, cluster)]
        wait_until(lab.left(BOOT), "a refusal", lambda: not all(vm.alive for vm in nodes))
        refused = next(vm for vm in nodes if not vm.alive)
        words = ("split brain of r0", "KiB were written on n1", "--discard-my-data")
        lab.wait_failure(refused, 5, "storage", *(words if refused is nodes[0] else words[::2]))
        for vm in nodes:
            lab.expect("the root's disk is" not in console_text(vm), "no root on either")
            if vm.alive:
                vm.kill()
    with lab.step("n1 gives up its changes; both share n2's root"):
        first = pair.hold(N1, cluster, extra="rd.srb.drbd.discard_my_data=1")
        second = pair.hold(N2, cluster)
        for _, agent in (first, second):
            agent.wait_ready(lab.left(BOOT))
        wait_until(lab.left(60), "the same data on both disks", lambda: same_data(pair))
    pair.leave(*first)
    pair.leave(*second)
    pair.check(N2, "gfs2", {})
    lab.expect(lab.proof["tokens"] == lab.tokens, f"the tokens of both: {lab.proof['tokens']}")


def wrong_secret(lab: Lab) -> None:
    """Nodes that do not know the same secret do not mirror, and neither gets the root."""
    pair = mirror(lab)
    with lab.step("n1 and n2 boot with different secrets; one refuses"):
        nodes = [
            pair.start(N1, cluster_file(block="timeout = 120")),
            pair.start(N2, cluster_file(block="timeout = 120", secret=WRONG_SECRET)),
        ]
        wait_until(lab.left(BOOT), "a refusal", lambda: not all(vm.alive for vm in nodes))
        refused = next(vm for vm in nodes if not vm.alive)
        lab.wait_failure(refused, 5, "storage", "shared_secret", "hint")
        for vm in nodes:
            lab.expect("the root's disk is" not in console_text(vm), "no root on either")


def no_metadata(lab: Lab) -> None:
    """A disk that never was part of a mirror is left as it is."""
    pair = Pair(lab, lab.own_disk("n1", mib=SIZE), lab.own_disk("n2", mib=SIZE))
    with lab.step("n1 boots with an empty disk and stops at storage"):
        node = pair.start(N1, cluster_file())
        lab.wait_failure(node, 150, "storage", "no DRBD metadata", "drbdadm create-md r0")
    lab.expect(not any(pair.first.read_bytes()), "the disk is as empty as before")


def standby(lab: Lab) -> None:
    """ext4, one node at a time: n2 waits while n1 has the root, and takes over when it leaves."""
    pair, cluster = mirror(lab, "ext4"), cluster_file("ext4")
    with lab.step("n1 and n2 boot; one of them has the root"):
        second = pair.hold(N2, cluster)
        second[0].wait_text("waiting for n1 to mirror r0", lab.left(150))
        first = pair.hold(N1, cluster)
        pairs = {"n1": first, "n2": second}
        wait_until(
            lab.left(BOOT),
            "a node that waits for the other",
            lambda: any("to let go of r0" in console_text(vm) for vm, _ in pairs.values()),
        )
    waits = next(n for n, (vm, _) in pairs.items() if "to let go of r0" in console_text(vm))
    has = "n1" if waits == "n2" else "n2"
    lab.proof["primary"] = has
    pairs[has][1].wait_ready(lab.left(BOOT))
    lab.expect("the root's disk is" not in console_text(pairs[waits][0]), f"no root on {waits}")
    pair.leave(*pairs[has])
    with lab.step(f"{waits} takes over"):
        pairs[waits][1].wait_ready(lab.left(BOOT))
        said = console_text(pairs[waits][0])
        lab.expect("has taken leave" in said, f"{waits} knows why it may go on")
    pair.leave(*pairs[waits])
    pair.check(N1 if waits == "n1" else N2, "ext4", {"n1": (), "n2": ()})


def _scenario(name: str, summary: str, run: Callable[[Lab], None], fs: str = "gfs2") -> Scenario:
    tools = "lab-local" if fs == "ext4" else f"lab-{fs}"
    return Scenario(name, summary, fs, "drbd", (tools, "lab-drbd"), run)


SCENARIOS = (
    _scenario("gfs2-drbd", "two nodes share one GFS2 root, mirrored by DRBD", two_nodes),
    _scenario("gfs2-drbd-peer-absent", "a node alone waits until its peer comes", peer_absent),
    _scenario("gfs2-drbd-resync", "a node that was away takes what is newer, then mounts", resync),
    _scenario("gfs2-drbd-split-brain", "a split brain is refused, then resolved", split_brain),
    _scenario("gfs2-drbd-wrong-secret", "nodes with different secrets are refused", wrong_secret),
    _scenario("gfs2-drbd-no-metadata", "a disk without metadata is refused", no_metadata),
    _scenario(
        "ocfs2-drbd", "two nodes share one OCFS2 root, mirrored by DRBD", ocfs2_two_nodes, "ocfs2"
    ),
    _scenario("ext4-drbd", "one primary: a node takes over when the other leaves", standby, "ext4"),
)
