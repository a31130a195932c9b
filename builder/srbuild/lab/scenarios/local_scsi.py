"""Roots of single nodes on a SCSI disk, how the disk is found, and GFS2 on a disk of one bus."""

from __future__ import annotations

from collections.abc import Callable

from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import MAKER, Lab, NodeSpec
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios import gfs2_iscsi
from srbuild.paths import HostPath

N1 = NodeSpec("n1", "52:54:00:00:00:01")
N2 = NodeSpec("n2", "52:54:00:00:00:02")
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
    head = f'name = "lab"\n[block]\n{block}[fs]\ntype = "{fs}"\n{more}[container]\ntype = "none"\n'
    return head + "".join(
        f'[[node]]\nname = "{node.name}"\nid = {node.name[1:]}\nmac = ["{node.mac}"]\n'
        f'address = "10.9.0.2{node.name[1:]}/24"\n'
        for node in nodes
    )


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
    """The disk is plugged in 10 s after the node began to wait for it."""
    path = lab.own_disk("root", lab.disk(disk_spec()))
    blank = lab.own_disk("blank", mib=8)
    with lab.step("n1 boots without its disk and waits for it"):
        node = lab.start(N1, cluster_file(), (), disks=(one(blank, "BLANK", 0x5000C5000000000F),))
        node.wait_text("waiting for the disk LABEL=root", lab.left(150))
    with lab.step("the disk is plugged in; n1 boots and powers off"):
        file = {"driver": "file", "filename": str(path)}
        node.order("blockdev-add", driver="raw", file=file, **{"node-name": "late"})
        node.order(
            "device_add", driver="scsi-hd", bus="scsi.0", drive="late", serial="LATE", id="late"
        )
        lab.wait_power_off([node], BOOT)
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


def gfs2_two_nodes(lab: Lab) -> None:
    """GFS2 with lock_dlm on a disk of one bus."""
    path = lab.own_disk("root", lab.disk(gfs2_iscsi.DISK))
    iscsi = gfs2_iscsi.cluster_file()
    begin, end = iscsi.index("[block]"), iscsi.index("[fs]")
    cluster = f'{iscsi[:begin]}[block]\ntype = "scsi"\ndevice = "LABEL=lab:root"\n{iscsi[end:]}'
    lines = [line for line in cluster.splitlines() if "iscsi" not in line and "iqn" not in line]
    cluster = "\n".join(lines)
    with lab.step("n1 and n2 boot, exchange tokens on the shared root and power off"):
        nodes = [
            lab.start(N1, cluster, ("n2",), disks=(one(path),)),
            lab.start(N2, cluster, ("n1",), disks=(one(path),)),
        ]
        lab.wait_power_off(nodes, gfs2_iscsi.BOOT)
    server = lab.server(MAKER, Disk(path))
    check_shared_root(lab, server, "check-gfs2", {"n1": ("n2",), "n2": ("n1",)})


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
    Scenario(
        "gfs2-scsi",
        "two nodes share one GFS2 root on a SCSI disk and leave it clean",
        "gfs2",
        "scsi",
        ("lab-gfs2",),
        gfs2_two_nodes,
    ),
)
