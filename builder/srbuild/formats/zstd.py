"""Where a zstd frame ends, found from its block headers without unpacking it (RFC 8878, 3.1.1).

zstandard's stream reader takes a frame that was cut short for one that ended, so completeness
is checked here.
"""

from __future__ import annotations

from typing import BinaryIO

from srbuild.frozen import frozen

_MAGIC = b"\x28\xb5\x2f\xfd"
_DICTIONARY_ID_SIZES = (0, 1, 2, 4)
_MAX_BLOCK = 128 << 10
_RAW, _RLE, _COMPRESSED = 0, 1, 2


class ZstdFormatError(ValueError):
    """No zstd frame, a damaged one, or one that was cut short."""


@frozen
class Frame:
    """A complete frame: its length and the window that unpacking needs, both in bytes."""

    size: int
    window: int
    has_checksum: bool


def read_frame(file: BinaryIO) -> Frame:
    """Walk the frame at the file's position and stop behind it.

    Raises ZstdFormatError when there is none or it is cut short. The blocks' content isn't checked.
    """
    start = file.tell()
    magic, descriptor = _take(file, 4), _take(file, 1)[0]
    if magic != _MAGIC:
        raise ZstdFormatError("no zstd frame")
    if descriptor & 0x08:
        raise ZstdFormatError("reserved bit set in the zstd frame's header")
    single = bool(descriptor & 0x20)
    exponent, mantissa = (0, 0) if single else divmod(_take(file, 1)[0], 8)
    _take(file, _DICTIONARY_ID_SIZES[descriptor & 3])
    content_flag = descriptor >> 6
    content_size = _number(file, 1 << content_flag if content_flag or single else 0)
    base = 1 << (10 + exponent)
    window = content_size if single else base + base // 8 * mantissa
    is_last = False
    while not is_last:
        header = _number(file, 3)
        is_last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        if kind > _COMPRESSED or size > _MAX_BLOCK:
            raise ZstdFormatError("damaged block header in the zstd frame")
        _skip(file, 1 if kind == _RLE else size)
    if descriptor & 0x04:
        _skip(file, 4)
    return Frame(file.tell() - start, window, bool(descriptor & 0x04))


def _take(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise ZstdFormatError("zstd frame cut short")
    return data


def _number(file: BinaryIO, size: int) -> int:
    number = int.from_bytes(_take(file, size), "little")
    return number + 256 if size == 2 else number  # the two-byte content size has an offset


def _skip(file: BinaryIO, size: int) -> None:
    """Pass over `size` bytes, which must be there: seeking alone may leave the file's end."""
    if size:
        file.seek(size - 1, 1)
        _take(file, 1)
