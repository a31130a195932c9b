"""GFS2 on one AoE disk: shared by two nodes, found late, not found, jumbo, and over lost links."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import MAKER, SERVER_MAC, Lab, NodeSpec
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk, Vm
from srbuild.lab.scenario import Scenario
from srbuild.lab.server import Agent

N1 = NodeSpec("n1", "52:54:00:00:00:01")
N2 = NodeSpec("n2", "52:54:00:00:00:02")
SAN = "san"  # a link for storage alone
N1_SAN = NodeSpec("n1", N1.mac, (("52:54:00:00:01:01", SAN),))
SERVER_SAN = NodeSpec("server", SERVER_MAC, (("52:54:00:09:01:01", SAN),))
DISK = DiskSpec(256, "make-gfs2", ("lab:root", "2", "8"))
TARGET = "e1.2"
JUMBO = 9000
JUMBO_FRAME = 8704  # 17 sectors: what the driver makes of it
BOOT = 240  # seconds that two nodes may take from start to power off, on two slow cores


def server_file(more: str = "") -> str:
    """The server's cluster file; `more` are further options of its [aoe-target]."""
    return f'{MAKER}[aoe-target]\ndevice = "/dev/vda"\ntarget = "{TARGET}"\n{more}'


def cluster_file(block: str, tables: str = "", *, wait_for_all: bool = True) -> str:
    """The cluster file of two nodes with GFS2; `block` is its [block], `tables` stand before it."""
    return f"""\
name = "lab"
{tables}
[block]
{block}
[fs]
type = "gfs2"
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
[[node]]
name = "n2"
id = 2
mac = ["{N2.mac}"]
address = "10.9.0.22/24"
"""


def aoe(*lines: str) -> str:
    """The [block] table of an AoE root, with these lines too."""
    return "\n".join(('type = "aoe"', f'target = "{TARGET}"', *lines))


def alone(*lines: str) -> str:
    """The cluster file of a node that goes on without its peer."""
    return cluster_file(aoe(*lines), wait_for_all=False)


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


def leave(lab: Lab, vm: Vm, agent: Agent, server: Agent) -> None:
    """End n1 and prove that it left the root clean, with its token."""
    with lab.step("n1 leaves"):
        agent.require("leave")
        lab.wait_power_off([vm], 120)
    check_shared_root(lab, server, "check-gfs2", {"n1": ()})


def two_nodes(lab: Lab) -> None:
    """Both nodes share the root and leave it clean."""
    server = lab.serve(DISK, server_file())
    cluster = cluster_file(aoe())
    with lab.step("n1 and n2 boot, exchange tokens on the shared root and power off"):
        nodes = [lab.start(N1, cluster, ("n2",)), lab.start(N2, cluster, ("n1",))]
        lab.wait_power_off(nodes, BOOT)
    check_shared_root(lab, server, "check-gfs2", {"n1": ("n2",), "n2": ("n1",)})


def target_late(lab: Lab) -> None:
    """The target does not answer at boot, and does 20 s after the node began to look for it."""
    server = lab.serve(DISK, server_file())
    server.require("aoe-down")
    with lab.step("n1 boots without the target and looks for it"):
        node = lab.start(N1, alone(), ())
        node.wait_text("waiting for the AoE disk", lab.left(120))
        resume = time.monotonic() + 20
        while time.monotonic() < resume:
            lab.expect(node.alive, "n1 keeps looking for the target")
            time.sleep(0.5)
    with lab.step("the target answers; n1 boots and powers off"):
        server.require("aoe-up")
        lab.wait_power_off([node], BOOT)
    check_shared_root(lab, server, "check-gfs2", {"n1": ()})


def wrong_slot(lab: Lab) -> None:
    """A target that does not exist stops the boot at `storage`, which names those that do."""
    lab.serve(DISK, server_file())
    with lab.step("n1 looks for e1.3 and stops at storage"):
        extra = "netroot=aoe:eth0:e1.3 rd.srb.aoe.timeout=8"
        node = lab.start(N1, alone(), (), extra)
        lab.wait_failure(node, 150, "storage", "e1.3", f"others answered: {TARGET}")


def jumbo(lab: Lab) -> None:
    """Frames of 17 sectors instead of 2, from one end to the other."""
    server = lab.serve(DISK, server_file(f"mtu = {JUMBO}\n"))
    with lab.step("n1 boots with jumbo frames"):
        vm, agent = lab.hold(N1, alone('interface = ["eth0"]', f"mtu = {JUMBO}"), ())
        agent.wait_ready(lab.left(BOOT))
    vm.wait_text(f"in frames of {JUMBO_FRAME} bytes", 1)
    with lab.step("n1 reads 16 MiB"):
        said = dict(
            line.split(" ", 1)
            for line in agent.require("read-frames", f"etherd/{TARGET}", "eth0", "16")
            if " " in line
        )
    lab.proof["frames"] = said
    lab.expect(int(said["average"]) > JUMBO_FRAME * 3 // 4, f"jumbo frames on the wire: {said}")
    leave(lab, vm, agent, server)


def path_lost(lab: Lab) -> None:
    """The disk is on two links; either is cut while the root is written to."""
    disk = Disk(lab.disk(DISK, server_file()))
    server = lab.server(server_file('interface = ["eth0", "eth1"]\n'), disk, node=SERVER_SAN)
    with lab.step("n1 boots with two interfaces to the disk"):
        vm, agent = lab.hold(N1_SAN, alone('interface = ["eth0", "eth1"]'), ())
        agent.wait_ready(lab.left(BOOT))
    for card in (1, 0):
        with lab.step(f"cable {card} is pulled; the root is written to"):
            vm.set_link(card, up=False)
            agent.require("write-root", str(card), seconds=lab.left(120))
            vm.set_link(card, up=True)
    leave(lab, vm, agent, server)


def link_back(lab: Lab) -> None:
    """The only link is lost for 20 s: writes wait for it and nothing is lost."""
    server = lab.serve(DISK, server_file())
    with lab.step("n1 boots"):
        vm, agent = lab.hold(N1, alone(), ())
        agent.wait_ready(lab.left(BOOT))
    begin = time.monotonic()
    with lab.step("the link is lost for 20 s; the root is written to"), link_lost(vm, 0, 20):
        agent.require("write-root", "0", seconds=lab.left(120))
    waited = time.monotonic() - begin
    lab.proof["waited"] = round(waited, 1)
    lab.expect(waited >= 20, f"the write waits for the link, but it took {waited:.1f} s")
    leave(lab, vm, agent, server)


def _scenario(suffix: str, summary: str, run: Callable[[Lab], None]) -> Scenario:
    server = ("lab-gfs2", "aoe-target")
    return Scenario(f"gfs2-aoe{suffix}", summary, "gfs2", "aoe", server, run)


SCENARIOS = (
    _scenario("", "two nodes share one GFS2 root by AoE and leave it clean", two_nodes),
    _scenario("-target-late", "the AoE target answers 20 s late", target_late),
    _scenario("-wrong-slot", "a wrong slot stops the boot at storage", wrong_slot),
    _scenario("-jumbo", "AoE in jumbo frames", jumbo),
    _scenario("-path-lost", "AoE on two links, either of which is cut", path_lost),
    _scenario("-link-back", "the only link to an AoE root is lost for 20 s", link_back),
)
