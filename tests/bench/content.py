"""What an image really holds, so that the comparison can be judged."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .measure import BenchError
from .peers import LEVEL

KMODS, ASKED, OTHERS = "kernel modules", "asked for", "all else"
PARTS = (KMODS, ASKED, OTHERS)

_LINKED = {"DT_NEEDED", "PT_INTERP"}
_CPIO = ("cpio", "-idmu", "--quiet", "--no-absolute-filenames")
_KMOD = re.compile(r"([^/]+)\.ko(?:\.(?:gz|xz|zst))?")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What every tool is told to carry, taken from srbuild's own image.

    `kmods` are names, `programs` paths of programs and plug-ins, `libraries` the paths of what
    these need and `dlopened` of what they only say they load while running: every tool has to
    find both itself.
    """

    kmods: tuple[str, ...]
    programs: tuple[str, ...]
    libraries: tuple[str, ...]
    dlopened: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """All paths."""
        return (*self.programs, *self.libraries, *self.dlopened)


@dataclass(frozen=True, slots=True)
class Content:
    """What an image holds: bytes of the image, entries, kernel modules, bytes of all files.

    `lacks` are those of the wanted things that are not in it, `parts` the bytes that each of
    PARTS compresses to by itself.
    """

    size: int
    entries: int
    kmods: int
    unpacked: int
    lacks: tuple[str, ...]
    parts: Mapping[str, int] = field(default_factory=dict)


def read_wanted(sidecar: Path) -> Wanted:
    """What srbuild's image took from the sysroot, as the JSON beside the image says."""
    entries = json.loads(sidecar.read_text())["entries"]
    hows = {path: {reason["how"] for reason in one["reasons"]} for path, one in entries.items()}
    return Wanted(
        tuple(sorted({name for path in entries if (name := kmod_name(path))})),
        tuple(path for path, how in hows.items() if how & {"binary", "plugin"}),
        tuple(path for path, how in hows.items() if how & _LINKED),
        tuple(path for path, how in hows.items() if "dlopen" in how and not how & _LINKED),
    )


def kmod_name(path: str) -> str:
    """The name of the kernel module in the file at `path`; empty for any other file."""
    found = _KMOD.fullmatch(path.rpartition("/")[2])
    return found[1].replace("-", "_") if found else ""


def kmods_in(image: Path) -> set[str]:
    """The names of the kernel modules in `image`."""
    from srbuild.report import verify_image

    return {name for path in verify_image(image).tree() if (name := kmod_name(path))}


def read_content(image: Path, wanted: Wanted) -> Content:
    """Read `image` whole, by libarchive. Raises BenchError for one that can't be read."""
    from srbuild.report import verify_image

    report = verify_image(image)
    tree = report.tree()
    if not tree:
        raise BenchError(f"{image}: {'; '.join(report.mismatches)}")
    return Content(
        report.size,
        len(tree),
        sum(bool(kmod_name(path)) for path in tree),
        report.content_size,
        lacking({path: record.kind for path, record in tree.items()}, wanted),
        _read_parts(image, wanted),
    )


def _read_parts(image: Path, wanted: Wanted) -> dict[str, int]:
    with tempfile.TemporaryDirectory(dir=image.parent) as folder:
        tree = Path(folder, "tree")
        unpack(image, tree)
        return compress_parts(tree, wanted)


def compress_parts(tree: Path, wanted: Wanted) -> dict[str, int]:
    """The bytes that each of PARTS of the unpacked image compresses to, archive headers aside.

    Files with several names count once, and as asked for when one of the names is, or that of
    a symlink to them.
    """
    import zstandard

    streams = {
        part: zstandard.ZstdCompressor(level=LEVEL, threads=1).compressobj() for part in PARTS
    }
    sizes = dict.fromkeys(PARTS, 0)
    asked = _names(tree, wanted)
    for names in _files(tree):
        kmod = any(kmod_name(path.name) for path in names)
        part = KMODS if kmod else OTHERS if asked.isdisjoint(path.name for path in names) else ASKED
        sizes[part] += len(streams[part].compress(names[0].read_bytes()))
    return {part: size + len(streams[part].flush()) for part, size in sizes.items()}


def _names(tree: Path, wanted: Wanted) -> set[str]:
    """The names of what was asked for, and of what symlinks of these names lead to."""
    names = {path.rpartition("/")[2] for path in wanted.files}
    links = [path for path in tree.rglob("*") if path.name in names and path.is_symlink()]
    return names | {os.readlink(path).rpartition("/")[2] for path in links}


def _files(tree: Path) -> Iterable[list[Path]]:
    """The names of each regular file below `tree`, sorted."""
    found: dict[int, list[Path]] = {}
    for path in sorted(tree.rglob("*")):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode):
            found.setdefault(status.st_ino, []).append(path)
    return found.values()


def lacking(tree: Mapping[str, str], wanted: Wanted) -> tuple[str, ...]:
    """Those of the wanted things that `tree`, path → kind, does not have.

    Directories count as merged: /sbin/x is /usr/sbin/x, and any library directory is as good
    as another.
    """
    kmods = {kmod_name(path) for path in tree}
    names = {path.rpartition("/")[2] for path, kind in tree.items() if kind != "dir"}
    return (
        *(name for name in wanted.kmods if name not in kmods),
        *(path for path in wanted.files if path.rpartition("/")[2] not in names),
    )


def unpack(image: Path, folder: Path) -> None:
    """Unpack `image`, srbuild's or another tool's, into `folder`, which is made anew."""
    from srbuild.formats.segments import open_segment, split_image

    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    with image.open("rb") as file:
        for segment in list(split_image(file)):
            archive = open_segment(file, segment)
            cpio = subprocess.Popen(_CPIO, cwd=folder, stdin=subprocess.PIPE)
            assert cpio.stdin
            with cpio.stdin:
                shutil.copyfileobj(archive, cpio.stdin, 1 << 20)
            if cpio.wait(60):
                raise BenchError(f"cpio could not unpack {image}")
