"""What libarchive does not tell of an image that others made: owners, and what follows an end.

Of an image with a sidecar every byte is known, so this is for those without: it unpacks each
segment once more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from srbuild.formats.compress import read_errors
from srbuild.formats.cpio import CpioReader
from srbuild.formats.segments import Slice, open_segment
from srbuild.paths import shown

MAX_PADDING = 16 << 20  # bytes of zeros behind an archive; other tools write some kilobytes

_STEP = 256 << 10


def check_strangers(file: BinaryIO, place: Slice) -> Iterator[str]:
    """Sentences about the segment at `place`, in which libarchive found nothing wrong.

    The kernel goes on behind a TRAILER!!! inside of a compressed segment, where no tool that lists
    archives does. And it gives files to whomever the archive names: before the shared root is
    mounted there is nobody but root.
    """
    segment = open_segment(file, place)
    reader = CpioReader(segment)
    owned = 0
    first = ""
    try:
        for header in reader:
            if header.uid or header.gid:
                name = shown(os.fsdecode(header.name))
                first = first or f"{name} belongs to {header.uid}:{header.gid}"
                owned += 1
        rest = "" if place.compression == "none" else _rest(segment)
    except read_errors() as error:  # CpioFormatError among them
        yield f"segment at offset {place.offset}: {error}"
        return
    if owned:
        others = f", and {owned - 1} more to others" if owned > 1 else ""
        yield f"segment at offset {place.offset}: {first}, not to root{others}"
    if rest:
        yield f"segment at offset {place.offset}: {rest} behind its TRAILER!!!"


def _rest(segment: BinaryIO) -> str:
    """What follows the archive inside of its segment, when that is more than padding."""
    zeros = 0
    while chunk := segment.read(_STEP):
        if chunk.strip(b"\0"):
            return "something"
        zeros += len(chunk)
        if zeros > MAX_PADDING:
            return f"more than {MAX_PADDING} bytes of zeros"
    return ""
