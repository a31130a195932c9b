"""What scenarios have the lab's nodes do, each a step that is told, timed and bounded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from srbuild.lab.cluster import N1, N2
from srbuild.lab.lab import Lab, NodeSpec
from srbuild.lab.qemu import Disk, Vm
from srbuild.lab.server import Agent

BOOT = 240  # seconds that two nodes may take from start to power off, on two slow cores
STOP = 200  # seconds within which a boot fails that has to, its own time limits included
LEAVE = 120  # seconds that a shutdown may take
LATE = 20  # seconds for which something comes late

Disks = Mapping[str, tuple[Disk, ...]]
"""Node → the disks that it has."""

NO_DISKS: Disks = {}


def exchange(lab: Lab, cluster: str, disks: Disks = NO_DISKS, seconds: float = BOOT) -> list[Vm]:
    """Both nodes boot, read each other's tokens on the shared root and power off; the machines."""
    with lab.step("n1 and n2 boot, exchange tokens on the shared root and power off"):
        nodes = [
            lab.start(N1, cluster, ("n2",), disks=disks.get("n1", ())),
            lab.start(N2, cluster, ("n1",), disks=disks.get("n2", ())),
        ]
        lab.wait_power_off(nodes, seconds)
    return nodes


def goes_on(lab: Lab, vm: Vm, what: str, unsaid: str = "", seconds: float = LATE) -> None:
    """For so many seconds `vm` lives, as `what` says, and does not say `unsaid`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        lab.expect(vm.alive, f"{vm.machine.name} {what}")
        if unsaid:
            lab.expect(unsaid.encode() not in vm.text(), f"{vm.machine.name} not to say {unsaid!r}")
        time.sleep(0.5)


def waits_and_boots(
    lab: Lab,
    cluster: str,
    says: str,
    back: Callable[[Vm], object],
    away: Callable[[Vm], object] = lambda _: None,
    node: NodeSpec = N1,
    disks: Disks = NO_DISKS,
) -> None:
    """A node waits for something, saying so; LATE later it comes `back`, and the node boots.

    `away` takes it away where it is not yet.
    """
    with lab.step(f"{node.name} boots and waits"):
        vm = lab.start(node, cluster, (), disks=disks.get(node.name, ()))
        away(vm)
        vm.wait_text(says, lab.left(150))
        goes_on(lab, vm, "keeps waiting")
    with lab.step(f"what was missing is back; {node.name} boots and powers off"):
        back(vm)
        lab.wait_power_off([vm], BOOT)


def plug(vm: Vm, disk: Disk) -> None:
    """Plug a disk into the SCSI bus of `vm`, which has one when it was started with such a disk."""
    vm.order(
        "blockdev-add",
        driver="raw",
        file={"driver": "file", "filename": str(disk.path), "locking": "off"},
        **{"node-name": disk.serial},
    )
    named = {"serial": disk.serial, "wwn": disk.wwn, "share-rw": True}
    vm.order("device_add", driver="scsi-hd", bus="scsi.0", drive=disk.serial, id="late", **named)


def gives_up(lab: Lab, cluster: str, *words: str) -> None:
    """Without any server a node stops at `mount` after the 15 s that its cluster file gives it."""
    with lab.step("n1 boots without any server and gives up after its deadline"):
        node = lab.start(N1, cluster, ())
        lab.wait_failure(node, STOP, "mount", "within 15 s", "hint", *words)


def outlives_server(lab: Lab, server: Agent, cluster: str) -> None:
    """A boot that fails with the root mounted leaves although the server is gone for good."""
    with lab.step("n1 mounts its root and fails at handover; the server vanishes"):
        node = lab.start(N1, cluster, (), "init=/sbin/absent rd.srb.reboot_delay=15")
        node.wait_text("has no /sbin/absent", lab.left(STOP))
        server.call("poweroff", seconds=20)
    begin = time.monotonic()
    with lab.step("n1 lets go of the root and restarts"):
        lab.wait_failure(node, 150, "handover", "/sbin/absent")
    lab.proof["seconds without the server"] = round(time.monotonic() - begin, 1)


def held(
    lab: Lab, cluster: str, node: NodeSpec = N1, disks: Disks = NO_DISKS, seconds: float = BOOT
) -> tuple[Vm, Agent]:
    """A node alone on its root, which does as its agent is told."""
    with lab.step(f"{node.name} boots"):
        vm, agent = lab.hold(node, cluster, (), disks=disks.get(node.name, ()))
        agent.wait_ready(lab.left(seconds))
    return vm, agent


def leave(lab: Lab, vm: Vm, agent: Agent) -> None:
    """Have a held node shut down, and wait for its end."""
    with lab.step(f"{vm.machine.name} leaves"):
        agent.require("leave")
        lab.wait_power_off([vm], LEAVE)


@contextmanager
def link_lost(vm: Vm, card: int, seconds: float) -> Iterator[None]:
    """Pull a cable of `vm`, and plug it in again `seconds` later, whatever goes on meanwhile."""
    vm.set_link(card, up=False)
    timer = threading.Timer(seconds, vm.set_link, (card, True))
    timer.start()
    try:
        yield
    finally:
        timer.join()


def write_over_gap(lab: Lab, vm: Vm, agent: Agent, card: int = 0) -> None:
    """The link is lost for LATE seconds while the root is written to, which waits for it."""
    begin = time.monotonic()
    with (
        lab.step(f"the link is lost for {LATE} s; the root is written to"),
        link_lost(vm, card, LATE),
    ):
        agent.require("write-root", str(card), seconds=lab.left(120))
    waited = time.monotonic() - begin
    lab.proof["waited"] = round(waited, 1)
    lab.expect(waited >= LATE, f"the write waits for the link, but it took {waited:.1f} s")
