"""Atomic writing, the segment cache and the store of facts."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbuild.errors import SrbuildError, UsageError
from srbuild.host.cache import MAX_ROWS, CachedSegment, ContentCache, FactStore
from srbuild.host.files import Draft, write_atomic
from srbuild.host.sysroot import Identity, identity

OLD = Identity(1, 2, 3, 4, 5)


def drafts(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_the_target_changes_only_on_commit(tmp_path: Path) -> None:
    target = tmp_path / "image"
    target.write_bytes(b"old")
    with Draft(target) as draft:
        draft.write(b"new ")
        draft.write(memoryview(b"content"))
        assert draft.tell() == 11
        assert target.read_bytes() == b"old"
        assert len(drafts(tmp_path)) == 1
        draft.commit()
        assert target.read_bytes() == b"new content"
    assert drafts(tmp_path) == []


def test_a_part_of_a_file_is_copied(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 4096)
    with Draft(tmp_path / "image") as draft:
        draft.write(b"before ")
        draft.copy(source, 5000, 70_001)
        draft.write(b" behind")
        assert draft.tell() == 5014
        draft.commit()
    part = source.read_bytes()[70_001:75_001]
    assert (tmp_path / "image").read_bytes() == b"before " + part + b" behind"


def test_a_segment_cut_short_meanwhile_is_not_kept(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"x" * 100)
    cache = ContentCache(tmp_path / "cache")
    said = cache.store("key", CachedSegment(image, 40, 61, "0" * 64, 61))
    assert "cut short" in said
    assert cache.find("key") is None


def test_an_error_leaves_the_target_and_no_draft(tmp_path: Path) -> None:
    target = tmp_path / "image"
    target.write_bytes(b"old")

    def fail() -> None:
        with Draft(target) as draft:
            draft.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_bytes() == b"old"
    assert drafts(tmp_path) == []


def test_truncating_forgets_the_rest(tmp_path: Path) -> None:
    with Draft(tmp_path / "image") as draft:
        draft.write(b"keep and forget")
        draft.truncate(5)
        draft.write(b"this")
        draft.commit()
    assert (tmp_path / "image").read_bytes() == b"keep this"


@pytest.mark.parametrize(("secret", "mode"), [(True, 0o600), (False, 0o640)])
def test_modes(tmp_path: Path, *, secret: bool, mode: int) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "file", b"", secret=secret)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SrbuildError, match=r"cannot write .*/none/image: No such file") as caught:
        write_atomic(tmp_path / "none" / "image", b"")
    assert "existing folder" in caught.value.hint


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_what_no_file_can_replace_is_refused(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    target.mkdir() if kind == "directory" else os.mkfifo(target)
    with pytest.raises(UsageError, match="no regular file"):
        write_atomic(target, b"")


def test_the_next_writer_clears_what_a_killed_one_left(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from srbuild.host.files import Draft\n"
        "with Draft(pathlib.Path(sys.argv[1])) as draft:\n"
        "    draft.write(b'part'); print('ready', flush=True); sys.stdin.read()\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "first")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"ready\n"
    [alive] = drafts(tmp_path)
    write_atomic(tmp_path / "second", b"")
    assert drafts(tmp_path) == [alive], "a living writer keeps its draft"
    writer.send_signal(signal.SIGKILL)
    writer.communicate(timeout=60)
    assert drafts(tmp_path) == [alive]
    write_atomic(tmp_path / "second", b"")
    assert drafts(tmp_path) == []
    assert not (tmp_path / "first").exists()


def test_only_drafts_are_cleared(tmp_path: Path) -> None:
    kept = [tmp_path / ".image.tmp", tmp_path / "image.srbuild", tmp_path / ".srbuild-draft-x"]
    for path in kept:
        path.touch()
    (tmp_path / "folder.srbuild-draft").mkdir()
    (tmp_path / "link.srbuild-draft").symlink_to(kept[0])
    write_atomic(tmp_path / "image", b"")
    assert all(path.exists() for path in kept)
    assert (tmp_path / "folder.srbuild-draft").is_dir()
    assert (tmp_path / "link.srbuild-draft").is_symlink()


def test_a_draft_swept_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, taken = fcntl.flock, []

    def flock(fd: int, operation: int) -> None:
        if not taken:
            taken.append(os.readlink(f"/proc/self/fd/{fd}"))
            os.unlink(taken[0])
        real(fd, operation)

    monkeypatch.setattr("srbuild.host.files.fcntl.flock", flock)
    write_atomic(tmp_path / "image", b"whole")
    assert taken
    assert (tmp_path / "image").read_bytes() == b"whole"


def segment_of(path: Path, data: bytes) -> CachedSegment:
    path.write_bytes(b"before" + data + b"behind")
    return CachedSegment(path, 6, len(data), "aa" * 32, 99)


def test_a_segment_is_found_again(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path / "cache")
    assert cache.is_empty()
    assert cache.find("k1") is None
    assert cache.store("k1", segment_of(tmp_path / "image", b"x" * 3_000_000)) == ""
    assert not cache.is_empty()
    found = cache.find("k1")
    assert found is not None
    assert b"".join(found.chunks()) == b"x" * 3_000_000
    assert (found.length, found.sha256, found.cpio_size) == (3_000_000, "aa" * 32, 99)
    assert stat.S_IMODE(found.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(found.path.parent.stat().st_mode) == 0o700
    cache.discard("k1")
    cache.discard("k1")
    assert cache.find("k1") is None


@pytest.mark.parametrize(
    "header",
    [b"", b"\n", b"{}\n", b"[]\n", b"null\n", b"\xff\n", b"x" * 9000, b'{"schema": 0}\n'],
)
def test_an_entry_without_a_right_header_is_none(tmp_path: Path, header: bytes) -> None:
    cache = ContentCache(tmp_path / "cache")
    cache.store("k1", segment_of(tmp_path / "image", b"data"))
    found = cache.find("k1")
    assert found is not None
    found.path.write_bytes(header + b"data")
    assert cache.find("k1") is None


def test_a_segment_cut_short_gives_what_is_left(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path / "cache")
    cache.store("k1", segment_of(tmp_path / "image", b"0123456789"))
    found = cache.find("k1")
    assert found is not None
    os.truncate(found.path, found.offset + 4)
    assert b"".join(found.chunks()) == b"0123"


def test_the_least_recently_used_segments_go_first(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path / "cache", limit=4000)
    for number in range(3):
        cache.store(f"k{number}", segment_of(tmp_path / "image", bytes(1000)))
        found = cache.find(f"k{number}")
        assert found is not None
        os.utime(found.path, (number, number))
    assert cache.find("k0")  # used now
    cache.store("k3", segment_of(tmp_path / "image", bytes(1000)))
    assert cache.prune() == ""
    assert [name for name in ("k0", "k1", "k2", "k3") if cache.find(name)] == ["k0", "k2", "k3"]


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in its place")
    cache = ContentCache(tmp_path / "cache")
    assert cache.is_empty()
    assert cache.prune() == ""
    assert "does not take" in cache.store("k", segment_of(tmp_path / "image", b""))
    assert cache.find("k") is None
    facts = FactStore(tmp_path / "cache" / "facts")
    facts.put("t", OLD, 1)
    assert "not kept" in facts.save()


def test_facts_are_kept_by_table_and_identity(tmp_path: Path) -> None:
    facts = FactStore(tmp_path / "new" / "facts")
    facts.put("elf/1", OLD, ["libc.so.6", 64, None])
    facts.put("content-1", OLD, "digest")
    assert facts.get("elf/1", OLD) == ["libc.so.6", 64, None]
    assert facts.save() == ""
    again = FactStore(tmp_path / "new" / "facts")
    assert again.get("elf/1", OLD) == ["libc.so.6", 64, None]
    assert again.get("content-1", OLD) == "digest"
    assert again.get("elf/2", OLD) is None
    for field in ("dev", "ino", "size", "mtime", "ctime"):
        other = Identity(
            **{**dict(zip(Identity.__slots__, (1, 2, 3, 4, 5), strict=True)), field: 9}
        )
        assert again.get("elf/1", other) is None


def test_facts_about_a_file_that_just_changed_are_not_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    fresh = identity((tmp_path / "file").stat())
    facts = FactStore(tmp_path / "facts")
    facts.put("t", fresh, "fleeting")
    facts.put("t", OLD, "kept")
    facts.put("output", fresh, "ours", settled=True)
    assert facts.get("t", fresh) == "fleeting"
    facts.save()
    again = FactStore(tmp_path / "facts", now=lambda: fresh.ctime + 10**9)
    assert (again.get("t", fresh), again.get("t", OLD)) == (None, "kept")
    assert again.get("output", fresh) == "ours"
    again.put("t", fresh, "settled")
    again.save()
    assert FactStore(tmp_path / "facts").get("t", fresh) == "settled"


def test_two_builds_keep_each_others_facts(tmp_path: Path) -> None:
    one, two = FactStore(tmp_path / "facts"), FactStore(tmp_path / "facts")
    one.put("t", Identity(1, 1, 1, 1, 1), "one")
    two.put("t", Identity(2, 2, 2, 2, 2), "two")
    two.put("other", OLD, "two")
    one.save()
    two.save()
    both = FactStore(tmp_path / "facts")
    assert both.get("t", Identity(1, 1, 1, 1, 1)) == "one"
    assert both.get("t", Identity(2, 2, 2, 2, 2)) == "two"
    assert both.get("other", OLD) == "two"


def test_the_rows_not_used_for_longest_are_dropped(tmp_path: Path) -> None:
    facts = FactStore(tmp_path / "facts")
    for number in range(MAX_ROWS):
        facts.put("t", Identity(0, number, 0, 0, 0), number)
    facts.save()
    facts = FactStore(tmp_path / "facts")
    assert facts.get("t", Identity(0, 0, 0, 0, 0)) == 0
    for number in range(10):
        facts.put("t", Identity(1, number, 0, 0, 0), number)
    facts.save()
    rows = json.loads((tmp_path / "facts").read_bytes().split(b"\t")[2])
    assert len(rows) == MAX_ROWS
    again = FactStore(tmp_path / "facts")
    assert again.get("t", Identity(0, 0, 0, 0, 0)) == 0
    assert again.get("t", Identity(1, 9, 0, 0, 0)) == 9
    missing = MAX_ROWS - sum(
        again.get("t", Identity(0, number, 0, 0, 0)) is not None for number in range(MAX_ROWS)
    )
    assert missing == 10


@given(st.data())
def test_damaged_facts_are_no_facts(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("facts") / "facts"
    facts = FactStore(path)
    for number in range(3):
        facts.put("t", Identity(0, number, 0, 0, 0), number)
    facts.save()
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut] if data.draw(st.booleans()) else content)
    again = FactStore(path)
    for number in range(3):
        assert again.get("t", Identity(0, number, 0, 0, 0)) in (None, number)


def test_nothing_new_is_not_written(tmp_path: Path) -> None:
    assert FactStore(tmp_path / "facts").save() == ""
    assert FactStore(None).save() == ""
    assert list(tmp_path.iterdir()) == []


def test_two_thousand_facts_load_quickly(tmp_path: Path) -> None:
    facts = FactStore(tmp_path / "facts")
    for number in range(2000):
        facts.put("t", Identity(2054, number, 10**6, 10**18, 10**18), [12345, "ab" * 32])
    facts.save()

    def load() -> float:
        start = time.process_time()
        assert FactStore(tmp_path / "facts").get("t", Identity(2054, 7, 10**6, 10**18, 10**18))
        return time.process_time() - start

    # 2 ms on an idle machine; the bound is loose enough for a busy one.
    assert min(load() for _ in range(5)) < 0.02
