"""GFS and OCFS of the first generation, with stand-ins for RHEL 5's programs."""

from __future__ import annotations

import struct
import subprocess

import pytest

from support.disks import add_disk
from support.shells import Machine

CONF = (
    '<cluster name="lab" config_version="1"><clusternodes>\n<clusternode name="n1" nodeid="1"/>\n'
)


def gfs_disk(
    machine: Machine, fs_format: int = 1309, proto: str = "lock_dlm", table: str = "lab:root"
) -> None:
    """A disk with the superblock of a GFS (big endian, 64 KiB into it)."""
    add_disk(machine, "sda")
    block = bytearray(512)
    struct.pack_into(">I", block, 0, 0x01161970)
    struct.pack_into(">I", block, 24, fs_format)
    struct.pack_into("64s64s", block, 96, proto.encode(), table.encode())
    (machine.root / "dev/sda").write_bytes(bytes(65536) + block)


def mount_gfs(machine: Machine) -> subprocess.CompletedProcess[str]:
    machine.write("run/srbuild/state/CLUSTER_NAME", "lab\n")
    device = f"{machine.root}/dev/sda"
    return machine.module(
        "fs/gfs", "mount.sh", SR_GFS_DEVICE=device, SR_GFS_OPTIONS="noatime", SR_GFS_TIMEOUT="5"
    )


def test_gfs_is_mounted(machine: Machine) -> None:
    gfs_disk(machine)
    found = mount_gfs(machine)
    assert found.returncode == 0, found.stderr
    root = machine.root
    assert machine.calls[-1] == f"mount -t gfs -o rw,noatime {root}/dev/sda {root}/sysroot"


@pytest.mark.parametrize(
    ("fs_format", "proto", "table", "why", "hint"),
    [
        (1801, "lock_dlm", "lab:root", "is a GFS2 already", "--fs gfs2"),
        (1309, "lock_gulm", "lab:root", "'lock_gulm'", "proto lock_dlm"),
        (1309, "lock_dlm", "other:root", "cluster 'other'", "table lab:root"),
    ],
)
def test_another_gfs_is_refused(
    machine: Machine, fs_format: int, proto: str, table: str, why: str, hint: str
) -> None:
    gfs_disk(machine, fs_format, proto, table)
    assert mount_gfs(machine).returncode == 1
    assert why in machine.note("why")
    assert hint in machine.note("hint")
    assert not [call for call in machine.calls if call.startswith("mount")]


def test_no_gfs_at_all(machine: Machine) -> None:
    add_disk(machine, "sda")
    assert mount_gfs(machine).returncode == 1
    assert "there is no GFS on" in machine.note("why")


def start_cman(
    machine: Machine, conf: str = CONF, broken: str = ""
) -> subprocess.CompletedProcess[str]:
    daemons = ("ccsd", "groupd", "fenced", "dlm_controld", "gfs_controld")
    machine.write("usr/lib/srbuild/survive", "\n".join(daemons) + "\n")
    machine.write("etc/cluster/cluster.conf", conf)
    machine.write("run/srbuild/state/CLUSTER_NAME", "lab\n")
    machine.write("run/srbuild/state/NODE_NAME", "n1\n")
    machine.fake("setsid", 'tool=${1#@/}; shift; exec "$tool" "$@"', record=False)
    for tool in (*daemons, "cman_tool", "fence_tool"):
        machine.fake(tool, "exit 1" if tool == broken else "")
    return machine.module("cluster/cman", "start.sh", SR_CMAN_TIMEOUT="20")


def test_members_come_before_locks_and_fencing_before_the_mount(machine: Machine) -> None:
    found = start_cman(machine)
    assert found.returncode == 0, found.stderr
    assert [call.strip() for call in machine.calls if not call.startswith("mount")] == [
        "ccsd",
        "cman_tool -t 20 -w join -n n1",
        "cman_tool -t 20 -q wait",
        "groupd",
        "fenced",
        "dlm_controld",
        "gfs_controld",
        "fence_tool -t 20 -w join",
    ]


@pytest.mark.parametrize(
    ("conf", "why"),
    [
        (CONF.replace("lab", "other"), "not that of the cluster lab"),
        (CONF.replace("n1", "n3"), "has no node n1"),
    ],
)
def test_a_cluster_conf_of_others(machine: Machine, conf: str, why: str) -> None:
    assert start_cman(machine, conf).returncode == 1
    assert why in machine.note("why")
    assert machine.calls == []


@pytest.mark.parametrize("broken", ["ccsd", "cman_tool", "fence_tool"])
def test_a_step_that_fails_ends_it(machine: Machine, broken: str) -> None:
    assert start_cman(machine, broken=broken).returncode != 0
    assert machine.calls[-1].startswith(broken)


def test_the_cluster_is_left(machine: Machine) -> None:
    machine.fake("fence_tool", "exit 1")
    machine.fake("cman_tool")
    assert machine.module("cluster/cman", "stop.sh").returncode == 0
    assert machine.calls == ["fence_tool leave", "cman_tool -t 50 -w leave remove"]


def mount_ocfs(machine: Machine) -> subprocess.CompletedProcess[str]:
    add_disk(machine, "sda")
    device = f"{machine.root}/dev/sda"
    return machine.module(
        "fs/ocfs", "mount.sh", SR_OCFS_DEVICE=device, SR_OCFS_OPTIONS="", SR_OCFS_TIMEOUT="5"
    )


def test_ocfs_is_loaded_with_its_configuration_and_mounted(machine: Machine) -> None:
    machine.write("etc/ocfs.conf", "guid = C0FFEE\n")
    machine.fake("load_ocfs")
    found = mount_ocfs(machine)
    assert found.returncode == 0, found.stderr
    root = machine.root
    assert [call.strip() for call in machine.calls] == [
        "load_ocfs",
        f"mount -t ocfs -o rw {root}/dev/sda {root}/sysroot",
    ]


def test_ocfs_without_its_configuration_or_kmod(machine: Machine) -> None:
    assert mount_ocfs(machine).returncode == 1
    assert "there is no /etc/ocfs.conf" in machine.note("why")


def test_ocfs_without_its_kmod(machine: Machine) -> None:
    machine.write("etc/ocfs.conf", "guid = C0FFEE\n")
    machine.fake("load_ocfs", "exit 1")
    assert mount_ocfs(machine).returncode == 1
    assert "guid" in machine.note("hint")
    assert not [call for call in machine.calls if call.startswith("mount")]
