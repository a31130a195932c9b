"""Links before addresses: names, bonds, VLANs, bridges, on a machine of files."""

from __future__ import annotations

import pytest

from support.netns import options
from support.shells import Machine

MAC0, MAC1 = "52:54:00:00:00:01", "52:54:00:00:00:02"
# ip as the kernel answers: what it makes appears in sysfs, and has a link once it is up.
IP = """
set -- "$@" .
net=$SR_ROOT/sys/class/net
case "$1 $2" in
    'link add')
        [ "$3" = link ] && shift 2
        mkdir -p "$net/$4"
        echo 52:54:00:00:00:aa >"$net/$4/address"
        echo 1 >"$net/$4/carrier"
        echo 1500 >"$net/$4/mtu"
        case $6 in
            bond) mkdir "$net/$4/bonding"; : >"$net/$4/bonding/mode" ;;
        esac
        ;;
    'link set')
        case $4 in
            master) ln -s "../$5" "$net/$3/master"; ln -s "../$3" "$net/$5/lower_$3" ;;
            mtu) echo "$5" >"$net/$3/mtu" ;;
            name) mv "$net/$3" "$net/$5" ;;
        esac
        ;;
esac
"""


@pytest.fixture
def links(machine: Machine) -> Machine:
    machine.fake("ip", IP)
    machine.card("eth0", MAC0)
    machine.card("eth1", MAC1)
    for index, name in enumerate(("eth0", "eth1"), 2):
        machine.write(f"sys/class/net/{name}/mtu", "1500\n")
        machine.write(f"sys/class/net/{name}/ifindex", f"{index}\n")
    return machine


def up(machine: Machine, **given: str) -> int:
    done = machine.module("net/network", "up.sh", **options(**given))
    assert "not found" not in done.stderr
    return done.returncode


def read(machine: Machine, path: str) -> str:
    return (machine.root / "sys/class/net" / path).read_text().strip()


def test_everything_is_built_from_below(links: Machine) -> None:
    bond = "bond0:52-54-00-00-00-02,eth0:mode=802.3ad,lacp_rate=fast:9000"
    status = up(
        links,
        BOND=bond,
        VLAN="br0.30:br0 bond0.20:bond0",
        BRIDGE="br0:bond0.20",
        IP="10.9.0.21:::24::br0.30:none",
    )
    assert status == 0
    assert links.calls == [
        "ip link set lo up",
        "modprobe bonding max_bonds=0",
        "ip link add name bond0 type bond",
        "ip link set eth1 down",
        "ip link set eth1 master bond0",
        "ip link set eth0 down",
        "ip link set eth0 master bond0",
        "ip link set bond0 mtu 9000",
        "ip link set bond0 up",
        "modprobe 8021q",
        "ip link set bond0 up",
        "ip link add link bond0 name bond0.20 type vlan id 20",
        "ip link set bond0.20 up",
        "modprobe bridge",
        "ip link add name br0 type bridge",
        "ip link set bond0.20 master br0",
        "ip link set bond0.20 up",
        "ip link set br0 address 52:54:00:00:00:aa",
        "ip link set br0 up",
        "modprobe 8021q",
        "ip link set br0 up",
        "ip link add link br0 name br0.30 type vlan id 30",
        "ip link set br0.30 up",
        "ip link set br0.30 up",
        "ip addr replace 10.9.0.21/24 dev br0.30",
    ]
    assert read(links, "bond0/bonding/mode") == "802.3ad"
    assert read(links, "bond0/bonding/miimon") == "100"  # a bond without a monitor never fails over
    assert read(links, "bond0/bonding/lacp_rate") == "fast"
    assert links.state("NET_INTERFACE") == "br0.30"


def test_resume_makes_nothing_twice(links: Machine) -> None:
    given = {"BOND": "bond0:eth0,eth1:mode=1", "IP": "10.9.0.21:::24::bond0:none"}
    assert up(links, **given) == 0
    before = len(links.calls)
    assert up(links, **given) == 0
    again = links.calls[before:]
    assert not [call for call in again if " add " in call or "master" in call or "down" in call]


def test_a_bond_goes_with_the_slaves_that_there_are(links: Machine) -> None:
    given = {"BOND": "bond0:eth9,eth1:mode=1,primary=eth9", "IP": "10.9.0.21:::24::bond0:none"}
    done = links.module("net/network", "up.sh", **options(**given))
    assert done.returncode == 0, done.stderr
    assert "goes without eth9" in done.stderr
    assert "ip link set eth1 master bond0" in links.calls


def test_a_bond_without_any_slave_stops_the_boot(links: Machine) -> None:
    assert up(links, BOND="bond0:eth8,eth9", IP="10.9.0.21:::24::bond0:none") == 1
    assert "none of the bond bond0's interfaces exists" in links.note("why")
    assert "eth0 eth1" in links.note("hint")


def test_arp_targets_are_added_one_by_one(links: Machine) -> None:
    bond = "bond0:eth0:mode=1,arp_interval=500,arp_ip_target=10.0.0.1;10.0.0.2"
    assert up(links, BOND=bond, IP="10.9.0.21:::24::bond0:none") == 0
    assert read(links, "bond0/bonding/arp_ip_target") == "+10.0.0.2"
    assert not (links.root / "sys/class/net/bond0/bonding/miimon").exists()


def test_the_nodes_address_goes_on_the_bond_of_its_card(links: Machine) -> None:
    (links.run_dir / "state/NODE_MACS").write_text(f"{MAC0},{MAC1}\n")
    (links.run_dir / "state/NODE_ADDRESS").write_text("10.9.0.21/24\n")
    assert up(links, BOND="bond0:eth0,eth1", GATEWAY="10.9.0.254") == 0
    assert links.calls[-2:] == [
        "ip addr replace 10.9.0.21/24 dev bond0",
        "ip route replace default via 10.9.0.254 dev bond0",
    ]


@pytest.mark.parametrize(
    ("word", "bond"), [("bond", "modprobe bonding max_bonds=0"), ("bridge", "modprobe bridge")]
)
def test_bare_words(links: Machine, word: str, bond: str) -> None:
    links.write("run/srbuild/cmdline", f"{word}\n")
    name = {"bond": "bond0", "bridge": "br0"}[word]
    assert up(links, IP=f"10.9.0.21:::24::{name}:none") == 0
    assert bond in links.calls
    assert f"ip link set eth0 master {name}" in links.calls


def test_cards_are_renamed_and_make_room(links: Machine) -> None:
    assert up(links, IFNAME=f"eth1:{MAC0} san:{MAC1}", IP="10.9.0.21:::24::san:none") == 0
    assert [call for call in links.calls if " name " in call] == [
        "ip link set eth1 name nic3",
        "ip link set eth0 name eth1",
        "ip link set nic3 name san",
    ]


def test_team_is_refused_with_the_way_out(links: Machine) -> None:
    links.write("run/srbuild/cmdline", "team=team0:eth0,eth1\n")
    assert up(links, IP="eth0:none") == 1
    assert "bond=" in links.note("hint")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"VLAN": "vlan20:eth9"}, "there is no interface eth9"),
        ({"BRIDGE": "br0:eth9"}, "there is no interface eth9"),
        ({"IFNAME": "san:52:54:00:00:00:99"}, "there is no interface 52-54-00-00-00-99"),
        ({"BOND": "bond0:eth0:mode=9"}, "'mode=9'"),
        ({"VLAN": "storage:eth0"}, "VLAN's number"),
    ],
)
def test_what_can_not_be_built(links: Machine, given: dict[str, str], why: str) -> None:
    assert up(links, IP="eth0:none", **given) == 1
    assert why in links.note("why")


@pytest.mark.parametrize(
    ("bootif", "given", "card"),
    [
        ("01-52-54-00-00-00-02", {}, "eth1"),
        ("52:54:00:00:00:02", {}, "eth1"),
        ("01-52-54-00-00-00-02", {"USE_BOOTIF": "0"}, "eth0"),
        ("01-52-54-00-00-00-02", {"INTERFACE": "52-54-00-00-00-01"}, "eth0"),
        ("", {"INTERFACE": "eth1"}, "eth1"),
    ],
)
def test_the_card_that_booted(
    links: Machine, bootif: str, given: dict[str, str], card: str
) -> None:
    assert up(links, BOOTIF=bootif, ADDRESS="10.9.0.21/24", **given) == 0
    assert links.calls[-1] == f"ip addr replace 10.9.0.21/24 dev {card}"


@pytest.mark.parametrize(
    ("bootif", "why"),
    [("01-52-54-00-00-00-99", "no card has"), ("$(reboot)", "not a MAC address")],
)
def test_a_bootif_of_no_card(links: Machine, bootif: str, why: str) -> None:
    assert up(links, BOOTIF=bootif, ADDRESS="10.9.0.21/24") == 1
    assert why in links.note("why")


def ibft(machine: Machine, number: int, **values: str) -> None:
    for name, value in values.items():
        machine.write(f"sys/firmware/ibft/ethernet{number}/{name.replace('_', '-')}", f"{value}\n")


def test_what_the_firmware_booted_from(links: Machine) -> None:
    ibft(links, 0, mac=MAC1.upper(), ip_addr="10.9.0.21", subnet_mask="255.255.255.0",
         gateway="10.9.0.254", primary_dns="10.9.0.2", secondary_dns="0.0.0.0", vlan="20",
         dhcp="0.0.0.0")  # fmt: skip
    assert up(links, IP="ibft") == 0
    assert "ip link add link eth1 name eth1.20 type vlan id 20" in links.calls
    assert links.calls[-2:] == [
        "ip addr replace 10.9.0.21/24 dev eth1.20",
        "ip route replace default via 10.9.0.254 dev eth1.20",
    ]
    assert (links.root / "etc/resolv.conf").read_text() == "nameserver 10.9.0.2\n"


@pytest.mark.parametrize(
    "values",
    [{}, {"mac": "52:54:00:00:00:99", "ip_addr": "10.9.0.21"}, {"mac": "$(reboot)"},
     {"mac": MAC0, "ip_addr": "10.9.0.21", "subnet_mask": "255.0.255.0"},
     {"mac": MAC0, "ip_addr": "10.9.0.21", "subnet_mask": "255.255.255.0", "vlan": "9999"}],
)  # fmt: skip
def test_a_firmware_table_that_is_none(links: Machine, values: dict[str, str]) -> None:
    ibft(links, 0, **values)
    assert up(links, IP="ibft") == 1
    assert links.note("why")
