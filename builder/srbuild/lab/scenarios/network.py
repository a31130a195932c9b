"""The network below an iSCSI root: a bond with a VLAN on it that loses a link, DHCP, both jumbo."""

from __future__ import annotations

import re

from srbuild.lab.cluster import N1
from srbuild.lab.lab import LAN, Lab, NodeSpec
from srbuild.lab.proof import check_shared_root
from srbuild.lab.rows.blocks import ISCSI
from srbuild.lab.rows.filesystems import GFS2
from srbuild.lab.rows.row import Row
from srbuild.lab.rows.situations import ALONE
from srbuild.lab.scenario import Scenario
from srbuild.lab.server import Agent
from srbuild.lab.steps import BOOT, held, leave

ROW = Row(GFS2, ISCSI)
SECOND_MAC = "52:54:00:00:01:01"
BONDED = NodeSpec("n1", N1.mac, ((SECOND_MAC, LAN),))
TWO_CARDS = NodeSpec("n1", N1.mac, ((SECOND_MAC, "nobody"),))
JUMBO = 9000
BOND = f"""\
[network]
bond = ["bond0:{BONDED.mac.replace(":", "-")},{SECOND_MAC.replace(":", "-")}\
:mode=active-backup,miimon=100"]
vlan = ["bond0.20:bond0"]
interface = "bond0.20"
mtu = {JUMBO}
"""
SERVER_VLAN = f"""\
[network]
vlan = ["eth0.20:eth0"]
interface = "eth0.20"
mtu = {JUMBO}
"""


def with_network(cluster: str, table: str) -> str:
    """The cluster file's text with `table` as its [network]."""
    return re.sub(r"^\[network\]\n[^[]*", table, cluster, count=1, flags=re.MULTILINE)


def said(agent: Agent, job: str, *words: str) -> dict[str, str]:
    """The lines `KEY VALUE` that a job prints."""
    return dict(line.split(" ", 1) for line in agent.require(job, *words) if " " in line)


def bond_loses_a_link(lab: Lab) -> None:
    """One cable of the bond is pulled, then plugged in again and the other one pulled."""
    server = lab.serve(GFS2.disk, ISCSI.cluster + SERVER_VLAN)
    cluster = with_network(ROW.cluster(ALONE), BOND)
    vm, agent = held(lab, cluster, BONDED)
    state = said(agent, "net-state", "bond0", "bond0.20", "10.9.0.1")
    lab.proof["before"] = state
    lab.expect(state["mtu"] == str(JUMBO), f"packets of {JUMBO} bytes, but there is {state}")
    lab.expect(state["unfragmented"] == "yes", f"a jumbo packet goes through whole: {state}")
    for card in (0, 1):
        with lab.step(f"cable {card} is pulled; the root is written to"):
            vm.set_link(card, up=False)
            agent.require("write-root", str(card), seconds=lab.left(60))
            after = said(agent, "net-state", "bond0", "bond0.20", "10.9.0.1")
            lab.expect(after["active"] != state["active"], f"another slave than in {state}")
            state = after
            vm.set_link(card, up=True)
            agent.require("await-slaves", "bond0", "2")
    leave(lab, vm, agent)
    check_shared_root(lab, server, "check-gfs2", {"n1": ()})


def dhcp_answers_on_one(lab: Lab) -> None:
    """Two cards ask by DHCP; behind one of them there is nobody."""
    server = lab.serve(GFS2.disk, ISCSI.cluster)
    server.require("dhcp-up", "eth0", TWO_CARDS.mac, "10.9.0.21")
    cluster = ROW.cluster(ALONE).replace(
        f'mac = ["{TWO_CARDS.mac}"]', f'mac = ["{TWO_CARDS.mac}", "{SECOND_MAC}"]'
    )
    with lab.step("n1 boots with ip=dhcp and powers off"):
        node = lab.start(TWO_CARDS, cluster, (), "ip=dhcp")
        lab.wait_power_off([node], BOOT)
    lab.expect(b"has 10.9.0.21 (dhcp)" in node.text(), "the address that the server gave")
    check_shared_root(lab, server, "check-gfs2", {"n1": ()})


def no_cable(lab: Lab) -> None:
    """Nobody answers anywhere: the boot stops at `net` and says which card lacks what."""
    with lab.step("n1 boots with ip=dhcp where nobody answers, and stops at net"):
        extra = "ip=dhcp rd.net.timeout.dhcp=5 rd.net.timeout.carrier=5"
        node = lab.start(N1, ROW.cluster(), (), extra)
        lab.wait_failure(node, 150, "net", "has no answer (dhcp)", "hint")


_SERVER = ("lab-gfs2", "iscsi-target")
SCENARIOS = (
    Scenario(
        "network-bond-vlan",
        "a jumbo VLAN on a bond carries the root, and either link may go",
        "gfs2", "iscsi", _SERVER, bond_loses_a_link,
    ),
    Scenario(
        "network-dhcp",
        "two cards ask by DHCP, one is answered",
        "gfs2", "iscsi", _SERVER, dhcp_answers_on_one,
    ),
    Scenario(
        "network-no-answer",
        "nobody answers by DHCP: the boot stops at net",
        "gfs2", "iscsi", _SERVER, no_cable,
    ),
)  # fmt: skip
