"""What an image really holds, so that the comparison can be judged."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .measure import BenchError

_KMOD = re.compile(r"([^/]+)\.ko(?:\.(?:gz|xz|zst))?")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What every tool is told to carry, taken from srbuild's own image.

    `kmods` are names, `programs` paths of programs and plug-ins, `libraries` the paths of what
    these need: every tool has to find that itself.
    """

    kmods: tuple[str, ...]
    programs: tuple[str, ...]
    libraries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """What an image holds: bytes of the image, entries, kernel modules, bytes of all files.

    `lacks` are those of the wanted things that are not in it.
    """

    size: int
    entries: int
    kmods: int
    unpacked: int
    lacks: tuple[str, ...]


def read_wanted(sidecar: Path) -> Wanted:
    """What srbuild's image took from the sysroot, as the JSON beside the image says."""
    entries = json.loads(sidecar.read_text())["entries"]
    hows = {path: {reason["how"] for reason in one["reasons"]} for path, one in entries.items()}
    return Wanted(
        tuple(sorted({name for path in entries if (name := kmod_name(path))})),
        tuple(path for path, how in hows.items() if how & {"binary", "plugin"}),
        tuple(path for path, how in hows.items() if how & {"DT_NEEDED", "PT_INTERP", "dlopen"}),
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
    )


def lacking(tree: Mapping[str, str], wanted: Wanted) -> tuple[str, ...]:
    """Those of the wanted things that `tree`, path → kind, does not have.

    Directories count as merged: /sbin/x is /usr/sbin/x, and any library directory is as good
    as another.
    """
    kmods = {kmod_name(path) for path in tree}
    names = {path.rpartition("/")[2] for path, kind in tree.items() if kind != "dir"}
    files = (*wanted.programs, *wanted.libraries)
    return (
        *(name for name in wanted.kmods if name not in kmods),
        *(path for path in files if path.rpartition("/")[2] not in names),
    )


def unpack(image: Path, folder: Path) -> None:
    """Unpack srbuild's `image` into `folder`, which is made anew: the tree for the floor."""
    from srbuild.formats.segments import open_segment, split_image

    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    with image.open("rb") as file:
        for segment in list(split_image(file)):
            archive = open_segment(file, segment)
            cpio = subprocess.Popen(["cpio", "-idmu", "--quiet"], cwd=folder, stdin=subprocess.PIPE)
            assert cpio.stdin
            with cpio.stdin:
                shutil.copyfileobj(archive, cpio.stdin, 1 << 20)
            if cpio.wait(60):
                raise BenchError(f"cpio could not unpack {image}")
