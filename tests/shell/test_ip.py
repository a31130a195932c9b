"""ip=: the kernel's and dracut's forms, taken apart; and a DHCP server's answers, distrusted."""

from __future__ import annotations

import pytest

from support.shells import PROJECT, Machine

FIELDS = ("method", "address", "prefix", "gateway", "device", "dns", "mtu", "mac")


def parse(machine: Machine, text: str) -> dict[str, str] | str:
    shown = " ".join(f'"$ip_{name}"' for name in FIELDS)
    found = machine.lib(
        f'. "$SR_LIB/ip.sh"; sr_ip_parse "$1" && printf "%s\\n" {shown} || echo "error: $ip_error"',
        text,
    )
    assert found.stderr == ""
    lines = found.stdout.splitlines()
    if lines[0].startswith("error: "):
        return lines[0]
    return {name: value for name, value in zip(FIELDS, lines, strict=True) if value}


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("dhcp", {"method": "dhcp"}),
        ("on", {"method": "dhcp"}),
        ("off", {"method": "off"}),
        ("none", {"method": "off"}),
        ("auto6", {"method": "auto6"}),
        ("ibft", {"method": "ibft"}),
        ("eth1:none", {"method": "none", "device": "eth1"}),
        ("eth1:auto:9000", {"method": "auto6", "device": "eth1", "mtu": "9000"}),
        ("52-54-00-00-00-01:dhcp6", {"method": "dhcp6", "device": "52-54-00-00-00-01"}),
        ("eth0:dhcp", {"method": "dhcp", "device": "eth0"}),
        ("eth0:dhcp:9000:52:54:00:00:00:01",
         {"method": "dhcp", "device": "eth0", "mtu": "9000", "mac": "52:54:00:00:00:01"}),
        (":::::eth1:dhcp", {"method": "dhcp", "device": "eth1"}),
        ("10.0.0.5::10.0.0.1:255.255.255.0:n1:eth0:none",
         {"method": "static", "address": "10.0.0.5", "prefix": "24", "gateway": "10.0.0.1",
          "device": "eth0"}),
        ("10.0.0.5:10.0.0.9:10.0.0.1:255.255.240.0::eth0:off:10.0.0.2:10.0.0.3:10.0.0.4",
         {"method": "static", "address": "10.0.0.5", "prefix": "20", "gateway": "10.0.0.1",
          "device": "eth0", "dns": "10.0.0.2 10.0.0.3"}),
        ("10.0.0.5:::24:n1:eth0:none:1400",
         {"method": "static", "address": "10.0.0.5", "prefix": "24", "device": "eth0",
          "mtu": "1400"}),
        ("[fd00::5]::[fd00::1]:64:n1:eth0:none:[fd00::2]",
         {"method": "static", "address": "fd00::5", "prefix": "64", "gateway": "fd00::1",
          "device": "eth0", "dns": "fd00::2"}),
        ("10.0.0.5:::255.255.255.255:::",
         {"method": "static", "address": "10.0.0.5", "prefix": "32"}),
    ],
)  # fmt: skip
def test_forms_that_are_understood(machine: Machine, text: str, meaning: dict[str, str]) -> None:
    assert parse(machine, text) == meaning


@pytest.mark.parametrize(
    "text",
    [
        "", "rarp", "bootp", "both", "eth0:ibft", "eth 0:dhcp", "../eth0:dhcp", "-x:dhcp",
        "a-name-that-is-too-long:dhcp", "10.0.0.5:::::eth0:none",
        "10.0.0.5:::255.0.255.0::eth0:none",
        "10.0.0.5:::33::eth0:none", "10.0.0.5::gw:24::eth0:none", "10.0.0.5:::24::$(id):none",
        "10.0.0.5:::24::eth0:static", "10.0.0.5:::24::eth0:none:resolver", "eth0:dhcp:x",
        "eth0:dhcp:1500:no-mac", ":::24::eth0:none", "fd00::5:::64::eth0:none",
    ],
)  # fmt: skip
def test_forms_that_are_refused_with_a_reason(machine: Machine, text: str) -> None:
    found = parse(machine, text)
    if text == "":
        assert found == {"method": "off"}
        return
    assert isinstance(found, str)
    assert len(found) > len("error: ")


@pytest.mark.parametrize(
    ("mask", "prefix"),
    [("255.255.255.0", "24"), ("0.0.0.0", "0"), ("255.255.255.252", "30"), ("24", "24"),
     ("128", "128"), ("255.255.0.255", ""), ("255.253.0.0", ""), ("129", ""), ("024", ""),
     ("", ""), ("-1", ""), ("a", ""), ("255.255.255", "")],
)  # fmt: skip
def test_netmasks(machine: Machine, mask: str, prefix: str) -> None:
    found = machine.lib('. "$SR_LIB/ip.sh"; sr_mask_to_prefix "$1"', mask)
    assert (found.stdout.strip(), found.returncode) == (prefix, int(not prefix))


def lease(machine: Machine, event: str = "bound", **answer: str) -> None:
    (machine.root / "etc/resolv.conf").unlink(missing_ok=True)
    found = machine.run("-eu", str(PROJECT / "hooks/udhcpc.sh"), event, **answer)
    assert found.returncode == 0, found.stderr


def leased(machine: Machine) -> str | None:
    path = machine.run_dir / "net/dhcp.eth0"
    return path.read_text().rstrip("\n") if path.exists() else None


GOOD = {"interface": "eth0", "ip": "10.0.0.5", "subnet": "255.255.0.0"}


def test_a_lease_is_used(machine: Machine) -> None:
    lease(machine, **GOOD, router="10.0.0.1 10.0.0.2", dns="10.0.0.3 10.0.0.4")
    assert machine.calls == [
        "ip addr replace 10.0.0.5/16 dev eth0",
        "ip route replace default via 10.0.0.1 dev eth0",
    ]
    assert leased(machine) == "10.0.0.5/16"
    assert (
        machine.root / "etc/resolv.conf"
    ).read_text() == "nameserver 10.0.0.3\nnameserver 10.0.0.4\n"


@pytest.mark.parametrize(
    "answer",
    [{"ip": ""}, {"ip": "10.0.0.5; reboot"}, {"ip": "10.0.0"}, {"ip": "-4"},
     {"interface": "../x"}, {"interface": "-r"}],
)  # fmt: skip
def test_an_address_that_is_none_changes_nothing(machine: Machine, answer: dict[str, str]) -> None:
    lease(machine, **{**GOOD, **answer})
    assert (machine.calls, leased(machine)) == ([], None)


def test_the_rest_of_a_hostile_answer_is_left_out(machine: Machine) -> None:
    lease(
        machine, **{**GOOD, "subnet": "x"}, router="$(reboot) * -x", dns="evil\noptions 10.0.0.3 *"
    )
    assert machine.calls == ["ip addr replace 10.0.0.5/24 dev eth0"]
    assert (machine.root / "etc/resolv.conf").read_text() == "nameserver 10.0.0.3\n"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("n1", ""),
        ("n1.example.org", ""),
        ("", ""),
        ("n2", "has the name n2 for this node, which is n1: not used"),
        ("$(reboot)", "has a name that is none for this node, which is n1"),
        ("n1\nn2", "has a name that is none for this node, which is n1"),
        ("x" * 300, "has a name that is none for this node, which is n1"),
    ],
)
def test_the_servers_name_for_the_node_never_counts(machine: Machine, name: str, told: str) -> None:
    machine.write("run/srbuild/state/NODE_NAME", "n1\n")
    script = str(PROJECT / "hooks/udhcpc.sh")
    found = machine.run("-eu", script, "bound", **GOOD, hostname=name)
    assert found.returncode == 0
    assert (told in found.stderr) if told else (found.stderr == "")
    assert machine.state("NODE_NAME") == "n1"
    again = machine.run("-eu", script, "renew", **GOOD, hostname=name)
    assert again.stderr == ""


def test_a_new_address_replaces_the_old_one(machine: Machine) -> None:
    lease(machine, **GOOD)
    lease(machine, "renew", **{**GOOD, "ip": "10.0.0.6"})
    assert machine.calls[1:] == [
        "ip addr replace 10.0.0.6/16 dev eth0",
        "ip addr del 10.0.0.5/16 dev eth0",
    ]


@pytest.mark.parametrize("event", ["deconfig", "leasefail", "nak", ""])
def test_the_address_stays_when_the_lease_does_not(machine: Machine, event: str) -> None:
    lease(machine, **GOOD)
    lease(machine, event, interface="eth0")
    assert len(machine.calls) == 1


def test_only_one_default_route_comes_first(machine: Machine) -> None:
    lease(machine, **GOOD, router="10.0.0.1")
    lease(machine, **{**GOOD, "interface": "eth1"}, router="10.0.0.9")
    assert machine.calls[-1] == "ip route replace default via 10.0.0.9 dev eth1 metric 1024"


def test_classless_routes_count_before_routers_and_each_is_checked(machine: Machine) -> None:
    routes = "10.1.0.0/16 10.0.0.7 x/8 10.0.0.7 10.2.0.0/16 -x 10.3.0.0/16 0.0.0.0 10.4.0.0/16"
    lease(machine, **GOOD, router="10.0.0.1", staticroutes=routes)
    assert machine.calls[1:] == [
        "ip route replace 10.1.0.0/16 via 10.0.0.7 dev eth0",
        "ip route replace 10.3.0.0/16 dev eth0",
    ]


def test_routes_without_end_are_cut_off(machine: Machine) -> None:
    routes = " ".join(f"10.1.{number}.0/24 10.0.0.7" for number in range(100))
    lease(machine, **GOOD, staticroutes=routes)
    assert len(machine.calls) == 1 + 64


@pytest.mark.parametrize(
    ("mtu", "used"),
    [("9000", True), ("576", True), ("575", False), ("68", False), ("65536", False), ("-1", False),
     ("1e3", False), ("1500; reboot", False)],
)  # fmt: skip
def test_the_servers_mtu(machine: Machine, mtu: str, used: bool) -> None:
    lease(machine, **GOOD, mtu=mtu)
    assert (f"ip link set eth0 mtu {mtu}" in machine.calls) == used


def test_the_cluster_files_mtu_and_name_servers_stand(machine: Machine) -> None:
    given = {"SR_NETWORK_MTU": "1400", "SR_NETWORK_PEERDNS": "0"}
    lease(machine, **GOOD, mtu="9000", dns="10.0.0.3", **given)
    assert machine.calls == ["ip addr replace 10.0.0.5/16 dev eth0"]
    assert not (machine.root / "etc/resolv.conf").exists()


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"])
def test_addresses_that_no_machine_can_have(machine: Machine, address: str) -> None:
    lease(machine, **{**GOOD, "ip": address})
    assert (machine.calls, leased(machine)) == ([], None)


@pytest.mark.parametrize("mask", ["0.0.0.0", "128.0.0.0", "254.0.0.0", "64"])
def test_a_mask_that_would_swallow_the_world_is_not_used(machine: Machine, mask: str) -> None:
    lease(machine, **{**GOOD, "subnet": mask})
    assert machine.calls == ["ip addr replace 10.0.0.5/24 dev eth0"]


def test_the_boot_servers_root_is_kept_for_who_asks(machine: Machine) -> None:
    lease(machine, **GOOD, rootpath="10.0.0.7:/a,v3", siaddr="0", serverid="10.0.0.8")
    assert machine.state("DHCP_ROOT_PATH") == "10.0.0.7:/a,v3"
    assert machine.state("DHCP_SERVER") == "10.0.0.8"


@pytest.mark.parametrize("root", ["", "a\x1b[2Jb", "a\nb", "x" * 256])
def test_a_root_path_that_is_none_is_not_kept(machine: Machine, root: str) -> None:
    lease(machine, **GOOD, rootpath=root, siaddr="$(reboot)")
    assert machine.state("DHCP_ROOT_PATH") is None
    assert machine.state("DHCP_SERVER") is None
