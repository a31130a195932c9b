"""Hostile images through `srbuild list` and `verify`: bounded work, and a safe terminal."""

from __future__ import annotations

import gzip
import json
import resource
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from srbuild.formats.cpio import CpioWriter, Header, pack_header

SRBUILD = Path(sys.executable).with_name("srbuild")
MEMORY = 700 << 20  # bytes of address space that a look at any small image must do with
DIR, FILE, LINK = 0o40755, 0o100644, 0o120777


def archive(*records: tuple[str, int, bytes], nlink: int = 1) -> bytes:
    out = bytearray()
    writer = CpioWriter(out.extend)
    for name, mode, data in records:
        writer.add(name.encode(), mode, size=len(data), nlink=nlink)
        writer.write(data)
    writer.close()
    return bytes(out)


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def look(image: Path, *verb: str) -> tuple[int, str]:
    """Status and output of a verb, run with little memory; never a traceback or a raw escape."""

    def restrict() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))

    done = subprocess.run(
        [str(SRBUILD), *verb, str(image)],
        capture_output=True,
        check=False,
        timeout=60,
        preexec_fn=restrict,
    )
    said = (done.stdout + done.stderr).decode()
    assert "Traceback" not in said
    assert "MemoryError" not in said
    assert not {char for char in said if char < " "} - {"\n"}
    return done.returncode, said


def refused(path: Path, data: bytes) -> str:
    """Both verbs must end with status 7; what they said."""
    path.write_bytes(data)
    (one, verified), (other, listed) = look(path, "verify"), look(path, "list")
    assert (one, other) == (7, 7), verified + listed
    return verified + listed


def zstd_frame(*parts: bytes | int) -> bytes:
    """A frame of bytes as they are and of so many zeros, 128 KiB of them in four bytes.

    RFC 8878: raw blocks, and blocks of one byte repeated.
    """
    most = 128 << 10
    frame = bytearray(b"\x28\xb5\x2f\xfd\x00\x70")  # no checksum, a window of 16 MiB
    for part in parts:
        if isinstance(part, bytes):
            frame += struct.pack("<I", len(part) << 3)[:3] + part
        else:
            count, rest = divmod(part, most)
            frame += (struct.pack("<I", most << 3 | 1 << 1)[:3] + b"\0") * count
            frame += struct.pack("<I", rest << 3 | 1 << 1)[:3] + b"\0"
    return bytes(frame + b"\x01\0\0")  # an empty last block


def test_a_bomb_of_zeros_is_no_archive(tmp_path: Path) -> None:
    assert "offset 0" in refused(tmp_path / "image", zstd_frame(1 << 36))


def test_a_file_of_more_than_the_memory_is_read_in_pieces(tmp_path: Path) -> None:
    """1 GiB of zeros in 33 kB, as an image that nothing is wrong with."""
    size = 1 << 30
    assert size > MEMORY
    head = pack_header(Header(b"abyss", FILE, size))
    image = zstd_frame(head, size, pack_header(Header(b"TRAILER!!!", 0)))
    (tmp_path / "image").write_bytes(image)
    assert len(image) < 40_000
    status, said = look(tmp_path / "image", "list", "--long")
    assert (status, f"{size} /abyss" in said) == (0, True), said


def test_files_of_20_gib_are_cut_short_where_their_archive_is(tmp_path: Path) -> None:
    """Five headers of files of 4 GiB in a few bytes: nothing is set aside for what is claimed."""
    one = zstd_frame(pack_header(Header(b"abyss", FILE, 0xFFFFFFFC)), 1 << 20)
    assert refused(tmp_path / "image", one * 5).count("offset") >= 5


@pytest.mark.parametrize("count", [3_000_000])
def test_endless_names_end(tmp_path: Path, count: int) -> None:
    """Each header is one line of a pattern: 400 MB of them are a few kB."""
    record = pack_header(Header(b"n", DIR))
    with gzip.open(tmp_path / "image", "wb", compresslevel=1) as file:
        for _ in range(count // 1000):
            file.write(record * 1000)
    status, said = look(tmp_path / "image", "verify")
    assert (status, "more names than any initramfs has" in said) == (7, True), said


def test_links_that_multiply_are_not_followed_for_ever(tmp_path: Path) -> None:
    """None is in a circle: 3000 links, each with 62,000 names behind it."""
    way = b"a/../" * 800
    chain = [(f"c{i}", LINK, way + b"c%d" % (i + 1)) for i in range(38)]
    links = [*chain, ("c38", FILE, b""), *((f"l{i}", LINK, way + b"c0") for i in range(3000))]
    (tmp_path / "image").write_bytes(archive(("a", DIR, b""), *links))
    status, said = look(tmp_path / "image", "verify")
    assert status == 7
    assert "too many links to follow" in said


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (archive(("l", LINK, b"l")), "links in a circle"),
        (archive(("x" * 4094 + "/" , FILE, b"")), "x"),
        (archive(("f", FILE, b"a"), ("f", FILE, b"b")), "twice in one segment"),
        (archive(("f", FILE, b"a")) + b"trailing garbage", "offset"),
        (archive(("\x1b]0;owned\x07", FILE, b""), ("\x1b[2J", DIR, b""), ("\x1b[2J", FILE, b"")),
         r"/\x1b[2J: twice"),
        (archive(("../../etc/passwd", FILE, b"")), "no plain name"),
        (archive(("d/f", FILE, b"")), "directory does not stand before it"),
        (gzipped(gzipped(archive(("f", FILE, b"")))), "compressed twice"),
        (zstandard.ZstdCompressor().compress(archive(("f", FILE, b"a" * 999)))[:-9], "offset 0"),
        (pack_header(Header(b"f", FILE, 0xFFFFFFFF)) + b"short", "offset"),
    ],
    ids=["link-loop", "long-name", "duplicate", "trailing", "escape", "dot-dot", "no-parent",
         "nested", "truncated", "4-gib"],
)  # fmt: skip
def test_damage_is_told(tmp_path: Path, data: bytes, what: str) -> None:
    assert what in refused(tmp_path / "image", data)


def test_hard_links_and_odd_names_of_other_tools_are_listed(tmp_path: Path) -> None:
    out = bytearray()
    for name in (b"one", b"tw\x1bo\xff"):
        out += pack_header(Header(name, FILE, 0, ino=7, nlink=2))
    out += pack_header(Header(b"l\x9b", LINK, 4)) + b"\x1b[2J"
    out += pack_header(Header(b"TRAILER!!!", 0))
    (tmp_path / "image").write_bytes(out)
    status, said = look(tmp_path / "image", "list", "--long")
    assert status == 0, said
    assert r"/tw\x1bo\xff" in said
    assert r"/l\x9b -> \x1b[2J" in said
    status, said = look(tmp_path / "image", "list", "--json")
    assert {row["path"] for row in json.loads(said)["entries"]} == {
        "/one", "/tw\x1bo\udcff", "/l\udc9b"
    }  # fmt: skip


def test_a_hostile_sidecar_is_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(archive(("f", FILE, b"")))
    for text in ("[" * 5000, '{"schema": 1, "kernel": "", "size": Infinity}', '{"schema": "\x1b"}'):
        (tmp_path / "image.json").write_text(text)
        status, said = look(tmp_path / "image", "verify")
        assert (status, "sidecar" in said) == (7, True), said
