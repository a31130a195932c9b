"""What may happen to two nodes that share a root, whatever file system and block device it is on.

Each is a function over a lab and a row, and shows what must then be so.
"""

from __future__ import annotations

import time
from functools import partial

from srbuild.lab.cluster import BOTH, N1
from srbuild.lab.fencing import FenceDesk
from srbuild.lab.lab import Lab
from srbuild.lab.qemu import Disk
from srbuild.lab.rows.blocks import WWN
from srbuild.lab.rows.pair import AFTER, start_pair
from srbuild.lab.rows.row import Late, Refusal, Row, Terms
from srbuild.lab.steps import STOP, exchange, link_lost, plug, waits_and_boots

ALONE = Terms(alone=True)
PATIENT = Terms(limit=16, fencing=True)  # seconds: far more than the link is lost for
SHORT = 5  # seconds
DURING = "n2-during"  # what n2 writes while its link is lost


def desk_of(lab: Lab, row: Row) -> FenceDesk | None:
    """What turns nodes off that their peer says are lost, where the file system needs that."""
    return lab.fencing(lambda name, by: True) if row.fs.fence else None


def two_nodes(lab: Lab, row: Row) -> None:
    """Both nodes share the root and leave it clean."""
    storage = row.serve(lab)
    exchange(lab, row.cluster(), storage.disks)
    storage.check(BOTH)


def server_late(lab: Lab, row: Row, late: Late) -> None:
    """The storage does not answer at boot, and does 20 s after the node began to wait for it."""
    storage = row.serve(lab)
    storage.order(late.down)
    waits_and_boots(lab, row.cluster(ALONE), late.says, lambda _: storage.order(late.up))
    storage.check({"n1": ()})


def disk_late(lab: Lab, row: Row) -> None:
    """The disk is plugged into n1's bus 20 s after the node began to wait for its label."""
    storage = row.serve(lab)
    blank = Disk(lab.own_disk("blank", mib=8), serial="BLANK")
    labelled = row.block.with_table((f"WWN=0x{WWN:x}", f"LABEL={row.fs.label}"), "timeout = 90\n")
    back = partial(plug, disk=storage.own["n1"])
    says = "waiting for the disk"
    waits_and_boots(lab, Row(row.fs, labelled).cluster(ALONE), says, back, disks={"n1": (blank,)})
    storage.check({"n1": ()})


def refused(lab: Lab, row: Row, refusal: Refusal) -> None:
    """n1 boots with something wrong, and stops at `storage` with what it is."""
    disks = row.serve(lab).disks if refusal.served else {}
    wrong = Row(row.fs, row.block.with_table(refusal.swap, refusal.lines))
    with lab.step("n1 boots and stops at storage"):
        node = lab.start(N1, wrong.cluster(), (), refusal.extra, disks.get("n1", ()))
        lab.wait_failure(node, STOP, "storage", *refusal.words)


def link_short(lab: Lab, row: Row) -> None:
    """n2's link is lost for less than the limit while both write: they go on, nobody is lost."""
    desk = desk_of(lab, row)
    pair = start_pair(lab, row, PATIENT, desk)
    with lab.step(f"n2's link is lost for {SHORT} s, of {PATIENT.limit}; n1 and n2 write"):
        begin = time.monotonic()
        with link_lost(pair.n2, row.block.card, SHORT):
            pair.begin_write(DURING)
            pair.begin_write()
            early = pair.written() and time.monotonic() - begin < SHORT
            lab.expect(not early, "n1's write waits for the lock that n2 has, but it ended")
        pair.wait_written(begin, DURING)
        pair.wait_written(begin)
    if desk:
        lab.proof["fenced"] = desk.fenced
        lab.expect(not desk.orders, f"nobody is to be fenced, but there was {desk.orders}")
    lab.expect(pair.n1.alive and pair.n2.alive, "both nodes live on")
    pair.leave_and_check(DURING, AFTER)


def link_long(lab: Lab, row: Row) -> None:
    """n2 loses its link for good: it alone is turned off or resets itself, and n1 goes on."""
    pair = start_pair(lab, row, Terms(fencing=True), desk_of(lab, row))
    with lab.step("n2 loses its link; n1 goes on once n2 is off, and writes"):
        pair.n2.set_link(row.block.card, up=False)
        begin = pair.begin_write()
        pair.wait_written(begin)
    pair.expect_lost()
    if row.fs.last_words:
        pair.n2.wait_text(row.fs.last_words, 1)
    pair.leave_and_check()


def node_killed(lab: Lab, row: Row) -> None:
    """n2 dies at once; n1 goes on once that is certain, and replays what n2 left."""
    pair = start_pair(lab, row, Terms(fencing=True), desk_of(lab, row))
    with lab.step("n2 dies; n1 goes on and writes"):
        pair.n2.kill()
        waited = pair.wait_written(pair.begin_write())
    least = row.fs.limit / 2  # n2 last gave a sign of life some time before it died
    lab.expect(waited >= least, f"n1 waits for n2 to be lost, but it took {waited} s")
    pair.expect_lost()
    pair.leave_and_check()
