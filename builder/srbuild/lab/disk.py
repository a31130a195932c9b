"""The lab's shared disks: made once inside a server VM, cached, used through overlays.

A disk holds one file system with the lab's root. Its name in the cache is the digest of
everything that made it, so a changed init, job or server image makes a new one.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from srbuild.formats.cpio import CpioWriter
from srbuild.frozen import frozen
from srbuild.lab.qemu import Disk, Vm
from srbuild.lab.server import Agent
from srbuild.paths import HostPath

READY_S = 180  # what a server may take to boot on two busy cores
FILL_S = 590  # what the job may take to fill a disk, there; the agent ends any job after 600
KEPT = 40  # disks in the cache, for no run should find its own gone
STALE_S = 3600  # no disk takes as long to make: what is older was left by a killed run
_COPY = 1 << 30  # bytes at a time; sendfile(2) takes less than 2 GiB
_HERE = Path(__file__).resolve().parent


@frozen
class DiskSpec:
    """How to make a disk: `size` in MiB, and the server's job with its words.

    `root` is what the job fills the disk with: empty for the lab's own small root, else one of
    the distributions' (lab/tree.py: `systemd`, `sysvinit`; they need a size of 512).
    """

    size: int
    job: str
    words: tuple[str, ...] = ()
    root: str = ""


def write_lab_archive(target: HostPath) -> HostPath:
    """Write what follows the server's image, /lab/jobs and /lab/root, to `target`; return it.

    A raw newc archive, the same bytes for the same files.
    """
    with target.open("wb") as out:
        writer = CpioWriter(out.write)
        writer.add(b"lab", 0o040755, nlink=2)
        for folder in ("jobs", "root"):
            writer.add(f"lab/{folder}".encode(), 0o040755, nlink=2)
            for path in sorted((_HERE / folder).iterdir()):
                data = path.read_bytes()
                writer.add(f"lab/{folder}/{path.name}".encode(), 0o100755, size=len(data))
                writer.write(data)
        writer.close()
    return target


def cached_disk(
    spec: DiskSpec,
    initrd: HostPath,
    cache: HostPath,
    boot: Callable[[Disk], tuple[Vm, Agent]],
    tree: str = "",
) -> HostPath:
    """The disk that `spec` describes, from `cache` or made now.

    `boot` starts the server, whose whole initrd is `initrd`, with the empty disk; `tree` names
    what else goes onto it. A disk that could not be finished leaves nothing behind; two runs
    that make the same one do not meet.
    """
    digest = hashlib.sha256(f"{spec!r}{tree}".encode())
    digest.update(initrd.read_bytes())
    target = cache / f"{spec.job}-{digest.hexdigest()[:32]}.disk"
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=cache, prefix="new-", suffix=".disk")
    fresh = Path(name)
    try:
        os.truncate(handle, spec.size << 20)
        os.close(handle)
        vm, agent = boot(Disk(fresh, keep=True))
        with vm:
            agent.wait_ready(READY_S)
            agent.require(spec.job, *spec.words, seconds=FILL_S)
            agent.call("poweroff", seconds=20)
            vm.wait_end(30)
        fresh.rename(target)
    finally:
        fresh.unlink(missing_ok=True)
    _prune(cache)
    return target


def copy_sparse(source: HostPath, target: HostPath) -> None:
    """Copy a disk, leaving holes where it has some (lseek(2), SEEK_DATA)."""
    with source.open("rb") as old, target.open("wb") as new:
        size = os.fstat(old.fileno()).st_size
        new.truncate(size)
        at = 0
        while at < size:
            try:
                at = os.lseek(old.fileno(), at, os.SEEK_DATA)
            except OSError:
                return  # ENXIO: only a hole is left
            end = os.lseek(old.fileno(), at, os.SEEK_HOLE)
            os.lseek(new.fileno(), at, os.SEEK_SET)
            while at < end:
                at += os.sendfile(new.fileno(), old.fileno(), at, min(end - at, _COPY))


def _prune(cache: HostPath) -> None:
    """Remove the oldest disks beyond KEPT, and what killed runs left unfinished."""
    ages = {path: time.time() - path.stat().st_mtime for path in cache.glob("*.disk")}
    made = sorted((p for p in ages if not p.name.startswith("new-")), key=ages.__getitem__)
    left = [path for path in ages if path.name.startswith("new-") and ages[path] > STALE_S]
    for path in (*made[KEPT:], *left):
        path.unlink(missing_ok=True)
