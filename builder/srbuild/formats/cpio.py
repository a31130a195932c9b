"""The newc archive format that the kernel unpacks: a streaming writer and a strict reader.

The format is SVR4's "new ASCII" one, magic 070701: `cpio(5)`, and the kernel's
Documentation/driver-api/early-userspace/buffer-format.rst and init/initramfs.c. A header is
110 bytes, the magic and thirteen numbers of eight hexadecimal digits; name and data follow it,
each padded with zeros to four bytes. A record named TRAILER!!! ends the archive.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Protocol

from srbuild.frozen import frozen

MAGIC = b"070701"
TRAILER = b"TRAILER!!!"
HEADER_SIZE = 110
MAX_FILE = 0xFFFFFFFF  # the size field has eight hexadecimal digits
MAX_NAME = 4096  # with its NUL; the kernel skips a record with a longer one (PATH_MAX)

_FIELDS = struct.Struct(">13I")
_READ_STEP = 1 << 20


class CpioFormatError(ValueError):
    """Bytes that are no valid newc archive; the text says what is wrong and at which offset."""


class Readable(Protocol):
    """What the reader needs of a file: `read`, which gives fewer bytes only at the end."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...


@frozen
class Header:
    """One record's header.

    `name` is as stored, without its NUL; `mode` includes the file type; `size` in bytes, `mtime`
    in seconds since 1970. `rdev` is the (major, minor) of a device node.
    """

    name: bytes
    mode: int
    size: int = 0
    mtime: int = 0
    rdev: tuple[int, int] = (0, 0)
    ino: int = 0
    nlink: int = 1
    uid: int = 0
    gid: int = 0
    dev: tuple[int, int] = (0, 0)


def pack_header(header: Header) -> bytes:
    """The header's bytes with its name and the padding, ready for the data.

    Raises ValueError for what newc or the kernel can't hold: a file of 4 GiB or more, a NUL in
    the name or an empty or too long one, a number that has no eight hexadecimal digits.
    """
    name = header.name
    if not name or b"\0" in name or len(name) >= MAX_NAME:
        raise ValueError(f"newc cannot hold the name {name[:60]!r}")
    if not 0 <= header.size <= MAX_FILE:
        raise ValueError(f"newc cannot hold {name!r}: {header.size} bytes, 4 GiB or more")
    fields = (
        header.ino, header.mode, header.uid, header.gid, header.nlink, header.mtime, header.size,
        *header.dev, *header.rdev, len(name) + 1, 0,
    )  # fmt: skip
    try:
        digits = _FIELDS.pack(*fields).hex().upper().encode()
    except struct.error as error:
        raise ValueError(f"newc cannot hold {name!r}: {error}") from error
    return MAGIC + digits + name + b"\0" + padding(HEADER_SIZE + len(name) + 1)


def padding(size: int) -> bytes:
    """The zeros that follow `size` bytes up to the next multiple of four."""
    return b"\0" * (-size % 4)


class CpioWriter:
    """Writes one archive to `sink`, record by record.

    Inodes are numbered from 1, so that no two records look like hard links of each other;
    owner and group are 0. Every record has `mtime`, seconds since 1970. The order of records
    is the caller's: directories must come before what they hold.
    """

    def __init__(self, sink: Callable[[bytes | memoryview], object], mtime: int = 0) -> None:
        self._sink = sink
        self._mtime = mtime
        self._ino = 0
        self._due = 0
        self._size = 0

    def add(
        self,
        name: bytes,
        mode: int,
        *,
        size: int = 0,
        nlink: int = 1,
        rdev: tuple[int, int] = (0, 0),
    ) -> None:
        """Begin a record; `size` bytes of data are to be written next.

        `mode` includes the file type. Raises ValueError as `pack_header` does, for the
        trailer's name, and when the previous record still lacks data.
        """
        self._finish_record()
        if name == TRAILER:
            raise ValueError(f"{TRAILER!r} would end the archive")
        header = Header(name, mode, size, self._mtime, rdev, self._ino + 1, nlink)
        self._sink(pack_header(header))
        self._ino += 1
        self._due = self._size = size

    def write(self, chunk: bytes | memoryview) -> None:
        """Write the next bytes of the record's data; ValueError for more than announced."""
        if len(chunk) > self._due:
            raise ValueError(f"{len(chunk) - self._due} bytes more than announced")
        self._due -= len(chunk)
        self._sink(chunk)

    def close(self) -> None:
        """Write the trailer; ValueError when the last record still lacks data."""
        self._finish_record()
        self._sink(pack_header(Header(TRAILER, mode=0)))

    def _finish_record(self) -> None:
        if self._due:
            raise ValueError(f"the record lacks {self._due} bytes of its data")
        if self._size % 4:
            self._sink(padding(self._size))
        self._size = 0


class CpioReader:
    """Reads one archive, record by record, up to and including its trailer.

    Strict: whatever `CpioWriter` or GNU cpio would not write raises CpioFormatError. Data that
    is not asked for is skipped.
    """

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._due = 0
        self._pad = 0
        self.offset = 0
        """Bytes of the archive read so far; its length once the trailer was met."""

    def __iter__(self) -> Iterator[Header]:
        """The records' headers in order, without the trailer."""
        while True:
            for _ in self.chunks():
                pass
            header = self._read_header()
            if header.name == TRAILER:
                return
            yield header

    def chunks(self) -> Iterator[bytes]:
        """The data of the record met last, in pieces of up to 1 MiB."""
        while self._due:
            chunk = self._take(min(self._due, _READ_STEP), "data")
            self._due -= len(chunk)
            yield chunk
        self._skip_zeros(self._pad)
        self._pad = 0

    def _read_header(self) -> Header:
        start = self.offset
        raw = self._take(HEADER_SIZE, "header")
        if raw[:6] != MAGIC:
            raise CpioFormatError(f"no newc header at offset {start}")
        try:
            numbers = bytes.fromhex(raw[6:].decode("ascii"))
        except ValueError as error:
            raise CpioFormatError(f"bad number in the header at offset {start}") from error
        if len(numbers) != _FIELDS.size:  # fromhex skips white space
            raise CpioFormatError(f"bad number in the header at offset {start}")
        field = _FIELDS.unpack(numbers)
        name_size = field[11]
        if not 2 <= name_size <= MAX_NAME:
            raise CpioFormatError(f"name of {name_size} bytes at offset {start}")
        name = self._take(name_size, "name")
        if name.find(0) != name_size - 1:
            raise CpioFormatError(f"name without its NUL, or with another, at offset {start}")
        self._skip_zeros(-(HEADER_SIZE + name_size) % 4)
        if field[12]:
            raise CpioFormatError(f"checksum in a record without one at offset {start}")
        self._due = field[6]
        self._pad = -self._due % 4
        if name[:-1] == TRAILER and self._due:
            raise CpioFormatError(f"trailer with data at offset {start}")
        return Header(
            name=name[:-1], mode=field[1], size=field[6], mtime=field[5], rdev=field[9:11],
            ino=field[0], nlink=field[4], uid=field[2], gid=field[3], dev=field[7:9],
        )  # fmt: skip

    def _take(self, size: int, what: str) -> bytes:
        data = self._source.read(size)
        if len(data) != size:
            raise CpioFormatError(f"{what} cut short at offset {self.offset + len(data)}")
        self.offset += size
        return data

    def _skip_zeros(self, size: int) -> None:
        if size and self._take(size, "padding").strip(b"\0"):
            raise CpioFormatError(f"padding that is not zero before offset {self.offset}")
