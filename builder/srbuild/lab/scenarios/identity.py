"""Which node is this: by what the firmware calls it, and what if that and the card disagree."""

from __future__ import annotations

from dataclasses import replace

from srbuild.lab.cluster import N1, N2, NODES
from srbuild.lab.lab import Lab, NodeSpec
from srbuild.lab.proof import check_shared_root
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios import nfs
from srbuild.lab.scenarios.local_scsi import BOOT, cluster_file, disk_spec, one
from srbuild.lab.steps import STOP

UUID = "4c4c4544-0042-3510-8052-b4c04f313233"
SWAPPED = "44454c4c-4200-1035-8052-b4c04f313233"
SERIAL = "CZ 123/4"
SPARE = "spare9"
NAMED = {
    N1.name: f'uuid = "{SWAPPED}"\nserial = "{SERIAL}"\n',
    N2.name: 'serial = "CZ 999"\nasset_tag = "Room 7"\n',
}


def _cluster() -> str:
    """Three nodes on one ext4 that nobody writes to; n1 and n2 are known by their firmware too."""
    text = cluster_file(nodes=NODES, more="overlay = true\n")
    for name, keys in NAMED.items():
        text = text.replace(f'name = "{name}"\n', f'name = "{name}"\n{keys}')
    return text


def _machine(node: NodeSpec, mac: str, *smbios: str) -> NodeSpec:
    """`node` with another card and with these SMBIOS tables."""
    words = tuple(word for table in smbios for word in ("-smbios", table))
    return replace(node, mac=mac, devices=(*node.devices, *words))


def by_firmware(lab: Lab) -> None:
    """Cards that no file knows: n1 is found by UUID and serial, n2 by its chassis' asset tag."""
    path = lab.own_disk("root", lab.disk(disk_spec()))
    machines = (
        _machine(N1, "52:54:00:00:00:91", f"type=1,uuid={UUID},serial={SERIAL}"),
        _machine(N2, "52:54:00:00:00:92", "type=3,asset=Room 7"),
    )
    words = ("n1: the uuid", "n2: the asset_tag room 7")
    with lab.step("n1 and n2 boot with unknown cards and power off"):
        extra = "rd.srb.nic_timeout=3"  # for a card of the cluster that does not come
        nodes = [
            lab.start(one_machine, _cluster(), (), extra, disks=(one(path),))
            for one_machine in machines
        ]
        for node, said in zip(nodes, words, strict=True):
            node.wait_text(f"this is the node {said}", lab.left(STOP))
        lab.wait_power_off(nodes, BOOT)
    lab.proof["found"] = list(words)


def conflict(lab: Lab) -> None:
    """A machine with n1's firmware and n2's card stops at identity, which names both."""
    with lab.step("a machine with n1's UUID and n2's card stops at identity"):
        node = lab.start(_machine(N1, N2.mac, f"type=1,uuid={UUID}"), _cluster(), ())
        said = (f"the uuid {SWAPPED} says n1", f"the MAC address {N2.mac} says n2")
        lab.wait_failure(node, STOP, "identity", *said)


def moved_card(lab: Lab) -> None:
    """n2's card in a machine with another serial number: n2 itself may be up."""
    with lab.step("a machine with n2's card and a foreign serial stops at identity"):
        node = lab.start(_machine(N1, N2.mac, "type=1,serial=XY 1"), _cluster(), ())
        said = ("the serial cz 999 for n2", "this machine has xy 1", "rd.srb.node=n2")
        lab.wait_failure(node, STOP, "identity", *said)


def spare_twice(lab: Lab) -> None:
    """Two machines that no file knows are told to be the same spare: the second one stops."""
    spare = f'[[node]]\nname = "{SPARE}"\nid = 9\naddress = "10.9.0.29/24"\n'
    cluster = nfs.cluster_file() + spare
    server = nfs.serve(lab)
    first, second = _machine(N1, "52:54:00:00:00:91"), _machine(N2, "52:54:00:00:00:92")
    told = f"rd.srb.node={SPARE} rd.srb.nic_timeout=3"
    with lab.step(f"a machine boots as {SPARE}"):
        node, agent = lab.hold(first, cluster, (), told)
        agent.wait_ready(lab.left(BOOT))
        node.wait_text("no other machine has 10.9.0.29", lab.left(STOP))
    with lab.step(f"another one that is told to be {SPARE} stops before the storage"):
        other = lab.start(second, cluster, (), told)
        said = (f"10.9.0.29 is another machine's already ({first.mac})", f"rd.srb.node={SPARE}")
        lab.wait_failure(other, STOP, "net", *said)
    with lab.step(f"the first {SPARE} goes on and powers off"):
        agent.require("leave", "poweroff", seconds=lab.left(60))
        lab.wait_power_off([node], BOOT)
    check_shared_root(lab, server, "check-export", {N1.name: ()})


SPARE_TWICE = Scenario(
    "identity-spare-twice",
    "of two machines that are told to be one spare the second stops",
    "nfs",
    "",
    ("lab-export", "nfs-server"),
    spare_twice,
)
_OF_A_DISK = tuple(
    Scenario(name, summary, "ext4", "scsi", ("lab-local",), run, ("network",))
    for name, summary, run in (
        ("identity-dmi", "nodes found by UUID and asset tag, whatever their cards", by_firmware),
        ("identity-conflict", "firmware and card that name two nodes stop the boot", conflict),
        ("identity-moved-card", "a node's card in a strange machine stops the boot", moved_card),
    )
)
SCENARIOS = (*_OF_A_DISK, SPARE_TWICE)
