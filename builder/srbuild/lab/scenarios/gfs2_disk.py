"""What a GFS2 disk and a cluster file may disagree about, and repairs without the cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from srbuild.lab.cluster import N1, N2
from srbuild.lab.lab import Lab
from srbuild.lab.rows.blocks import ISCSI
from srbuild.lab.rows.filesystems import GFS2
from srbuild.lab.rows.row import Row, Terms
from srbuild.lab.scenario import Scenario
from srbuild.lab.steps import BOOT, held, leave

ROW = Row(GFS2, ISCSI)
FENCED = Terms(fencing=True)
ONE_JOURNAL = Row(replace(GFS2, words=("lab:root", "1", "8")), ISCSI)
REPAIR = "rd.srb.gfs2.repair="


def alone_first() -> str:
    """A cluster in which a node goes on alone, once the other has been fenced."""
    text = ROW.cluster(Terms(alone=True, fencing=True))
    return text.replace('check = "fail"', 'check = "fail"\njoin_delay = 2')


def journals(lab: Lab) -> None:
    """Two nodes and one journal: n2 is told so; with one more it shares the root."""
    storage = ONE_JOURNAL.serve(lab)
    lab.fencing(lambda name, by: True)
    cluster = alone_first()
    with lab.step("n1 has the only journal; n2's boot stops at mount"):
        n1, first = lab.hold(N1, cluster, ())
        first.wait_ready(lab.left(BOOT))
        n2 = lab.start(N2, cluster, ())
        n1.wait_text("1 journals, and 2 nodes", 5)
        lab.wait_failure(n2, 180, "mount", "1 journals, and 2 nodes", "gfs2_jadd -j 1")
    with lab.step("n1 adds a journal; n2 boots and shares the root"):
        first.require("add-journal", seconds=lab.left(120))
        n2 = lab.start(N2, cluster, ("n1",))
        n2.wait_text("n2 read: n1=", lab.left(BOOT))
        lab.wait_power_off([n2], 120)
    leave(lab, n1, first)
    storage.check({"n1": (), "n2": ("n1",)})


def repair(lab: Lab) -> None:
    """n1 alone: read-only it writes nothing; with n2 known to be off it may write."""
    storage = ROW.serve(lab)
    lab.fencing(lambda name, by: False)
    before = storage.order("digest-disk")
    with lab.step("n1 mounts read-only, without the cluster"):
        node = lab.start(N1, ROW.cluster(FENCED), (), f"{REPAIR}ro")
        node.wait_text("takes no part in the cluster", lab.left(120))
        node.wait_text("n1 runs on /dev/sda / gfs2 ro", lab.left(BOOT))
        lab.wait_power_off([node], BOOT)
    lab.expect(storage.order("digest-disk") == before, "not a bit is written")
    with lab.step("n2 is off, says its fence device: n1 mounts to write"):
        node = lab.start(N1, ROW.cluster(FENCED), (), f"{REPAIR}rw")
        node.wait_text("every other node is off", lab.left(120))
        lab.wait_power_off([node], BOOT)
    storage.check({"n1": ()})


def repair_in_use(lab: Lab) -> None:
    """While n2 has the root mounted, n1 can't mount it without the cluster, in no way."""
    storage = ROW.serve(lab)
    desk = lab.fencing(lambda name, by: name == "n1")
    alone = alone_first()
    n2, second = held(lab, alone, N2)
    lab.expect(desk.fenced == ["n1"], f"n1 is fenced before n2 goes on alone: {desk.fenced}")
    for how, point, word in (("ro", "mount", "another node may"), ("rw", "cluster", "n2")):
        with lab.step(f"n1 boots for a repair ({how}) and stops at {point}"):
            n1 = lab.start(N1, alone, (), f"{REPAIR}{how}")
            lab.wait_failure(n1, 180, point, word)
    with lab.step("n2 goes on unharmed"):
        second.require("take-lock", "n2")
    leave(lab, n2, second)
    storage.check({"n2": ()})
    last = cast("dict[str, str]", lab.proof["tokens"]).get("last")
    lab.expect(last == "n2", f"what n2 wrote last is there, but it is {last!r}")


def _scenario(suffix: str, summary: str, run: Callable[[Lab], None]) -> Scenario:
    made = ROW.scenario("", summary, run, (GFS2.fence,))
    return replace(made, name=f"gfs2-{suffix}")


SCENARIOS = (
    _scenario("journals", "more nodes than journals are told so, and how to get more", journals),
    _scenario("repair", "one node repairs without the cluster, the others being off", repair),
    _scenario("repair-in-use", "no repair while another node has the root", repair_in_use),
)
