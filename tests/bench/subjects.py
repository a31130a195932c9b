"""What is measured: one subject a command, with what has to be done before each run."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .measure import Command
from .peers import LEVEL
from .root import BLK, FS

PROJECT = Path(__file__).resolve().parents[2]

FLOOR = "floor"
COLD = "srbuild cold"
COLD_WITHOUT_CACHE = "srbuild cold, no cache"
WARM = "srbuild warm"
REASSEMBLED = "srbuild, image gone"
CLUSTER_CHANGED = "srbuild, cluster file changed"
PROGRAM_CHANGED = "srbuild, a program changed"
KMOD_CHANGED = "srbuild, a kmod changed"
WRITING = "srbuild, writing alone"
IMPORT_CLICK = "python -c 'import click'"

PROGRAM = "usr/sbin/corosync"
KMOD = "lib/modules/{kernel}/kernel/fs/gfs2/gfs2.ko"

CLUSTER = """\
name = "bench"
[network]
[block]
type = "iscsi"
portal = ["10.9.0.1:3260"]
target = "iqn.2026-01.bench:root"
[fs]
type = "gfs2"
[container]
type = "none"
[corosync]
token = {token}
[fence]
method = "unsafe-none"
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


@dataclass(frozen=True, slots=True)
class Subject:
    """A name, the command, what is done before each run off the clock, and the image it leaves.

    `prepare` is given the number of the run. With `inner` the times are not those of the
    command but those that it leaves in this JSON file. One that takes long is measured in the
    first `rounds` only.
    """

    name: str
    command: Command
    prepare: Callable[[int], None]
    image: Path | None = None
    inner: Path | None = None
    rounds: int = sys.maxsize


@dataclass(frozen=True, slots=True)
class Build:
    """One of srbuild's images: where its inputs, cache and output are."""

    folder: Path
    sysroot: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.set_token(3000)

    @property
    def image(self) -> Path:
        """The output."""
        return self.folder / "image"

    @property
    def cluster(self) -> Path:
        """The cluster file."""
        return self.folder / "cluster.toml"

    @property
    def arguments(self) -> tuple[str, ...]:
        """srbuild's arguments, cache excluded."""
        return (
            *("--fs", FS, "--blk", BLK, "--compression", f"zstd:{LEVEL}"),
            *("--sysroot", str(self.sysroot), "--cluster", str(self.cluster)),
            *("-o", str(self.image)),
        )

    def command(self, *more: str) -> Command:
        """srbuild as a user runs it, with a cache of this build's own."""
        program = str(Path(sys.executable).with_name("srbuild"))
        return Command((program, *self.arguments, *more), self.folder, self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """Keeps away from the user's own cache."""
        return {"XDG_CACHE_HOME": str(self.folder / "cache")}

    def set_token(self, token: int) -> None:
        """Write the cluster file; another token makes another site part."""
        self.cluster.write_text(CLUSTER.format(token=token))

    def forget(self, _run: int = 0) -> None:
        """Remove output and cache."""
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        self.forget_image()

    def forget_image(self, _run: int = 0) -> None:
        """Remove the output alone."""
        for path in (self.image, self.image.with_name("image.json")):
            path.unlink(missing_ok=True)


def change_file(path: Path, run: int) -> None:
    """Replace a file by one with other bytes that works as well: its hard links stay as they are.

    Bytes behind the end of an ELF file belong to no section.
    """
    status = path.stat()
    data = path.read_bytes()
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(data + b"%d" % (run % 10))
    os.chmod(new, status.st_mode & 0o7777)
    new.replace(path)


def floor(tree: Path, image: Path) -> Command:
    """The floor: archiving and compressing a finished tree, by tools in C."""
    script = (
        'cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc --quiet'
        f' | zstd -{LEVEL} -T0 -q -f -o "$2"'
    )
    return Command(("sh", "-c", script, "floor", str(tree), str(image)))


def inside(what: str, result: Path, *args: str, build: Build) -> Command:
    """A look inside srbuild: see `inside.py`."""
    argv = (sys.executable, "-m", f"{__package__}.inside", what, str(result), *args)
    return Command(argv, PROJECT, build.environment)
