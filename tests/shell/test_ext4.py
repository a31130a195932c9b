"""ext4: e2fsck is started where it would do something, on real file systems."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.disks import add_disk
from support.shells import Machine


def mount(machine: Machine) -> list[str]:
    """Mount the file system in dev/sda; how e2fsck was called."""
    machine.fake("e2fsck")
    found = machine.module(
        "fs/ext4",
        "mount.sh",
        SR_EXT4_DEVICE=f"{machine.root}/dev/sda",
        SR_EXT4_OPTIONS="",
        SR_EXT4_OVERLAY="0",
        SR_EXT4_TIMEOUT="5",
        SR_EXT4_CHECK="auto",
    )
    assert found.returncode == 0, found.stderr
    assert machine.calls[-1].startswith("mount -t ext4")
    return [call for call in machine.calls if call.startswith("e2fsck")]


@pytest.fixture
def disk(machine: Machine) -> Path:
    add_disk(machine, "sda", content={"TYPE": "ext4"})
    path = machine.root / "dev/sda"
    with path.open("r+b") as file:
        file.truncate(8 << 20)
    tool("mke2fs", "-q", "-F", "-t", "ext4", path)
    return path


def tool(*words: str | Path) -> str:
    return subprocess.run(
        words, check=True, capture_output=True, text=True, timeout=60, input=""
    ).stdout


def debugfs(disk: Path, *orders: str) -> None:
    for order in orders:
        tool("debugfs", "-w", "-R", order, disk)


def test_a_clean_file_system_is_mounted_at_once(machine: Machine, disk: Path) -> None:
    assert tool("e2fsck", "-p", disk).split(":")[1].startswith(" clean")
    assert mount(machine) == []


@pytest.mark.parametrize(
    "order",
    [
        "ssv state 0",  # was not unmounted
        "ssv state 3",  # errors were seen
        "ssv state 5",  # orphans are being removed
        "feature needs_recovery",
        "ssv lastcheck 20000101",
        "ssv mnt_count 20",
    ],
)
def test_whatever_e2fsck_would_look_at_is_left_to_it(
    machine: Machine, disk: Path, order: str
) -> None:
    tool("tune2fs", "-c", "20", "-i", "30d", disk)
    assert mount(machine) == []
    (machine.root / "calls").unlink()
    debugfs(disk, order)
    assert mount(machine) == [f"e2fsck -p {disk}"]


def test_what_is_no_superblock_is_left_to_e2fsck(machine: Machine, disk: Path) -> None:
    with disk.open("r+b") as file:
        file.seek(1024 + 56)
        file.write(b"\x12\x34")
    assert mount(machine) == [f"e2fsck -p {disk}"]


def test_a_disk_that_ends_too_early_is_left_to_e2fsck(machine: Machine, disk: Path) -> None:
    with disk.open("r+b") as file:
        file.truncate(1100)
    assert mount(machine) == [f"e2fsck -p {disk}"]
