"""The sysroots that all tools build from, and running programs inside them.

They are made as real systems are, with maintainer scripts, so that the other tools can run in
them; srbuild reads the same trees from outside.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from srbuild.cli.sysroot import module_packages
from srbuild.host.distro import BASE_PACKAGES, DEFAULT_SUITE, ROLLING_SUITES, host_architecture

from .measure import BenchError, check

FS, BLK = "gfs2", "iscsi"
# dracut and initramfs-tools exclude each other as packages, but dracut-network needs dracut-core
# only. The others have the programs that both put into every image, as an installed system has.
PEER_PACKAGES = (
    *("cpio", "dracut-network", "initramfs-tools", "zstd"),
    *("dbus", "mount", "procps", "systemd-sysv"),
)
# The suite with dracut-ng and with mkosi, which reads apt's lists and wants a firmware folder.
NEWEST = "sid"
SUITES = (DEFAULT_SUITE, NEWEST)
MKOSI_PACKAGES = ("ca-certificates", "mkosi")
# Tools that are measured wherever the suite has them: asked for at run time, since a suite gains
# and loses packages.
WISHED = ("booster", "mkinitcpio", "ugrd")
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


@dataclass(frozen=True, slots=True)
class Tree:
    """One of Debian's suites as a sysroot in the folder `root`."""

    suite: str
    root: Path

    @property
    def asked(self) -> tuple[str, ...]:
        """The packages that hold what an image is to carry, beside the kernel."""
        return tuple(sorted({*BASE_PACKAGES, *module_packages([FS, BLK, "none"])}))

    @property
    def packages(self) -> tuple[str, ...]:
        """All packages of the tree: those of a sysroot of srbuild's, and the peers'."""
        kernel = f"linux-image-{host_architecture()}"
        more = MKOSI_PACKAGES if self.suite == NEWEST else ()
        return tuple(sorted({kernel, *self.asked, *PEER_PACKAGES, *more}))

    def make(self) -> None:
        """Make the tree, or leave it alone when it has all packages already."""
        stamp = self.root / STAMP
        wanted = "\n".join(self.packages)
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        if self.root.exists():
            shutil.rmtree(self.root)
        new = self.root.with_name(f".{self.root.name}.new")
        if new.exists():
            shutil.rmtree(new)
        new.parent.mkdir(parents=True, exist_ok=True)
        print(f"making {self.root} (a minute or two, once)", file=sys.stderr, flush=True)
        check(self._mmdebstrap(new), timeout=MAKE_TIMEOUT)
        (new / "usr/lib/firmware").mkdir(exist_ok=True)
        (new / STAMP).write_text(wanted)
        new.rename(self.root)

    def _mmdebstrap(self, new: Path) -> tuple[str | Path, ...]:
        stale = ['--aptopt=Acquire::Check-Valid-Until "false"']
        return (
            *("env", "INITRD=No"),  # the kernel's postinst makes no initrd then
            "mmdebstrap",
            "--mode=root",
            "--variant=essential",
            *(stale if self.suite in ROLLING_SUITES else ()),
            *(["--skip=cleanup/apt/lists"] if self.suite == NEWEST else ()),
            f"--include={','.join(self.packages)}",
            self.suite,
            new,
        )

    def lacks_package(self, name: str) -> bool:
        """Whether the suite has no package `name`, as apt's lists in the tree say."""
        search = ["apt-cache", "--names-only", "search", f"^{name}$"]
        return not check(["chroot", self.root, *search])

    def version_of(self, package: str) -> str:
        """The upstream version of an installed package."""
        query = ["dpkg-query", "--showformat=${source:Upstream-Version}", "--show", package]
        return check(["chroot", self.root, *query])

    def kernel(self) -> str:
        """The one kernel of the tree."""
        versions = sorted(path.name for path in (self.root / "lib/modules").iterdir())
        if len(versions) != 1:
            raise BenchError(f"{self.root} has {len(versions)} kernels where one is wanted")
        return versions[0]


def link_copy(root: Path, copy: Path) -> None:
    """Make `copy` the same tree by hard links: replacing a file in it changes no other."""
    check(["cp", "-al", "--", root, copy], timeout=120)


def mount_virtual(root: Path) -> None:
    """Mount what programs inside `root` expect; only this namespace sees it."""
    check(["mount", "-t", "proc", "proc", root / "proc"])
    check(["mount", "--bind", "/dev", root / "dev"])
    check(["mount", "-t", "sysfs", "-o", "ro", "sysfs", root / "sys"])
    check(["mount", "-t", "tmpfs", "tmpfs", root / "run"])
