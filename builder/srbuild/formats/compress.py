"""Compressing and decompressing streams: one table of the formats that the kernel unpacks.

The kernel's side is lib/decompress*.c; what it can't unpack is not written. A segment is one

- zstd frame (RFC 8878) with a checksum and no content size. Levels up to 19 have windows of at
  most 8 MiB, which the kernel allocates at boot. Made without libzstd's worker threads, whose
  bytes would differ: at level 3 they take a tenth more cpu and 60 to 110 MiB for their jobs instead
  of 4, at level 19 260 MiB and more instead of 90.
- xz stream of LZMA2 alone, checked by CRC32: the kernel does not know CRC64, xz's own default
  (lib/xz/xz_dec_stream.c). The dictionary is allocated at boot: level 6 has one of 8 MiB, those
  above would only have larger ones.
- gzip member (RFC 1952) without name and time.
- lz4 legacy stream: see `lz4legacy`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import BinaryIO, Protocol, cast

from srbuild.formats.lz4legacy import MAGIC as LZ4_MAGIC
from srbuild.formats.lz4legacy import Lz4Reader, Lz4Writer, library_version
from srbuild.frozen import frozen

Sink = Callable[[bytes | memoryview], object]

# The kernel reads on until a block's size is zero, so an lz4 stream needs four zeros behind it
# (measured with Linux 6.1: with fewer it gives up). Twice as many forgive a boot loader's slip.
LZ4_GAP = 8


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


@frozen
class Compression:
    """One format.

    `magic` are the bytes that its streams may start with; `levels` the lowest, the usual and the
    highest level. `version` names the implementation whose bytes may change from one release to
    the next. `compress(sink, level)` opens a stream for writing, `decompress(file)` one
    for reading; both are None for formats known by sight only. `gap` is the number of zeros to
    write behind a stream.
    """

    name: str
    magic: tuple[bytes, ...]
    levels: tuple[int, int, int] = (0, 0, 0)
    version: Callable[[], str] = lambda: ""
    compress: Callable[[Sink, int], Compressor] | None = None
    decompress: Callable[[BinaryIO], BinaryIO] | None = None
    gap: int = 0


@frozen
class _Plain:
    """No compression: what is written goes to the sink as it is."""

    sink: Sink

    def write(self, chunk: bytes | memoryview, /) -> object:
        """Hand `chunk` on."""
        return self.sink(chunk)

    def finish(self) -> None:
        """Nothing is held back."""


@frozen
class _SinkFile:
    """The part of a file that zstandard's stream_writer uses."""

    write: Sink


class _Zstd:
    """One zstd frame."""

    def __init__(self, sink: Sink, level: int) -> None:
        import zstandard

        compressor = zstandard.ZstdCompressor(
            level=level,
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


class _Coder(Protocol):
    """What lzma's and zlib's compressors have in common."""

    def compress(self, data: bytes | memoryview, /) -> bytes: ...
    def flush(self) -> bytes: ...


@frozen
class _Coded:
    """A stream that one of the standard library's compressors makes."""

    coder: _Coder
    sink: Sink

    def write(self, chunk: bytes | memoryview, /) -> object:
        """Compress `chunk`."""
        return self.sink(self.coder.compress(chunk))

    def finish(self) -> None:
        """End the stream, checksum included."""
        self.sink(self.coder.flush())


def _xz(sink: Sink, level: int) -> Compressor:
    import lzma

    filters = [{"id": lzma.FILTER_LZMA2, "preset": level}]
    coder = lzma.LZMACompressor(lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=filters)
    return _Coded(cast(_Coder, coder), sink)


def _gzip(sink: Sink, level: int) -> Compressor:
    header_without_name_and_time = 16 + zlib.MAX_WBITS
    return _Coded(zlib.compressobj(level, wbits=header_without_name_and_time, memLevel=9), sink)


def _xz_version() -> str:
    """The version of the liblzma that Python's module is linked with, which it does not tell."""
    import _lzma
    import ctypes
    import platform

    library = ctypes.CDLL(getattr(_lzma, "__file__", None))  # None: part of Python's own program
    version = getattr(library, "lzma_version_string", None)
    if version is None:
        return f"liblzma of Python {platform.python_version()}"
    version.restype = ctypes.c_char_p
    return "liblzma " + str(version().decode())


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
            "none", (), compress=lambda sink, _level: _Plain(sink),
            decompress=lambda file: file,
        ),
        Compression(
            "zstd", (b"\x28\xb5\x2f\xfd",), (1, 3, 19), _zstd_version, _Zstd, _zstd_read,
        ),
        Compression("xz", (b"\xfd7zXZ\0",), (0, 6, 6), _xz_version, _xz, _lzma_read),
        Compression(
            "gzip", (b"\x1f\x8b\x08",), (1, 6, 9), lambda: f"zlib {zlib.ZLIB_RUNTIME_VERSION}",
            _gzip, _gzip_read,
        ),
        Compression(
            "lz4", (LZ4_MAGIC,), (1, 9, 12), library_version,
            Lz4Writer,
            lambda file: cast(BinaryIO, Lz4Reader(file)), LZ4_GAP,
        ),
        Compression("lzma", (b"\x5d\0\0",), decompress=_lzma_read),
        Compression("bzip2", (b"BZh",), decompress=_bzip2_read),
        Compression("lzo", (b"\x89LZO\0\r\n\x1a\n",)),
    )
}  # fmt: skip


def zeros_behind(name: str, end: int) -> bytes:
    """The zeros to write where a stream ends at offset `end`: whatever follows is unpacked.

    They lead to a multiple of four bytes, where a raw archive may start.
    """
    gap = COMPRESSIONS[name].gap
    return bytes(gap + -(end + gap) % 4)


def open_compressor(name: str, sink: Sink, *, level: int) -> Compressor:
    """A stream that compresses to `sink`; the bytes don't depend on the pieces written.

    Raises ValueError for a format that can't be written or a level that it does not have.
    """
    compression = COMPRESSIONS.get(name)
    if compression is None or compression.compress is None:
        raise ValueError(f"srbuild does not write {name!r}")
    low, _, high = compression.levels
    if high and not low <= level <= high:
        raise ValueError(f"{name} has no level {level}: {low} to {high}")
    return compression.compress(sink, level)


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

    import lz4.block
    import zstandard

    libraries = (zstandard.ZstdError, lzma.LZMAError, zlib.error, lz4.block.LZ4BlockError)
    return (*libraries, EOFError, OSError, ValueError)
