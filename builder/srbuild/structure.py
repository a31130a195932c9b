"""What must hold of any initramfs, whoever wrote it, for the kernel to unpack it whole."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from srbuild.formats.segments import Slice
from srbuild.paths import shown
from srbuild.records import Record

LZ4_END = 4  # zeros by which the kernel knows the end of an lz4 stream (measured with Linux 6.1)
MAX_LINKS = 40  # MAXSYMLINKS in include/linux/namei.h
MAX_NAME = 255  # bytes, of one name: NAME_MAX in include/uapi/linux/limits.h
MAX_STEPS = 5_000_000  # names looked up for all links together; a real image needs thousands

Records = Sequence[tuple[str, Record]]


def check_gaps(places: Sequence[Slice]) -> Iterator[str]:
    """Sentences about segments that the kernel would lose for what stands before them.

    It takes what follows an lz4 stream for one more block, unless that is the magic of another
    lz4 stream or zeros (lib/decompress_unlz4.c).
    """
    for place, following in pairwise(places):
        zeros = following.offset - place.offset - place.length
        joins = following.compression == "lz4" and not zeros
        if place.compression == "lz4" and zeros < LZ4_END and not joins:
            yield (
                f"segment at offset {following.offset}: only {zeros} zeros between it and the lz4 "
                f"segment before, {LZ4_END} at least are needed"
            )


def check_archive(records: Records) -> Iterator[str]:
    """Sentences about one archive: names, order of directories, records that repeat.

    The kernel unpacks record by record and drops, silently, what has no parent yet.
    """
    seen: dict[str, Record] = {"/": Record("dir", 0o755)}
    for path, record in records:
        if posixpath.normpath(path) != path or not path.startswith("/") or path[1:2] == "/":
            yield f"{path!r}: no plain name"
            continue
        if len(os.fsencode(posixpath.basename(path))) > MAX_NAME:
            yield f"{shown(path)}: a name of more than {MAX_NAME} bytes"
        if record.kind == "unknown":
            yield f"{shown(path)}: of no type that an archive can hold"
        parent = seen.get(posixpath.dirname(path))
        if parent is None:
            yield f"{shown(path)}: its directory does not stand before it in its segment"
        elif parent.kind != "dir":
            yield f"{shown(path)}: what stands above it is no directory but a {parent.kind}"
        before = seen.get(path)
        if before is not None and path != "/" and before != record:
            yield f"{shown(path)}: twice in one segment, as {before.kind} and as {record.kind}"
        seen[path] = record


def check_tree(segments: Iterable[Records]) -> Iterator[str]:
    """Sentences about all segments together: paths that are two things, links in circles.

    The kernel would let the later one win, even where that empties a directory.
    """
    tree: dict[str, Record] = {}
    for records in segments:
        for path, record in records:
            before = tree.setdefault(path, record)
            if before != record and path != "/":
                yield f"{shown(path)}: different in two segments, {before.kind} and {record.kind}"
    steps = 0
    for path, record in tree.items():
        if record.kind == "symlink":
            in_circles, taken = _goes_in_circles(path, tree)
            steps += taken
            if in_circles:
                yield f"{shown(path)}: links in a circle"
            if steps > MAX_STEPS:
                yield f"{shown(path)}: too many links to follow, the rest is not checked"
                return


def _goes_in_circles(path: str, tree: Mapping[str, Record]) -> tuple[bool, int]:
    """Whether following `path` from the image's root meets more links than the kernel takes.

    Also the number of names that were looked up.
    """
    todo = path.split("/")[::-1]
    here = "/"
    links = steps = 0
    while todo:
        part = todo.pop()
        steps += 1
        if part in ("", "."):
            continue
        if part == "..":
            here = posixpath.dirname(here)
            continue
        below = posixpath.join(here, part)
        record = tree.get(below)
        if record is None or record.kind != "symlink":
            here = below
            continue
        links += 1
        if links > MAX_LINKS:
            return True, steps
        if record.target.startswith("/"):
            here = "/"
        todo.extend(record.target.split("/")[::-1])
    return False, steps
