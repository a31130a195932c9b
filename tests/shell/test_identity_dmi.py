"""What the firmware calls a machine may name its node; it may hold anything, and may disagree."""

from __future__ import annotations

import pytest

from shell.test_identity import archive, identify
from srbuild.config.machine import PLACEHOLDERS, swap_uuid
from support.shells import Machine

NODES = """\
n1 1 52:54:00:00:00:01
n2 2 52:54:00:00:00:02
n3 3 -
"""
UUID = "4c4c4544-0042-3510-8052-b4c04f313233"
SWAPPED = "44454c4c-4200-1035-8052-b4c04f313233"
MACHINES = f"""\
n1 uuid {UUID}
n2 serial cz 123/4
n3 asset_tag room 7
n3 uuid 11111111-2222-3333-4444-555555555555
"""
FILES = {"uuid": "product_uuid", "serial": "product_serial", "asset_tag": "chassis_asset_tag"}


def firmware(machine: Machine, **values: str) -> None:
    for key, value in values.items():
        machine.write(f"sys/class/dmi/id/{FILES[key]}", f"{value}\n")


@pytest.fixture
def cluster(machine: Machine) -> Machine:
    machine.write("etc/srbuild/nodes", NODES)
    machine.write("etc/srbuild/machines", MACHINES)
    for name in ("n1", "n2", "n3"):
        archive(machine, name)
    return machine


def test_the_swap_is_that_of_smbios() -> None:
    assert swap_uuid(UUID) == SWAPPED


@pytest.mark.parametrize(
    ("key", "value", "node"),
    [
        ("uuid", UUID, "n1"),
        ("uuid", UUID.upper(), "n1"),
        ("uuid", SWAPPED, "n1"),
        ("serial", "CZ 123/4", "n2"),
        ("serial", "  cz 123/4   ", "n2"),
        ("asset_tag", "Room 7", "n3"),
    ],
)
def test_by_firmware(cluster: Machine, key: str, value: str, node: str) -> None:
    cluster.write("etc/srbuild/nodes", "n1 1 -\nn2 2 -\nn3 3 -\n")  # no card to wait for
    firmware(cluster, **{key: value})
    found = identify(cluster)
    assert found.returncode == 0, found.stderr
    assert cluster.state("NODE_NAME") == node
    assert f"this is the node {node}: the {key} " in found.stderr


def test_what_agrees_is_no_conflict(cluster: Machine) -> None:
    cluster.card("eth0", "52:54:00:00:00:01")
    firmware(cluster, uuid=SWAPPED)
    assert identify(cluster, SR_CORE_NODE="n1", SR_CORE_NODEID="1").returncode == 0
    assert cluster.state("NODE_NAME") == "n1"


@pytest.mark.parametrize(
    ("mac", "options", "words"),
    [
        (
            "52:54:00:00:00:02",
            {},
            (f"the uuid {UUID} says n1", "the MAC address 52:54:00:00:00:02 says n2"),
        ),
        (
            "52:54:00:00:00:99",
            {"SR_CORE_NODE": "n2"},
            (f"the uuid {UUID} says n1", "rd.srb.node=n2 says n2"),
        ),
    ],
)
def test_a_conflict_names_both(
    cluster: Machine, mac: str, options: dict[str, str], words: tuple[str, ...]
) -> None:
    cluster.card("eth0", mac)
    firmware(cluster, uuid=UUID)
    assert identify(cluster, **options).returncode == 1
    for word in words:
        assert word in cluster.note("why")
    assert cluster.state("NODE_NAME") is None
    assert not (cluster.root / "etc/whoami").exists()


def test_two_numbers_of_two_nodes(cluster: Machine) -> None:
    firmware(cluster, uuid=UUID, serial="CZ 123/4")
    assert identify(cluster).returncode == 1
    assert "the serial cz 123/4 says n2" in cluster.note("why")


def test_a_moved_card_is_not_the_node(cluster: Machine) -> None:
    """n2's card in a machine with another serial number: n2 itself may be up."""
    cluster.card("eth0", "52:54:00:00:00:02")
    firmware(cluster, serial="CZ 999")
    assert identify(cluster).returncode == 1
    why = cluster.note("why")
    assert "the MAC address says that this is n2" in why
    assert "cz 123/4" in why
    assert "cz 999" in why
    assert "rd.srb.node=n2" in cluster.note("hint")
    found = identify(cluster, SR_CORE_NODE="n2")
    assert found.returncode == 0
    assert "warning: the cluster file has the serial cz 123/4 for n2" in found.stderr


def test_a_machine_that_says_nothing_is_known_by_its_card(cluster: Machine) -> None:
    cluster.card("eth0", "52:54:00:00:00:02")
    firmware(cluster, serial="To Be Filled By O.E.M.", uuid="0" * 8)
    assert identify(cluster).returncode == 0
    assert cluster.state("NODE_NAME") == "n2"


@pytest.mark.parametrize(
    "text",
    [
        *(one.replace("*", ".") for one in PLACEHOLDERS),
        "",
        "0",
        "0000 0000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "00000000-0000-0000-0000-000000000000",
        "xxxxxxxx",
        "a\x1b[2Jb",
        "a" * 65,
        "\u00e4",
    ],
)
def test_a_placeholder_names_no_node(machine: Machine, text: str) -> None:
    firmware(machine, serial=text.title() if text.isascii() else text)
    script = '. "$SR_LIB/machine.sh"; sr_dmi serial || echo "none:$dmi"; sr_machine_seen'
    shown = machine.lib(script).stdout
    assert shown.startswith("none:\n")
    assert "\x1b" not in shown


@pytest.mark.parametrize("text", [UUID[:-1], UUID + "0", UUID.replace("-", ":"), "g" + UUID[1:]])
def test_what_is_no_uuid(machine: Machine, text: str) -> None:
    firmware(machine, uuid=text)
    found = machine.lib('. "$SR_LIB/machine.sh"; sr_dmi uuid || echo none')
    assert found.stdout == "none\n"


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "rd.srb.node=NAME"), (5, ": spare1, spare2, spare3 and 2 more")],
)
def test_a_stranger_is_told_of_spares_and_takes_none(
    cluster: Machine, count: int, told: str
) -> None:
    more = "".join(f"spare{number} {number}0 -\n" for number in range(1, count + 1))
    cluster.write("etc/srbuild/nodes", NODES + more)
    cluster.card("eth0", "52:54:00:00:00:99")
    assert identify(cluster).returncode == 1
    assert cluster.state("NODE_NAME") is None
    hint = cluster.note("hint")
    assert hint.endswith(told)
    assert "n3" not in hint


def test_a_spare_is_taken_by_parameter_but_by_no_known_machine(cluster: Machine) -> None:
    cluster.write("etc/srbuild/nodes", f"{NODES}spare1 10 -\n")
    archive(cluster, "spare1")
    cluster.card("eth0", "52:54:00:00:00:02")
    assert identify(cluster, SR_CORE_NODE="spare1").returncode == 1
    assert "rd.srb.node=spare1 says spare1" in cluster.note("why")
    cluster.card("eth1", "52:54:00:00:00:99")
    (cluster.root / "sys/class/net/eth0/address").write_text("52:54:00:00:00:98\n")
    assert identify(cluster, SR_CORE_NODE="spare1").returncode == 0
    assert cluster.state("NODE_MACS") == "-"
    assert cluster.state("NODE_UNPROVEN") == "1"


def test_a_node_that_its_card_tells_needs_no_proof_on_the_network(cluster: Machine) -> None:
    cluster.card("eth0", "52:54:00:00:00:02")
    assert identify(cluster, SR_CORE_NODE="n2").returncode == 0
    assert cluster.state("NODE_UNPROVEN") is None


def test_a_stranger_sees_what_it_is_and_who_is_known(cluster: Machine) -> None:
    cluster.card("eth0", "52:54:00:00:00:99")
    firmware(cluster, uuid=UUID[:-1] + "9", serial="Default string", asset_tag="Room 8")
    found = identify(cluster)
    assert found.returncode == 1
    seen = found.stderr.partition("this machine:\n")[2]
    assert f"  uuid {UUID[:-1]}9\n" in seen
    assert "  serial (Default string: of no use)\n" in seen
    assert "  asset_tag room 8\n" in seen
    assert "  mac 52:54:00:00:00:99\n" in seen
    for line in MACHINES.splitlines():
        assert f"  {line}\n" in found.stderr
