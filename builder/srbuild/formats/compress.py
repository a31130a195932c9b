"""Compressing and decompressing streams: one table of the formats that the kernel unpacks.

The kernel's side is lib/decompress*.c. A compressed segment is one zstd frame (RFC 8878) with
a checksum and no content size. Levels up to 19 have windows of at most 8 MiB, which the kernel
allocates at boot. libzstd's bytes depend on its version and on whether it uses worker threads,
but not on how many: at least one is always used.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

Sink = Callable[[bytes | memoryview], object]

MAX_THREADS = 4  # each of libzstd's workers holds some 20 MiB


class Compressor(Protocol):
    """A stream that compresses what is written and hands the result to its sink.

    One object is for one stream and is not thread-safe.
    """

    def write(self, chunk: bytes | memoryview, /) -> object:
        """Compress `chunk`, which may be reused once this returns."""
        ...

    def finish(self) -> None:
        """End the stream: the sink has everything once this returns."""
        ...


@dataclass(frozen=True, slots=True)
class Compression:
    """One format.

    `magic` are the bytes that its streams may start with; `levels` the lowest and the highest
    level that the kernel can unpack. `version` names the implementation whose bytes may change
    from one release to the next. `compress(sink, level, threads)` opens a stream for writing,
    `decompress(file)` one for reading; both are None for formats known by sight only.
    """

    name: str
    magic: tuple[bytes, ...]
    levels: tuple[int, int] = (0, 0)
    version: Callable[[], str] = lambda: ""
    compress: Callable[[Sink, int, int], Compressor] | None = None
    decompress: Callable[[BinaryIO], BinaryIO] | None = None


@dataclass(frozen=True, slots=True)
class _Plain:
    """No compression: what is written goes to the sink as it is."""

    sink: Sink

    def write(self, chunk: bytes | memoryview, /) -> object:
        """Hand `chunk` on."""
        return self.sink(chunk)

    def finish(self) -> None:
        """Nothing is held back."""


@dataclass(frozen=True, slots=True)
class _SinkFile:
    """The part of a file that zstandard's stream_writer uses."""

    write: Sink


class _Zstd:
    """One zstd frame."""

    def __init__(self, sink: Sink, level: int, threads: int) -> None:
        import zstandard

        compressor = zstandard.ZstdCompressor(
            level=level,
            threads=min(max(threads, 1), MAX_THREADS),
            write_checksum=True,
            write_content_size=False,
        )
        self._stream: BinaryIO = compressor.stream_writer(
            cast(BinaryIO, _SinkFile(sink)), closefd=False
        )

    def write(self, chunk: bytes | memoryview, /) -> object:
        """Compress `chunk`."""
        return self._stream.write(chunk)

    def finish(self) -> None:
        """End the frame, checksum included."""
        self._stream.close()


def _zstd_version() -> str:
    import zstandard

    return "libzstd " + ".".join(map(str, zstandard.ZSTD_VERSION))


def _zstd_read(file: BinaryIO) -> BinaryIO:
    import zstandard

    reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=False)
    return cast(BinaryIO, reader)


def _gzip_read(file: BinaryIO) -> BinaryIO:
    import gzip

    return cast(BinaryIO, gzip.GzipFile(fileobj=file))


def _lzma_read(file: BinaryIO) -> BinaryIO:
    import lzma

    return cast(BinaryIO, lzma.LZMAFile(file))


def _bzip2_read(file: BinaryIO) -> BinaryIO:
    import bz2

    return cast(BinaryIO, bz2.BZ2File(file))


COMPRESSIONS: dict[str, Compression] = {
    entry.name: entry
    for entry in (
        Compression(
            "none", (), compress=lambda sink, _level, _threads: _Plain(sink),
            decompress=lambda file: file,
        ),
        Compression(
            "zstd", (b"\x28\xb5\x2f\xfd",), (1, 19), _zstd_version, _Zstd, _zstd_read
        ),
        Compression("gzip", (b"\x1f\x8b\x08",), decompress=_gzip_read),
        Compression("xz", (b"\xfd7zXZ\0",), decompress=_lzma_read),
        Compression("lzma", (b"\x5d\0\0",), decompress=_lzma_read),
        Compression("bzip2", (b"BZh",), decompress=_bzip2_read),
        Compression("lz4", (b"\x02\x21\x4c\x18",)),
        Compression("lzo", (b"\x89LZO\0\r\n\x1a\n",)),
    )
}  # fmt: skip


def open_compressor(name: str, sink: Sink, *, level: int, threads: int = 1) -> Compressor:
    """A stream that compresses to `sink`; the bytes don't depend on `threads`.

    Raises ValueError for a format that can't be written or a level that it does not have.
    """
    compression = COMPRESSIONS.get(name)
    if compression is None or compression.compress is None:
        raise ValueError(f"srbuild does not write {name!r}")
    low, high = compression.levels
    if high and not low <= level <= high:
        raise ValueError(f"{name} has no level {level}: {low} to {high}")
    return compression.compress(sink, level, threads)


def open_decompressor(name: str, file: BinaryIO) -> BinaryIO:
    """A file that reads the one compressed stream in `file`; only `read` is sure to work.

    Raises ValueError for a format that can't be read. Reading raises what `read_errors` lists.
    """
    compression = COMPRESSIONS.get(name)
    if compression is None or compression.decompress is None:
        raise ValueError(f"srbuild does not unpack {name!r}")
    return compression.decompress(file)


def sniff(start: bytes) -> str:
    """The name of the format whose magic `start` has, "" for none of them."""
    for compression in COMPRESSIONS.values():
        if start.startswith(compression.magic):
            return compression.name
    return ""


def read_errors() -> tuple[type[Exception], ...]:
    """The exceptions by which the libraries say that compressed bytes are damaged."""
    import lzma

    import zstandard

    return (zstandard.ZstdError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError)
