"""What files may claim before srbuild stops believing them: each bound, by what it keeps away."""

from __future__ import annotations

import gzip
import lzma
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from srbuild import archive
from srbuild.errors import MissingInputError
from srbuild.formats import kmodtrie, segments
from srbuild.formats.cpio import CpioWriter
from srbuild.formats.deb import DebError, read_deb
from srbuild.formats.elf import ElfFormatError, read_elf
from srbuild.formats.kmodfile import Unpack, UnpackError, unpack
from srbuild.formats.modinfo import ModinfoError, parse_modinfo
from srbuild.formats.segments import SegmentFormatError, split_image
from srbuild.host.cache import FactStore
from srbuild.host.unpack import open_tree
from srbuild.report import verify_image
from support.debs import make_deb
from support.kernels import kmod_elf
from support.oci import Layout

MIB = 1 << 20
NEEDED, STRTAB, STRSZ = 1, 5, 10
PT_LOAD, PT_DYNAMIC = 1, 2


def library(*tags: tuple[int, int], size: int = 1 << 40) -> bytes:
    """A library with these dynamic tags and its string table behind them; `size` is mapped."""
    at = 64 + 2 * 56
    table = at + 16 * (len(tags) + 3)
    rows = [*tags, (STRTAB, table), (STRSZ, size), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *row) for row in rows)
    header = struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", PT_LOAD, 4, 0, 0, 0, table + size, table + size, 4096)
    where = struct.pack("<IIQQQQQQ", PT_DYNAMIC, 4, at, at, at, len(dynamic), len(dynamic), 8)
    return b"\x7fELF\x02\x01\x01" + bytes(9) + header + load + where + dynamic


def peak(work: Callable[[], object]) -> int:
    """The most bytes that Python held at a time during `work`."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_library_that_names_thousands_of_others() -> None:
    info = read_elf(library(*[(NEEDED, 1)] * 4096, size=8) + b"\0a.so\0\0\0")
    assert info is not None
    assert info.needed == ("a.so",) * 4096
    with pytest.raises(ElfFormatError, match="more than 4096 libraries"):
        read_elf(library(*[(NEEDED, 1)] * 4097, size=8) + b"\0a.so\0\0\0")


def test_a_string_table_of_gigabytes_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(library((NEEDED, 1), size=1 << 30) + b"\0a.so\0")
    with path.open("r+b") as file:
        file.truncate(2 << 30)

    def read() -> None:
        with path.open("rb") as file:
            info = read_elf(file)
        assert info is not None
        assert info.needed == ("a.so",)

    assert peak(read) < 64 * MIB


def test_kmods_that_say_too_much() -> None:
    assert parse_modinfo(kmod_elf([("name", "x" * 15 * MIB)])).name
    with pytest.raises(ModinfoError, match="is larger than"):
        parse_modinfo(kmod_elf([("name", "x" * 16 * MIB)]))
    data = bytearray(kmod_elf([("name", "x")], extended=True))
    table = struct.unpack_from("<Q", data, 40)[0]
    struct.pack_into("<Q", data, table + 32, (1 << 20) + 1)  # the first section's size counts them
    with pytest.raises(ModinfoError, match="1048577 sections"):
        parse_modinfo(bytes(data))


@pytest.mark.parametrize(
    ("how", "size", "most"),
    # zstd's are unpacked in steps of 4096 bytes, which may hold 128 MiB.
    [("gzip", 64 * MIB, 16 * MIB), ("xz", 64 * MIB, 16 * MIB), ("zstd", 512 * MIB, 192 * MIB)],
)
def test_a_compressed_kmod_is_not_unpacked_beyond_the_bound(
    how: Unpack, size: int, most: int
) -> None:
    bomb = PACK[how](bytes(size))

    def refused() -> None:
        with pytest.raises(UnpackError, match="more than"):
            unpack(bomb, how, limit=MIB)

    assert peak(refused) < most


@pytest.mark.parametrize(("words", "taken"), [(300, True), (900, False)])
def test_an_index_beyond_what_its_addresses_reach(
    monkeypatch: pytest.MonkeyPatch, words: int, taken: bool
) -> None:
    """The bound, which is 256 MiB, at a size that a test can wait for."""
    rows = [(f"alias{index:04}", f"kmod{index:04}", index) for index in range(words)]
    whole = len(kmodtrie.write_index(iter(rows)))
    monkeypatch.setattr(kmodtrie, "MAX_SIZE", 15_000)
    assert (whole <= kmodtrie.MAX_SIZE) == taken
    if taken:
        assert len(kmodtrie.write_index(iter(rows))) == whole
    else:
        with pytest.raises(kmodtrie.IndexFormatError):
            kmodtrie.write_index(iter(rows))


@pytest.mark.parametrize(("size", "taken"), [(900_000, True), (1_100_000, False)])
def test_a_package_whose_control_file_is_a_book(tmp_path: Path, size: int, taken: bool) -> None:
    package = make_deb(tmp_path, "talkative", {}, fields=f"Comment: {'x' * size}\n")
    if taken:
        assert read_deb(package).field("Package") == "talkative"
        return
    with pytest.raises(DebError, match=r"a control file of 11\d{5} bytes"):
        read_deb(package)


@pytest.mark.parametrize(
    ("size", "problem"), [(4 * MIB, "damaged index"), (4 * MIB + 1, "too large")]
)
def test_an_oci_index_of_any_size(tmp_path: Path, size: int, problem: str) -> None:
    (Layout(tmp_path / "layout").root / "index.json").write_bytes(b"[" * size)
    with pytest.raises(MissingInputError, match=problem):
        open_tree(tmp_path / "layout", tmp_path / "cache", FactStore(None))


PACK: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": gzip.compress,
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    "zstd": zstandard.ZstdCompressor().compress,
}


def files(count: int) -> bytes:
    """An archive of `count` files of 1 MiB."""
    out = bytearray()
    writer = CpioWriter(out.extend)
    for index in range(count):
        writer.add(b"%d" % index, 0o100644, size=MIB)
        writer.write(bytes(MIB))
    writer.close()
    return bytes(out)


@pytest.mark.parametrize("how", PACK)
@pytest.mark.parametrize(("count", "taken"), [(4, True), (5, False)])
def test_a_segment_that_unpacks_to_more_than_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, count: int, taken: bool
) -> None:
    """The bound, which is 16 GiB, at a size that a test can wait for."""
    monkeypatch.setattr(archive, "MAX_UNPACKED", 4 * MIB)
    (tmp_path / "image").write_bytes(PACK[how](files(count)))
    problems = "\n".join(verify_image(tmp_path / "image").mismatches)
    assert ("files of more than 4194304 bytes" in problems) == (not taken), problems


@pytest.mark.parametrize("how", ["gzip", "xz"])
@pytest.mark.parametrize(("count", "taken"), [(4, True), (5, False)])
def test_the_end_of_a_segment_is_not_looked_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, count: int, taken: bool
) -> None:
    monkeypatch.setattr(segments, "MAX_UNPACKED", 4 * MIB + 4096)
    path = tmp_path / "image"
    path.write_bytes(PACK[how](files(count)))
    with path.open("rb") as file:
        if taken:
            assert [one.compression for one in split_image(file)] == [how]
        else:
            with pytest.raises(SegmentFormatError, match="more than 4198400 bytes"):
                list(split_image(file))
