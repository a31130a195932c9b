"""lz4's legacy format, the only one that the kernel unpacks (lib/decompress_unlz4.c).

A magic number, then blocks: each the size of its compressed bytes (32 bits, little endian) and
those bytes, which hold 8 MiB unpacked, less only in the last block. Nothing marks the end and no
checksum guards the data: `lz4 -l` writes it, doc/lz4_Frame_format.md of lz4 describes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

MAGIC = b"\x02\x21\x4c\x18"
BLOCK = 8 << 20  # bytes of a block unpacked
BOUND = BLOCK + BLOCK // 255 + 16  # of a block packed: LZ4_COMPRESSBOUND
_FIRST_HC_LEVEL = 3  # as the lz4 program has it: below are the levels of the fast compressor


def library_version() -> str:
    """The library whose bytes may change from one release to the next."""
    from lz4 import library_version_string

    return f"liblz4 {library_version_string()}"


class Lz4Writer:
    """Compresses what is written, block by block, into `sink`; one object is one stream."""

    def __init__(self, sink: Callable[[bytes], object], level: int) -> None:
        self._sink = sink
        self._level = level
        self._pending = bytearray()
        sink(MAGIC)

    def write(self, chunk: bytes | memoryview, /) -> object:
        """Take `chunk` in, which may be reused once this returns."""
        rest = memoryview(chunk)
        while rest:
            room = BLOCK - len(self._pending)
            self._pending += rest[:room]
            rest = rest[room:]
            if len(self._pending) == BLOCK:
                self._flush()
        return None

    def finish(self) -> None:
        """Write the last block."""
        if self._pending:
            self._flush()

    def _flush(self) -> None:
        import lz4.block

        mode = "default" if self._level < _FIRST_HC_LEVEL else "high_compression"
        packed: bytes = lz4.block.compress(
            self._pending, mode=mode, compression=self._level, store_size=False
        )
        self._sink(len(packed).to_bytes(4, "little") + packed)
        self._pending.clear()


class Lz4Reader:
    """Reads one legacy stream, a block at a time.

    Only `read` is there. It raises what `formats.compress.read_errors` lists: EOFError for a
    stream cut short, ValueError or lz4's own error for a damaged one.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._block = memoryview(b"")
        self._is_done = False
        if file.read(4) != MAGIC:
            raise ValueError("no lz4 legacy stream")

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, all that are left when negative; fewer only at the end."""
        parts: list[memoryview] = []
        left = size
        while left and self._fill():
            part = self._block if left < 0 else self._block[:left]
            self._block = self._block[len(part) :]
            parts.append(part)
            left -= len(part) if left > 0 else 0
        return b"".join(parts)

    def _fill(self) -> bool:
        """Have unread bytes at hand; False at the end."""
        import lz4.block

        while not self._block and not self._is_done:
            packed = read_block(self._file)
            self._is_done = not packed
            if packed:
                self._block = memoryview(lz4.block.decompress(packed, uncompressed_size=BLOCK))
        return bool(self._block)


def read_block(file: BinaryIO) -> bytes:
    """The compressed bytes of the next block; none at the stream's end.

    The kernel takes the bytes there for a size: zero ends the stream, and what is larger than a
    block can be belongs to what comes next. Raises EOFError for a block that is cut short.
    """
    head = file.read(4)
    size = int.from_bytes(head, "little")
    if len(head) < 4 or not 0 < size <= BOUND:
        return b""
    packed = file.read(size)
    if len(packed) != size:
        raise EOFError("cut short")
    return packed
