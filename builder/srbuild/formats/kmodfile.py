"""Compressed kernel modules and firmware: their names and their content.

What Linux, kmod and depmod know: `.ko`, `.ko.gz`, `.ko.xz`, `.ko.zst`; firmware with `.xz`
or `.zst` added (drivers/base/firmware_loader).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Unpack: TypeAlias = Literal["", "gzip", "xz", "zstd"]
"""How a file's content must be decompressed; empty when it is plain."""

SUFFIXES: dict[str, Unpack] = {".gz": "gzip", ".xz": "xz", ".zst": "zstd"}
MAX_UNPACKED = 1 << 30  # bytes: no kmod or firmware comes near it, a bomb passes it


class UnpackError(ValueError):
    """The content is not what its name says, damaged, or too large unpacked."""


def split_suffix(name: str) -> tuple[str, Unpack]:
    """`name` without its compression suffix, and what the suffix says."""
    stem, dot, suffix = name.rpartition(".")
    unpack = SUFFIXES.get(dot + suffix, "")
    return (stem, unpack) if unpack else (name, "")


def unpack(data: bytes, how: Unpack, limit: int = MAX_UNPACKED) -> bytes:
    """Decompress `data`; UnpackError when damaged, cut short or over `limit` bytes.

    A signature appended to a module is part of what was compressed, so it is kept.
    """
    if not how:
        return data
    plain = {"gzip": _unpack_gzip, "xz": _unpack_xz, "zstd": _unpack_zstd}[how](data, limit)
    if len(plain) > limit:
        raise UnpackError(f"more than {limit} bytes when unpacked")
    return plain


def _unpack_gzip(data: bytes, limit: int) -> bytes:
    import zlib  # rarely needed

    stream = zlib.decompressobj(wbits=31)
    try:
        plain = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise UnpackError(f"damaged gzip data: {error}") from error
    return _whole("gzip", plain, limit, ended=stream.eof)


def _unpack_xz(data: bytes, limit: int) -> bytes:
    import lzma  # rarely needed

    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_UNPACKED)
    try:
        plain = stream.decompress(data, limit + 1)
    except lzma.LZMAError as error:
        raise UnpackError(f"damaged xz data: {error}") from error
    return _whole("xz", plain, limit, ended=stream.eof)


def _unpack_zstd(data: bytes, limit: int) -> bytes:
    import zstandard  # slow to import

    frame = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    parts: list[bytes] = []
    size = 0
    try:
        # In small steps: a block of 4 bytes may unpack to 128 KiB.
        for at in range(0, len(data), 4096):
            parts.append(frame.decompress(data[at : at + 4096]))
            size += len(parts[-1])
            if frame.eof or size > limit:
                break
    except zstandard.ZstdError as error:
        raise UnpackError(f"damaged zstd data: {error}") from error
    return _whole("zstd", b"".join(parts), limit, ended=frame.eof)


def _whole(kind: str, plain: bytes, limit: int, *, ended: bool) -> bytes:
    if not ended and len(plain) <= limit:
        raise UnpackError(f"{kind} data is cut short")
    return plain
