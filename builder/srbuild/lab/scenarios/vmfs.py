"""Roots in a VMware datastore: in a virtual machine's disk image, and in a directory."""

from __future__ import annotations

from srbuild.host.tool import run as run_tool
from srbuild.lab.cluster import N1, N2
from srbuild.lab.lab import Lab
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios.local_scsi import BOOT, cluster_file, disk_spec, one
from srbuild.lab.vmfs import write_vmfs
from srbuild.paths import HostPath

IMAGE = "/vm/root/root-flat.vmdk"
TREE = "/roots/lab"


def _boot(lab: Lab, path: HostPath, inside: str) -> None:
    """Boot two nodes at once from one datastore, and see that not a byte of it changes."""
    before = path.read_bytes()
    cluster = cluster_file("vmfs", "SERIAL=ROOT", (N1, N2), more=f'path = "{inside}"\n')
    with lab.step("n1 and n2 boot from one datastore and power off"):
        nodes = [lab.start(node, cluster, (), disks=(one(path),)) for node in (N1, N2)]
        lab.wait_power_off(nodes, BOOT)
    lab.expect(path.read_bytes() == before, "no byte of the datastore changed")
    lab.proof["unchanged"] = True


def image(lab: Lab) -> None:
    """The usual case: a virtual machine's disk, which holds an ext4."""
    path = lab.own_disk("datastore", mib=1)
    write_vmfs(path, {IMAGE: lab.disk(disk_spec())})
    _boot(lab, path, IMAGE)


def tree(lab: Lab) -> None:
    """A directory of the datastore that is a root."""
    disk = lab.disk(disk_spec())
    path = lab.own_disk("datastore", mib=1)
    folder = path.with_suffix(".tree")
    folder.mkdir()
    run_tool(["debugfs", "-R", f"rdump / {folder}", disk], timeout=60)
    write_vmfs(path, {TREE: folder})
    _boot(lab, path, TREE)


def wrong(lab: Lab) -> None:
    """A path that the datastore does not have, and the end of what was begun."""
    path = lab.own_disk("datastore", mib=1)
    write_vmfs(path, {"/vm/other/other-flat.vmdk": b"x"})
    cluster = cluster_file("vmfs", "SERIAL=ROOT", more=f'path = "{IMAGE}"\n')
    with lab.step("n1 boots and stops at mount"):
        node = lab.start(N1, cluster, (), disks=(one(path),))
        lab.wait_failure(node, 150, "mount", f"there is no {IMAGE} in the datastore")


SCENARIOS = tuple(
    Scenario(f"vmfs-scsi{suffix}", summary, "vmfs", "scsi", ("lab-local",), run, ("network",))
    for suffix, summary, run in (
        ("", "two nodes on one disk image in a VMware datastore", image),
        ("-tree", "two nodes on one directory of a VMware datastore", tree),
        ("-wrong-path", "a path that the datastore does not have is named", wrong),
    )
)
