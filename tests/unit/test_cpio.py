"""The newc writer and reader, with GNU cpio, bsdtar and busybox as oracles."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbuild.formats.cpio import (
    HEADER_SIZE,
    MAX_NAME,
    TRAILER,
    CpioFormatError,
    CpioReader,
    CpioWriter,
    Header,
    pack_header,
)

FILE, DIR, LINK = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777

names = st.binary(min_size=1, max_size=300).filter(lambda name: b"\0" not in name)
records = st.lists(
    st.tuples(
        names.filter(lambda name: name != TRAILER),
        st.integers(0, 0xFFFF),
        st.binary(max_size=50),
        st.tuples(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF)),
        st.integers(0, 0xFFFFFFFF),
    ),
    max_size=8,
)


def archive(*entries: tuple[bytes, int, bytes], mtime: int = 0) -> bytes:
    out = bytearray()
    writer = CpioWriter(out.extend, mtime)
    for name, mode, data in entries:
        writer.add(name, mode, size=len(data), nlink=2 if stat.S_ISDIR(mode) else 1)
        writer.write(data)
    writer.close()
    return bytes(out)


def read(data: bytes) -> list[tuple[Header, bytes]]:
    reader = CpioReader(io.BytesIO(data))
    return [(header, b"".join(reader.chunks())) for header in reader]


@given(records, st.integers(0, 0xFFFFFFFF))
def test_what_was_written_is_read(
    entries: list[tuple[bytes, int, bytes, tuple[int, int], int]], mtime: int
) -> None:
    out = bytearray()
    writer = CpioWriter(out.extend, mtime)
    for name, mode, data, rdev, nlink in entries:
        writer.add(name, mode, size=len(data), nlink=nlink, rdev=rdev)
        writer.write(data[:7])
        writer.write(data[7:])
    writer.close()
    assert len(out) % 4 == 0
    reader = CpioReader(io.BytesIO(bytes(out)))
    found = [(header, b"".join(reader.chunks())) for header in reader]
    assert reader.offset == len(out)
    assert found == [
        (Header(name, mode, len(data), mtime, rdev, ino, nlink), data)
        for ino, (name, mode, data, rdev, nlink) in enumerate(entries, 1)
    ]


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(CpioFormatError):
        assert read(archive((b"a", FILE, b"abc"))[:110] + data)[0][0].name


@given(st.data())
def test_one_damaged_byte_is_never_a_crash(data: st.DataObject) -> None:
    good = bytearray(archive((b"dir", DIR, b""), (b"dir/file", FILE, b"12345")))
    at = data.draw(st.integers(0, len(good) - 1))
    good[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CpioFormatError):
        assert len(read(bytes(good))) <= 2


def test_every_shorter_archive_is_refused() -> None:
    whole = archive((b"dir", DIR, b""), (b"dir/file", FILE, b"12345"))
    assert len(read(whole)) == 2
    for length in range(len(whole)):
        with pytest.raises(CpioFormatError, match="cut short"):
            read(whole[:length])


@pytest.mark.parametrize(
    ("at", "byte", "what"),
    [
        (0, b"1", "no newc header"),
        (5, b"2", "no newc header"),  # 070702, the form with checksums
        (8, b"x", "bad number"),
        (8, b" ", "bad number"),
        (9, b"_", "bad number"),
        (8, b"\xff", "bad number"),
        (109, b"1", "checksum"),
        (101, b"0", "name of"),
        (HEADER_SIZE + 4, b"f", "without its NUL"),
        (HEADER_SIZE + 1, b"\0", "without its NUL"),
        (HEADER_SIZE + 5, b"x", "padding"),
        (116 + 5, b"x", "padding"),
    ],
)
def test_what_a_writer_would_not_write_is_refused(at: int, byte: bytes, what: str) -> None:
    good = bytearray(archive((b"file", FILE, b"12345")))
    assert read(bytes(good))
    good[at : at + 1] = byte
    with pytest.raises(CpioFormatError, match=what):
        read(bytes(good))


def test_a_trailer_with_data_is_refused() -> None:
    with pytest.raises(CpioFormatError, match="trailer with data"):
        read(pack_header(Header(TRAILER, 0, size=4)) + b"data")


@pytest.mark.parametrize("name", [b"", b"a\0b", b"x" * MAX_NAME, TRAILER])
def test_names_that_newc_cannot_hold_are_refused(name: bytes) -> None:
    with pytest.raises(ValueError, match=r"hold the name|end the archive"):
        CpioWriter(bytearray().extend).add(name, FILE)


def test_the_longest_name_is_kept() -> None:
    assert read(archive((b"x" * (MAX_NAME - 1), FILE, b"")))[0][0].name == b"x" * 4095


def test_a_file_of_4_gib_is_refused_and_one_byte_less_is_not() -> None:
    out = bytearray()
    with pytest.raises(ValueError, match="4 GiB"):
        CpioWriter(out.extend).add(b"big", FILE, size=1 << 32)
    assert not out
    CpioWriter(out.extend).add(b"big", FILE, size=(1 << 32) - 1)
    assert out[54:62] == b"FFFFFFFF"


@pytest.mark.parametrize("mtime", [-1, 1 << 32])
def test_a_time_that_newc_cannot_hold_is_refused(mtime: int) -> None:
    with pytest.raises(ValueError, match="newc cannot hold"):
        CpioWriter(bytearray().extend, mtime).add(b"file", FILE)


def test_data_must_be_as_long_as_announced() -> None:
    writer = CpioWriter(bytearray().extend)
    writer.add(b"file", FILE, size=3)
    with pytest.raises(ValueError, match="2 bytes more"):
        writer.write(b"12345")
    with pytest.raises(ValueError, match="lacks 3 bytes"):
        writer.add(b"next", FILE)
    with pytest.raises(ValueError, match="lacks 3 bytes"):
        writer.close()


def tree(root: Path) -> list[str]:
    """A tree that newc can hold and every tool extracts; names relative, in bytewise order."""
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/tool").write_bytes(os.urandom(10_001))
    (root / "usr/bin/tool").chmod(0o4755)
    (root / "usr/bin/sh").symlink_to("tool")
    (root / "usr/empty").touch()
    (root / "usr/with space\nand newline").write_bytes(b"abc")
    Path(os.fsdecode(os.fsencode(root) + b"/usr/\xff\xfe")).write_bytes(b"no UTF-8")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    found = [os.fsencode(path.relative_to(root)) for path in root.rglob("*")]
    for name in sorted(found, reverse=True):
        os.utime(os.path.join(os.fsencode(root), name), (1, 1), follow_symlinks=False)
    return [os.fsdecode(name) for name in sorted(found)]


def our_archive(root: Path, found: list[str]) -> bytes:
    entries = []
    for name in found:
        path = root / name
        status = path.lstat()
        if path.is_symlink():
            data = os.fsencode(os.readlink(path))
        else:
            data = path.read_bytes() if path.is_file() else b""
        entries.append((os.fsencode(name), status.st_mode, data))
    return archive(*entries, mtime=1)


def test_bytes_equal_those_of_gnu_cpio(tmp_path: Path) -> None:
    found = tree(tmp_path / "tree")
    gnu = subprocess.run(
        ["cpio", "-o", "-0", "-H", "newc", "--reproducible", "-R", "0:0", "--quiet"],
        input=b"\0".join(map(os.fsencode, found)) + b"\0",
        cwd=tmp_path / "tree",
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    ).stdout
    ours = our_archive(tmp_path / "tree", found)
    assert gnu[: len(ours)].hex(" ") == _numbered_as(gnu, ours).hex(" ")
    assert not gnu[len(ours) :].strip(b"\0")  # it fills its last block


def _numbered_as(gnu: bytes, ours: bytes) -> bytes:
    """Our bytes with the two fields that differ by rule, each checked for being by that rule.

    GNU cpio numbers inodes from 0, srbuild from 1. For a directory's links GNU cpio writes the
    file system's own number, which on some counts the directories inside; srbuild writes 2.
    """
    result = bytearray(ours)
    reader = CpioReader(io.BytesIO(ours))
    for header in reader:
        start = reader.offset - len(pack_header(header))
        inode, links = slice(start + 6, start + 14), slice(start + 38, start + 46)
        assert int(ours[inode], 16) == int(gnu[inode], 16) + 1
        result[inode] = gnu[inode]
        if stat.S_ISDIR(header.mode):
            assert ours[links] == b"00000002"
            result[links] = gnu[links]
    return bytes(result)


@pytest.mark.parametrize(
    "tool",
    [
        ["cpio", "-i", "-d", "-m", "--quiet"],
        ["bsdtar", "-x", "-p", "-f", "-"],
        ["busybox", "cpio", "-i", "-d", "-m"],
    ],
    ids=["gnu", "bsdtar", "busybox"],
)
def test_other_tools_extract_the_same_tree(tmp_path: Path, tool: list[str]) -> None:
    found = tree(tmp_path / "tree")
    (tmp_path / "out").mkdir()
    subprocess.run(
        tool,
        input=our_archive(tmp_path / "tree", found),
        cwd=tmp_path / "out",
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        check=True,
        timeout=60,
    )
    assert _listing(tmp_path / "out") == _listing(tmp_path / "tree")


def _listing(root: Path) -> list[tuple[str, int, bytes]]:
    rows = []
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        if path.is_symlink():
            rows.append((str(path.relative_to(root)), mode, os.fsencode(os.readlink(path))))
        else:
            data = path.read_bytes() if path.is_file() else b""
            # Without root nobody may give a file setuid that he does not own: not compared.
            rows.append((str(path.relative_to(root)), mode & ~0o6000, data))
    return rows


def test_device_nodes_are_records(tmp_path: Path) -> None:
    out = bytearray()
    writer = CpioWriter(out.extend)
    writer.add(b"console", stat.S_IFCHR | 0o600, rdev=(5, 1))
    writer.add(b"vda", stat.S_IFBLK | 0o660, rdev=(254, 17))
    writer.close()
    listing = subprocess.run(
        ["cpio", "-t", "-v", "--quiet"],
        input=bytes(out),
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        check=True,
        timeout=60,
    ).stdout.decode()
    console, vda = (line.split() for line in listing.splitlines())
    assert (console[0], console[4:6], console[-1]) == ("crw-------", ["5,", "1"], "console")
    assert (vda[0], vda[4:6], vda[-1]) == ("brw-rw----", ["254,", "17"], "vda")
