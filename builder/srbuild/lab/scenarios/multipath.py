"""A root on a LUN that two networks lead to: joined by multipath, on LVM, with bad ways to it."""

from __future__ import annotations

import time
from collections.abc import Callable

from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import MAKER, SERVER, Lab, NodeSpec
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk, Vm
from srbuild.lab.scenario import Scenario
from srbuild.lab.server import Agent
from srbuild.lab.steps import leave

SECOND = "second"  # the other network
N1 = NodeSpec("n1", "52:54:00:00:00:01", (("52:54:00:00:01:01", SECOND),))
TWO_CARDS = NodeSpec(SERVER.name, SERVER.mac, (("52:54:00:09:01:01", SECOND),))
PORTALS = ("10.9.0.1:3260", "10.9.1.1:3260")
TARGET = "iqn.2026-01.lab:root"
DISK = DiskSpec(64, "make-local", ("ext4", "root"))
TARGET_TABLE = f"""\
[iscsi-target]
device = "/dev/vda"
target = ["{TARGET}"]
portal = ["{PORTALS[0]}", "{PORTALS[1]}"]
"""
MAKING = f'{MAKER}[iscsi-target]\ndevice = "/dev/vda"\ntarget = ["{TARGET}"]\n'
SERVING = f"""\
{MAKER}{TARGET_TABLE}[network]
ip = ["10.9.1.1:::24::{TWO_CARDS.more[0][0].replace(":", "-")}:none"]
"""
BOOT = 240  # seconds that a node may take from start to power off, on two slow cores
WRITE = 60  # seconds within which a write returns whose path was cut, on a slow machine
BACK = 60  # seconds within which a path is in use again


def cluster_file(block: str = "", more: str = "", fs: str = "ext4") -> str:
    """A cluster file as a user would write it; `block` and `more` hold further lines."""
    return f"""\
name = "lab"
[block]
type = "iscsi"
portal = ["{PORTALS[0]}", "{PORTALS[1]}"]
target = ["{TARGET}"]
{block}[fs]
type = "{fs}"
[container]
type = "none"
{more}[[node]]
name = "n1"
id = 1
mac = ["{N1.mac}", "{N1.more[0][0]}"]
address = "10.9.0.21/24"
[node.network]
ip = ["10.9.1.21:::24::{N1.more[0][0].replace(":", "-")}:none"]
"""


def serve(lab: Lab) -> Agent:
    """The storage server on both networks."""
    return lab.server(SERVING, Disk(lab.disk(DISK, MAKING)), node=TWO_CARDS)


def paths(agent: Agent) -> dict[str, str]:
    """Path → `active` or `failed`, as device-mapper has it."""
    return dict(line.split(" ", 1) for line in agent.require("paths"))


def await_paths(lab: Lab, agent: Agent, active: int, seconds: float) -> float:
    """Wait until so many paths are in use; how many seconds it took."""
    begin = time.monotonic()
    deadline = begin + lab.left(seconds)
    while (found := [*paths(agent).values()].count("active")) != active:
        lab.expect(time.monotonic() < deadline, f"{active} paths in use, but there are {found}")
    return round(time.monotonic() - begin, 1)


def lose_path(lab: Lab, vm: Vm, agent: Agent, card: int) -> dict[str, float]:
    """Pull a cable, write to the root, plug it in again; the seconds until each had worked."""
    with lab.step(f"cable {card} is pulled; the root is written to"):
        vm.set_link(card, up=False)
        begin = time.monotonic()
        agent.require("write-root", str(card), seconds=lab.left(WRITE))
        written = round(time.monotonic() - begin, 1)
        await_paths(lab, agent, 1, WRITE)
    with lab.step(f"cable {card} is back"):
        vm.set_link(card, up=True)
        back = await_paths(lab, agent, 2, BACK)
    return {f"write {card}": written, f"back {card}": back}


def path_lost_while_running(lab: Lab) -> None:
    """One cable is pulled while the root is written to, plugged in again, then the other one."""
    server = serve(lab)
    with lab.step("n1 boots over two paths"):
        vm, agent = lab.hold(N1, cluster_file(more="[multipath]\n"), ())
        agent.wait_ready(lab.left(BOOT))
        await_paths(lab, agent, 2, 10)
    seconds: dict[str, float] = {}
    for card in (0, 1):
        seconds |= lose_path(lab, vm, agent, card)
    lab.proof["seconds"] = seconds
    leave(lab, vm, agent)
    check_shared_root(lab, server, "check-local", {"n1": ()})


def path_down_at_boot(lab: Lab) -> None:
    """One cable is out at boot; it is plugged in later, and then carries the root alone."""
    server = serve(lab)
    with lab.step("n1 boots with the second cable out"):
        vm, agent = lab.hold(N1, cluster_file(more="[multipath]\n"), ())
        vm.set_link(1, up=False)
        agent.wait_ready(lab.left(BOOT))
    found = paths(agent)
    lab.expect(len(found) == 1, f"one path, but there are {found}")
    with lab.step("the cable is plugged in; its path is added"):
        vm.set_link(1, up=True)
        lab.proof["seconds"] = {"added": await_paths(lab, agent, 2, 120)}
    with lab.step("the first cable is pulled; the root is written to"):
        vm.set_link(0, up=False)
        agent.require("write-root", "0", seconds=lab.left(WRITE))
        vm.set_link(0, up=True)
        await_paths(lab, agent, 2, BACK)
    leave(lab, vm, agent)
    check_shared_root(lab, server, "check-local", {"n1": ()})


def _scenario(
    suffix: str,
    summary: str,
    run: Callable[[Lab], None],
    modules: tuple[str, ...] = ("multipath",),
) -> Scenario:
    server = ("lab-local", "iscsi-target")
    return Scenario(f"iscsi-multipath{suffix}", summary, "ext4", "iscsi", server, run, modules)


SCENARIOS = (
    _scenario("", "either path is lost and comes back", path_lost_while_running),
    _scenario("-path-down", "a path is down at boot and added later", path_down_at_boot),
)  # fmt: skip
