"""Whether a segment's archive is, byte for byte, the one that would be written.

The proof for segments that others have made. The reader of `archive.py` tells what an archive
holds, but not all that the kernel would do with it: it stops at the first TRAILER!!!, where the
kernel goes on, and owners are not among a record's terms. Here every byte is accounted for: headers
and padding are those that the writer makes, files' data has the digests that their sources have,
and nothing follows.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import BinaryIO

from srbuild.archiver import add_other
from srbuild.formats.compress import read_errors
from srbuild.formats.cpio import HEADER_SIZE, CpioWriter
from srbuild.formats.segments import Slice, open_segment, split_image
from srbuild.layers import Segment
from srbuild.manifest import File, Inline, Symlink
from srbuild.paths import shown
from srbuild.records import Digests, Stored, make_record

_STEP = 256 << 10


class ForeignSegment(ValueError):
    """The bytes are not those of the segment that was meant; the text says where."""


def check_exact(file: BinaryIO, size: int, segment: Segment, digests: Digests) -> int:
    """Compare the `size` bytes of `file`, all of it, with what `segment` should be.

    `digests` must know every file of the segment. Returns the size of the archive inside,
    in bytes. Raises ForeignSegment.
    """
    place = Slice(0, size, segment.compression)
    try:
        file.seek(0)
        if list(split_image(file)) != [place]:
            raise ForeignSegment(f"not one {segment.compression} segment of {size} bytes")
        return _Comparison(open_segment(file, place).read).run(segment, digests)
    except ForeignSegment:
        raise
    except read_errors() as error:  # SegmentFormatError among them
        raise ForeignSegment(f"damaged: {error}") from error


def size_limit(segment: Segment, digests: Digests) -> int:
    """The most bytes that `segment` can have, compressed by whatever compressor."""
    size = HEADER_SIZE + 16
    for path, entry in segment.entries:
        size += HEADER_SIZE + len(os.fsencode(path)) + 8
        match entry.content:
            case File() as file:
                stored = digests(file)
                size += stored.size if stored else file.size
            case Inline(data=data):
                size += len(data)
            case Symlink(target=target):
                size += len(os.fsencode(target))
    return size + size // 64 + (64 << 10)


class _Comparison:
    """Lets the writer write, and compares each of its bytes with those that are read."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._given = b""  # data that was read, on its way through the writer
        self._path = ""
        self._size = 0

    def run(self, segment: Segment, digests: Digests) -> int:
        """The archive's size; ForeignSegment where it differs."""
        writer = CpioWriter(self._compare, segment.mtime)
        for path, entry in segment.entries:
            self._path = path
            if isinstance(entry.content, File):
                stored = digests(entry.content)
                if stored is None:
                    raise ForeignSegment(f"{shown(path)}: nothing to compare it with")
                name, mode = os.fsencode(path[1:]), make_record(entry.content).st_mode
                writer.add(name, mode, size=stored.size)
                self._compare_data(writer, stored)
            else:
                add_other(writer, path, entry.content)
        self._path = "the end"
        writer.close()
        if self._read(1):
            raise ForeignSegment("something follows the end of its archive")
        return self._size

    def _compare_data(self, writer: CpioWriter, stored: Stored) -> None:
        digest = hashlib.sha256()
        left = stored.size
        while left:
            self._given = self._take(min(left, _STEP))
            digest.update(self._given)
            writer.write(self._given)
            left -= len(self._given)
        if digest.hexdigest() != stored.sha256:
            raise ForeignSegment(f"{shown(self._path)}: other content")

    def _compare(self, wanted: bytes | memoryview) -> None:
        if wanted is not self._given and wanted and self._take(len(wanted)) != wanted:
            raise ForeignSegment(f"{shown(self._path)}: not the record that was meant")

    def _take(self, size: int) -> bytes:
        data = self._read(size)
        if len(data) != size:
            raise ForeignSegment(f"{shown(self._path)}: cut short")
        self._size += size
        return data
