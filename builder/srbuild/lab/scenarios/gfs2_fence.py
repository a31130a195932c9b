"""GFS2 over iSCSI with a fence device for every node: QEMU, which ends the victim's machine."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, cast

from srbuild.lab.disk import DiskSpec
from srbuild.lab.fencing import FenceDesk
from srbuild.lab.lab import Lab
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk, Vm, wait_until
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios import gfs2_iscsi
from srbuild.lab.scenarios.gfs2_iscsi import BOOT, DISK, N1, N2, SERVER
from srbuild.lab.server import Agent

AFTER = "n1-after"  # what n1 writes once n2 is gone
DETECT = 150  # seconds for the token's loss, fencing and recovery, on two slow cores
SBD = DiskSpec(16, "make-sbd", ("15", "30", "n1,n2"))
BLOCKED = 30  # seconds in which nothing must be written while fencing is refused


class Pair(NamedTuple):
    """Two nodes that share the root, and their agents."""

    n1: Vm
    n2: Vm
    first: Agent
    second: Agent


def cluster_file() -> str:
    """The cluster of gfs2-iscsi with the lab's fence agent."""
    fence = 'method = "agent"\nagent = "lab"\ncheck = "fail"'
    return gfs2_iscsi.cluster_file().replace('method = "unsafe-none"', fence)


def start_pair(
    lab: Lab, cluster: str, devices: tuple[str, ...] = (), disks: tuple[Disk, ...] = ()
) -> Pair:
    """Boot both nodes; they have read each other's tokens and do as they are told."""
    with lab.step("n1 and n2 boot and exchange tokens on the shared root"):
        n1, first = lab.hold(replace(N1, devices=devices), cluster, ("n2",), disks=disks)
        n2, second = lab.hold(replace(N2, devices=devices), cluster, ("n1",), disks=disks)
        first.wait_ready(lab.left(BOOT))
        second.wait_ready(lab.left(BOOT))
    pair = Pair(n1, n2, first, second)
    # What n1 is to run while it has no lock to read it from the disk with.
    first.require("bootstrap", "dlm_tool", "status")
    first.require("write-token", "n1-before", "word")
    wait_until(60, "n1 writes", lambda: written(pair, "n1-before"))
    # n2 holds the lock that n1 needs next.
    second.require("take-lock", "n2")
    return pair


def written(pair: Pair, name: str) -> bool:
    """Whether n1 has written what it was told to."""
    return pair.first.require("written", name) == ("yes",)


def begin_write(lab: Lab, pair: Pair) -> float:
    """Have n1 write a token from now on; return the time."""
    lab.tokens[AFTER] = secrets.token_hex(16)
    begin = time.monotonic()
    pair.first.require("write-token", AFTER, lab.tokens[AFTER])
    return begin


def wait_written(lab: Lab, pair: Pair, begin: float) -> None:
    """Wait until n1's token is written, which it is once the locks are recovered."""
    wait_until(lab.left(DETECT), "n1 writes again", lambda: written(pair, AFTER))
    lab.proof["blocked_seconds"] = round(time.monotonic() - begin, 1)


def expect_fenced(lab: Lab, desk: FenceDesk, pair: Pair) -> None:
    """n2 was turned off by n1, nobody else was, and n1 has said so."""
    lab.proof["fenced"] = desk.fenced
    lab.expect(desk.fenced == ["n2"], f"n2 alone is fenced, but fenced were {desk.fenced}")
    lab.expect(not pair.n2.alive, "n2 is off")
    pair.n1.wait_text(r"n2 \(node 2\) is fenced, confirmed by lab", 5)


def leave_and_check(lab: Lab, server: Agent, pair: Pair) -> None:
    """n1 leaves; its token of after the fencing is on a clean disk, n2's journal replayed."""
    with lab.step("n1 powers off"):
        pair.first.require("leave")
        lab.wait_power_off([pair.n1], 120)
    check_shared_root(lab, server, "check-gfs2", {"n1": ("n2",), "n2": ("n1",)})
    found = cast("dict[str, str]", lab.proof["tokens"]).get(AFTER)
    lab.expect(found == lab.tokens[AFTER], f"n1's token of after the fencing, but got {found!r}")


def stand_still(lab: Lab, pair: Pair, desk: FenceDesk) -> None:
    """n1's write does not end while n2 may still live, and the console says what to do."""
    pair.n1.wait_text("FENCING FAILED: n2", lab.left(DETECT))
    pair.n1.wait_text("dlm_tool fence_ack 2", 5)
    still = time.monotonic() + BLOCKED
    while time.monotonic() < still or len(desk.orders) < 2:
        lab.expect(not written(pair, AFTER), "n1's write waits for n2's fencing, but it ended")
        lab.expect(pair.n2.alive, "n2 is not turned off")
        time.sleep(1)


def frozen(lab: Lab) -> None:
    """n2 stands still; n1 has it turned off, replays its journal and goes on writing."""
    server = lab.serve(DISK, SERVER)
    desk = lab.fencing(lambda name, by: True)
    pair = start_pair(lab, cluster_file())
    with lab.step("n2 freezes; n1 fences it and writes"):
        pair.n2.order("stop")
        wait_written(lab, pair, begin_write(lab, pair))
    expect_fenced(lab, desk, pair)
    leave_and_check(lab, server, pair)


def cut_off(lab: Lab) -> None:
    """n2 loses its network: both would fence the other, but only n2 is turned off."""
    server = lab.serve(DISK, SERVER)
    desk = lab.fencing(lambda name, by: True)
    pair = start_pair(lab, cluster_file())
    with lab.step("n2 loses its network; n1 fences it and writes"):
        pair.n2.set_link(0, up=False)
        wait_written(lab, pair, begin_write(lab, pair))
    expect_fenced(lab, desk, pair)
    leave_and_check(lab, server, pair)


def refused(lab: Lab) -> None:
    """While fencing is refused n1 stands still and says why; once it is had, n1 goes on."""
    server = lab.serve(DISK, SERVER)
    desk = lab.fencing(lambda name, by: False)
    pair = start_pair(lab, cluster_file())
    with lab.step("n2 freezes and fencing is refused: n1 stands still"):
        pair.n2.order("stop")
        begin = begin_write(lab, pair)
        stand_still(lab, pair, desk)
    with lab.step("fencing is had; n1 goes on"):
        desk.policy = lambda name, by: True
        wait_written(lab, pair, begin)
    expect_fenced(lab, desk, pair)
    leave_and_check(lab, server, pair)


def acknowledged(lab: Lab) -> None:
    """Fencing fails for good; a person who has cut the power says so, and n1 goes on."""
    server = lab.serve(DISK, SERVER)
    desk = lab.fencing(lambda name, by: False)
    pair = start_pair(lab, cluster_file())
    with lab.step("n2 freezes and fencing is refused: n1 stands still"):
        pair.n2.order("stop")
        begin = begin_write(lab, pair)
        stand_still(lab, pair, desk)
    with lab.step("a person cuts n2's power and says so to n1, which goes on"):
        pair.n2.kill()
        pair.first.require("bootstrap", "dlm_tool", "fence_ack", "2")
        wait_written(lab, pair, begin)
    lab.expect(desk.fenced == [], f"no device fenced n2, but fenced were {desk.fenced}")
    leave_and_check(lab, server, pair)


def poison_pill(lab: Lab) -> None:
    """n2 loses its network, reads n1's message on the sbd disk and resets itself."""
    server = lab.serve(DISK, SERVER)
    pill = lab.own_disk("sbd", lab.disk(SBD, SERVER))
    text = cluster_file().replace('agent = "lab"\ncheck = "fail"', 'agent = "sbd"\ncheck = "no"')
    # A message is read within a second or two, on a busy machine later.
    initiator = 'initiator = "iqn.2026-01.lab:n1"\n'
    text = text.replace(initiator, f"{initiator}[node.fence]\ndelay = 20\n")
    watchdog = ("-device", "i6300esb", "-action", "watchdog=reset")
    pair = start_pair(lab, text, watchdog, (Disk(pill, keep=True, serial="SBD"),))
    with lab.step("n2 loses its network; n1 leaves it a message and writes"):
        pair.n2.set_link(0, up=False)
        begin = begin_write(lab, pair)
        pair.n2.wait_end(lab.left(DETECT))
        lab.proof["reset_seconds"] = round(time.monotonic() - begin, 1)
        lab.expect(not written(pair, AFTER), "n1 waits until the message counts for sure")
        wait_written(lab, pair, begin)
    pair.n1.wait_text(r"n2 \(node 2\) is fenced, confirmed by sbd", 5)
    lab.expect(pair.n1.alive, "n1 lives on")
    leave_and_check(lab, server, pair)


def _scenario(
    suffix: str, summary: str, run: Callable[[Lab], None], agent: str = "lab"
) -> Scenario:
    server: tuple[str, ...] = ("lab-gfs2", "iscsi-target")
    if agent == "sbd":
        server = ("lab-gfs2", "lab-sbd", "iscsi-target")
    modules = (f"fence-{agent}",)
    return Scenario(f"gfs2-fence{suffix}", summary, "gfs2", "iscsi", server, run, modules)


SCENARIOS = (
    _scenario("", "a frozen node is fenced, the other replays its journal and goes on", frozen),
    _scenario("-cut-off", "of two nodes that lose each other exactly one is fenced", cut_off),
    _scenario("-refused", "a refused fence keeps the survivor still until it is had", refused),
    _scenario("-acknowledged", "a person takes the place of a failing fence", acknowledged),
    _scenario("-sbd", "a node reads its message on a shared disk and resets", poison_pill, "sbd"),
)
