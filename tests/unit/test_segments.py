"""Cutting images of any tool into their segments."""

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

from srbuild.formats.compress import COMPRESSIONS, open_compressor, zeros_behind
from srbuild.formats.cpio import CpioReader, CpioWriter
from srbuild.formats.segments import SegmentFormatError, Slice, open_segment, split_image


def archive(name: bytes, data: bytes = b"content") -> bytes:
    out = bytearray()
    writer = CpioWriter(out.extend)
    writer.add(name, 0o100644, size=len(data))
    writer.write(data)
    writer.close()
    return bytes(out)


def lz4(data: bytes, folder: Path) -> bytes:
    """The legacy format: the only one that the kernel knows."""
    (folder / "plain").write_bytes(data)
    command = ["lz4", "-l", "-q", "-f", "plain", "packed"]
    subprocess.run(command, cwd=folder, check=True, timeout=60)
    return (folder / "packed").read_bytes()


def written(name: str, data: bytes) -> bytes:
    out = bytearray()
    stream = open_compressor(name, out.extend, level=COMPRESSIONS[name].levels[0])
    stream.write(data)
    stream.finish()
    return bytes(out)


PACK = {
    "none": lambda data: data,
    "zstd": zstandard.ZstdCompressor(level=3, threads=1).compress,
    "gzip": gzip.compress,
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
}
WRITTEN = ["none", "zstd", "xz", "gzip", "lz4"]


def aligned(*parts: bytes) -> bytes:
    return b"".join(part + bytes(-len(part) % 4) for part in parts)


def split(data: bytes) -> list[Slice]:
    return list(split_image(io.BytesIO(data)))


def names(data: bytes, segment: Slice) -> list[bytes]:
    archive_file = open_segment(io.BytesIO(data), segment)
    return [header.name for header in CpioReader(archive_file)]


def test_segments_of_every_compression_one_after_another() -> None:
    parts = [pack(archive(name.encode())) for name, pack in PACK.items()]
    image = aligned(*parts)
    found = split(image)
    assert [segment.compression for segment in found] == list(PACK)
    assert [segment.length for segment in found] == [len(part) for part in parts]
    assert [names(image, segment) for segment in found] == [[name.encode()] for name in PACK]


@given(
    st.lists(st.tuples(st.sampled_from(sorted(PACK)), st.integers(0, 9)), max_size=6),
    st.integers(0, 3),
)
def test_any_order_with_any_padding(plan: list[tuple[str, int]], start: int) -> None:
    image = bytes(4 * start)
    places = []
    for number, (name, words) in enumerate(plan):
        part = PACK[name](archive(b"file%d" % number, b"x" * number))
        places.append(Slice(len(image), len(part), name))
        image = aligned(image + part) + bytes(4 * words)
    assert split(image) == places


@pytest.mark.parametrize("tail", ["none", "zstd"])
def test_lz4_ends_at_the_zeros_behind_it_or_at_the_next_magic(tmp_path: Path, tail: str) -> None:
    packed = lz4(archive(b"first", b"x" * 100_000), tmp_path)
    behind = PACK[tail](archive(b"second"))
    for zeros in (0, 8):
        image = aligned(packed) + bytes(zeros) + behind
        first, second = split(image)
        assert (first.offset, first.length, first.compression) == (0, len(packed), "lz4")
        assert names(image, first) == [b"first"]
        assert names(image, second) == [b"second"]


def test_what_gnu_cpio_writes_ends_at_its_padding(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    command = ["cpio", "-o", "-H", "newc", "--quiet"]
    gnu = subprocess.run(
        command, input=b"file\n", cwd=tmp_path, capture_output=True, check=True, timeout=60
    ).stdout
    image = gnu + PACK["zstd"](archive(b"second"))
    first, second = split(image)
    assert first.length < len(gnu) == second.offset
    assert names(image, first) == [b"file"]


@pytest.mark.parametrize("image", [b"", bytes(3), bytes(600_000)], ids=["empty", "3", "zeros"])
def test_zeros_hold_no_segment(image: bytes) -> None:
    assert split(image) == []


@pytest.mark.parametrize("name", PACK)
def test_a_segment_cut_short_is_refused(name: str) -> None:
    part = PACK[name](archive(b"file", b"x" * 5000))
    for length in (len(part) - 1, len(part) // 2, 20):
        with pytest.raises(SegmentFormatError, match=f"damaged {name} segment at offset 8"):
            split(bytes(8) + part[:length])


@pytest.mark.parametrize(
    "junk", [b"junk", b"070702" + b"0" * 104, b"\x89LZO\0\r\n\x1a\n", b"\x04\x22\x4d\x18"]
)
def test_what_the_kernel_would_not_unpack_is_refused(junk: bytes) -> None:
    image = aligned(PACK["zstd"](archive(b"file")))
    with pytest.raises(SegmentFormatError, match=f"at offset {len(image)}"):
        split(image + junk)


def test_a_raw_archive_off_its_alignment_is_refused() -> None:
    part = PACK["zstd"](archive(b"file"))
    part += b"" if len(part) % 4 else b"\0"
    with pytest.raises(SegmentFormatError, match="not a multiple of 4"):
        split(part + archive(b"second"))


@given(st.sampled_from(sorted(PACK)), st.data())
def test_damage_is_never_a_crash(name: str, data: st.DataObject) -> None:
    part = bytearray(PACK[name](archive(b"file", b"x" * 300)))
    at = data.draw(st.integers(0, len(part) - 1))
    part[at] = data.draw(st.integers(0, 255))
    try:
        found = split(bytes(part))
    except SegmentFormatError:
        return
    assert sum(segment.length for segment in found) <= len(part)


def test_a_segment_is_read_in_pieces() -> None:
    image = bytes(4) + PACK["zstd"](archive(b"file", b"x" * 300_000)) + b"behind"
    [segment] = [next(split_image(io.BytesIO(image)))]
    file = open_segment(io.BytesIO(image), segment)
    pieces = list(iter(lambda: file.read(10_000), b""))
    assert b"".join(pieces) == archive(b"file", b"x" * 300_000)
    assert max(map(len, pieces)) == 10_000


@given(st.lists(st.tuples(st.sampled_from(WRITTEN), st.integers(0, 20)), max_size=6))
def test_what_srbuild_writes_is_cut_where_it_was_joined(plan: list[tuple[str, int]]) -> None:
    """Of any compressors in any order, as a base image and the tails behind it may be."""
    image = b""
    places = []
    for number, (name, size) in enumerate(plan):
        part = written(name, archive(b"file%d" % number, b"x" * size))
        places.append(Slice(len(image), len(part), name))
        image += part + zeros_behind(name, len(image) + len(part))
        assert len(image) % 4 == 0
    assert split(image) == places
    for number, place in enumerate(places):
        assert names(image, place) == [b"file%d" % number]


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("size", [(1 << 20) + 1, 3 << 20])
def test_a_segment_that_shrinks_much_ends_where_it_ends(name: str, size: int) -> None:
    """One that gives far more than it takes, read in steps, with much behind it."""
    part = written(name, archive(b"file", bytes(size)))
    part += zeros_behind(name, len(part))
    found = split(part + archive(b"second", b"x" * 300_000))
    assert [place.compression for place in found] == [name, "none"]
    assert found[1].offset == len(part)


@pytest.mark.parametrize("name", ["xz", "gzip", "lz4"])
def test_a_written_segment_cut_short_is_refused(name: str) -> None:
    part = written(name, archive(b"file", bytes(range(256)) * 40))
    for length in (len(part) - 1, len(part) // 2):
        with pytest.raises(SegmentFormatError, match=f"damaged {name} segment at offset 4"):
            split(bytes(4) + part[:length])
