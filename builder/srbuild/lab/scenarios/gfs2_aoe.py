"""GFS2 on one AoE disk: in jumbo frames, over two links and over one that is lost for long."""

from __future__ import annotations

from srbuild.lab.cluster import N1
from srbuild.lab.lab import SERVER_MAC, Lab, NodeSpec
from srbuild.lab.qemu import Disk
from srbuild.lab.rows.blocks import AOE, SLOT, aoe_server
from srbuild.lab.rows.filesystems import GFS2
from srbuild.lab.rows.row import Row, Storage
from srbuild.lab.rows.situations import ALONE
from srbuild.lab.steps import held, leave, write_over_gap

SAN = "san"  # a link for storage alone
N1_SAN = NodeSpec("n1", N1.mac, (("52:54:00:00:01:01", SAN),))
SERVER_SAN = NodeSpec("server", SERVER_MAC, (("52:54:00:09:01:01", SAN),))
ROW = Row(GFS2, AOE)
JUMBO = 9000
JUMBO_FRAME = 8704  # 17 sectors: what the driver makes of it


def alone(lines: str = "") -> str:
    """The cluster file of a node that goes on without its peer, with more lines in [block]."""
    return Row(GFS2, AOE.with_table(lines=lines)).cluster(ALONE)


def jumbo(lab: Lab) -> None:
    """Frames of 17 sectors instead of 2, from one end to the other."""
    storage = Storage(lab, GFS2, lab.serve(GFS2.disk, aoe_server(f"mtu = {JUMBO}\n")))
    vm, agent = held(lab, alone(f'interface = ["eth0"]\nmtu = {JUMBO}\n'))
    vm.wait_text(f"in frames of {JUMBO_FRAME} bytes", 1)
    with lab.step("n1 reads 16 MiB"):
        said = dict(
            line.split(" ", 1)
            for line in agent.require("read-frames", f"etherd/{SLOT}", "eth0", "16")
            if " " in line
        )
    lab.proof["frames"] = said
    lab.expect(int(said["average"]) > JUMBO_FRAME * 3 // 4, f"jumbo frames on the wire: {said}")
    leave(lab, vm, agent)
    storage.check({"n1": ()})


def path_lost(lab: Lab) -> None:
    """The disk is on two links; either is cut while the root is written to."""
    disk = Disk(lab.disk(GFS2.disk, aoe_server()))
    both = 'interface = ["eth0", "eth1"]\n'
    storage = Storage(lab, GFS2, lab.server(aoe_server(both), disk, node=SERVER_SAN))
    vm, agent = held(lab, alone(both), N1_SAN)
    for card in (1, 0):
        with lab.step(f"cable {card} is pulled; the root is written to"):
            vm.set_link(card, up=False)
            agent.require("write-root", str(card), seconds=lab.left(120))
            vm.set_link(card, up=True)
    leave(lab, vm, agent)
    storage.check({"n1": ()})


def link_back(lab: Lab) -> None:
    """The only link is lost for 20 s: writes wait for it and nothing is lost."""
    storage = ROW.serve(lab)
    vm, agent = held(lab, ROW.cluster(ALONE))
    write_over_gap(lab, vm, agent)
    leave(lab, vm, agent)
    storage.check({"n1": ()})


SCENARIOS = (
    ROW.scenario("-jumbo", "AoE in jumbo frames", jumbo),
    ROW.scenario("-path-lost", "AoE on two links, either of which is cut", path_lost),
    ROW.scenario("-link-back", "the only link to an AoE root is lost for 20 s", link_back),
)
