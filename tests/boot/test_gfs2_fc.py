"""GFS2 over Fibre Channel (FCoE): two nodes share a root, and what is wrong with it is named."""

from __future__ import annotations

from typing import cast

import pytest

from support.boots import Boot, both_read_each_other, summary

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]


def test_two_nodes_share_the_root(boot: Boot) -> None:
    both_read_each_other(boot("gfs2-fc"))


@pytest.mark.matrix
def test_much_at_once_and_a_lost_link(boot: Boot) -> None:
    proof = boot("gfs2-fc-big-write").proof
    big = cast("dict[str, str]", proof["big"])
    assert (big["same"], big["errors"]) == ("yes", "0")
    assert int(big["write"]) < 30
    assert cast("float", proof["waited"]) >= 20
    assert proof["fsck"] == 0


@pytest.mark.matrix
def test_a_link_that_is_down_at_boot(boot: Boot) -> None:
    assert boot("gfs2-fc-link-down").proof["fsck"] == 0


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("wrong-wwpn", ("'storage'", "0x20005254000f0f0f", "0x2000525400090001", "zone")),
        ("wrong-lun", ("'storage'", "unit 7", "sda", "LUN masking")),
        ("no-switch", ("'storage'", "Offline", "no FCoE switch answers on eth0")),
        ("no-card", ("'net'", "eth7", "eth0")),
    ],
)
def test_what_is_wrong_is_named(boot: Boot, scenario: str, words: tuple[str, ...]) -> None:
    said = summary(boot(f"gfs2-fc-{scenario}"))
    for word in words:
        assert word in said
