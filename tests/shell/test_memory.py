"""A bootstrap on a disk begins in memory: what init does where its root is none."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.shells import PROJECT, Machine

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts of a namespace of its own want root"),
    pytest.mark.timeout(120),
]
FOLDERS = (
    "bin",
    "dev",
    "etc",
    "proc",
    "run",
    "sys",
    "sysroot",
    "oldroot",
    "usr/lib/srbuild",
    "boot",
)
# The disk is an overlay without an upper layer: as read-only as a squashfs. PID 1 is the real init.
START = """
set -e
mount -t overlay -o lowerdir="$1:$2" disk "$3"
{limit}
exec chroot "$3" /start
"""
# What runs as init in memory: it tells what it finds, and ends.
SECOND = """#!/bin/busybox sh
echo "second: pid $$"
/bin/busybox mount -t proc proc /proc
/bin/busybox awk '$2 == "/" { print "second: root " $3 }' /proc/mounts
/bin/busybox grep -c overlay /proc/mounts
/bin/busybox find / -xdev
"""


def disk(folder: Path, **files: str) -> Path:
    tree = folder / "tree"
    for name in FOLDERS:
        (tree / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "busybox", tree / "bin/busybox")
    shutil.copy(PROJECT / "hooks/init", tree / "start")
    shutil.copy(PROJECT / "hooks/memory.sh", tree / "usr/lib/srbuild/memory")
    (tree / "init").write_text(SECOND)
    (tree / "boot/kernel").write_text("not needed")
    (tree / ".hidden").write_text("h\n")
    (tree / "etc/link").symlink_to("../.hidden")
    for path in (tree / "init", tree / "start"):
        path.chmod(0o755)
    for name, text in files.items():
        (tree / name).write_text(text)
    return tree


def start(tree: Path, limit: str = "", seconds: int = 60) -> subprocess.CompletedProcess[str]:
    for name in ("empty", "disk"):
        (tree.parent / name).mkdir()
    trial = 'mount -t overlay -o lowerdir="$1:$2" disk "$3"'
    places = (str(tree), str(tree.parent / "empty"), str(tree.parent / "disk"))
    probe = ("unshare", "-m", "sh", "-c", trial, "sh", *places)
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no overlay can be mounted here")
    script = START.replace("{limit}", limit)
    words = ("unshare", "-m", "-p", "-f", "--kill-child", "sh", "-c", script, "sh")
    words = (*words, *places)
    return subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def test_all_is_copied_and_the_disk_let_go_of(tmp_path: Path) -> None:
    tree = disk(tmp_path)
    before = {path: path.lstat() for path in sorted(tree.rglob("*"))}
    done = start(tree)
    said = done.stdout
    assert "srbuild: memory: the bootstrap on disk (overlay) is in memory\n" in said
    assert "second: pid 1\nsecond: root tmpfs\n0\n" in said, said + done.stderr
    for name in ("/.hidden", "/etc/link", "/usr/lib/srbuild/memory", "/start", "/oldroot", "/dev"):
        assert f"\n{name}\n" in said
    assert "/boot" not in said
    assert {path: path.lstat() for path in sorted(tree.rglob("*"))} == before


def test_too_little_memory_is_said_and_the_disk_stays(tmp_path: Path) -> None:
    tree = disk(tmp_path, **{"etc/big": "x"})
    memory = tree / "usr/lib/srbuild/memory"
    memory.write_text(memory.read_text().replace("mode=0755 srbuild", "mode=0755,size=64k srbuild"))
    with pytest.raises(subprocess.TimeoutExpired) as stopped:
        start(tree, seconds=20)
    said = (stopped.value.stdout or b"").decode()
    assert "the bootstrap on disk (overlay) could not be copied to memory" in said
    assert "srbuild: init: the bootstrap cannot begin on a disk" in said
    assert "type exit to run the boot again" in said
    assert "second" not in said


@pytest.mark.parametrize(
    ("on_disk", "left"),
    [(True, ["quiet", "rd.srb.node=n1", "rootless"]), (False, None)],
)
def test_what_led_to_the_disk_is_no_word_about_the_shared_root(
    machine: Machine, on_disk: bool, left: list[str] | None
) -> None:
    words = ["quiet", "root=LABEL=b", "rw", "rootflags=noatime", "init=/init", "rd.srb.node=n1"]
    words += ["rootwait", "rootless"]
    machine.write("run/srbuild/cmdline", "\n".join(words) + "\n")
    if on_disk:
        machine.write("etc/srbuild/disk", "/dev/sda1 ext4\n")
    assert machine.lib("sr_cmdline_without_disk").returncode == 0
    assert (machine.root / "run/srbuild/cmdline").read_text().split() == (left or words)
