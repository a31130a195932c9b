"""iSCSI from what the firmware booted: its iBFT names card, address, target and secret."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Interface

from srbuild.lab.cluster import N1
from srbuild.lab.ibft import BootTable, ibft_bytes
from srbuild.lab.lab import Lab, NodeSpec
from srbuild.lab.proof import check_shared_root
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios import iscsi

CHAP = f'chap_user = "{iscsi.USER}"\nchap_secret = "{iscsi.SECRET}"\n'
TABLE = BootTable(
    "iqn.2026-01.lab:firmware",
    N1.mac,
    IPv4Interface("10.9.0.61/24"),
    iscsi.PORTAL.partition(":")[0],
    iscsi.TARGET,
    0,
    (iscsi.USER, iscsi.SECRET),
)
CLUSTER = f"""\
name = "lab"
[block]
type = "iscsi"
ibft = true
[fs]
type = "ext4"
[container]
type = "none"
[[node]]
name = "n1"
id = 1
mac = ["{N1.mac}"]
"""
"""Of addresses, targets and secrets the cluster file says nothing."""


def boots(lab: Lab) -> None:
    """n1 boots by its firmware's table alone and leaves its root clean."""
    server = iscsi.serve(lab, CHAP)
    with lab.step("n1 boots from what its firmware says and powers off"):
        node = lab.start(_with_table(lab, TABLE), CLUSTER, (), "ip=ibft")
        lab.wait_power_off([node], iscsi.BOOT)
    words = (f"logged in to {TABLE.target} via {iscsi.PORTAL}", str(TABLE.address))
    for word in words:
        lab.expect(word.encode() in node.text(), f"{word!r} on the console of n1")
    lab.expect(iscsi.SECRET.encode() not in node.text(), "no secret on the console")
    check_shared_root(lab, server, "check-local", {"n1": ()})


def no_table(lab: Lab) -> None:
    """A machine whose firmware booted otherwise stops at `net` and says where to look."""
    with lab.step("n1 boots without a table and stops at net"):
        node = lab.start(N1, CLUSTER, (), "ip=ibft")
        lab.wait_failure(node, 150, "net", "iBFT", "firmware")


def wrong_secret(lab: Lab) -> None:
    """A secret in the firmware that the target does not know stops the boot at `storage`."""
    iscsi.serve(lab, CHAP)
    with lab.step("n1 boots with a wrong secret in its firmware and stops at storage"):
        table = replace(TABLE, chap=(iscsi.USER, "wrongsecret99"))
        node = lab.start(_with_table(lab, table), CLUSTER, (), "ip=ibft")
        lab.wait_failure(node, 150, "storage", iscsi.TARGET, "refused this node")


def _with_table(lab: Lab, table: BootTable) -> NodeSpec:
    path = lab.own_file("ibft", ibft_bytes(table))
    return replace(N1, devices=("-acpitable", f"file={path}"))


def _scenario(suffix: str, summary: str, run: Callable[[Lab], None]) -> Scenario:
    server = ("lab-local", "iscsi-target")
    return Scenario(f"iscsi-ibft{suffix}", summary, "ext4", "iscsi", server, run)


SCENARIOS = (
    _scenario("", "the firmware's table says all of an iSCSI root", boots),
    _scenario("-absent", "no iBFT: the boot stops at net", no_table),
    _scenario("-wrong-secret", "a wrong secret in the firmware stops the boot", wrong_secret),
)
