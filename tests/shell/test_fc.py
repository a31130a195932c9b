"""Fibre Channel: adapter, link, port and disk are waited for in turn, and what is missing named."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support import fabric
from support.shells import Machine

COLONS = "20:00:52:54:00:09:00:01"
OTHER_COLONS = "20:00:52:54:00:09:00:02"


def attach(machine: Machine, **options: str) -> subprocess.CompletedProcess[str]:
    given = {
        "SR_FC_WWPN": COLONS,
        "SR_FC_LUN": "0",
        "SR_FC_WWID": "",
        "SR_FC_TIMEOUT": "1",
        "SR_FC_PATH_TIMEOUT": "1",
        "SR_FC_DEV_LOSS_TIMEOUT": "600",
    }
    return machine.module("block/fc", "attach.sh", **(given | options))


@pytest.fixture
def node(machine: Machine) -> Machine:
    """A machine with an adapter that sees a target with two units."""
    machine.write("usr/lib/srbuild/runs", "storage fc /usr/lib/srbuild/modules/fc/attach.sh 0\n")
    fabric.adapter(machine)
    fabric.port(machine)
    fabric.disk(machine, "sda", 0)
    fabric.disk(machine, "sdb", 1, wwid="naa.6001405fce0000000000000000000002")
    return machine


def chosen(machine: Machine) -> str:
    return str(machine.state("ROOT_DEVICE")).removeprefix(f"{machine.root}/dev/")


def second_path(node: Machine, access: str = "", wwid: str = fabric.WWID) -> None:
    fabric.port(node, "rport-1:0-1", fabric.OTHER)
    fabric.disk(node, "sdc", 0, "rport-1:0-1", wwid, access)


@pytest.mark.parametrize(
    ("options", "disk"),
    [
        ({}, "sda"),
        ({"SR_FC_LUN": "1"}, "sdb"),
        ({"SR_FC_LUN": ""}, "sda"),
        ({"SR_FC_WWPN": "0x2000525400090001"}, "sda"),
        ({"SR_FC_WWPN": "20-00-52-54-00-09-00-01"}, "sda"),
        ({"SR_FC_LUN": "", "SR_FC_WWID": "naa.6001405fce0000000000000000000002"}, "sdb"),
    ],
)
def test_the_disk_that_was_asked_for(node: Machine, options: dict[str, str], disk: str) -> None:
    found = attach(node, **options)
    assert found.returncode == 0, found.stderr
    assert chosen(node) == disk


@pytest.mark.parametrize(
    "name",
    [
        "0x6001405FCE0000000000000000000002",
        "36001405fce0000000000000000000002",
        "wwn-0x6001405fce0000000000000000000002",
    ],
)
def test_the_disk_by_its_own_name_alone(node: Machine, name: str) -> None:
    assert attach(node, SR_FC_WWPN="", SR_FC_LUN="", SR_FC_WWID=name).returncode == 0
    assert chosen(node) == "sdb"


def tmo(node: Machine) -> str:
    return Path(node.root, "sys/class/fc_remote_ports/rport-1:0-0/dev_loss_tmo").read_text().strip()


def test_a_port_that_is_lost_is_waited_for_as_long_as_was_said(node: Machine) -> None:
    assert attach(node, SR_FC_DEV_LOSS_TIMEOUT="300").returncode == 0
    assert tmo(node) == "300"


def test_with_multipath_its_daemon_sets_that(node: Machine) -> None:
    node.write("usr/lib/srbuild/runs", "storage multipath /x 0\n")
    second_path(node)
    found = attach(node, SR_FC_WWPN=f"{COLONS} {OTHER_COLONS}")
    assert found.returncode == 0
    assert tmo(node) == "60"
    assert found.stderr.count("path: ") == 2
    assert "would use all" not in found.stderr


def test_of_several_paths_one_is_used_and_that_is_said(node: Machine) -> None:
    second_path(node)
    found = attach(node, SR_FC_WWPN=f"{COLONS} {OTHER_COLONS}")
    assert found.returncode == 0, found.stderr
    assert "one of them is used" in found.stderr
    for word in ("/dev/sda is unit 0", "/dev/sdc is unit 0", fabric.OTHER):
        assert word in found.stderr


@pytest.mark.parametrize(
    ("first", "second", "disk"),
    [
        ("standby", "active/optimized", "sdc"),
        ("active/non-optimized", "active/optimized", "sdc"),
        ("active/optimized", "unavailable", "sda"),
        ("standby", "active/non-optimized", "sdc"),
    ],
)
def test_a_path_that_takes_reads_is_preferred(
    node: Machine, first: str, second: str, disk: str
) -> None:
    second_path(node, second)
    node.write("sys/class/block/sda/device/access_state", f"{first}\n")
    assert attach(node, SR_FC_WWPN=f"{COLONS} {OTHER_COLONS}").returncode == 0
    assert chosen(node) == disk


def test_a_port_that_does_not_come_up_is_gone_without(node: Machine) -> None:
    found = attach(node, SR_FC_WWPN=f"{OTHER_COLONS} {COLONS}")
    assert found.returncode == 0, found.stderr
    assert f"no path to the disk by {fabric.OTHER}" in found.stderr
    assert chosen(node) == "sda"


def test_ports_that_lead_to_different_disks(node: Machine) -> None:
    second_path(node, wwid="naa.6001405fce0000000000000000000009")
    assert attach(node, SR_FC_WWPN=f"{COLONS} {OTHER_COLONS}").returncode == 1
    assert "different disks" in node.note("why")
    assert fabric.WWID in node.note("why")


def test_no_adapter(machine: Machine) -> None:
    machine.write("sys/bus/pci/devices/0000:01:00.0/class", "0x0c0400\n")
    machine.write("sys/bus/pci/devices/0000:01:00.0/vendor", "0x1077\n")
    machine.write("sys/bus/pci/devices/0000:01:00.0/device", "0x2532\n")
    machine.write("sys/bus/pci/devices/0000:02:00.0/class", "0x020000\n")
    assert attach(machine).returncode == 1
    hint = machine.note("hint")
    assert "0000:01:00.0 (0x1077:0x2532, no driver has it)" in hint
    assert "02:00.0" not in hint
    assert "firmware" in hint


def test_no_adapter_and_no_card_for_one(machine: Machine) -> None:
    assert attach(machine).returncode == 1
    assert "module fcoe" in machine.note("hint")


def test_no_link(node: Machine) -> None:
    fabric.adapter(node, state="Linkdown")
    fabric.adapter(node, 2, "Offline", "0x2000525400000002")
    assert attach(node).returncode == 1
    why = node.note("why")
    assert f"host1 {fabric.OWN} Linkdown" in why
    assert "host2 0x2000525400000002 Offline" in why
    assert "cable" in node.note("hint")


@pytest.mark.parametrize(
    ("carrier", "mode", "word"),
    [
        ("0", "Fabric", "no link on eth0"),
        ("1", "Fabric", "no FCoE switch answers on eth0"),
        ("1", "VN2VN", "finds no address"),
    ],
)
def test_no_link_of_fcoe(node: Machine, carrier: str, mode: str, word: str) -> None:
    fabric.adapter(node, state="Linkdown")
    node.card("eth0", "52:54:00:00:00:01", link=carrier == "1")
    node.write("sys/class/net/eth0/ctlr_0/mode", f"{mode}\n")
    assert attach(node).returncode == 1
    assert word in node.note("hint")


@pytest.mark.parametrize(
    ("roles", "state"), [("FCP Initiator", "Online"), ("FCP Target", "Blocked"), ("", "Online")]
)
def test_a_port_that_is_no_target_or_gone(node: Machine, roles: str, state: str) -> None:
    fabric.port(node, roles=roles, state=state)
    assert attach(node).returncode == 1
    assert fabric.TARGET in node.note("why")


def test_another_port_than_was_named(node: Machine) -> None:
    assert attach(node, SR_FC_WWPN=OTHER_COLONS).returncode == 1
    assert fabric.OTHER in node.note("why")
    for word in (f"rport-1:0-0 {fabric.TARGET} FCP Target", "zone", fabric.OWN):
        assert word in node.note("hint")


def test_another_unit_than_was_named(node: Machine) -> None:
    assert attach(node, SR_FC_LUN="7").returncode == 1
    assert "unit 7" in node.note("why")
    for word in (f"sda {fabric.TARGET} 0 {fabric.WWID}", "sdb", "LUN masking", fabric.OWN):
        assert word in node.note("hint")


def test_a_unit_that_is_given_to_the_node_late(node: Machine) -> None:
    scan = node.root / "sys/class/scsi_host/host1/scan"
    disk = node.root / "sys/class/fc_remote_ports/rport-1:0-0/device/target1:0:4/1:0:4:7/block/sdd"
    (node.root / "dev/sdd").touch()
    script = f"until [ -s {scan} ]; do sleep 0.1; done; mkdir -p {disk}"
    helper = subprocess.Popen(["timeout", "30", "sh", "-c", script])
    found = attach(node, SR_FC_LUN="7", SR_FC_TIMEOUT="25")
    assert helper.wait() == 0
    assert found.returncode == 0, found.stderr
    assert scan.read_text() == "0 4 -\n"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"SR_FC_WWPN": ""}, "no Fibre Channel target"),
        ({"SR_FC_WWID": "sda"}, "no disk's name"),
        ({"SR_FC_WWID": "naa.123"}, "no disk's name"),
        ({"SR_FC_WWID": "naa.6001405fce00000000000000000000zz"}, "no disk's name"),
    ],
)
def test_what_cannot_be_meant(node: Machine, options: dict[str, str], word: str) -> None:
    assert attach(node, **options).returncode == 1
    assert word in node.note("why")


def test_the_disks_are_released(node: Machine) -> None:
    (node.root / "sys/class/block/sda/device").mkdir(parents=True)
    (node.root / "sys/class/block/sdb/device").mkdir(parents=True)
    assert node.module("block/fc", "detach.sh").returncode == 0
    for name in ("sda", "sdb"):
        assert (node.root / f"sys/class/block/{name}/device/delete").read_text() == "1\n"
