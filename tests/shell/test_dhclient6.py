"""A DHCPv6 server's answers, distrusted."""

from __future__ import annotations

import pytest

from support.shells import PROJECT, Machine

GOOD = {"interface": "eth0", "new_ip6_address": "fd00:9::50", "new_ip6_prefixlen": "64"}


def answer(machine: Machine, reason: str = "BOUND6", **given: str) -> str | None:
    done = machine.run("-eu", str(PROJECT / "hooks/dhclient6.sh"), reason=reason, **given)
    assert done.returncode == 0, done.stderr
    path = machine.run_dir / "net/dhcp6.eth0"
    return path.read_text().strip() if path.exists() else None


def test_an_answer_is_used(machine: Machine) -> None:
    assert answer(machine, **GOOD, new_dhcp6_name_servers="fd00:9::1 evil fd00:9::2") == (
        "fd00:9::50/64"
    )
    assert machine.calls == ["ip addr replace fd00:9::50/64 dev eth0"]
    resolv = (machine.root / "etc/resolv.conf").read_text()
    assert resolv == "nameserver fd00:9::1\nnameserver fd00:9::2\n"


@pytest.mark.parametrize(
    "wrong",
    [{"new_ip6_address": ""}, {"new_ip6_address": "::1"}, {"new_ip6_address": "ff02::1"},
     {"new_ip6_address": "fe80::1"}, {"new_ip6_address": "10.0.0.5"},
     {"new_ip6_address": "fd00::5; reboot"}, {"interface": "../x"}],
)  # fmt: skip
def test_an_address_that_is_none_changes_nothing(machine: Machine, wrong: dict[str, str]) -> None:
    assert answer(machine, **{**GOOD, **wrong}) is None
    assert machine.calls == []


@pytest.mark.parametrize("length", ["", "0", "3", "129", "064", "$(id)"])
def test_a_prefix_that_would_swallow_the_network_is_not_used(machine: Machine, length: str) -> None:
    assert answer(machine, **{**GOOD, "new_ip6_prefixlen": length}) == "fd00:9::50/128"


def test_a_new_address_replaces_the_old_one(machine: Machine) -> None:
    answer(machine, **GOOD)
    assert answer(machine, "RENEW6", **{**GOOD, "new_ip6_address": "fd00:9::51"}) == "fd00:9::51/64"
    assert machine.calls[-1] == "ip addr del fd00:9::50/64 dev eth0"


@pytest.mark.parametrize("reason", ["EXPIRE6", "STOP6", "RELEASE6", "DEPREF6", "PREINIT6", ""])
def test_the_address_stays_when_the_lease_does_not(machine: Machine, reason: str) -> None:
    answer(machine, **GOOD)
    answer(machine, reason, interface="eth0", old_ip6_address="fd00:9::50")
    assert len(machine.calls) == 1


def test_name_servers_may_be_left_out(machine: Machine) -> None:
    answer(machine, **GOOD, new_dhcp6_name_servers="fd00:9::1", SR_NETWORK_PEERDNS="0")
    assert not (machine.root / "etc/resolv.conf").exists()
