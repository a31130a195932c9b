"""What a GFS2 disk and a cluster file may disagree about, and repairs without the cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import Lab
from srbuild.lab.proof import check_shared_root
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios.gfs2_fence import cluster_file
from srbuild.lab.scenarios.gfs2_iscsi import BOOT, DISK, N1, N2, SERVER

ONE_JOURNAL = DiskSpec(256, "make-gfs2", ("lab:root", "1", "8"))
REPAIR = "rd.srb.gfs2.repair="


def alone_first() -> str:
    """A cluster in which a node goes on alone, once the other has been fenced."""
    text = cluster_file().replace("wait_for_all = true", "wait_for_all = false")
    return text.replace('check = "fail"', 'check = "fail"\njoin_delay = 2')


def journals(lab: Lab) -> None:
    """Two nodes and one journal: n2 is told so; with one more it shares the root."""
    server = lab.serve(ONE_JOURNAL, SERVER)
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
        first.require("leave")
        lab.wait_power_off([n1], 120)
    check_shared_root(lab, server, "check-gfs2", {"n1": (), "n2": ("n1",)})


def repair(lab: Lab) -> None:
    """n1 alone: read-only it writes nothing; with n2 known to be off it may write."""
    server = lab.serve(DISK, SERVER)
    lab.fencing(lambda name, by: False)
    before = server.require("digest-disk")
    with lab.step("n1 mounts read-only, without the cluster"):
        node = lab.start(N1, cluster_file(), (), f"{REPAIR}ro")
        node.wait_text("takes no part in the cluster", lab.left(120))
        node.wait_text("n1 runs on /dev/sda / gfs2 ro", lab.left(BOOT))
        lab.wait_power_off([node], BOOT)
    lab.expect(server.require("digest-disk") == before, "not a bit is written")
    with lab.step("n2 is off, says its fence device: n1 mounts to write"):
        node = lab.start(N1, cluster_file(), (), f"{REPAIR}rw")
        node.wait_text("every other node is off", lab.left(120))
        lab.wait_power_off([node], BOOT)
    check_shared_root(lab, server, "check-gfs2", {"n1": ()})


def repair_in_use(lab: Lab) -> None:
    """While n2 has the root mounted, n1 can't mount it without the cluster, in no way."""
    server = lab.serve(DISK, SERVER)
    desk = lab.fencing(lambda name, by: name == "n1")
    alone = alone_first()
    with lab.step("n2 runs alone on the root, after fencing n1"):
        n2, second = lab.hold(N2, alone, ())
        second.wait_ready(lab.left(BOOT))
    lab.expect(desk.fenced == ["n1"], f"n1 is fenced before n2 goes on alone: {desk.fenced}")
    for how, point, word in (("ro", "mount", "another node may"), ("rw", "cluster", "n2")):
        with lab.step(f"n1 boots for a repair ({how}) and stops at {point}"):
            n1 = lab.start(N1, alone, (), f"{REPAIR}{how}")
            lab.wait_failure(n1, 180, point, word)
    with lab.step("n2 goes on unharmed and leaves"):
        second.require("take-lock", "n2")
        second.require("leave")
        lab.wait_power_off([n2], 120)
    check_shared_root(lab, server, "check-gfs2", {"n2": ()})
    last = cast("dict[str, str]", lab.proof["tokens"]).get("last")
    lab.expect(last == "n2", f"what n2 wrote last is there, but it is {last!r}")


def _scenario(suffix: str, summary: str, run: Callable[[Lab], None]) -> Scenario:
    server = ("lab-gfs2", "iscsi-target")
    return Scenario(f"gfs2-{suffix}", summary, "gfs2", "iscsi", server, run, ("fence-lab",))


SCENARIOS = (
    _scenario("journals", "more nodes than journals are told so, and how to get more", journals),
    _scenario("repair", "one node repairs without the cluster, the others being off", repair),
    _scenario("repair-in-use", "no repair while another node has the root", repair_in_use),
)
