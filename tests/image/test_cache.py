"""The content cache: never trusted, always rebuilt when wrong."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from srbuild import archiver
from srbuild.host import sources
from srbuild.host.cache import CachedSegment, ContentCache, FactStore
from srbuild.image import Image
from srbuild.manifest import Entry, File, Inline
from srbuild.outputs import is_current, record_output
from support.images import (
    SETTLE,
    entry,
    file_at,
    sample,
    sha256,
    write,
)


class Store:
    """A cache and facts, as one build after another opens them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def build(self, target: Path, entries: dict[str, Entry]) -> Image:
        facts = FactStore(self.root / "facts")
        image, report = write(target, entries, cache=ContentCache(self.root), facts=facts)
        assert report.ok
        assert facts.save() == ""
        return image

    def segments(self) -> list[Path]:
        return sorted((self.root / "segments").iterdir())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def from_cache(image: Image) -> list[str]:
    return [segment.name for segment in image.segments if segment.from_cache]


def test_an_unchanged_segment_comes_from_the_cache(
    tmp_path: Path, target: Path, store: Store
) -> None:
    entries = sample(tmp_path)
    first = store.build(target, entries)
    data = target.read_bytes()
    second = store.build(tmp_path / "again", entries)
    assert from_cache(first) == []
    assert from_cache(second) == ["base", "fs", "kmods", "site"]
    assert (tmp_path / "again").read_bytes() == data
    assert second.sha256 == first.sha256
    assert second.stored == first.stored
    assert second.notes == ()


def test_one_changed_file_makes_one_segment_anew(
    tmp_path: Path, target: Path, store: Store
) -> None:
    entries = sample(tmp_path)
    store.build(target, entries)
    entries["/usr/sbin/mount.gfs2"] = entry(file_at(tmp_path / "gfs2", b"newer"), "fs")
    assert from_cache(store.build(target, entries)) == ["base", "kmods", "site"]
    alone = write(tmp_path / "alone", entries)[0]
    assert (tmp_path / "alone").read_bytes() == target.read_bytes()
    assert from_cache(alone) == []


def test_a_file_with_new_times_but_old_content_costs_no_segment(
    tmp_path: Path, target: Path, store: Store
) -> None:
    entries = sample(tmp_path)
    store.build(target, entries)
    os.utime(tmp_path / "gfs2", (1, 1))
    entries["/usr/sbin/mount.gfs2"] = entry(file_at(tmp_path / "gfs2", mode=0o755), "fs")
    assert from_cache(store.build(target, entries)) == ["base", "fs", "kmods", "site"]


def test_with_known_digests_a_cached_segments_files_are_not_read(
    tmp_path: Path, target: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = sample(tmp_path)
    time.sleep(SETTLE)
    store.build(target, entries)
    reads: list[File] = []
    monkeypatch.setattr(sources, "read_source", reads.append)
    monkeypatch.setattr(archiver, "read_source", reads.append)
    assert from_cache(store.build(target, entries)) == ["base", "fs", "kmods", "site"]
    assert reads == []


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "header", "other", "gone"])
def test_a_damaged_cache_entry_is_made_anew(
    tmp_path: Path, target: Path, store: Store, damage: str
) -> None:
    entries = {"/big": entry(file_at(tmp_path / "big", os.urandom(2_500_000)))}
    first = store.build(target, entries)
    [path] = store.segments()
    data = bytearray(path.read_bytes())
    match damage:
        case "flip":
            data[len(data) // 2] ^= 1
        case "cut":
            del data[-1000:]
        case "empty":
            data.clear()
        case "header":
            data[:20] = b"\xff" * 20
        case "other":
            data[-9:] = b"something"
        case "gone":
            path.unlink()
    if damage != "gone":
        path.write_bytes(data)
    second = store.build(tmp_path / "second", entries)
    assert from_cache(second) == []
    assert second.sha256 == first.sha256 == sha256((tmp_path / "second").read_bytes())
    noted = ("segment base: damaged in the cache, made anew",)
    assert second.notes == (noted if damage in ("flip", "cut", "other") else ())
    assert from_cache(store.build(tmp_path / "third", entries)) == ["base"]


def test_a_poisoned_cache_entry_never_becomes_an_image(
    tmp_path: Path, target: Path, store: Store
) -> None:
    """Whoever can write to the cache gives a segment of his own a right digest."""
    entries = {
        "/init": entry(file_at(tmp_path / "init", b"good", 0o755)),
        "/site": entry(Inline(b"x"), "site"),
    }
    first = store.build(tmp_path / "first", entries)
    evil = {"/init": entry(file_at(tmp_path / "evil", b"evil", 0o755))}
    other = Store(tmp_path / "evil-cache")
    other.build(tmp_path / "evil-image", evil)
    [theirs] = other.segments()
    for mine in store.segments():
        mine.write_bytes(theirs.read_bytes())
    second = store.build(target, entries)
    assert target.read_bytes() == (tmp_path / "first").read_bytes()
    assert from_cache(second) == []
    assert second.notes == tuple(
        f"segment {name}: wrong in the cache, made anew" for name in ("base", "site")
    )
    third = store.build(target, entries)
    assert (from_cache(third), third.sha256) == (["base", "site"], first.sha256)


def test_secrets_are_neither_cached_nor_remembered(
    tmp_path: Path, target: Path, store: Store
) -> None:
    key = file_at(tmp_path / "key", b"hunter2")
    time.sleep(SETTLE)
    entries = {"/a": entry(Inline(b"x")), "/key": entry(key, "site", secret=True)}
    store.build(target, entries)
    assert len(store.segments()) == 1
    digest = sha256(b"hunter2").encode()
    everything = [path.read_bytes() for path in store.root.rglob("*") if path.is_file()]
    assert not any(b"hunter2" in data or digest in data for data in everything)
    assert from_cache(store.build(target, entries)) == ["base"]


def test_a_cache_that_cannot_be_written_is_noted(tmp_path: Path, target: Path) -> None:
    (tmp_path / "file").touch()
    image, report = write(target, {"/a": entry(Inline(b""))}, cache=ContentCache(tmp_path / "file"))
    assert report.ok
    assert "does not take a segment" in image.notes[0]


def test_segments_stored_at_once_are_all_taken(tmp_path: Path) -> None:
    """One draft may get its final name while another store looks through the folder."""
    data = b"a segment"
    source = tmp_path / "source"
    source.write_bytes(data)
    digest = sha256(data)
    segment = CachedSegment(source, 0, len(data), digest, len(data))
    cache = ContentCache(tmp_path)
    keys = [f"{number:064x}" for number in range(400)]
    with ThreadPoolExecutor(8) as pool:
        stored = pool.map(lambda key: cache.store(key, segment) + cache.prune(), keys)
        assert set(stored) == {""}
    assert sorted(path.name for path in (tmp_path / "segments").iterdir()) == keys


def test_an_output_is_current_until_it_or_its_inputs_change(tmp_path: Path, target: Path) -> None:
    facts = FactStore(tmp_path / "facts")
    assert not is_current(target, facts, "key")
    write(target, {"/a": entry(Inline(b""))})
    record_output(target, facts, "key")
    facts.save()
    facts = FactStore(tmp_path / "facts")
    assert is_current(target, facts, "key")
    assert not is_current(target, facts, "other key")
    os.utime(target, (1, 1))
    assert not is_current(target, facts, "key")
    target.unlink()
    assert not is_current(target, facts, "key")
