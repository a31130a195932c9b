"""Single nodes' file systems: what is on the disk, the check before the mount, the overlay."""

from __future__ import annotations

import subprocess

import pytest

from support.disks import add_disk
from support.shells import Machine


def mount(
    machine: Machine, fs: str, content: str = "", **options: str
) -> subprocess.CompletedProcess[str]:
    """Run the module's mount.sh where the disk holds a file system of the type `content`."""
    if not (machine.root / "dev/sda").exists():
        add_disk(machine, "sda", content={"TYPE": content or fs, "LABEL": "root"})
    for tool in ("btrfs", "blockdev"):
        machine.fake(tool)
    name = fs.upper()
    given = {
        f"SR_{name}_DEVICE": "LABEL=root",
        f"SR_{name}_OPTIONS": "noatime",
        f"SR_{name}_OVERLAY": "0",
        f"SR_{name}_TIMEOUT": "5",
        f"SR_{name}_CHECK": "auto",
    }
    return machine.module(f"fs/{fs}", "mount.sh", **(given | options))


@pytest.mark.parametrize("fs", ["ext4", "xfs", "btrfs"])
def test_the_mount(machine: Machine, fs: str) -> None:
    machine.fake("e2fsck")
    found = mount(machine, fs)
    assert found.returncode == 0, found.stderr
    root = machine.root
    assert machine.calls[-1] == f"mount -t {fs} -o rw,noatime {root}/dev/sda {root}/sysroot"
    assert ("btrfs device scan" in machine.calls) is (fs == "btrfs")


@pytest.mark.parametrize("fs", ["ext4", "xfs", "btrfs"])
@pytest.mark.parametrize("content", ["gfs2", "ext4x", "LVM2_member"])
def test_another_file_system_is_named(machine: Machine, fs: str, content: str) -> None:
    assert mount(machine, fs, content).returncode == 1
    assert machine.note("why").endswith(
        f"there is no {fs} on {machine.root}/dev/sda, but {content}"
    )
    assert not [call for call in machine.calls if call.startswith("mount")]


@pytest.mark.parametrize("fs", ["ext4", "xfs", "btrfs"])
def test_an_encrypted_disk_is_called_one(machine: Machine, fs: str) -> None:
    assert mount(machine, fs, "crypto_LUKS").returncode == 1
    assert machine.note("why").endswith("/dev/sda is encrypted (LUKS)")
    assert "the storage" in machine.note("hint")
    assert not [call for call in machine.calls if call.startswith("mount")]


@pytest.mark.parametrize("older", ["ext2", "ext3"])
def test_ext4_mounts_its_elders(machine: Machine, older: str) -> None:
    machine.fake("e2fsck")
    assert mount(machine, "ext4", older).returncode == 0


@pytest.mark.parametrize(
    ("status", "goes_on"), [(0, True), (1, True), (2, True), (4, False), (8, False)]
)
def test_the_check_before_the_mount(machine: Machine, status: int, goes_on: bool) -> None:
    machine.fake("e2fsck", f"exit {status}")
    found = mount(machine, "ext4")
    assert (found.returncode == 0) is goes_on
    assert f"e2fsck -p {machine.root}/dev/sda" in machine.calls
    assert ("was repaired" in found.stderr) is (status in {1, 2})
    if not goes_on:
        assert f"damaged (e2fsck status {status})" in machine.note("why")
        assert not [call for call in machine.calls if call.startswith("mount")]


def test_no_check_when_told_so(machine: Machine) -> None:
    machine.fake("e2fsck", "exit 4")
    assert mount(machine, "ext4", SR_EXT4_CHECK="never").returncode == 0
    assert not [call for call in machine.calls if call.startswith("e2fsck")]


@pytest.mark.parametrize("fs", ["ext4", "xfs", "btrfs"])
def test_nothing_is_written_below_an_overlay(machine: Machine, fs: str) -> None:
    machine.fake("e2fsck", "exit 4")
    found = mount(machine, fs, **{f"SR_{fs.upper()}_OVERLAY": "1"})
    assert found.returncode == 0, found.stderr
    root, calls = machine.root, machine.calls
    read_only = calls.index(f"blockdev --setro {root}/dev/sda")
    assert calls.index(f"mount -t {fs} -o ro,noatime {root}/dev/sda {root}/sysroot") > read_only
    assert calls[-1].startswith("mount -t overlay ")
    assert "modprobe -a overlay" in calls
