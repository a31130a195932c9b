"""The network below the root, in virtual machines."""

from __future__ import annotations

from typing import cast

import pytest

from support.boots import Boot, summary

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]


def test_a_vlan_on_a_bond_carries_the_root_and_either_link_may_go(boot: Boot) -> None:
    proof = boot("network-bond-vlan").proof
    state = cast("dict[str, str]", proof["before"])
    assert (state["active"], state["mtu"], state["unfragmented"]) == ("eth0", "9000", "yes")
    assert proof["fsck"] == 0


@pytest.mark.matrix
def test_of_two_cards_that_ask_one_is_answered(boot: Boot) -> None:
    assert boot("network-dhcp").proof["fsck"] == 0


@pytest.mark.matrix
def test_a_boot_without_an_answer_stops_at_net(boot: Boot) -> None:
    said = summary(boot("network-no-answer"))
    for word in ("'net'", "eth0 has no answer (dhcp)", "cables"):
        assert word in said
