"""Veritas' layers in their order and the cluster mount, with stand-ins for its programs."""

from __future__ import annotations

import subprocess

import pytest

from support.shells import Machine

GROUPS = "NAME STATE ID\\nrootdg enabled,shared,cds 1.2\\nlocal enabled,cds 3.4\\n"


def start(
    machine: Machine, *, ports: str = "ab", **options: str
) -> subprocess.CompletedProcess[str]:
    """Run start.sh where GAB comes to have members at `ports`."""
    root = machine.root
    machine.write("etc/srbuild/nodes", "n1 1 52:54:00:00:00:01\nn2 2 52:54:00:00:00:02\n")
    if not (root / "etc/llttab").exists():
        machine.write("etc/llttab", "set-node n1\nlink link1 eth-52:54:00:00:00:01 - ether - -\n")
    machine.write("usr/lib/srbuild/survive", "vxconfigd\n")
    machine.write("run/srbuild/state/NODE_NAME", "n1\n")
    if not (root / "etc/vxfentab").exists():
        machine.write("etc/vxfentab", "/dev/vx/rdmp/disk_1\n")
    members = "".join(f"echo 'Port {port} gen 4a1c01 membership 01'\n" for port in ports)
    for tool in ("lltconfig", "vxconfigd", "vxdctl", "vxfenconfig"):
        machine.fake(tool)
    machine.fake("gabconfig", f'[ "$1" != -a ] || {{\n{members}:\n}}')
    machine.fake("setsid", 'tool=${1#@/}; shift; exec "$tool" "$@"', record=False)
    machine.fake("vxclustadm", 'case $1 in nodestate) echo "state: cluster member" ;; esac')
    (root / "etc/vx/bin").mkdir(parents=True, exist_ok=True)
    (root / "etc/vx/bin/vxclustadm").symlink_to(machine.fakes / "vxclustadm")
    given = {
        "SR_INFOSCALE_TIMEOUT": "1",
        "SR_INFOSCALE_CLUSTER_ID": "7",
        "SR_INFOSCALE_FENCING": "scsi3",
    }
    return machine.module("cluster/infoscale", "start.sh", **(given | options))


def test_each_layer_comes_after_the_one_below(machine: Machine) -> None:
    found = start(machine)
    assert found.returncode == 0, found.stderr
    assert [call for call in machine.calls if not call.endswith((" -a", " nodestate"))] == [
        "modprobe -a llt gab",
        "lltconfig -c",
        "gabconfig -c -n 2",
        "modprobe -a vxdmp vxio vxspec",
        "vxconfigd -k -m disable",
        "vxdctl init n1",
        "vxdctl enable",
        "modprobe -a vxfen",
        "vxfenconfig -c",
        "vxclustadm -m vcs -t gab startnode",
    ]
    assert "FENCING IS OFF" not in found.stderr


@pytest.mark.parametrize(("ports", "what"), [("", "GAB port a"), ("a", "GAB port b")])
def test_members_that_do_not_come(machine: Machine, ports: str, what: str) -> None:
    found = start(machine, ports=ports)
    assert found.returncode == 1
    assert what in machine.note("why")
    assert "vxclustadm -m vcs -t gab startnode" not in machine.calls


def test_no_fencing_is_said_aloud(machine: Machine) -> None:
    machine.write("etc/vxfentab", "")
    found = start(machine, SR_INFOSCALE_FENCING="disabled")
    assert found.returncode == 0, found.stderr
    assert "FENCING IS OFF" in found.stderr


def test_fencing_needs_its_disks(machine: Machine) -> None:
    machine.write("etc/vxfentab", "")
    assert start(machine).returncode == 1
    assert "names no coordinator disks" in machine.note("why")
    assert "vxfenconfig -c" not in machine.calls


@pytest.mark.parametrize(("text", "why"), [("", "no /etc/llttab"), ("set-node n1\n", "no link")])
def test_a_node_without_links(machine: Machine, text: str, why: str) -> None:
    machine.write("etc/llttab", text)
    assert start(machine).returncode == 1
    assert why in machine.note("why")
    assert machine.calls == []


@pytest.mark.parametrize("broken", ["", "vxfenconfig"])
def test_all_is_taken_down_whatever_fails(machine: Machine, broken: str) -> None:
    (machine.root / "etc/vx/bin").mkdir(parents=True)
    (machine.root / "etc/vx/bin/vxclustadm").symlink_to(machine.fakes / "vxclustadm")
    for tool in ("vxclustadm", "vxfenconfig", "vxdctl", "gabconfig", "lltconfig"):
        machine.fake(tool, "exit 3" if tool == broken else "")
    found = machine.module("cluster/infoscale", "stop.sh")
    assert found.returncode == int(bool(broken))
    tools = [call.split()[0] for call in machine.calls]
    assert tools == ["vxclustadm", "vxfenconfig", "vxdctl", "gabconfig", "lltconfig"]
    assert ("vxfenconfig -U failed (status 3)" in found.stderr) is bool(broken)


def mount(machine: Machine, *, group: str = "rootdg") -> subprocess.CompletedProcess[str]:
    machine.write("usr/lib/srbuild/survive", "vxfsckd\n")
    machine.write("usr/lib/srbuild/kmods/vxcfs", "fdd\nvxportal\nvxglm\n")
    machine.fake("vxdg", f'printf "{GROUPS}"')
    machine.fake("setsid", 'tool=${1#@/}; shift; exec "$tool" "$@"', record=False)
    for tool in ("vxvol", "vxfsckd", "fsclustadm"):
        machine.fake(tool)
    return machine.module(
        "fs/vxcfs", "mount.sh", SR_VXCFS_DISKGROUP=group, SR_VXCFS_VOLUME="vol",
        SR_VXCFS_OPTIONS="noatime", SR_VXCFS_TIMEOUT="1",
    )  # fmt: skip


@pytest.mark.parametrize("group", ["local", "other"])
def test_a_disk_group_that_is_not_shared(machine: Machine, group: str) -> None:
    assert mount(machine, group=group).returncode == 1
    assert f"no shared disk group {group}" in machine.note("why")
    assert not [call for call in machine.calls if call.startswith(("vxvol", "mount"))]


def test_a_volume_that_is_not_there(machine: Machine) -> None:
    assert mount(machine).returncode == 1
    assert "the disk group rootdg has no volume vol" in machine.note("why")
    assert "vxprint -g rootdg" in machine.note("hint")
    assert "vxvol -g rootdg startall" in machine.calls


def test_the_cluster_mount(machine: Machine) -> None:
    # A block device of the machine stands in for the volume: only root may make one.
    volume = machine.root / "dev/vx/dsk/rootdg"
    volume.mkdir(parents=True)
    found = subprocess.run(
        ["mknod", volume / "vol", "b", "259", "4095"], capture_output=True, check=False
    )
    if found.returncode != 0:
        pytest.skip("no right to make a device node")
    assert mount(machine).returncode == 0
    assert machine.calls[-4:] == [
        "modprobe -a fdd vxportal vxglm",
        "vxfsckd ",
        "fsclustadm -v cfsinit",
        f"mount -t vxfs -o cluster,rw,noatime {volume}/vol {machine.root}/sysroot",
    ]
