"""Caches that others fill: used where they are right, refused where they are not."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from srbuild.borrow import borrow_segments
from srbuild.digests import KnownDigests
from srbuild.formats.cpio import Header, pack_header
from srbuild.host.cache import ContentCache, FactStore
from srbuild.host.remote_cache import open_shared
from srbuild.image import write_image
from support.borrower import Borrower
from support.images import archive, entry, file_at, sample
from support.places import Place, segments
from support.web import serving

TRAILER = pack_header(Header(b"TRAILER!!!", 0))


@pytest.fixture
def borrower(tmp_path: Path) -> Borrower:
    return Borrower(tmp_path)


@pytest.mark.parametrize("compression", ["zstd", "xz", "gzip", "lz4", "none"])
def test_a_right_segment_is_taken(tmp_path: Path, compression: str) -> None:
    borrower = Borrower(tmp_path, compression)
    assert borrower.borrow(str(borrower.filled)) == ((), True)


def test_every_kind_of_entry_passes_the_comparison(tmp_path: Path) -> None:
    borrower = Borrower(tmp_path)
    borrower.layers = borrower.split(sample(tmp_path), "zstd")
    cache = ContentCache(borrower.filled)
    write_image(borrower.layers, tmp_path / "theirs", cache=cache)
    digests = KnownDigests(FactStore(None))
    shared = [open_shared(str(borrower.filled))]
    assert borrow_segments(borrower.layers.segments, shared, borrower.local, digests) == ()
    keys = [digests.key(segment) for segment in borrower.layers.segments]
    assert all(key and borrower.local.find(key) for key in keys)


def test_the_first_cache_that_has_it_is_used(borrower: Borrower, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with serving(borrower.filled) as site:
        places = [str(tmp_path / "absent"), str(tmp_path / "empty"), site.url]
        assert borrower.borrow(*places) == ((), True)
        assert site.asked == [f"/segments/{borrower.file.name}"]


def test_the_shared_folder_is_left_as_it_is(borrower: Borrower) -> None:
    before = borrower.file.stat()
    borrower.borrow(str(borrower.filled))
    assert os.stat(borrower.file) == before


# --- poison -----------------------------------------------------------------------------------


def swapped(cpio: bytes) -> bytes:
    return cpio.replace(b"good", b"evil", 1)


def behind(cpio: bytes) -> bytes:
    """The kernel goes on behind the trailer; archive readers stop there."""
    return cpio + archive(b"init", b"evil")


def behind_zeros(cpio: bytes) -> bytes:
    return cpio + bytes(512) + archive(b"init", b"evil")


def zeros(cpio: bytes) -> bytes:
    return cpio + bytes(4)


def owned(cpio: bytes) -> bytes:
    """/init belongs to user 1000, who could then change it."""
    at = cpio.index(b"init\0") - 110
    return cpio[: at + 22] + b"000003E8" + cpio[at + 30 :]


def setuid(cpio: bytes) -> bytes:
    at = cpio.index(b"init\0") - 110
    return cpio[: at + 14] + b"000089ED" + cpio[at + 22 :]


def renamed(cpio: bytes) -> bytes:
    return cpio.replace(b"init\0", b"inix\0")


def more(cpio: bytes) -> bytes:
    header = pack_header(Header(b"etc", 0o40755, ino=9))
    return cpio[: -len(TRAILER)] + header + TRAILER


def less(cpio: bytes) -> bytes:
    return cpio[: -len(TRAILER)]


def no_padding(cpio: bytes) -> bytes:
    return cpio[:-4] + b"evil"


@pytest.mark.parametrize(
    "change",
    [swapped, behind, behind_zeros, zeros, owned, setuid, renamed, more, less, no_padding],
)
def test_a_consistently_poisoned_segment_is_refused(
    borrower: Borrower, change: Callable[[bytes], bytes]
) -> None:
    """The header has the digests of what follows, but that is not what the sources say."""
    poisoned = change(borrower.cpio)
    assert poisoned != borrower.cpio
    borrower.poison(poisoned)
    [note], from_cache = borrower.borrow(str(borrower.filled))
    assert not from_cache
    assert note.startswith(f"segment base of {borrower.filled} is refused: ")


def test_a_second_frame_behind_the_right_one_is_refused(borrower: Borrower) -> None:
    pack = zstandard.ZstdCompressor(level=3).compress
    cpio = borrower.cpio
    borrower.poison(cpio, packed=pack(cpio) + pack(archive(b"init", b"evil")))
    [note], from_cache = borrower.borrow(str(borrower.filled))
    assert not from_cache
    assert "not one zstd segment" in note


def test_another_compression_of_the_right_archive_is_taken(borrower: Borrower) -> None:
    """What counts is what the kernel unpacks; the bytes before may be another libzstd's."""
    cpio = borrower.cpio
    borrower.poison(cpio, packed=zstandard.ZstdCompressor(level=9).compress(cpio))
    digests = KnownDigests(FactStore(None))
    shared = [open_shared(str(borrower.filled))]
    assert borrow_segments(borrower.layers.segments, shared, borrower.local, digests) == ()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("flip", "refused"),
        ("cut", "is cut short"),
        ("empty", "is no segment of a cache"),
        ("header", "is no segment of a cache"),
        ("line", "is no segment of a cache"),
        ("trailing", "is longer than it says"),
        ("huge", "is larger than it can be: 1000000000000 bytes"),
        ("negative", "is no segment of a cache"),
        ("size", "its archive is not what its header says"),
        ("text", "is no segment of a cache"),
    ],
)
def test_a_damaged_segment_is_refused(borrower: Borrower, damage: str, words: str) -> None:
    head, _, data = borrower.file.read_bytes().partition(b"\n")
    fields = json.loads(head)
    match damage:
        case "flip":
            data = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
        case "cut":
            data = data[:-1]
        case "empty":
            borrower.file.write_bytes(b"")
        case "header":
            borrower.file.write_bytes(b"[" * 5000 + b"\n" + data)
        case "line":
            borrower.file.write_bytes(b"{" + b" " * 100_000)
        case "trailing":
            data += b"x"
        case "huge":
            fields["length"] = 10**12
        case "negative":
            fields["length"] = -1
        case "size":
            fields["cpio_size"] += 4
        case "text":
            fields["length"] = "9"
    if damage not in ("empty", "header", "line"):
        borrower.file.write_bytes(json.dumps(fields).encode() + b"\n" + data)
    [note], from_cache = borrower.borrow(str(borrower.filled))
    assert not from_cache
    assert words in note


def test_an_archive_that_unpacks_to_more_than_it_should_is_not_unpacked(
    borrower: Borrower,
) -> None:
    borrower.poison(borrower.cpio + bytes(200 << 20))
    began = time.process_time()
    [note], from_cache = borrower.borrow(str(borrower.filled))
    assert not from_cache
    assert "something follows" in note
    assert time.process_time() - began < 1


def test_after_a_refused_one_the_next_cache_is_asked(borrower: Borrower, tmp_path: Path) -> None:
    shutil.copytree(borrower.filled, tmp_path / "good")
    borrower.poison(swapped(borrower.cpio))
    [note], from_cache = borrower.borrow(str(borrower.filled), str(tmp_path / "good"))
    assert from_cache
    assert "refused" in note


def test_secrets_are_not_asked_for(borrower: Borrower, tmp_path: Path) -> None:
    key = file_at(tmp_path / "key", b"hunter2")
    borrower.layers = borrower.split({"/key": entry(key, secret=True)}, "zstd")
    with serving(borrower.filled) as site:
        digests = KnownDigests(FactStore(None))
        shared = [open_shared(site.url)]
        assert borrow_segments(borrower.layers.segments, shared, borrower.local, digests) == ()
        assert site.asked == []


# --- between jobs of a pipeline ---------------------------------------------------------------


def test_between_two_jobs_nothing_is_compressed_twice(
    built: tuple[Place, dict[str, Any]], tmp_path: Path
) -> None:
    """Two folders that have nothing in common but a web server with the first one's cache."""
    first, document = built
    copy = tmp_path / "web"
    shutil.copytree(first.folder / "cache/srbuild/segments", copy / "segments")
    second = Place(tmp_path / "job", first.sysroot)
    with serving(copy) as site:
        again = second.build("--cache", site.url)
    assert {name for name, it in segments(again).items() if not it["from_cache"]} == set()
    assert again["sha256"] == document["sha256"]
    assert second.image.read_bytes() == first.image.read_bytes()
    third = Place(tmp_path / "third", first.sysroot)
    kept = third.build("--cache", "none", "--cache", str(copy))
    assert all(it["from_cache"] for it in kept["segments"])
    assert not (third.folder / "cache").exists()
    fourth = Place(tmp_path / "fourth", first.sysroot, {"SRBUILD_CACHES": f"mine {copy}"})
    assert all(it["from_cache"] for it in fourth.build()["segments"])
    assert (fourth.folder / "mine/segments").is_dir()


@pytest.mark.parametrize(
    "url",
    ["https://", "http://me:hunter2@host:port/x", "https://h/x?token=hunter2", "http://h/a b"],
)
def test_no_plain_url_is_refused_without_being_repeated(place: Place, url: str) -> None:
    code, _, err = place.run("--cache", url)
    assert code == 3
    assert "--cache: is no plain URL of a folder" in err
    assert "hunter2" not in err
