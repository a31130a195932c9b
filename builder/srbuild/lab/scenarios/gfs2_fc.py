"""GFS2 on one LUN over Fibre Channel, carried by Ethernet (FCoE, VN2VN): libfc against LIO."""

from __future__ import annotations

from dataclasses import replace

from srbuild.lab.cluster import N1
from srbuild.lab.lab import Lab
from srbuild.lab.qemu import Disk
from srbuild.lab.rows.blocks import FC, PORT, fc_server, fcoe, wwpn
from srbuild.lab.rows.filesystems import GFS2
from srbuild.lab.rows.row import Row, Storage
from srbuild.lab.rows.situations import ALONE
from srbuild.lab.scenarios.gfs2_aoe import N1_SAN, SERVER_SAN
from srbuild.lab.steps import held, leave, waits_and_boots, write_over_gap

ROW = Row(GFS2, FC)
PORT_SAN = wwpn(SERVER_SAN.more[0][0])
COMMAND = 30  # seconds that a SCSI disk gives a command
BIG = 64  # MiB: far more than a queue of the usual kind lets pass


def cluster(port: str = PORT, interface: str = "eth0", mode: str = "vn2vn", lines: str = "") -> str:
    """The cluster file of a node alone: the target's WWPN, the FCoE port, lines of [block]."""
    block = replace(FC.with_table((PORT, port), lines), tables=fcoe(interface, mode))
    return Row(GFS2, block).cluster(ALONE)


def big_write(lab: Lab) -> None:
    """What a queue that drops would break: much at once, in both directions, and link loss."""
    storage = ROW.serve(lab)
    vm, agent = held(lab, cluster())
    with lab.step(f"n1 writes {BIG} MiB and reads them again"):
        lines = agent.require("write-big", "sda", str(BIG), seconds=lab.left(180))
    said = dict(line.split(" ", 1) for line in lines)
    lab.proof["big"] = said
    lab.expect(said["same"] == "yes" and said["errors"] == "0", f"the same data, no error: {said}")
    # A frame that is lost is noticed when its command's 30 s are over.
    lab.expect(int(said["write"]) < COMMAND, f"no command times out: {said}")
    write_over_gap(lab, vm, agent)
    leave(lab, vm, agent)
    storage.check({"n1": ()})


def link_down(lab: Lab) -> None:
    """The storage's own link is down at boot and comes up 20 s after the node began to wait."""
    disk = Disk(lab.disk(GFS2.disk, FC.cluster))
    server = lab.server(fc_server(N1_SAN, interface="eth1"), disk, node=SERVER_SAN)
    waits_and_boots(
        lab,
        cluster(PORT_SAN, interface="eth1"),
        "waiting for a link on a Fibre Channel adapter",
        lambda vm: vm.set_link(1, up=True),
        away=lambda vm: vm.set_link(1, up=False),
        node=N1_SAN,
    )
    Storage(lab, GFS2, server).check({"n1": ()})


def no_switch(lab: Lab) -> None:
    """As a fabric's member a node needs a switch, and says so when there is none."""
    with lab.step("n1 looks for an FCoE switch and stops at storage"):
        node = lab.start(N1, cluster(mode="fabric", lines="timeout = 10\n"), ())
        lab.wait_failure(node, 150, "storage", "no FCoE switch answers on eth0")


def no_adapter(lab: Lab) -> None:
    """A card that does not exist: the FCoE port stops the boot at `net`, naming the cards."""
    with lab.step("n1 has no card eth7 and stops at net"):
        node = lab.start(N1, cluster(interface="eth7"), (), "rd.net.timeout.iflink=3")
        lab.wait_failure(node, 150, "net", "eth7", "the machine's cards: eth0")


SCENARIOS = tuple(
    ROW.scenario(suffix, summary, run)
    for suffix, summary, run in (
        ("-big-write", "64 MiB through FCoE, and a lost link", big_write),
        ("-link-down", "the storage's link is down at boot and back 20 s later", link_down),
        ("-no-switch", "FCoE without a switch stops at storage", no_switch),
        ("-no-card", "FCoE on a card that is not there stops at net", no_adapter),
    )
)
