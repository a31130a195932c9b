"""What every compressor that an image may have must do; other tools read what was written."""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import tracemalloc
import zlib
from pathlib import Path

import lz4
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srbuild.config.load import LEVELS
from srbuild.formats.compress import (
    COMPRESSIONS,
    open_compressor,
    open_decompressor,
    read_errors,
    sniff,
    zeros_behind,
)
from srbuild.formats.lz4legacy import BLOCK

TEXT = b"".join(b"line %d of a text that compresses\n" % number for number in range(20_000))
NAMES = ["zstd", "xz", "gzip", "lz4"]
EVERY_LEVEL = [(n, level) for n in NAMES for level in range(LEVELS[n][0], LEVELS[n][2] + 1)]


def compressed(name: str, data: bytes, level: int | None = None, *, step: int = 1 << 20) -> bytes:
    out = bytearray()
    usual = COMPRESSIONS[name].levels[1]
    stream = open_compressor(name, out.extend, level=usual if level is None else level)
    for start in range(0, len(data), step):
        piece = bytearray(data[start : start + step])
        stream.write(memoryview(piece))
        piece[:] = bytes(len(piece))  # the caller may use its buffer again
    stream.finish()
    return bytes(out)


def read(name: str, packed: bytes, step: int = 100_000) -> bytes:
    file = open_decompressor(name, io.BytesIO(packed))
    return b"".join(iter(lambda: file.read(step), b""))


def test_the_levels_that_can_be_asked_for_are_those_that_are_written() -> None:
    assert list(LEVELS) == ["none", *NAMES]
    for name, (lowest, usual, highest) in LEVELS.items():
        assert lowest <= usual <= highest
        assert read(name, compressed(name, b"data", usual)) == b"data"


@pytest.mark.parametrize(("name", "level"), EVERY_LEVEL)
def test_the_formats_own_program_reads_every_level(name: str, level: int, tmp_path: Path) -> None:
    (tmp_path / "packed").write_bytes(compressed(name, TEXT[:100_000], level))
    command = [name, "-d", "-c"]
    with open(tmp_path / "packed", "rb") as packed:
        found = subprocess.run(command, stdin=packed, capture_output=True, check=True, timeout=60)
    assert found.stdout == TEXT[:100_000]
    assert found.stderr == b""


@pytest.mark.parametrize("level", [1, 9])
@pytest.mark.parametrize("name", NAMES)
def test_what_the_formats_own_program_writes_is_read(name: str, level: int, tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(TEXT)
    command = [name, f"-{level}", "-c", *(["-l"] if name == "lz4" else []), "plain"]
    packed = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=60)
    assert sniff(packed.stdout) == name
    assert read(name, packed.stdout) == TEXT


@pytest.mark.parametrize("name", NAMES)
def test_bytes_do_not_depend_on_pieces(name: str) -> None:
    whole = compressed(name, TEXT)
    assert compressed(name, TEXT, step=7777) == whole
    assert compressed(name, TEXT, step=1 << 24) == whole


@settings(max_examples=60)
@given(st.sampled_from(NAMES), st.binary(max_size=3000), st.integers(1, 4000), st.data())
def test_what_was_compressed_is_read(
    name: str, data: bytes, step: int, draw: st.DataObject
) -> None:
    lowest, _, highest = LEVELS[name]
    level = draw.draw(st.integers(lowest, highest))
    assert read(name, compressed(name, data, level, step=step), step) == data


@pytest.mark.parametrize("name", NAMES)
def test_levels_beyond_the_table_are_refused(name: str) -> None:
    lowest, _, highest = LEVELS[name]
    for level in (lowest - 1, highest + 1):
        with pytest.raises(ValueError, match=f"{name} has no level {level}"):
            open_compressor(name, bytearray().extend, level=level)


@pytest.mark.parametrize("name", ["gzip", "xz", "zstd"])
def test_damage_is_told(name: str) -> None:
    packed = bytearray(compressed(name, TEXT))
    packed[len(packed) // 2] ^= 0x55
    with pytest.raises(read_errors()):
        read(name, bytes(packed))


@given(st.integers(0, 1 << 20), st.integers(1, 255))
def test_damage_of_lz4_is_told_or_passes_for_data(at: int, bits: int) -> None:
    """The format has no checksum: what it misses, the digests of the sidecar don't."""
    packed = bytearray(compressed("lz4", TEXT[:5000]))
    packed[at % len(packed)] ^= bits
    try:
        found = read("lz4", bytes(packed))
    except read_errors():
        return
    assert len(found) <= BLOCK


@pytest.mark.parametrize("level", range(7))
def test_the_kernel_takes_the_parameters_of_xz(level: int, tmp_path: Path) -> None:
    (tmp_path / "packed.xz").write_bytes(compressed("xz", TEXT, level))
    listed = subprocess.run(
        ["xz", "--robot", "--list", "-vv", "packed.xz"],
        cwd=tmp_path, capture_output=True, check=True, text=True, timeout=60,
    ).stdout  # fmt: skip
    [block] = [line.split("\t") for line in listed.splitlines() if line.startswith("block\t")]
    assert "CRC32" in block
    [filters] = [word for word in block if "lzma2" in word]
    size, unit = filters.removeprefix("--lzma2=dict=")[:-3], filters[-3:]
    assert filters.startswith("--lzma2=dict=")
    assert int(size) * {"KiB": 1 << 10, "MiB": 1 << 20}[unit] <= 8 << 20


def test_gzip_tells_neither_name_nor_time() -> None:
    packed = compressed("gzip", TEXT)
    magic, method, flags, mtime = struct.unpack("<HBBI", packed[:8])
    assert (magic, method, flags, mtime) == (0x8B1F, 8, 0, 0)
    assert gzip.decompress(packed) == TEXT


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_lz4_has_blocks_of_8_mib(size: int) -> None:
    data = (TEXT * (size // len(TEXT) + 1))[:size]
    packed = compressed("lz4", data, 1)
    assert read("lz4", packed, 1 << 22) == data
    at, blocks = 4, 0
    while at < len(packed):
        at += 4 + int.from_bytes(packed[at : at + 4], "little")
        blocks += 1
    assert (at, blocks) == (len(packed), -(-size // BLOCK))


def test_lz4_blocks_that_are_not_full_are_read_as_the_kernel_does() -> None:
    first, second = compressed("lz4", b"first"), compressed("lz4", b"second")
    assert read("lz4", first + second[4:] + bytes(8) + b"behind") == b"firstsecond"


@pytest.mark.parametrize("head", [b"", b"\x02\x21\x4c", b"\x04\x22\x4d\x18"])
def test_what_is_no_legacy_stream_is_refused(head: bytes) -> None:
    with pytest.raises(ValueError, match="no lz4 legacy stream"):
        open_decompressor("lz4", io.BytesIO(head))


@pytest.mark.parametrize("name", ["gzip", "lz4"])
def test_memory_does_not_grow_with_the_data(name: str) -> None:
    piece = os.urandom(1 << 20)

    def peak(pieces: int) -> int:
        tracemalloc.start()
        stream = open_compressor(name, len, level=1)
        for _ in range(pieces):
            stream.write(piece)
        stream.finish()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(48) < peak(16) + (4 << 20)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("gzip", f"zlib {zlib.ZLIB_RUNTIME_VERSION}"),
        ("lz4", f"liblz4 {lz4.library_version_string()}"),
    ],
)
def test_the_version_names_the_library(name: str, version: str) -> None:
    assert COMPRESSIONS[name].version() == version


def test_the_version_of_xz_is_that_of_the_library_in_this_process() -> None:
    told = COMPRESSIONS["xz"].version()
    maps = Path("/proc/self/maps").read_text()
    [library] = {line.split()[-1] for line in maps.splitlines() if "liblzma.so" in line}
    assert told == "liblzma " + Path(library).resolve().name.removeprefix("liblzma.so.")


@given(st.sampled_from(["none", *NAMES]), st.integers(0, 100))
def test_the_zeros_behind_lead_to_where_an_archive_may_start(name: str, end: int) -> None:
    zeros = zeros_behind(name, end)
    assert set(zeros) <= {0}
    assert (end + len(zeros)) % 4 == 0
    least = 8 if name == "lz4" else 0
    assert least <= len(zeros) < least + 4
