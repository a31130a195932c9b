"""FCoE ports: a queue that drops nothing, the mode that was asked for, and no port on nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.shells import Machine

MAC = "52:54:00:00:00:02"


@pytest.fixture
def node(machine: Machine) -> Machine:
    """A machine with two cards, whose kernel makes a port when the module is loaded."""
    machine.card("eth0", "52:54:00:00:00:01")
    machine.card("eth1", MAC)
    for name in ("create", "destroy"):
        machine.write(f"sys/bus/fcoe/ctlr_{name}", "")
    port = machine.root / "sys/class/net/eth1/ctlr_0"
    machine.fake("modprobe", f"mkdir -p {port}")
    machine.write("usr/lib/srbuild/kmods/fcoe", "fcoe\n")
    return machine


def up(machine: Machine, **options: str) -> subprocess.CompletedProcess[str]:
    given = {
        "SR_FCOE_INTERFACE": "eth1",
        "SR_FCOE_MODE": "vn2vn",
        "SR_FCOE_PARAMETER": "",
        "SR_FCOE_MTU": "",
        "SR_NETWORK_NIC_TIMEOUT": "1",
    }
    return machine.module("net/fcoe", "up.sh", **(given | options))


def text(machine: Machine, path: str) -> str:
    return Path(machine.root, path).read_text().strip()


def test_cards_queue_without_dropping(machine: Machine) -> None:
    machine.write("proc/sys/net/core/default_qdisc", "fq_codel\n")
    assert machine.module("net/fcoe", "prepare.sh").returncode == 0
    assert text(machine, "proc/sys/net/core/default_qdisc") == "pfifo_fast"


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        ({}, "vn2vn"),
        ({"SR_FCOE_MODE": "fabric"}, "fabric"),
        ({"SR_FCOE_INTERFACE": MAC.replace(":", "-")}, "vn2vn"),
        ({"SR_FCOE_PARAMETER": "eth1:nodcb:fabric"}, "fabric"),
        ({"SR_FCOE_PARAMETER": f"{MAC}:nodcb:vn2vn", "SR_FCOE_INTERFACE": "eth0"}, "vn2vn"),
    ],
)
def test_a_port_is_made(node: Machine, options: dict[str, str], mode: str) -> None:
    found = up(node, **options)
    assert found.returncode == 0, found.stderr
    assert node.calls == ["ip link set eth1 up", "modprobe -a fcoe"]
    assert text(node, "sys/bus/fcoe/ctlr_create") == "eth1"
    assert text(node, "sys/class/net/eth1/ctlr_0/mode") == mode
    assert text(node, "sys/class/net/eth1/ctlr_0/enabled") == "1"
    assert text(node, "sys/class/net/eth1/tx_queue_len") == "30000"
    assert text(node, "run/srbuild/net/used") == "eth1"


def test_the_networks_own_interface_when_none_is_named(node: Machine) -> None:
    node.write("run/srbuild/state/NET_INTERFACE", "eth1\n")
    assert up(node, SR_FCOE_INTERFACE="").returncode == 0
    assert text(node, "sys/bus/fcoe/ctlr_create") == "eth1"


def test_the_mtu_comes_first(node: Machine) -> None:
    assert up(node, SR_FCOE_MTU="2500").returncode == 0
    assert node.calls[:2] == ["ip link set eth1 mtu 2500", "ip link set eth1 up"]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"SR_FCOE_INTERFACE": ""}, "no interface is named"),
        ({"SR_FCOE_INTERFACE": "eth7"}, "eth7"),
        ({"SR_FCOE_MTU": "1"}, "no packet's size"),
        ({"SR_FCOE_PARAMETER": "eth1:dcb:fabric"}, "lldpad"),
        ({"SR_FCOE_PARAMETER": "edd:nodcb:fabric"}, "EDD"),
        ({"SR_FCOE_PARAMETER": "eth1:fabric"}, "is not NIC:nodcb"),
        ({"SR_FCOE_PARAMETER": "eth1"}, "is not NIC:nodcb"),
        ({"SR_FCOE_PARAMETER": "eth1:nodcb:p2p"}, "is not NIC:nodcb"),
        ({"SR_FCOE_PARAMETER": "$(reboot):nodcb:fabric"}, "no interface's name"),
    ],
)
def test_what_cannot_be_meant(node: Machine, options: dict[str, str], word: str) -> None:
    assert up(node, **options).returncode == 1
    assert word in node.note("why")
    assert text(node, "sys/bus/fcoe/ctlr_create") == ""


def test_the_port_is_taken_away_at_the_end(node: Machine) -> None:
    assert up(node).returncode == 0
    assert node.module("net/fcoe", "down.sh").returncode == 0
    assert text(node, "sys/bus/fcoe/ctlr_destroy") == "eth1"
