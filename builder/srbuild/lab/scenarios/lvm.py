"""A root on LVM: on partitions of a disk over two paths, and in a group that two nodes share."""

from __future__ import annotations

from srbuild.lab.cluster import BOTH, N1
from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import Lab
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk
from srbuild.lab.rows.blocks import CHAP, ISCSI
from srbuild.lab.rows.filesystems import GFS2
from srbuild.lab.rows.row import Row
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios import multipath
from srbuild.lab.steps import exchange, held, leave

PLAIN = DiskSpec(96, "make-lvm", ("ext4", "plain", "72"))
SHARED = DiskSpec(320, "make-lvm", ("gfs2", "shared", "288"))
TABLE = '[lvm]\nvg = "rootvg"\nlv = ["root"]\n'
BOOT = 300  # seconds that two nodes may take from start to power off, on two slow cores


def on_multipath(lab: Lab) -> None:
    """The root's group alone is activated, on a partition of a disk over two paths."""
    disk = lab.disk(PLAIN, multipath.MAKING)
    server = lab.server(multipath.SERVING, Disk(disk), node=multipath.TWO_CARDS)
    cluster = multipath.cluster_file(more=f"[multipath]\n{TABLE}")
    vm, agent = held(lab, cluster, multipath.N1, seconds=BOOT)
    mapped = agent.require("mapped")
    lab.proof["mapped"] = mapped
    lab.expect("rootvg-root" in mapped, f"the root's logical volume is active: {mapped}")
    lab.expect(not any("othervg" in name for name in mapped), f"the other group is not: {mapped}")
    lab.proof["seconds"] = multipath.lose_path(lab, vm, agent, 0)
    leave(lab, vm, agent)
    check_shared_root(lab, server, "check-lvm", {"n1": ()}, "local")


def shared_group(lab: Lab) -> None:
    """Two nodes have one logical volume active under lvmlockd, with GFS2 on it."""
    server = lab.serve(SHARED, ISCSI.cluster)
    exchange(lab, Row(GFS2, ISCSI).cluster(more=TABLE), seconds=BOOT)
    check_shared_root(lab, server, "check-lvm", BOTH, "gfs2")


def no_such_group(lab: Lab) -> None:
    """A wrong name stops the boot at `storage` with the groups that there are."""
    lab.serve(PLAIN, ISCSI.cluster)
    with lab.step("n1 boots with a wrong group and stops at storage"):
        table = '[lvm]\nvg = "rootgv"\nlv = ["root"]\ntimeout = 5\n'
        cluster = multipath.cluster_file(CHAP, table).replace(f', "{multipath.PORTALS[1]}"', "")
        node = lab.start(N1, cluster, (), "ip=10.9.0.21:::24::eth0:none")
        lab.wait_failure(node, 180, "storage", "no volume group rootgv", "rootvg", "othervg")


SCENARIOS = (
    Scenario(
        "lvm-multipath",
        "a root on a logical volume over two paths; no other group is activated",
        "ext4",
        "iscsi",
        ("lab-local", "lab-lvm", "iscsi-target"),
        on_multipath,
        ("multipath", "lvm"),
    ),
    Scenario(
        "lvm-shared",
        "two nodes share a GFS2 root in a volume group under lvmlockd",
        "gfs2",
        "iscsi",
        ("lab-gfs2", "lab-lvm", "iscsi-target"),
        shared_group,
        ("lvm", "lvmlockd"),
    ),
    Scenario(
        "lvm-wrong-group",
        "a volume group that is not there stops the boot at storage",
        "ext4",
        "iscsi",
        ("lab-local", "lab-lvm", "iscsi-target"),
        no_such_group,
        ("lvm",),
    ),
)
