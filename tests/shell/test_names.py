"""Servers' names: endpoints taken apart, addresses from /etc/hosts and DNS."""

from __future__ import annotations

import pytest

from support.shells import Machine

NSLOOKUP = """cat <<'END'
Server:\t\t10.0.0.53
Address:\t10.0.0.53:53

Non-authoritative answer:
Name:\tnas.example.org
Address: 10.0.0.7
Address 2: fd00::7 nas.example.org
Address: $(reboot)
nas.example.org\tcanonical name = n.example.org
END"""


def addresses(machine: Machine, host: str) -> tuple[int, list[str]]:
    found = machine.lib('. "$SR_LIB/names.sh"; sr_addresses "$1"', host)
    return found.returncode, found.stdout.split()


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("nas", "nas", ""), ("nas:2050", "nas", "2050"), ("10.0.0.7", "10.0.0.7", ""),
     ("[fd00::7]", "fd00::7", ""), ("[fd00::7]:2050", "fd00::7", "2050")],
)  # fmt: skip
def test_endpoints(machine: Machine, text: str, host: str, port: str) -> None:
    script = '. "$SR_LIB/names.sh"; sr_endpoint "$1"; echo "$endpoint_host|$endpoint_port"'
    assert machine.lib(script, text).stdout == f"{host}|{port}\n"


@pytest.mark.parametrize("address", ["10.0.0.7", "fd00::7"])
def test_an_address_is_its_own(machine: Machine, address: str) -> None:
    machine.fake("nslookup", NSLOOKUP)
    assert addresses(machine, address) == (0, [address])
    assert machine.calls == []


def test_the_hosts_file_comes_first(machine: Machine) -> None:
    machine.fake("nslookup", NSLOOKUP)
    machine.write("etc/resolv.conf", "nameserver 10.0.0.53\n")
    machine.write(
        "etc/hosts", "10.0.0.9 other nas.example.org\n# 10.0.0.8 NAS\nfd00::9 Nas # nas2\n"
    )
    assert addresses(machine, "NAS") == (0, ["fd00::9"])
    assert addresses(machine, "nas.example.org") == (0, ["10.0.0.9"])
    assert machine.calls == []


def test_dns_gives_addresses_and_nothing_else(machine: Machine) -> None:
    machine.fake("nslookup", NSLOOKUP)
    machine.write("etc/resolv.conf", "nameserver 10.0.0.53\n")
    assert addresses(machine, "nas.example.org") == (0, ["10.0.0.7", "fd00::7"])
    assert machine.calls == ["nslookup nas.example.org"]


def test_no_name_server_no_question(machine: Machine) -> None:
    machine.fake("nslookup", NSLOOKUP)
    assert addresses(machine, "nas.example.org") == (1, [])
    assert machine.calls == []


@pytest.mark.parametrize("host", ["", "-type=any", "a b", "$(id)", "a..b", "1.2.3", "a/b"])
def test_what_is_no_name_is_not_asked_for(machine: Machine, host: str) -> None:
    machine.fake("nslookup", NSLOOKUP)
    machine.write("etc/resolv.conf", "nameserver 10.0.0.53\n")
    assert addresses(machine, host) == (1, [])
    assert machine.calls == []


def test_a_name_that_nobody_knows(machine: Machine) -> None:
    machine.fake("nslookup", 'echo "** server can\'t find nas: NXDOMAIN"; exit 1')
    machine.write("etc/resolv.conf", "nameserver 10.0.0.53\n")
    assert addresses(machine, "nas.example.org") == (1, [])
