"""AoE: the disk is looked for on the right interfaces, and what is missing is named."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.shells import Machine

GIVEN = {
    "SR_AOE_TARGET": "e1.2",
    "SR_AOE_INTERFACE": "",
    "SR_AOE_NETROOT": "",
    "SR_AOE_MTU": "",
    "SR_AOE_TIMEOUT": "1",
    "SR_AOE_DEAD_TIMEOUT": "86400",
    "SR_NETWORK_NIC_TIMEOUT": "1",
}


@pytest.fixture
def node(machine: Machine) -> Machine:
    """A machine with two cards, on which the driver's files are there."""
    machine.card("eth0", "52:54:00:00:00:01")
    machine.card("eth1", "52:54:00:00:00:02")
    for name in ("discover", "interfaces", "flush"):
        machine.write(f"dev/etherd/{name}", "")
    machine.fake("dmesg", 'echo "[ 1.0] aoe: e1.2: setting 1024 byte data frames"', record=False)
    return machine


def disk(machine: Machine, name: str, state: str = "up", size: int = 2048) -> None:
    """A disk that answered."""
    folder = f"sys/block/etherd!{name}"
    machine.write(f"{folder}/state", f"{state}\n")
    machine.write(f"{folder}/size", f"{size}\n")
    machine.write(f"{folder}/mac", "525400090001\n")
    machine.write(f"{folder}/netif", "eth0\n")
    machine.write(f"dev/etherd/{name}", "")


def attach(machine: Machine, **options: str) -> subprocess.CompletedProcess[str]:
    return machine.module("block/aoe", "attach.sh", **(GIVEN | options))


def interfaces(machine: Machine) -> str:
    return Path(machine.root, "dev/etherd/interfaces").read_text()


def test_the_disk_is_published(node: Machine) -> None:
    disk(node, "e1.2")
    found = attach(node)
    assert found.returncode == 0, found.stderr
    assert node.state("ROOT_DEVICE") == f"{node.root}/dev/etherd/e1.2"
    assert "in frames of 1024 bytes" in found.stderr
    assert node.calls == ["modprobe aoe aoe_deadsecs=86400"]  # no card is touched, all are asked


def test_the_interfaces_that_were_named_are_brought_up_first_and_no_other_is_asked(
    node: Machine,
) -> None:
    disk(node, "e1.2")
    found = attach(node, SR_AOE_INTERFACE="eth1 eth0 52-54-00-00-00-02", SR_AOE_DEAD_TIMEOUT="30")
    assert found.returncode == 0, found.stderr
    assert node.calls == [
        "ip link set eth1 up",
        "ip link set eth0 up",
        "modprobe aoe aoe_deadsecs=30 aoe_iflist=eth1,eth0",
    ]
    assert interfaces(node) == "eth1,eth0"
    # The system above is kept from both.
    assert (node.run_dir / "net/used").read_text().split() == ["eth1", "eth0"]


def test_the_mtu_is_set_before_anybody_is_asked(node: Machine) -> None:
    disk(node, "e1.2")
    said = (f'echo "aoe: e1.2: setting {size} byte data frames"' for size in (1024, 8704))
    node.fake("dmesg", "\n".join(said), record=False)
    found = attach(node, SR_AOE_INTERFACE="eth1", SR_AOE_MTU="9000")
    assert found.returncode == 0, found.stderr
    assert node.calls[:2] == ["ip link set eth1 mtu 9000", "ip link set eth1 up"]
    assert "in frames of 8704 bytes" in found.stderr
    assert "warning" not in found.stderr


def test_a_target_that_takes_no_jumbo_frames_is_warned_of(node: Machine) -> None:
    disk(node, "e1.2")
    found = attach(node, SR_AOE_INTERFACE="eth1", SR_AOE_MTU="9000")
    assert found.returncode == 0
    assert "warning: e1.2 takes frames of 1024 bytes" in found.stderr


def test_one_interface_of_two_is_enough(node: Machine) -> None:
    disk(node, "e1.2")
    found = attach(node, SR_AOE_INTERFACE="eth7 eth1")
    assert found.returncode == 0, found.stderr
    assert "no interface eth7; going on without it" in found.stderr
    assert interfaces(node) == "eth1"


def test_no_interface_at_all(node: Machine) -> None:
    assert attach(node, SR_AOE_INTERFACE="eth7").returncode == 1
    assert "eth7" in node.note("why")
    assert "eth0 eth1" in node.note("hint")


def test_a_disk_that_comes_up_late(node: Machine) -> None:
    disk(node, "e1.2", state="down")
    state = node.root / "sys/block/etherd!e1.2/state"
    node.fake("modprobe", f"(sleep 1; echo up >{state}) >/dev/null 2>&1 &")
    found = attach(node, SR_AOE_TIMEOUT="20")
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(("state", "size"), [("down", 2048), ("up", 0), ("up,kickme", 0)])
def test_a_disk_that_is_not_up_is_not_there(node: Machine, state: str, size: int) -> None:
    disk(node, "e1.2", state, size)
    assert attach(node).returncode == 1
    assert node.state("ROOT_DEVICE") is None


def test_others_that_answered_are_named(node: Machine) -> None:
    disk(node, "e1.3")
    disk(node, "e7.0")
    assert attach(node).returncode == 1
    assert "e1.2 was not found within 1 s" in node.note("why")
    assert "e1.3 e7.0" in node.note("hint")


def test_a_link_that_is_down_is_named(node: Machine) -> None:
    node.write("sys/class/net/eth1/carrier", "0\n")
    assert attach(node, SR_AOE_INTERFACE="eth0 eth1").returncode == 1
    assert "no link on eth1" in node.note("hint")


def test_nobody_answers(node: Machine) -> None:
    node.write("run/srbuild/net/used", "eth0\n")
    assert attach(node).returncode == 1
    assert "AoE is not routed" in node.note("hint")
    assert "eth0" in node.note("hint")


@pytest.mark.parametrize(
    ("text", "names"),
    [("aoe:e1.2", ""), ("aoe:eth1:e1.2", "eth1"), ("aoe:eth1,52-54-00-00-00-01:e1.2", "eth1,eth0")],
)
def test_netroot(node: Machine, text: str, names: str) -> None:
    disk(node, "e1.2")
    found = attach(node, SR_AOE_NETROOT=text, SR_AOE_TARGET="e9.9")
    assert found.returncode == 0, found.stderr
    assert interfaces(node) == names


@pytest.mark.parametrize(
    "text",
    ["e1.2", "iscsi:10.9.0.7:::", "aoe:", "aoe:1.2", "aoe:e1", "aoe:e1.999", "aoe:/dev/sda:e1.2",
     "aoe:$(reboot):e1.2", "aoe:a:b:e1.2"],
)  # fmt: skip
def test_a_netroot_that_is_none(node: Machine, text: str) -> None:
    assert attach(node, SR_AOE_NETROOT=text).returncode == 1
    assert node.note("why").startswith("netroot=")
    assert node.calls == []


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"SR_AOE_TARGET": ""}, "no AoE target"),
        ({"SR_AOE_MTU": "9000"}, "no interface"),
        ({"SR_AOE_MTU": "9", "SR_AOE_INTERFACE": "eth0"}, "no packet's size"),
    ],
)
def test_what_cannot_be_meant(node: Machine, options: dict[str, str], word: str) -> None:
    assert attach(node, **options).returncode == 1
    assert word in node.note("why")
    assert node.calls == []


def test_the_disks_are_released(node: Machine) -> None:
    assert node.module("block/aoe", "detach.sh").returncode == 0
    assert (node.root / "dev/etherd/flush").read_text() == "all\n"


def test_nothing_to_release(machine: Machine) -> None:
    assert machine.module("block/aoe", "detach.sh").returncode == 0
    assert machine.calls == []
