"""The root that LXC runs on, with the kernel's own mounts: it can be pivoted, and has all of the
bootstrap's directories."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.containers import LXC
from support.sharedroot import UNSHARE, can_mount

pytestmark = pytest.mark.skipif(not can_mount(), reason="no mount namespaces here")

# Make the tree the root, with a /proc, as if the kernel had it from an image.
ENTER = (
    'mount --rbind "$TREE" "$TREE" && mount --rbind /proc "$TREE/proc" && cd "$TREE" && '
    'pivot_root . old && cd / && exec /bin/busybox sh -eu "$@"'
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    for name in ("bin", "old", "proc", "run", "sysroot/old", "sysroot/bin", "usr/share"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    shutil.copy("/bin/busybox", tree / "sysroot/bin/busybox")
    (tree / "usr/share/word").write_text("seen\n")
    (tree / "share").symlink_to("usr/share")
    shutil.copytree(LXC, tree / "lxc")
    return tree


def inside(tree: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run `script` by apart.sh, the tree being the root."""
    return subprocess.run(
        [*UNSHARE, "sh", "-c", ENTER, "enter", "/lxc/apart.sh", "/bin/busybox", "sh", "-c", script],
        env={"PATH": os.environ["PATH"], "TREE": str(tree), "SR_ROOT": "", "SR_RUN": "/run"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_what_the_bootstrap_has_is_there(tree: Path) -> None:
    found = inside(
        tree, "stat -f -c %T /; cat /share/word; cat /usr/share/word; ls -d /sysroot/bin"
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == ["tmpfs", "seen", "seen", "/sysroot/bin"]


def test_it_can_be_pivoted(tree: Path) -> None:
    script = (
        "mount -o bind /sysroot /sysroot && cd /sysroot && pivot_root . old && "
        "exec chroot . /bin/busybox ls /"
    )
    found = inside(tree, script)
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == ["bin", "old"]


def test_a_command_that_fails_says_so(tree: Path) -> None:
    assert inside(tree, "exit 7").returncode == 7
