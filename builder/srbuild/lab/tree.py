"""Distributions' roots for the lab: made once by mmdebstrap, kept as tar archives.

Unlike a sysroot such a tree is really installed, its packages configured, so that its own init
can run it. A server VM unpacks the archive onto the disk that it makes (lab/jobs/fill-root.sh).
"""

from __future__ import annotations

import fcntl
import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from srbuild.frozen import frozen
from srbuild.host.distro import DEFAULT_SUITE, MACHINES
from srbuild.host.tool import run
from srbuild.paths import HostPath

MAKE_S = 1200.0  # seconds for downloads of some 80 MB and for configuring them on two busy cores

# Megabytes of what nobody reads in the lab.
_LEFT_OUT = (
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
    "/lib/udev/hwdb.d/*",
    "/usr/lib/*/gconv/*",
    "/usr/lib/*/perl/*/CORE/*",
)
_COMMON = ("iproute2", "login", "procps", "udev")


@frozen
class Tree:
    """A root by its packages, beside Debian's essential ones."""

    name: str
    packages: tuple[str, ...]
    suite: str = DEFAULT_SUITE

    def digest(self, architecture: str) -> str:
        """What tells its archive from that of other packages."""
        text = repr((self, architecture, _LEFT_OUT))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


TREES: Mapping[str, Tree] = {
    tree.name: tree
    for tree in (
        Tree("systemd", (*_COMMON, "dbus", "libpam-systemd", "openssh-server", "systemd-sysv")),
        Tree("sysvinit", (*_COMMON, "initscripts", "sysvinit-core")),
    )
}
"""The roots that a DiskSpec may name: Debian's, by the init that runs them."""


def cached_tree(name: str, machine: str, cache: HostPath) -> HostPath:
    """The tar archive of the root called `name`, a key of TREES, from `cache` or made now.

    `machine` is uname's word for the processor. One that cannot be finished leaves nothing
    behind; a second run waits for the first. Raises ToolError when mmdebstrap is missing or
    fails.
    """
    tree = TREES[name]
    architecture = next(debian for debian, uname in MACHINES.items() if uname == machine)
    target = cache / f"root-{name}-{tree.digest(architecture)}.tar"
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache / f"root-{name}.lock"):
        if not target.exists():
            _make(tree, architecture, target)
            for old in cache.glob(f"root-{name}-*.tar"):
                if old != target:
                    old.unlink()
    return target


def _make(tree: Tree, architecture: str, target: HostPath) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="new-root-") as folder:
        fresh = Path(folder, "root.tar")
        argv = [
            "mmdebstrap",
            "--variant=essential",
            f"--architectures={architecture}",
            f"--include={','.join(tree.packages)}",
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
            tree.suite,
            str(fresh),
        ]
        run(argv, timeout=MAKE_S, env={"LC_ALL": "C.UTF-8"})
        fresh.rename(target)


@contextmanager
def _alone(lock: HostPath) -> Iterator[None]:
    """Hold `lock`, so that nobody else makes the same at the same time."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
