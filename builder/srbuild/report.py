"""What an independent reader finds in a written image, against what was meant to be in it.

Nothing here shares code with the writer except the terms of `records.py`: the image is cut by
`formats.segments` and every segment is read back by libarchive, data included.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

from srbuild.archive import (
    ArchiveReadError,
    Available,
    SegmentArchive,
    load_libarchive,
    whole,
)
from srbuild.errors import MissingInputError
from srbuild.formats.segments import SegmentFormatError, Slice, split_image
from srbuild.frozen import frozen
from srbuild.paths import HostPath, shown
from srbuild.records import Record
from srbuild.strangers import check_strangers
from srbuild.structure import check_archive, check_gaps, check_tree

MAX_MISMATCHES = 50  # sentences; more would hide the first

_STEP = 256 << 10  # bytes read at a time


@frozen
class Expected:
    """One segment as it should be: its own bytes' sha256 and every record by path.

    A file's record without a digest stands for any content of its size.
    """

    sha256: str
    records: Mapping[str, Record]


@frozen
class SegmentReport:
    """What was read back of one segment.

    `content_size` is the sum of its files' sizes in bytes; `names` and `records` stand in the
    order of the archive, paths absolute.
    """

    place: Slice
    sha256: str
    content_size: int
    records: tuple[tuple[str, Record], ...]
    mismatches: tuple[str, ...]


@frozen
class Report:
    """What was read back of a whole image.

    `size` in bytes. `mismatches` are sentences, each naming a path or an offset; at most
    MAX_MISMATCHES of them.
    """

    size: int
    segments: tuple[SegmentReport, ...]
    mismatches: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything is as it should be."""
        return not self.mismatches

    @property
    def entries(self) -> int:
        """The number of records, repeated directories counted each time."""
        return sum(len(segment.records) for segment in self.segments)

    @property
    def content_size(self) -> int:
        """The bytes of all files together, unpacked."""
        return sum(segment.content_size for segment in self.segments)

    def tree(self) -> dict[str, Record]:
        """The records by path as the kernel leaves them: of several the last one."""
        return {path: record for segment in self.segments for path, record in segment.records}


def verify_image(path: HostPath, expected: Sequence[Expected] | None = None) -> Report:
    """Read the image back and compare it with `expected`, one a segment, when that is known.

    Without it only the structure is checked: that every segment can be read and ends where its
    archive does, that all of it is root's, that directories stand before what they hold, that no
    path is two things, that links do not go in circles.
    Raises MissingInputError when the image can't be opened, ToolError without libarchive.
    """
    load_libarchive()
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise MissingInputError(f"cannot read {path}: {error.strerror}") from error
    try:
        places, damage = find_segments(fd)
        with ThreadPoolExecutor(max_workers=2) as pool:
            found = list(pool.map(lambda place: read_segment(fd, place), places))
        if expected is None:
            damage += find_strangers(fd, found)
        return summarise(os.fstat(fd).st_size, found, damage, expected)
    finally:
        os.close(fd)


def find_segments(fd: int) -> tuple[list[Slice], list[str]]:
    """The image's segments, and sentences about those that the kernel would not come to."""
    places: list[Slice] = []
    with os.fdopen(os.dup(fd), "rb", buffering=0) as file:
        try:
            places.extend(split_image(file))
        except SegmentFormatError as error:
            return places, [*check_gaps(places), str(error)]
    return places, list(check_gaps(places))


def find_strangers(fd: int, segments: Iterable[SegmentReport]) -> list[str]:
    """Sentences about the sound ones of `segments`: whose they are, and what follows their end."""
    sound = [segment.place for segment in segments if not segment.mismatches]
    with os.fdopen(os.dup(fd), "rb", buffering=0) as file:
        return [line for place in sound for line in check_strangers(file, place)]


def read_segment(fd: int, place: Slice, available: Available | None = None) -> SegmentReport:
    """Read one segment of the image that `fd` has open; safe to call from several threads.

    With `available` the segment may still be written to: its length is then what it has in
    the end, whatever `place` says.
    """
    records: list[tuple[str, Record]] = []
    problems: list[str] = []
    reading = SegmentArchive(fd, place.offset, place.compression, available or whole(place))
    with reading as archive:
        try:
            records.extend((_absolute(name), record) for name, record in archive)
        except ArchiveReadError as error:
            problems.append(f"segment at offset {place.offset}: {error}")
        place = replace(place, length=archive.length)
        sha256 = archive.sha256
    problems += islice(check_archive(records), MAX_MISMATCHES)
    size = sum(record.size for _, record in records)
    return SegmentReport(place, sha256, size, tuple(records), tuple(problems))


def compare_copy(fd: int, place: Slice, found: SegmentReport) -> SegmentReport:
    """What was `found` elsewhere, for its copy at `place`, whose digest is taken anew."""
    digest = hashlib.sha256()
    for chunk in read_slice(fd, place):
        digest.update(chunk)
    return replace(found, place=place, sha256=digest.hexdigest())


def read_slice(fd: int, place: Slice) -> Iterator[memoryview]:
    """The bytes that stand at `place`, in pieces; fewer when the file ends before.

    A piece is gone once the next one is asked for.
    """
    buffer = memoryview(bytearray(_STEP))
    at, end = place.offset, place.offset + place.length
    while at < end and (size := os.preadv(fd, [buffer[: end - at]], at)):
        yield buffer[:size]
        at += size


def summarise(
    size: int,
    found: Sequence[SegmentReport],
    damage: Sequence[str],
    expected: Sequence[Expected] | None,
) -> Report:
    """Put the segments' reports together and compare them with what they should be.

    `size` is the image's in bytes, `damage` are sentences from cutting it into segments.
    """
    problems = [*damage, *(line for segment in found for line in segment.mismatches)]
    if not found:
        problems.append("no segment in the image")
    if expected is not None and len(expected) != len(found):
        problems.append(f"{len(found)} segments where {len(expected)} were written")
    for segment, wanted in zip(found, expected or (), strict=False):
        differences = _differences(dict(segment.records), wanted.records)
        problems += islice(differences, MAX_MISMATCHES)
        if segment.sha256 != wanted.sha256:
            where = segment.place.offset
            problems.append(f"segment at offset {where}: its bytes are not those written")
    problems += islice(check_tree([segment.records for segment in found]), MAX_MISMATCHES)
    return Report(size, tuple(found), tuple(problems[:MAX_MISMATCHES]))


def _absolute(name: str) -> str:
    """The path that the kernel makes of a stored name."""
    name = name.removeprefix("./").rstrip("/")
    return "/" + name if name != "." else "/"


def _differences(found: Mapping[str, Record], wanted: Mapping[str, Record]) -> Iterator[str]:
    for path, record in wanted.items():
        there = found.get(path)
        if there is None:
            yield f"{shown(path)}: missing"
        elif there != record and not _same_but_secret(there, record):
            yield f"{shown(path)}: {describe(there)} where {describe(record)} was meant"
    for path in found.keys() - wanted.keys():
        yield f"{shown(path)}: not meant to be there"


def _same_but_secret(found: Record, wanted: Record) -> bool:
    """Whether only the digest differs, which a sidecar does not tell of a secret file."""
    return not wanted.sha256 and replace(found, sha256="") == wanted


def describe(record: Record) -> str:
    """A record in words: what it is, its mode, and what its kind has besides."""
    words = f"{record.kind} {record.mode:04o}"
    match record.kind:
        case "file":
            return f"{words}, {record.size} bytes, sha256 {record.sha256[:12]}"
        case "symlink" | "hardlink":
            return f"{words} to {shown(record.target)}"
        case "char" | "block":
            return f"{words} {record.rdev[0]}:{record.rdev[1]}"
        case _:
            return words
