"""The network's scripts on a real kernel: bridges, addresses and routes with busybox' ip, leases
from a real DHCP server. Bonds and VLANs are for the boot tests: not every host has their kmods."""

from __future__ import annotations

import pytest

from support.netns import run_in_network
from support.shells import Machine

UDHCPD = """
cat >"$SR_ROOT/udhcpd.%(nic)s.conf" <<END
start 10.%(net)s.0.50
end 10.%(net)s.0.60
interface far-%(nic)s
lease_file $SR_ROOT/leases.%(nic)s
pidfile $SR_ROOT/udhcpd.%(nic)s.pid
option subnet 255.255.255.0
option lease 600
%(options)s
END
: >"$SR_ROOT/leases.%(nic)s"
at_far ip addr add 10.%(net)s.0.1/24 dev far-%(nic)s
at_far busybox udhcpd "$SR_ROOT/udhcpd.%(nic)s.conf"
"""


def server(nic: str, net: int, options: str = "") -> str:
    """A DHCP server at the far end of `nic`, for 10.`net`.0.0/24."""
    return UDHCPD % {"nic": nic, "net": net, "options": options}


def test_several_interfaces_each_its_way(machine: Machine) -> None:
    found = run_in_network(
        machine,
        "cable eth0; cable eth1; cable eth2",
        "up.sh",
        IP="10.8.0.21::10.8.0.254:24::eth0:none eth1:none [fd00:9::21]:::64::eth2:none:1400",
        ROUTE="10.1.0.0/16:10.8.0.253 [fd00:1::/32]:[fd00:9::1]:eth2 192.168.7.0/24::eth1",
    )
    assert found.done.returncode == 0, found.done.stderr
    assert found.addresses("eth0") == ["10.8.0.21/24"]
    assert (found.addresses("eth1"), "UP" in found.links["eth1"]["flags"]) == ([], True)
    assert (found.addresses("eth2"), found.links["eth2"]["mtu"]) == (["fd00:9::21/64"], 1400)
    assert found.route("default") == [("10.8.0.254", "eth0", 0)]
    assert found.route("10.1.0.0/16") == [("10.8.0.253", "eth0", 0)]
    assert [route[:2] for route in found.route("fd00:1::/32")] == [("fd00:9::1", "eth2")]
    assert found.route("192.168.7.0/24") == [("", "eth1", 0)]
    assert machine.state("NET_INTERFACE") == "eth0"
    assert machine.state("NET_ADDRESS") == "10.8.0.21"


def test_the_nodes_address_on_a_bridge_beside_another_network(machine: Machine) -> None:
    (machine.run_dir / "state/NODE_ADDRESS").write_text("10.9.0.21/24\n")
    found = run_in_network(
        machine,
        "cable eth0; cable eth1; cable eth2; ip link set eth0 address 52:54:00:00:00:01",
        "up.sh",
        BRIDGE="br0:eth0,eth1",
        INTERFACE="br0",
        GATEWAY="10.9.0.254",
        MTU="9000",
        IP="10.8.0.21:::24::eth2:none:1500",
    )
    assert found.done.returncode == 0, found.done.stderr
    assert found.addresses("br0") == ["10.9.0.21/24"]
    assert found.addresses("eth2") == ["10.8.0.21/24"]
    assert found.route("default") == [("10.9.0.254", "br0", 0)]
    assert {found.links[name]["master"] for name in ("eth0", "eth1")} == {"br0"}
    assert {found.links[name]["mtu"] for name in ("eth0", "eth1", "br0")} == {9000}
    assert found.links["br0"]["address"] == "52:54:00:00:00:01"
    assert machine.state("NET_INTERFACE") == "br0"


def test_of_two_that_ask_one_is_answered(machine: Machine) -> None:
    cables = "cable eth0; cable eth1" + server(
        "eth1", 7, "option router 10.7.0.1\noption dns 10.7.0.2\noption mtu 1400\n"
        "option staticroutes 10.6.0.0/16 10.7.0.9, 0.0.0.0/0 10.7.0.254",
    )  # fmt: skip
    found = run_in_network(machine, cables, "up.sh", IP="eth0:dhcp eth1:dhcp")
    assert found.done.returncode == 0, found.done.stderr
    assert len(found.addresses("eth1")) == 1
    assert found.addresses("eth1")[0].startswith(("10.7.0.5", "10.7.0.60/"))
    assert found.addresses("eth0") == []
    assert "eth0 has no answer" in found.done.stderr
    # RFC 3442: with classless routes the router does not count.
    assert found.route("default") == [("10.7.0.254", "eth1", 0)]
    assert found.route("10.6.0.0/16") == [("10.7.0.9", "eth1", 0)]
    assert found.links["eth1"]["mtu"] == 1400
    assert (machine.root / "etc/resolv.conf").read_text() == "nameserver 10.7.0.2\n"
    assert machine.state("NET_INTERFACE") == "eth1"


@pytest.mark.parametrize(("named", "first"), [("", None), ("eth1", "eth1"), ("eth0", "eth0")])
def test_who_has_the_default_route(machine: Machine, named: str, first: str | None) -> None:
    cables = "cable eth0; cable eth1"
    cables += server("eth0", 6, "option router 10.6.0.1")
    cables += server("eth1", 7, "option router 10.7.0.1")
    found = run_in_network(machine, cables, "up.sh", IP="eth0:dhcp eth1:dhcp", INTERFACE=named)
    assert found.done.returncode == 0, found.done.stderr
    metrics = {route[1]: route[2] for route in found.route("default")}
    assert sorted(metrics.values()) == [0, 1024]
    assert first is None or metrics[first] == 0


def test_a_cable_that_is_out_holds_up_nobody(machine: Machine) -> None:
    found = run_in_network(
        machine,
        "cable eth0; cable eth1; at_far ip link set far-eth0 down",
        "up.sh",
        IP="10.8.0.21:::24::eth0:none 10.9.0.21:::24::eth1:none",
    )
    assert found.done.returncode == 0, found.done.stderr
    assert "going on without it: eth0 has no link" in found.done.stderr
    assert machine.state("NET_INTERFACE") == "eth1"
    assert found.addresses("eth0") == ["10.8.0.21/24"]  # for when it comes


def test_an_address_that_another_machine_has_stops_the_boot(machine: Machine) -> None:
    found = run_in_network(
        machine,
        "cable eth0; ip link set eth0 up; at_far ip addr add fd00:9::21/64 dev far-eth0; "
        "until at_far ip -6 addr show dev far-eth0 | grep fd00:9::21 | grep -qv tentative; "
        "do sleep 0.1; done",
        "up.sh",
        IP="[fd00:9::21]:::64::eth0:none",
    )
    assert found.done.returncode == 1
    assert "another machine has the IPv6 address" in machine.note("why")


@pytest.mark.parametrize("by", ["parameter", ""])
def test_a_node_by_parameter_alone_that_another_machine_is_already(
    machine: Machine, by: str
) -> None:
    machine.fake("arping", 'exec busybox arping "$@"', record=False)
    (machine.run_dir / "state/NODE_ADDRESS").write_text("10.9.0.121/24\n")
    (machine.run_dir / "state/NODE_NAME").write_text("spare121\n")
    if by:
        (machine.run_dir / "state/NODE_UNPROVEN").write_text("1\n")
    found = run_in_network(
        machine,
        "cable eth0; at_far ip link set far-eth0 address 52:54:00:00:00:99; "
        "at_far ip addr add 10.9.0.121/24 dev far-eth0",
        "up.sh",
        INTERFACE="eth0",
    )
    if by:
        assert found.done.returncode == 1
        assert "10.9.0.121 is another machine's already (52:54:00:00:00:99)" in machine.note("why")
        assert "rd.srb.node=spare121" in machine.note("hint")
        assert found.addresses("eth0") == []
    else:  # known by its card: its address is not asked for
        assert found.done.returncode == 0, found.done.stderr


def test_a_node_by_parameter_alone_is_the_only_one(machine: Machine) -> None:
    machine.fake("arping", 'exec busybox arping "$@"', record=False)
    (machine.run_dir / "state/NODE_ADDRESS").write_text("10.9.0.121/24\n")
    (machine.run_dir / "state/NODE_UNPROVEN").write_text("1\n")
    found = run_in_network(machine, "cable eth0", "up.sh", INTERFACE="eth0")
    assert found.done.returncode == 0, found.done.stderr
    assert found.addresses("eth0") == ["10.9.0.121/24"]
    assert "no other machine has 10.9.0.121" in found.done.stderr


def test_link_local_only(machine: Machine) -> None:
    found = run_in_network(machine, "cable eth0", "up.sh", IP="eth0:link6")
    assert found.done.returncode == 0, found.done.stderr
    assert (machine.state("NET_ADDRESS") or "").startswith("fe80:")


ROUTER = 'cable eth0; at_far "$PYTHON" "$ADVERTISE" far-eth0 fd00:9:: & '
# Stands for ISC's client: checks how it was called and hands an answer to the script it was given.
DHCLIENT = """
[ "$1 $2" = '-6 -1' ]
for word; do
    case $last in
        -sf) script=$word ;;
        -e) set -- "$@" "$word" ;;
    esac
    last=$word nic=$word
done
while [ "$1" != "$nic" ]; do shift; done
shift
env -i "$@" reason=BOUND6 interface="$nic" new_ip6_address=fd00:9::50 new_ip6_prefixlen=64 "$script"
"""


def test_an_address_from_a_routers_advertisement(machine: Machine) -> None:
    found = run_in_network(machine, ROUTER, "up.sh", IP="eth0:auto6")
    assert found.done.returncode == 0, found.done.stderr
    assert [address.startswith("fd00:9::") for address in found.addresses("eth0")] == [True]
    assert [route[1] for route in found.route("default")] == ["eth0"]
    assert (machine.state("NET_ADDRESS") or "").startswith("fd00:0009:")


@pytest.mark.parametrize(
    ("cables", "method", "address"),
    [("cable eth0", "dhcp6", "fd00:9::50/64"), (ROUTER, "either6", "fd00:9::"),
     ("cable eth0", "either6", "fd00:9::50/64")],
)  # fmt: skip
def test_dhcpv6(machine: Machine, cables: str, method: str, address: str) -> None:
    machine.fake("dhclient", DHCLIENT)
    machine.write("usr/lib/srbuild/survive", "dhclient\n")
    found = run_in_network(machine, cables, "up.sh", IP=f"eth0:{method}", AUTO6_TIMEOUT="4")
    assert found.done.returncode == 0, found.done.stderr
    assert [known.startswith(address) for known in found.addresses("eth0")] == [True]
    asked = [call for call in machine.calls if call.startswith("dhclient -6")]
    assert bool(asked) == address.endswith("/64")


@pytest.mark.parametrize(
    ("cables", "given", "why", "hint"),
    [
        ("cable eth0; at_far ip link set far-eth0 down", {"IP": "10.8.0.21:::24::eth0:none"},
         "eth0 has no link", "cable"),
        ("cable eth0", {"IP": "eth0:dhcp", "DHCP_TIMEOUT": "3"}, "eth0 has no answer (dhcp)",
         "udhcpc"),
        ("cable eth0", {"IP": "10.8.0.21:::24::eth7:none"}, "there is no interface eth7", "cards"),
        ("cable eth0", {"IP": "10.8.0.21:::24::eth0:none", "ROUTE": "10.1.0.0/16:10.77.0.1"},
         "the route to 10.1.0.0/16 could not be set", "gateway"),
        ("cable eth0", {"IP": "eth0:dhcp6"}, "DHCPv6", "--module dhcp6"),
        ("cable eth0", {"BRIDGE": "br0:eth0,eth9", "IP": "10.8.0.21:::24::br0:none"},
         "there is no interface eth9", "cards"),
        ("cable eth0", {"IP": "eth0:link6:99999"}, "ip=eth0:link6:99999", "docs/network.md"),
    ],
)  # fmt: skip
def test_what_can_not_be(
    machine: Machine, cables: str, given: dict[str, str], why: str, hint: str
) -> None:
    found = run_in_network(machine, cables, "up.sh", **given)
    assert found.done.returncode == 1
    assert why in machine.note("why")
    assert hint in machine.note("hint")
