"""GFS2 on one LUN over Fibre Channel, carried by Ethernet (FCoE, VN2VN): libfc against LIO."""

from __future__ import annotations

import time
from collections.abc import Callable

from srbuild.lab.lab import MAKER, Lab, NodeSpec
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios.gfs2_aoe import (
    BOOT,
    DISK,
    N1,
    N1_SAN,
    N2,
    SERVER_SAN,
    cluster_file,
    leave,
    link_lost,
)


def wwpn(mac: str) -> str:
    """The name of the FCoE port on the card with that MAC address."""
    return f"20:00:{mac}"


TARGET = wwpn(SERVER_SAN.mac)
TARGET_SAN = wwpn(SERVER_SAN.more[0][0])
WRONG = "20:00:52:54:00:0f:0f:0f"
COMMAND = 30  # seconds that a SCSI disk gives a command
BIG = 64  # MiB: far more than a queue of the usual kind lets pass


def server_file(*initiators: NodeSpec, interface: str = "eth0") -> str:
    """The server's cluster file, which lets the FCoE ports on these nodes' last cards in."""
    names = ", ".join(f'"{wwpn(node.cards[-1][0])}"' for node in initiators)
    return f"""\
{MAKER}
[fcoe]
mode = "vn2vn"
interface = ["{interface}"]
[fcoe-target]
device = "/dev/vda"
initiator = [{names}]
"""


def cluster(
    name: str = TARGET,
    *lines: str,
    interface: str = "eth0",
    mode: str = "vn2vn",
    wait_for_all: bool = False,
) -> str:
    """The cluster file: the target's WWPN, further lines of [block], and the FCoE port."""
    block = "\n".join(('type = "fc"', f'wwpn = ["{name}"]', "lun = 0", *lines))
    fcoe = f'[fcoe]\nmode = "{mode}"\ninterface = ["{interface}"]'
    return cluster_file(block, fcoe, wait_for_all=wait_for_all)


def two_nodes(lab: Lab) -> None:
    """Both nodes share the root and leave it clean."""
    server = lab.serve(DISK, server_file(N1, N2))
    text = cluster(wait_for_all=True)
    with lab.step("n1 and n2 boot, exchange tokens on the shared root and power off"):
        nodes = [lab.start(N1, text, ("n2",)), lab.start(N2, text, ("n1",))]
        lab.wait_power_off(nodes, BOOT)
    check_shared_root(lab, server, "check-gfs2", {"n1": ("n2",), "n2": ("n1",)})


def big_write(lab: Lab) -> None:
    """What a queue that drops would break: much at once, in both directions, and link loss."""
    server = lab.serve(DISK, server_file(N1))
    with lab.step("n1 boots"):
        vm, agent = lab.hold(N1, cluster(), ())
        agent.wait_ready(lab.left(BOOT))
    with lab.step(f"n1 writes {BIG} MiB and reads them again"):
        lines = agent.require("write-big", "sda", str(BIG), seconds=lab.left(180))
    said = dict(line.split(" ", 1) for line in lines)
    lab.proof["big"] = said
    lab.expect(said["same"] == "yes" and said["errors"] == "0", f"the same data, no error: {said}")
    # A frame that is lost is noticed when its command's 30 s are over.
    lab.expect(int(said["write"]) < COMMAND, f"no command times out: {said}")
    begin = time.monotonic()
    with lab.step("the link is lost for 20 s; the root is written to"), link_lost(vm, 0, 20):
        agent.require("write-root", "0", seconds=lab.left(120))
    waited = time.monotonic() - begin
    lab.proof["waited"] = round(waited, 1)
    lab.expect(waited >= 20, f"the write waits for the link, but it took {waited:.1f} s")
    leave(lab, vm, agent, server)


def wrong_wwpn(lab: Lab) -> None:
    """A target that is not there stops the boot at `storage`, which names those that are."""
    lab.serve(DISK, server_file(N1))
    with lab.step("n1 looks for another port and stops at storage"):
        node = lab.start(N1, cluster(WRONG, "timeout = 10"), ())
        plain = [f"0x{name.replace(':', '')}" for name in (WRONG, TARGET, wwpn(N1.mac))]
        lab.wait_failure(node, 150, "storage", *plain, "zone", "FCP Target")


def wrong_lun(lab: Lab) -> None:
    """A unit that the target does not give to this node stops the boot at `storage`."""
    lab.serve(DISK, server_file(N1))
    with lab.step("n1 looks for unit 7 and stops at storage"):
        node = lab.start(N1, cluster(), (), "rd.srb.fc.lun=7 rd.srb.fc.timeout=15")
        lab.wait_failure(node, 150, "storage", "unit 7", "sda", "LUN masking")


def link_down(lab: Lab) -> None:
    """The storage's own link is down at boot and comes up 20 s after the node began to wait."""
    disk = Disk(lab.disk(DISK, server_file(N1)))
    text = server_file(N1_SAN, interface="eth1")
    server = lab.server(text, disk, node=SERVER_SAN)
    with lab.step("n1 boots without a link to the storage and waits for it"):
        node = lab.start(N1_SAN, cluster(TARGET_SAN, interface="eth1"), ())
        node.set_link(1, up=False)
        node.wait_text("waiting for a link on a Fibre Channel adapter", lab.left(120))
        resume = time.monotonic() + 20
        while time.monotonic() < resume:
            lab.expect(node.alive, "n1 keeps waiting for the link")
            time.sleep(0.5)
    with lab.step("the link is back; n1 boots and powers off"):
        node.set_link(1, up=True)
        lab.wait_power_off([node], BOOT)
    check_shared_root(lab, server, "check-gfs2", {"n1": ()})


def no_switch(lab: Lab) -> None:
    """As a fabric's member a node needs a switch, and says so when there is none."""
    with lab.step("n1 looks for an FCoE switch and stops at storage"):
        node = lab.start(N1, cluster(TARGET, "timeout = 10", mode="fabric"), ())
        lab.wait_failure(node, 150, "storage", "no FCoE switch answers on eth0")


def no_adapter(lab: Lab) -> None:
    """A card that does not exist: the FCoE port stops the boot at `net`, naming the cards."""
    with lab.step("n1 has no card eth7 and stops at net"):
        text = cluster(interface="eth7")
        node = lab.start(N1, text, (), "rd.net.timeout.iflink=3")
        lab.wait_failure(node, 150, "net", "eth7", "the machine's cards: eth0")


def _scenario(suffix: str, summary: str, run: Callable[[Lab], None]) -> Scenario:
    server = ("lab-gfs2", "fcoe-target")
    return Scenario(f"gfs2-fc{suffix}", summary, "gfs2", "fc", server, run, ("fcoe",))


SCENARIOS = (
    _scenario("", "two nodes share one GFS2 root over FCoE and leave it clean", two_nodes),
    _scenario("-big-write", "64 MiB through FCoE, and a lost link", big_write),
    _scenario("-wrong-wwpn", "a wrong WWPN stops the boot at storage", wrong_wwpn),
    _scenario("-wrong-lun", "a unit that is not there stops the boot at storage", wrong_lun),
    _scenario("-link-down", "the storage's link is down at boot and back 20 s later", link_down),
    _scenario("-no-switch", "FCoE without a switch stops at storage", no_switch),
    _scenario("-no-card", "FCoE on a card that is not there stops at net", no_adapter),
)
