"""Which node is this: parameter, MAC address, the only one; and what if they disagree."""

from __future__ import annotations

import subprocess

import pytest

from support.shells import Machine

NODES = """\
n1 1 52:54:00:00:00:01,52:54:00:00:01:01
n2 2 52:54:00:00:00:02
n3 30 -
"""


def archive(machine: Machine, name: str, *extra: str) -> None:
    """Make the archive of the node `name`; `extra` are names put into it as they are."""
    tree = machine.root / f"tree-{name}"
    (tree / "etc/srbuild").mkdir(parents=True)
    text = f"cluster lab\nname {name}\nid 1\naddress 10.9.0.21/24\n"
    (tree / "etc/srbuild/identity").write_text(text)
    (tree / "etc/whoami").write_text(name)
    names = ["etc", "etc/srbuild", "etc/srbuild/identity", "etc/whoami", *extra]
    target = machine.root / f"etc/srbuild/nodes.d/{name}.cpio"
    with target.open("wb") as out:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=tree, stdout=out,
                       input="".join(f"{n}\n" for n in names).encode(), check=True)  # fmt: skip


def identify(machine: Machine, **options: str) -> subprocess.CompletedProcess[str]:
    given = {
        "SR_CORE_IDENTITY": "1",
        "SR_CORE_NODE": "",
        "SR_CORE_NODEID": "",
        "SR_CORE_NIC_TIMEOUT": "1",
    }
    return machine.module("base/core", "identity.sh", **(given | options))


@pytest.fixture
def cluster(machine: Machine) -> Machine:
    machine.write("etc/srbuild/nodes", NODES)
    for name in ("n1", "n2", "n3"):
        archive(machine, name)
    return machine


def test_by_mac_address_whatever_the_case(cluster: Machine) -> None:
    cluster.card("lo", "00:00:00:00:00:00")
    cluster.card("eth0", "52:54:00:00:00:99")
    cluster.card("eth1", "52:54:00:00:00:02")
    found = identify(cluster)
    assert found.returncode == 0, found.stderr
    assert (cluster.root / "etc/whoami").read_text() == "n2"
    assert cluster.state("NODE_NAME") == "n2"
    assert cluster.state("NODE_MACS") == "52:54:00:00:00:02"
    assert cluster.state("NODE_ADDRESS") == "10.9.0.21/24"
    assert cluster.state("CLUSTER_NAME") == "lab"
    assert (cluster.root / "proc/sys/kernel/hostname").read_text() == "n2\n"


def test_two_cards_of_one_node(cluster: Machine) -> None:
    cluster.card("eth0", "52:54:00:00:01:01")
    cluster.card("eth1", "52:54:00:00:00:01")
    assert identify(cluster).returncode == 0
    assert cluster.state("NODE_NAME") == "n1"


@pytest.mark.parametrize("option", [{"SR_CORE_NODE": "n3"}, {"SR_CORE_NODEID": "30"}])
def test_by_parameter(cluster: Machine, option: dict[str, str]) -> None:
    cluster.card("eth0", "52:54:00:00:00:99")
    assert identify(cluster, **option).returncode == 0
    assert cluster.state("NODE_NAME") == "n3"


@pytest.mark.parametrize(
    "option",
    [
        {"SR_CORE_NODE": "n9"},
        {"SR_CORE_NODEID": "3"},
        {"SR_CORE_NODE": "n1", "SR_CORE_NODEID": "2"},
    ],
)
def test_a_parameter_that_names_no_node(cluster: Machine, option: dict[str, str]) -> None:
    found = identify(cluster, **option)
    assert found.returncode == 1
    assert "n3 30 -" in found.stderr
    assert cluster.state("NODE_NAME") is None


def test_a_parameter_against_the_mac_address_names_both(cluster: Machine) -> None:
    cluster.card("eth0", "52:54:00:00:00:02")
    assert identify(cluster, SR_CORE_NODE="n1").returncode == 1
    assert "rd.srb.node=n1 says n1" in cluster.note("why")
    assert "the MAC address 52:54:00:00:00:02 says n2" in cluster.note("why")
    assert "drop the parameter" in cluster.note("hint")
    assert not (cluster.root / "etc/whoami").exists()


def test_the_parameter_is_named_as_it_was_written(cluster: Machine) -> None:
    cluster.card("eth0", "52:54:00:00:00:02")
    cluster.write("run/srbuild/cmdline", "nodename=n3\nnodename=n1\n")
    assert identify(cluster, SR_CORE_NODE="n1").returncode == 1
    assert "the kernel parameter nodename=n1 says n1" in cluster.note("why")


def test_a_name_and_a_number_of_two_nodes(cluster: Machine) -> None:
    assert identify(cluster, SR_CORE_NODE="n3", SR_CORE_NODEID="2").returncode == 1
    assert "rd.srb.node=n3 says n3" in cluster.note("why")
    assert "nodeid=2 says n2" in cluster.note("why")


@pytest.mark.parametrize("seen", ["52:54:00:00:01:0A", "52-54-00-00-01-0a"])
def test_a_mac_address_in_another_spelling(machine: Machine, seen: str) -> None:
    machine.write("etc/srbuild/nodes", "n1 1 -\nn2 2 52:54:00:00:01:0a\n")
    archive(machine, "n2")
    machine.card("eth0", seen)
    assert identify(machine).returncode == 0
    assert machine.state("NODE_NAME") == "n2"


def test_cards_of_two_nodes_in_one_machine(cluster: Machine) -> None:
    cluster.card("eth0", "52:54:00:00:00:01")
    cluster.card("eth1", "52:54:00:00:00:02")
    assert identify(cluster).returncode == 1
    why = cluster.note("why")
    assert "the MAC address 52:54:00:00:00:01 says n1" in why
    assert "the MAC address 52:54:00:00:00:02 says n2" in why


def test_a_stranger_is_shown_who_is_known_and_what_it_has(cluster: Machine) -> None:
    cluster.card("eth0", "52:54:00:00:00:99")
    found = identify(cluster)
    assert found.returncode == 1
    for line in (*NODES.splitlines(), "mac 52:54:00:00:00:99"):
        assert f"  {line}\n" in found.stderr
    assert not (cluster.root / "etc/whoami").exists()


def test_the_only_node_needs_no_proof(machine: Machine) -> None:
    machine.write("etc/srbuild/nodes", "n1 1 52:54:00:00:00:01\n")
    archive(machine, "n1")
    found = identify(machine)
    assert found.returncode == 0
    assert "no card has a MAC address of n1" in found.stderr


def test_an_image_without_a_site_part(machine: Machine) -> None:
    assert identify(machine).returncode == 1
    assert "--part site" in machine.note("hint")
    assert identify(machine, SR_CORE_IDENTITY="0").returncode == 0


def test_an_archive_that_reaches_out_is_not_unpacked(machine: Machine) -> None:
    machine.write("etc/srbuild/nodes", "n1 1 -\n")
    machine.write("outside", "")
    archive(machine, "n1", "../outside")
    assert identify(machine).returncode == 1
    assert not (machine.root / "etc/whoami").exists()


def test_a_damaged_or_missing_archive(machine: Machine) -> None:
    machine.write("etc/srbuild/nodes", "n1 1 -\n")
    assert identify(machine).returncode == 1
    machine.write("etc/srbuild/nodes.d/n1.cpio", "garbage" * 100)
    assert identify(machine).returncode == 1
    assert machine.state("NODE_NAME") is None


def test_a_machine_without_any_card_lacks_a_driver(machine: Machine) -> None:
    machine.write("etc/srbuild/nodes", "n1 1 52:54:00:00:00:01\nn2 2 52:54:00:00:00:02\n")
    variables = {"SR_CORE_NODE": "", "SR_CORE_NODEID": "", "SR_CORE_IDENTITY": "1"}
    found = machine.module("base/core", "identity.sh", SR_CORE_NIC_TIMEOUT="1", **variables)
    assert found.returncode == 1
    assert "--module network" in machine.note("hint")
