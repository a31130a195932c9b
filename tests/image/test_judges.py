"""What is rendered, judged by the tools that will read it: those of the image, inside the image."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.unpacked import unpack

SRBUILD = Path(sys.executable).with_name("srbuild")
NODES = """
[[node]]
name = "n1"
id = 1
mac = ["52:54:00:00:00:01"]
address = "10.9.0.21/24"
[[node]]
name = "n2"
id = 2
mac = ["52:54:00:00:00:02"]
address = "10.9.0.22/24"
"""
ISCSI = """
name = "lab"
[block]
type = "iscsi"
portal = ["10.9.0.1:3260", "10.9.1.1:3260"]
target = ["iqn.2026-01.lab:root"]
[fs]
type = "gfs2"
[container]
type = "none"
[lvm]
lv = ["vg0/root"]
[fence]
method = "unsafe-none"
"""
OCFS2 = """
name = "lab"
[block]
type = "scsi"
device = "LABEL=root"
[fs]
type = "ocfs2"
[container]
type = "none"
"""
INSIDE = """
hostname n1
mkdir -p "$0/dev"
mount --rbind /proc "$0/proc"
mount --rbind /dev "$0/dev"
exec chroot "$0" "$@"
"""
Tree = Callable[..., Path]


@pytest.fixture(scope="module")
def tree(sysroot: Path, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The unpacked image of a cluster file and of further boot modules; each made once."""
    made: dict[tuple[str, ...], Path] = {}

    def make(text: str, *modules: str) -> Path:
        if (text, *modules) not in made:
            folder = tmp_path_factory.mktemp("judges")
            (folder / "cluster.toml").write_text(text + NODES)
            argv = [SRBUILD, "build", "--cluster", folder / "cluster.toml", "--sysroot", sysroot]
            argv += ["--no-cache", "-o", folder / "image"]
            argv += [word for name in modules for word in ("--module", name)]
            subprocess.run(argv, check=True, capture_output=True, timeout=240)
            made[text, *modules] = unpack(folder / "image", folder / "root")
        return made[text, *modules]

    return make


def run_with_kernel(root: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the tree in the tree as n1 would, with the machine's /proc and /dev."""
    apart = ["unshare", "--mount", "--uts", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    return subprocess.run(
        [*apart, "sh", "-euc", INSIDE, root, *argv],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def on_iscsi(tree: Tree) -> Path:
    return tree(ISCSI, "multipath", "lvm")


def spoil(root: Path, path: str, old: str, new: str) -> Callable[[], None]:
    """Replace something in a file; what is returned puts it back."""
    file = root / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return lambda: file.write_text(text) and None


def judged(root: Path, *argv: str, bad: tuple[str, str, str]) -> str:
    """What the tool prints of the configuration as it is; it must object to it once spoilt."""
    done = run_with_kernel(root, *argv)
    assert done.returncode == 0, done.stdout + done.stderr
    restore = spoil(root, *bad)
    try:
        worse = run_with_kernel(root, *argv)
    finally:
        restore()
    assert (worse.returncode, worse.stdout, worse.stderr) != (0, done.stdout, done.stderr)
    return done.stdout + done.stderr


def test_corosync(tree: Tree) -> None:
    bad = ("etc/corosync/corosync.conf", "transport: knet", "transport: pigeon")
    judged(on_iscsi(tree), "corosync", "-t", bad=bad)


def test_multipath(tree: Tree) -> None:
    bad = ("etc/multipath.conf", "user_friendly_names", "user_fiendly_names")
    said = judged(on_iscsi(tree), "multipath", "-t", bad=bad)
    assert "invalid keyword" not in said
    assert "multipath.conf line" not in said
    assert 'no_path_retry "queue"' in said


def test_lvm(tree: Tree) -> None:
    bad = ("etc/lvm/lvm.conf", "udev_sync = 0", "udev_sink = 0")
    said = judged(on_iscsi(tree), "lvm", "lvmconfig", "--validate", bad=bad)
    assert "LVM configuration valid." in said


def test_o2cb(tree: Tree) -> None:
    argv = ("o2cb", "--config-file=/etc/ocfs2/cluster.conf", "list-nodes", "lab")
    bad = ("etc/ocfs2/cluster.conf", "name = n2", "nome = n2")
    said = judged(tree(OCFS2), *argv, bad=bad)
    for word in ("number = 2", "name = n2", "ip_address = 10.9.0.22", "ip_port = 7777"):
        assert word in said
