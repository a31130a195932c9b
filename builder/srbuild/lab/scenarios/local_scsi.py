"""Roots of single nodes on a SCSI disk, and how the disk is found."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from srbuild.lab.cluster import N1, N2, cluster_text
from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import MAKER, Lab, NodeSpec
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk
from srbuild.lab.scenario import Scenario
from srbuild.lab.steps import plug, waits_and_boots
from srbuild.paths import HostPath

MIB = {"ext4": 64, "xfs": 320, "btrfs": 256}  # each mkfs has a least size of its own
KEY = "0xabc123"
TARGET = "iqn.2026-01.lab:root"
SERVER = f"""\
{MAKER}
[iscsi-target]
device = "/dev/vda"
target = "{TARGET}"
"""
BOOT = 200  # seconds from start to power off of a node, on two slow cores


def disk_spec(fs: str = "ext4") -> DiskSpec:
    """A disk that holds the lab's root with the label `root`."""
    return DiskSpec(MIB[fs], "make-local", (fs, "root"))


def cluster_file(
    fs: str = "ext4",
    device: str = "LABEL=root",
    nodes: tuple[NodeSpec, ...] = (N1,),
    block: str = "",
    more: str = "",
) -> str:
    """A cluster file as a user would write it; `block` and `more` hold further lines."""
    block = block or f'type = "scsi"\ndevice = "{device}"\n'
    return cluster_text(f'[block]\n{block}[fs]\ntype = "{fs}"\n{more}', nodes)


def one(path: HostPath, serial: str = "ROOT", wwn: int = 0x5000C50000000001) -> Disk:
    """A SCSI disk."""
    return Disk(path, keep=True, serial=serial, wwn=wwn)


def check(lab: Lab, path: HostPath) -> None:
    """Have a server look at the disk now that n1 is gone."""
    check_shared_root(lab, lab.server(MAKER, Disk(path)), "check-local", {"n1": ()})


def single(fs: str, device: str = "LABEL=root") -> Callable[[Lab], None]:
    """A node alone on a disk of its own, which it leaves clean."""

    def run(lab: Lab) -> None:
        path = lab.own_disk("root", lab.disk(disk_spec(fs)))
        with lab.step("n1 boots and powers off"):
            node = lab.start(N1, cluster_file(fs, device), (), disks=(one(path),))
            lab.wait_power_off([node], BOOT)
        check(lab, path)

    return run


def ambiguous(lab: Lab) -> None:
    """Two disks with one label are both named, and neither is mounted."""
    source = lab.disk(disk_spec())
    disks = tuple(
        one(lab.own_disk(name, source), name, 0x5000C50000000001 + i)
        for i, name in enumerate(("LEFT", "RIGHT"))
    )
    with lab.step("n1 boots with two disks that have the label and stops at storage"):
        node = lab.start(N1, cluster_file(), (), disks=disks)
        words = ("several disks are LABEL=root", "/dev/sda", "/dev/sdb", "SERIAL=LEFT")
        lab.wait_failure(node, 150, "storage", *words)


def late(lab: Lab) -> None:
    """The disk is plugged in 20 s after the node began to wait for it."""
    path = lab.own_disk("root", lab.disk(disk_spec()))
    blank = one(lab.own_disk("blank", mib=8), "BLANK", 0x5000C5000000000F)
    says = "waiting for the disk LABEL=root"
    plugged = one(path, "LATE", 0x5000C5000000000E)
    back = partial(plug, disk=plugged)
    waits_and_boots(lab, cluster_file(), says, back, disks={"n1": (blank,)})
    check(lab, path)


def overlay(lab: Lab) -> None:
    """Two nodes on one ext4, which neither of them writes to: every byte is as it was."""
    source = lab.disk(disk_spec())
    path = lab.own_disk("root", source)
    cluster = cluster_file(nodes=(N1, N2), more="overlay = true\n")
    with lab.step("n1 and n2 boot from one disk and power off"):
        nodes = [lab.start(node, cluster, (), disks=(one(path),)) for node in (N1, N2)]
        lab.wait_power_off(nodes, BOOT)
    lab.expect(path.read_bytes() == source.read_bytes(), "no byte of the disk changed")
    lab.proof["unchanged"] = True


def reserved(lab: Lab) -> None:
    """A disk that a lost node has reserved is left alone until the administrator says otherwise."""
    server = lab.serve(disk_spec(), SERVER)

    def cluster(node: NodeSpec) -> str:
        block = f'type = "iscsi"\nportal = ["10.9.0.1:3260"]\ntarget = "{TARGET}"\n'
        return cluster_file(nodes=(node,), block=block, more='[scsi]\ndevice = "LABEL=root"\n')

    with lab.step("n1 boots, reserves its disk and dies"):
        first, agent = lab.hold(N1, cluster(N1), ())
        agent.wait_ready(lab.left(BOOT))
        agent.require("reserve", "sda", KEY)
        first.kill()
    with lab.step("n2 boots and stops at storage"):
        second = lab.start(N2, cluster(N2), ())
        words = (
            f"reserved by the key {KEY}",
            "Write Exclusive",
            "rd.srb.scsi.reservation=clear",
        )
        lab.wait_failure(second, 150, "storage", *words)
    with lab.step("told to clear, n2 boots and powers off"):
        node = lab.start(N2, cluster(N2), (), "rd.srb.scsi.reservation=clear")
        lab.wait_power_off([node], BOOT)
    check_shared_root(lab, server, "check-local", {"n2": ()})


def _ext4(suffix: str, summary: str, run: Callable[[Lab], None]) -> Scenario:
    return Scenario(f"ext4-scsi{suffix}", summary, "ext4", "scsi", ("lab-local",), run)


SCENARIOS = (
    _ext4("", "a node alone on its own ext4, found by its label", single("ext4")),
    _ext4("-ambiguous-label", "two disks have the label: both are named", ambiguous),
    _ext4("-late-disk", "the disk is plugged in while the node waits for it", late),
    Scenario(
        "ext4-scsi-overlay",
        "two nodes on one ext4 that nobody writes to",
        "ext4",
        "scsi",
        ("lab-local",),
        overlay,
        ("network",),
    ),
    Scenario(
        "ext4-iscsi-scsi-reserved",
        "a reserved disk is left alone, or taken when told so",
        "ext4",
        "iscsi",
        ("lab-local", "iscsi-target"),
        reserved,
        ("scsi",),
    ),
    Scenario(
        "xfs-scsi",
        "a node alone on its own XFS, found by its serial number",
        "xfs",
        "scsi",
        ("lab-local",),
        single("xfs", "SERIAL=ROOT"),
    ),
    Scenario(
        "btrfs-scsi",
        "a node alone on its own Btrfs, found by a name of udev's",
        "btrfs",
        "scsi",
        ("lab-local",),
        single("btrfs", "by-id/wwn-0x5000c50000000001"),
    ),
)
