"""Cutting an initramfs image into its segments, as the kernel does (init/initramfs.c).

An image is archives one after another, each raw newc or compressed as a whole, with zeros
between them. A raw one must start at a multiple of four bytes. No tool's archive reader goes
past the first TRAILER!!!, so an image is always cut before it is read.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol, cast

from srbuild.formats.compress import open_decompressor, sniff
from srbuild.formats.cpio import MAGIC, CpioReader
from srbuild.formats.lz4legacy import MAGIC as LZ4_MAGIC
from srbuild.formats.lz4legacy import read_block
from srbuild.formats.zstd import read_frame
from srbuild.frozen import frozen

_STEP = 256 << 10
_LONGEST_MAGIC = 16
MAX_UNPACKED = 16 << 30  # bytes of one segment; machines that boot it would need them in memory


class SegmentFormatError(ValueError):
    """Bytes in an image that the kernel would not unpack; the text names their offset."""


@frozen
class Slice:
    """One segment's place in an image, in bytes, without the zeros around it.

    `compression` is a name of `formats.compress.COMPRESSIONS`; "none" for raw newc.
    """

    offset: int
    length: int
    compression: str


class _Decoder(Protocol):
    """What lzma's and bz2's decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class Region:
    """A read-only file of `length` bytes at `offset` of another.

    It moves the other file's position: only one thread may use a file.
    """

    def __init__(self, file: BinaryIO, offset: int, length: int) -> None:
        self._file = file
        self._at = offset
        self._end = offset + length

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, all that are left when negative, none at the end."""
        left = self._end - self._at
        self._file.seek(self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data


def split_image(file: BinaryIO) -> Iterator[Slice]:
    """The segments of the image in `file`, first to last.

    Compressed ones are unpacked only where their length can't be known otherwise. Raises
    SegmentFormatError for bytes that are no segment, and for one that is damaged or cut short.
    """
    offset = _skip_zeros(file, 0)
    while offset is not None:
        file.seek(offset)
        start = file.read(_LONGEST_MAGIC)
        compression = "none" if start.startswith(MAGIC) else sniff(start)
        if compression == "none" and offset % 4:
            raise SegmentFormatError(f"raw archive at offset {offset}, not a multiple of 4")
        if compression not in _ENDS:
            what = f"{compression} segment, which srbuild cannot read," if compression else "junk"
            raise SegmentFormatError(f"{what} at offset {offset}")
        file.seek(offset)
        try:
            length = _ENDS[compression](file)
        except _DAMAGE as error:
            raise SegmentFormatError(
                f"damaged {compression} segment at offset {offset}: {error}"
            ) from error
        yield Slice(offset, length, compression)
        offset = _skip_zeros(file, offset + length)


def open_segment(file: BinaryIO, segment: Slice) -> BinaryIO:
    """A file that reads the segment's archive, decompressed as it is read.

    Raises ValueError for a format that can't be unpacked here; reading damaged data raises what
    `formats.compress.read_errors` lists.
    """
    region = Region(file, segment.offset, segment.length)
    return open_decompressor(segment.compression, cast(BinaryIO, region))


def _skip_zeros(file: BinaryIO, offset: int) -> int | None:
    """The offset of the next byte that is not zero, None when there is none."""
    file.seek(offset)
    while chunk := file.read(_STEP):
        rest = chunk.lstrip(b"\0")
        if rest:
            return offset + len(chunk) - len(rest)
        offset += len(chunk)
    return None


def _end_of_newc(file: BinaryIO) -> int:
    reader = CpioReader(file)
    for _ in reader:
        pass
    return reader.offset


def _end_of_zstd(file: BinaryIO) -> int:
    return read_frame(file).size


def _end_of_gzip(file: BinaryIO) -> int:
    decoder = zlib.decompressobj(wbits=31)
    used = unpacked = 0
    while not decoder.eof:
        chunk = decoder.unconsumed_tail or file.read(_STEP)
        if not chunk:
            raise EOFError("cut short")
        unpacked = _bounded(unpacked + len(decoder.decompress(chunk, _STEP)))
        # At the end what lies behind the stream may stand in both, the tail and the unused data.
        used += len(chunk) - (0 if decoder.eof else len(decoder.unconsumed_tail))
    return used - len(decoder.unused_data)


def _end_of_stream(file: BinaryIO, decoder: _Decoder) -> int:
    used = unpacked = 0
    while not decoder.eof:
        chunk = file.read(_STEP) if decoder.needs_input else b""
        if decoder.needs_input and not chunk:
            raise EOFError("cut short")
        unpacked = _bounded(unpacked + len(decoder.decompress(chunk, _STEP)))
        used += len(chunk)
    return used - len(decoder.unused_data)


def _bounded(unpacked: int) -> int:
    if unpacked > MAX_UNPACKED:
        raise ValueError(f"more than {MAX_UNPACKED} bytes when unpacked")
    return unpacked


def _end_of_lzma(file: BinaryIO) -> int:
    import lzma

    try:
        return _end_of_stream(file, lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=1 << 30))
    except lzma.LZMAError as error:
        raise ValueError(str(error)) from error


def _end_of_bzip2(file: BinaryIO) -> int:
    import bz2

    return _end_of_stream(file, bz2.BZ2Decompressor())


def _end_of_lz4(file: BinaryIO) -> int:
    used = len(file.read(len(LZ4_MAGIC)))
    while packed := read_block(file):
        used += 4 + len(packed)
    return used


# bz2 says OSError for damage, the readers of newc and zstd their own ValueErrors.
_DAMAGE = (ValueError, OSError, EOFError, zlib.error)

_ENDS: dict[str, Callable[[BinaryIO], int]] = {
    "none": _end_of_newc,
    "zstd": _end_of_zstd,
    "gzip": _end_of_gzip,
    "xz": _end_of_lzma,
    "lzma": _end_of_lzma,
    "bzip2": _end_of_bzip2,
    "lz4": _end_of_lz4,
}
