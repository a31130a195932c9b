"""Compressed streams: one zstd frame that the kernel takes, and reading every known format."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from srbuild.formats.compress import (
    COMPRESSIONS,
    open_compressor,
    open_decompressor,
    read_errors,
    sniff,
)
from srbuild.formats.zstd import ZstdFormatError, read_frame

TEXT = b"".join(b"line %d of a text that compresses\n" % number for number in range(60_000))


def compressed(data: bytes, *, level: int = 3, step: int = 1 << 20) -> bytes:
    out = bytearray()
    stream = open_compressor("zstd", out.extend, level=level)
    for start in range(0, len(data), step):
        stream.write(memoryview(data)[start : start + step])
    stream.finish()
    return bytes(out)


def test_the_zstd_program_reads_it(tmp_path: Path) -> None:
    (tmp_path / "out.zst").write_bytes(compressed(TEXT))
    command = ["zstd", "-d", "-q", "-c", "out.zst"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=60)
    assert found.stdout == TEXT


@pytest.mark.parametrize("level", range(1, 20))
def test_every_level_fits_the_kernels_window(level: int) -> None:
    frame = read_frame(io.BytesIO(compressed(TEXT[:200_000], level=level)))
    parameters = zstandard.get_frame_parameters(compressed(TEXT[:200_000], level=level))
    assert frame.window == parameters.window_size <= 8 << 20
    assert frame.has_checksum
    assert parameters.has_checksum
    assert parameters.content_size == zstandard.CONTENTSIZE_UNKNOWN


def test_bytes_do_not_depend_on_pieces() -> None:
    data = TEXT * 12  # more than libzstd's window
    whole = compressed(data)
    assert compressed(data, step=77_777) == whole
    assert compressed(data, step=1 << 24) == whole


@given(st.binary(max_size=3000))
def test_what_was_compressed_is_read(data: bytes) -> None:
    assert open_decompressor("zstd", io.BytesIO(compressed(data))).read(1 << 20) == data


@pytest.mark.parametrize(("name", "level"), [("zstd", 0), ("zstd", 20), ("zstd", -1)])
def test_levels_that_the_kernel_cannot_unpack_are_refused(name: str, level: int) -> None:
    with pytest.raises(ValueError, match=f"no level {level}"):
        open_compressor(name, bytearray().extend, level=level)


@pytest.mark.parametrize("name", ["bzip2", "lzo", "snappy", ""])
def test_formats_that_are_not_written_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="does not write"):
        open_compressor(name, bytearray().extend, level=1)


@pytest.mark.parametrize("name", ["lzo", "snappy", ""])
def test_formats_that_are_not_read_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="does not unpack"):
        open_decompressor(name, io.BytesIO(b""))


def test_none_passes_bytes_through() -> None:
    out = bytearray()
    stream = open_compressor("none", out.extend, level=0)
    stream.write(b"abc")
    stream.finish()
    assert bytes(out) == b"abc"
    assert open_decompressor("none", io.BytesIO(b"abc")).read(9) == b"abc"


PACKED = {
    "zstd": compressed(TEXT),
    "gzip": gzip.compress(TEXT),
    "xz": lzma.compress(TEXT),
    "lzma": lzma.compress(TEXT, lzma.FORMAT_ALONE),
    "bzip2": bz2.compress(TEXT),
}


@pytest.mark.parametrize("name", PACKED)
def test_known_by_their_magic_and_read(name: str) -> None:
    assert sniff(PACKED[name]) == name
    file = open_decompressor(name, io.BytesIO(PACKED[name]))
    assert b"".join(iter(lambda: file.read(100_000), b"")) == TEXT


@pytest.mark.parametrize("name", PACKED)
def test_damage_raises_what_is_announced(name: str) -> None:
    data = bytearray(PACKED[name])
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    file = open_decompressor(name, io.BytesIO(bytes(data)))
    with pytest.raises(read_errors()):
        list(iter(lambda: file.read(100_000), b""))


@pytest.mark.parametrize("data", [b"", b"0707", b"\x1f", b"BZ", bytes(16)])
def test_other_bytes_have_no_format(data: bytes) -> None:
    assert sniff(data) == ""


def test_the_version_names_the_library_that_makes_the_bytes() -> None:
    version = ".".join(map(str, zstandard.ZSTD_VERSION))
    assert COMPRESSIONS["zstd"].version() == f"libzstd {version}"
    assert COMPRESSIONS["none"].version() == ""


@pytest.mark.parametrize("size", [0, 1, 255, 256, 300, 70_000, 200_000])
@pytest.mark.parametrize("with_size", [True, False])
def test_a_frame_ends_where_it_ends(size: int, *, with_size: bool) -> None:
    packer = zstandard.ZstdCompressor(write_content_size=with_size, write_checksum=with_size)
    packed = packer.compress(TEXT[:size])
    file = io.BytesIO(packed + b"behind")
    assert read_frame(file).size == len(packed)
    assert file.read() == b"behind"


def test_a_block_of_one_byte_repeated_is_passed_over() -> None:
    packed = zstandard.ZstdCompressor(level=1).compress(bytes(1 << 20))
    assert read_frame(io.BytesIO(packed)).size == len(packed) < 100


def test_every_shorter_frame_is_cut_short() -> None:
    packed = compressed(TEXT[:9000])
    assert read_frame(io.BytesIO(packed)).size == len(packed)
    for length in range(len(packed)):
        with pytest.raises(ZstdFormatError):
            read_frame(io.BytesIO(packed[:length]))


@given(st.binary(max_size=100))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    with pytest.raises(ZstdFormatError):
        read_frame(io.BytesIO(b"\x28\xb5\x2f\xfc" + data))
    try:
        size = read_frame(io.BytesIO(b"\x28\xb5\x2f\xfd" + data)).size
    except ZstdFormatError:
        return
    assert 9 <= size <= len(data) + 4
