"""A root that DRBD mirrors between two nodes' own disks: together, apart, and split."""

from __future__ import annotations

import re
from functools import partial

from srbuild.lab.cluster import BOTH, N1, N2
from srbuild.lab.console import console_text
from srbuild.lab.lab import Lab, NodeSpec
from srbuild.lab.qemu import Vm, wait_until
from srbuild.lab.rows.blocks import DRBD, SECRET, WRONG_SECRET, sides
from srbuild.lab.rows.filesystems import GFS2, OCFS2_PCMK
from srbuild.lab.rows.row import FileSystem, Row, Storage, Terms
from srbuild.lab.scenario import Scenario
from srbuild.lab.server import Agent
from srbuild.lab.steps import BOOT, STOP, goes_on, leave

# Bytes of a disk that the file system may have; DRBD's own lie behind.
DATA = (GFS2.disk.size - 1) << 20
ROW = Row(GFS2, DRBD)
EXT4 = FileSystem("ext4", ("ext4", "root"), lambda _: '[fs]\ntype = "ext4"\n', "local")
MIRRORED = "the root's disk is"  # what a node says that has it
Held = tuple[Vm, Agent]


def hold(lab: Lab, storage: Storage, cluster: str, node: NodeSpec, peers: tuple[str, ...]) -> Held:
    """Start a node on its own disk; it does what it is told once it is ready."""
    return lab.hold(node, cluster, peers, disks=storage.disks[node.name])


def start(lab: Lab, storage: Storage, cluster: str, node: NodeSpec) -> Vm:
    """Start a node on its own disk."""
    return lab.start(node, cluster, (), disks=storage.disks[node.name])


def all_ready(lab: Lab, *nodes: Held) -> None:
    """Wait until all have read their peers' tokens."""
    for _, agent in nodes:
        agent.wait_ready(lab.left(BOOT))


def same_data(storage: Storage) -> bool:
    """Whether both disks hold the same, but for DRBD's own data."""
    with storage.path(N1).open("rb") as one, storage.path(N2).open("rb") as other:
        for _ in range(0, DATA, 1 << 20):
            if one.read(1 << 20) != other.read(1 << 20):
                return False
    return True


def await_same(lab: Lab, storage: Storage) -> None:
    """Wait until what was written last is on both disks."""
    wait_until(lab.left(60), "the same data on both disks", lambda: same_data(storage))
    lab.proof["same"] = True


def leave_both(lab: Lab, first: Held, second: Held) -> None:
    """n1 leaves, then n2, whose disk is then the newest."""
    leave(lab, *first)
    leave(lab, *second)


def two_nodes(lab: Lab, row: Row) -> None:
    """Both nodes share the root; what either writes is on both disks."""
    storage, cluster = row.serve(lab), row.cluster()
    before = storage.path(N1).read_bytes()[:DATA]
    with lab.step("n1 and n2 boot and exchange tokens on the shared root"):
        first = hold(lab, storage, cluster, N1, ("n2",))
        second = hold(lab, storage, cluster, N2, ("n1",))
        all_ready(lab, first, second)
    with lab.step("both disks hold the same"):
        await_same(lab, storage)
    lab.expect(storage.path(N1).read_bytes()[:DATA] != before, "the nodes wrote something")
    leave_both(lab, first, second)
    storage.check(BOTH, N2)


def peer_absent(lab: Lab, row: Row) -> None:
    """Alone, n1 waits for its peer; with n2 both go on."""
    storage, cluster = row.serve(lab), row.cluster()
    with lab.step("n1 boots alone and waits for n2"):
        first = hold(lab, storage, cluster, N1, ("n2",))
        first[0].wait_text("waiting for n2 to mirror r0", lab.left(150))
        goes_on(lab, first[0], "keeps waiting", unsaid=MIRRORED)
    with lab.step("n2 boots too; both share the root"):
        second = hold(lab, storage, cluster, N2, ("n1",))
        all_ready(lab, first, second)
    leave_both(lab, first, second)
    storage.check(BOTH, N2)


def going_on_alone() -> str:
    """The cluster file of a node that goes on without its peer, soon."""
    block = DRBD.with_table(lines="alone = true\nalone_after = 5\n")
    return Row(GFS2, block).cluster(Terms(alone=True))


def resync(lab: Lab) -> None:
    """n1 goes on alone and writes; n2 comes later, takes what is newer, and shares the root."""
    storage, cluster = ROW.serve(lab), going_on_alone()
    with lab.step("n1 boots alone, as it may, and writes"):
        first = hold(lab, storage, cluster, N1, ())
        all_ready(lab, first)
        for name in ("1", "2", "3", "4"):
            first[1].require("write-root", name)
        lab.expect("GOING ON WITHOUT n2" in console_text(first[0]), "a warning")
        lab.expect(not same_data(storage), "n2's disk has not what n1 wrote")
    with lab.step("n2 boots, waits until its disk is up to date and shares the root"):
        second = hold(lab, storage, cluster, N2, ("n1",))
        all_ready(lab, second)
        said = console_text(second[0])
        lab.expect("taking what is newer from n1" in said, "n2 says that it waits for the data")
        shown = re.findall(r"taking what is newer from n1: ([0-9.]+)%", said)
        lab.proof["progress"] = shown
        begin, end = said.find("taking what is newer"), said.find(MIRRORED)
        lab.expect(0 < begin < end, "n2 has the root only once its disk is up to date")
        await_same(lab, storage)
    leave_both(lab, first, second)
    storage.check({"n1": (), "n2": ("n1",)}, N2)
    with lab.step("n1, which left first, may not go on alone: its data is old"):
        node = start(lab, storage, cluster, N1)
        lab.wait_failure(node, 150, "storage", "cannot go on alone", "Outdated")


def one_refused(lab: Lab, nodes: list[Vm], *words: str) -> Vm:
    """Wait until one of two nodes stops, saying all `words`; neither has the root."""
    wait_until(lab.left(BOOT), "a refusal", lambda: not all(vm.alive for vm in nodes))
    stopped = next(vm for vm in nodes if not vm.alive)
    lab.wait_failure(stopped, 5, "storage", *words)
    for vm in nodes:
        lab.expect(MIRRORED not in console_text(vm), "no root on either")
    return stopped


def split_brain(lab: Lab) -> None:
    """Both wrote without the other: refused, until one is told to give up its changes."""
    storage, cluster = ROW.serve(lab), ROW.cluster()
    for node in (N1, N2):
        with lab.step(f"{node.name} boots alone, writes and powers off"):
            lab.wait_power_off([start(lab, storage, going_on_alone(), node)], BOOT)
    with lab.step("n1 and n2 boot together and are refused"):
        nodes = [start(lab, storage, cluster, node) for node in (N1, N2)]
        stopped = one_refused(lab, nodes, "split brain of r0", "--discard-my-data")
        if stopped is nodes[0]:
            lab.wait_failure(stopped, 5, "storage", "KiB were written on n1")
        for vm in nodes:
            vm.kill()
    with lab.step("n1 gives up its changes; both share n2's root"):
        gives_up = "rd.srb.drbd.discard_my_data=1"
        first = lab.hold(N1, cluster, (), gives_up, storage.disks["n1"])
        second = hold(lab, storage, cluster, N2, ())
        all_ready(lab, first, second)
        await_same(lab, storage)
    leave_both(lab, first, second)
    storage.check({}, N2)
    lab.expect(lab.proof["tokens"] == lab.tokens, f"the tokens of both: {lab.proof['tokens']}")


def wrong_secret(lab: Lab, row: Row) -> None:
    """Nodes that do not know the same secret do not mirror, and neither gets the root."""
    storage = row.serve(lab)
    right = row.block.with_table(lines="timeout = 120\n")
    with lab.step("n1 and n2 boot with different secrets; one refuses"):
        nodes = [
            start(lab, storage, Row(row.fs, block).cluster(), node)
            for node, block in ((N1, right), (N2, right.with_table((SECRET, WRONG_SECRET))))
        ]
        one_refused(lab, nodes, "shared_secret", "hint")


def no_metadata(lab: Lab) -> None:
    """A disk that never was part of a mirror is left as it is."""
    storage = sides(lab, GFS2)
    with lab.step("n1 boots with an empty disk and stops at storage"):
        node = start(lab, storage, ROW.cluster(), N1)
        lab.wait_failure(node, STOP, "storage", "no DRBD metadata", "drbdadm create-md r0")
    lab.expect(not any(storage.path(N1).read_bytes()), "the disk is as empty as before")


def standby(lab: Lab) -> None:
    """ext4, one node at a time: n2 waits while n1 has the root, and takes over when it leaves."""
    row = Row(EXT4, DRBD)
    storage, cluster = row.serve(lab), row.cluster()
    with lab.step("n1 and n2 boot; one of them has the root"):
        second = hold(lab, storage, cluster, N2, ())
        second[0].wait_text("waiting for n1 to mirror r0", lab.left(150))
        first = hold(lab, storage, cluster, N1, ())
        pairs = {"n1": first, "n2": second}
        wait_until(
            lab.left(BOOT),
            "a node that waits for the other",
            lambda: any("to let go of r0" in console_text(vm) for vm, _ in pairs.values()),
        )
    waits = next(n for n, (vm, _) in pairs.items() if "to let go of r0" in console_text(vm))
    has = "n1" if waits == "n2" else "n2"
    lab.proof["primary"] = has
    all_ready(lab, pairs[has])
    lab.expect(MIRRORED not in console_text(pairs[waits][0]), f"no root on {waits}")
    leave(lab, *pairs[has])
    with lab.step(f"{waits} takes over"):
        all_ready(lab, pairs[waits])
        said = console_text(pairs[waits][0])
        lab.expect("has taken leave" in said, f"{waits} knows why it may go on")
    leave(lab, *pairs[waits])
    storage.check({"n1": (), "n2": ()}, N1 if waits == "n1" else N2)


def _both(row: Row) -> tuple[Scenario, ...]:
    shared = f"two nodes share one {row.fs.name} root, mirrored by DRBD"
    absent, secret = partial(peer_absent, row=row), partial(wrong_secret, row=row)
    return (
        row.scenario("", shared, partial(two_nodes, row=row)),
        row.scenario("-peer-absent", "a node alone waits until its peer comes", absent),
        row.scenario("-wrong-secret", "nodes with different secrets are refused", secret),
    )


SCENARIOS = (
    *_both(ROW),
    *_both(Row(OCFS2_PCMK, DRBD)),
    ROW.scenario("-resync", "a node that was away takes what is newer, then mounts", resync),
    ROW.scenario("-split-brain", "a split brain is refused, then resolved", split_brain),
    ROW.scenario("-no-metadata", "a disk without metadata is refused", no_metadata),
    Row(EXT4, DRBD).scenario("", "one primary: a node takes over when the other leaves", standby),
)
