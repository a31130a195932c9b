"""GFS2 over iSCSI with a fence device for every node: QEMU, which ends the victim's machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from srbuild.lab.disk import DiskSpec
from srbuild.lab.fencing import FenceDesk
from srbuild.lab.lab import Lab
from srbuild.lab.qemu import Disk
from srbuild.lab.rows.blocks import ISCSI
from srbuild.lab.rows.filesystems import GFS2
from srbuild.lab.rows.pair import DETECT, Pair, boot_pair, start_pair
from srbuild.lab.rows.row import Row, Terms
from srbuild.lab.rows.situations import link_long
from srbuild.lab.scenario import Scenario

ROW = Row(GFS2, ISCSI)
FENCED = Terms(fencing=True)
SBD = DiskSpec(16, "make-sbd", ("15", "30", "n1,n2"))
BLOCKED = 30  # seconds in which nothing must be written while fencing is refused


def frozen(lab: Lab) -> None:
    """n2 stands still; n1 has it turned off, replays its journal and goes on writing."""
    pair = start_pair(lab, ROW, FENCED, lab.fencing(lambda name, by: True))
    with lab.step("n2 freezes; n1 fences it and writes"):
        pair.n2.order("stop")
        pair.wait_written(pair.begin_write())
    pair.expect_lost()
    pair.leave_and_check()


def stand_still(lab: Lab) -> tuple[FenceDesk, Pair, float]:
    """n2 freezes and n1 may not turn it off: its write does not end, and it says what to do.

    Also when the write began.
    """
    desk = lab.fencing(lambda name, by: False)
    pair = start_pair(lab, ROW, FENCED, desk)
    with lab.step("n2 freezes and fencing is refused: n1 stands still"):
        pair.n2.order("stop")
        begin = pair.begin_write()
        pair.n1.wait_text("FENCING FAILED: n2", lab.left(DETECT))
        pair.n1.wait_text("dlm_tool fence_ack 2", 5)
        still = time.monotonic() + BLOCKED
        while time.monotonic() < still or len(desk.orders) < 2:
            lab.expect(not pair.written(), "n1's write waits for n2's fencing, but it ended")
            lab.expect(pair.n2.alive, "n2 is not turned off")
            time.sleep(1)
    return desk, pair, begin


def refused(lab: Lab) -> None:
    """While fencing is refused n1 stands still and says why; once it is had, n1 goes on."""
    desk, pair, begin = stand_still(lab)
    with lab.step("fencing is had; n1 goes on"):
        desk.policy = lambda name, by: True
        pair.wait_written(begin)
    pair.expect_lost()
    pair.leave_and_check()


def acknowledged(lab: Lab) -> None:
    """Fencing fails for good; a person who has cut the power says so, and n1 goes on."""
    desk, pair, begin = stand_still(lab)
    with lab.step("a person cuts n2's power and says so to n1, which goes on"):
        pair.n2.kill()
        pair.first.require("bootstrap", "dlm_tool", "fence_ack", "2")
        pair.wait_written(begin)
    lab.expect(desk.fenced == [], f"no device fenced n2, but fenced were {desk.fenced}")
    pair.leave_and_check()


def poison_pill(lab: Lab) -> None:
    """n2 loses its network, reads n1's message on the sbd disk and resets itself."""
    storage = ROW.serve(lab)
    pill = lab.own_disk("sbd", lab.disk(SBD, ISCSI.cluster))
    text = ROW.cluster(FENCED)
    text = text.replace('agent = "lab"\ncheck = "fail"', 'agent = "sbd"\ncheck = "no"')
    # A message is read within a second or two, on a busy machine later.
    initiator = ISCSI.own["n1"]
    text = text.replace(initiator, f"{initiator}[node.fence]\ndelay = 20\n")
    watchdog = ("-device", "i6300esb", "-action", "watchdog=reset")
    disk = Disk(pill, keep=True, serial="SBD")
    pair = boot_pair(lab, storage, text, None, watchdog, (disk,))
    with lab.step("n2 loses its network; n1 leaves it a message and writes"):
        pair.n2.set_link(0, up=False)
        begin = pair.begin_write()
        pair.n2.wait_end(lab.left(DETECT))
        lab.proof["reset_seconds"] = round(time.monotonic() - begin, 1)
        lab.expect(not pair.written(), "n1 waits until the message counts for sure")
        pair.wait_written(begin)
    pair.n1.wait_text(r"n2 \(node 2\) is fenced, confirmed by sbd", 5)
    pair.expect_lost()
    pair.leave_and_check()


def _scenario(
    suffix: str, summary: str, run: Callable[[Lab], None], agent: str = "lab"
) -> Scenario:
    server = ("lab-sbd",) if agent == "sbd" else ()
    made = ROW.scenario("", summary, run, (f"fence-{agent}",), server)
    return replace(made, name=f"gfs2-fence{suffix}")


SCENARIOS = (
    _scenario("", "a frozen node is fenced, the other replays its journal and goes on", frozen),
    _scenario(
        "-cut-off",
        "of two nodes that lose each other exactly one is fenced",
        partial(link_long, row=ROW),
    ),
    _scenario("-refused", "a refused fence keeps the survivor still until it is had", refused),
    _scenario("-acknowledged", "a person takes the place of a failing fence", acknowledged),
    _scenario("-sbd", "a node reads its message on a shared disk and resets", poison_pill, "sbd"),
)
