"""The sysroot that all tools build from, and running programs inside it.

It is made as a real system is, with maintainer scripts, so that the other tools can run in it;
srbuild reads the same tree from outside.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from srbuild.cli.sysroot import module_packages
from srbuild.host.distro import BASE_PACKAGES, DEFAULT_SUITE, host_architecture

from .measure import BenchError, check

FS, BLK = "gfs2", "iscsi"
# dracut and initramfs-tools exclude each other as packages, but dracut-network needs dracut-core
# only. The others have the programs that both put into every image, as an installed system has.
PEER_PACKAGES = (
    *("cpio", "dracut-network", "initramfs-tools", "zstd"),
    *("dbus", "mount", "procps", "systemd-sysv"),
)
STAMP = "var/lib/bench-packages"  # written last, inside the tree
MAKE_TIMEOUT = 1200.0  # seconds for some 150 MB of downloads and their maintainer scripts
INSIDE = "SRBUILD_BENCH_INSIDE"


def enter_namespace() -> None:
    """Begin this program again in a mount namespace of its own, unless it is in one.

    What is mounted there is gone with it, however it ends. Raises BenchError without the right
    to do that.
    """
    if os.environ.get(INSIDE):
        return
    if os.geteuid():
        raise BenchError(
            "the other tools run in a chroot with /proc and /dev mounted, which needs root:\n"
            "    sudo make bench"
        )
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if subprocess.run([*unshare, "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        raise BenchError("this machine lets nobody make a mount namespace (a container?)")
    os.environ[INSIDE] = "1"
    os.execvp(unshare[0], [*unshare, sys.executable, "-m", __package__, *sys.argv[1:]])


def packages() -> list[str]:
    """The Debian packages in the tree: those of a sysroot of srbuild's, and the peers'."""
    kernel = f"linux-image-{host_architecture()}"
    modules = module_packages([FS, BLK, "none"])
    return sorted({kernel, *BASE_PACKAGES, *modules, *PEER_PACKAGES})


def make_root(root: Path) -> None:
    """Make the tree at `root`, or leave it alone when it has all packages already."""
    stamp = root / STAMP
    wanted = "\n".join(packages())
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    if root.exists():
        shutil.rmtree(root)
    new = root.with_name(f".{root.name}.new")
    if new.exists():
        shutil.rmtree(new)
    new.parent.mkdir(parents=True, exist_ok=True)
    print(f"making {root} (a minute or two, once)", file=sys.stderr, flush=True)
    check(
        [
            *("env", "INITRD=No"),  # the kernel's postinst makes no initrd then
            "mmdebstrap",
            "--mode=root",
            "--variant=essential",
            f"--include={','.join(packages())}",
            DEFAULT_SUITE,
            new,
        ],
        timeout=MAKE_TIMEOUT,
    )
    (new / STAMP).write_text(wanted)
    new.rename(root)


def link_copy(root: Path, copy: Path) -> None:
    """Make `copy` the same tree by hard links: replacing a file in it changes no other."""
    check(["cp", "-al", "--", root, copy], timeout=120)


def mount_virtual(root: Path) -> None:
    """Mount what programs inside `root` expect; only this namespace sees it."""
    check(["mount", "-t", "proc", "proc", root / "proc"])
    check(["mount", "--bind", "/dev", root / "dev"])
    check(["mount", "-t", "sysfs", "-o", "ro", "sysfs", root / "sys"])
    check(["mount", "-t", "tmpfs", "tmpfs", root / "run"])


def kernel_version(root: Path) -> str:
    """The one kernel of the tree."""
    versions = sorted(path.name for path in (root / "lib/modules").iterdir())
    if len(versions) != 1:
        raise BenchError(f"{root} has {len(versions)} kernels where one is wanted")
    return versions[0]
