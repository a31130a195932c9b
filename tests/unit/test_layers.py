"""Cutting a manifest into segments, and what a segment's key depends on."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbuild.errors import ConflictError, ErrorGroup
from srbuild.layers import SEGMENTS, Layers, Segment, segment_key, split_layers
from srbuild.manifest import Content, Dir, Entry, File, Inline, Node, Symlink
from srbuild.paths import parents
from srbuild.records import Stored
from support.images import entry, file_at, manifest_of, sample


def contents(layers: Layers) -> dict[str, dict[str, Content]]:
    return {s.name: {path: e.content for path, e in s.entries} for s in layers.segments}


def known(file: File) -> Stored | None:
    return Stored(file.size, f"digest of {Path(file.source).name}")


def only_segment(entries: dict[str, Entry], **options: object) -> Segment:
    [segment] = split_layers(manifest_of(entries), **options).segments  # type: ignore[arg-type]
    return segment


def test_segments_stand_in_boot_order_and_repeat_their_directories(tmp_path: Path) -> None:
    found = contents(split_layers(manifest_of(sample(tmp_path))))
    assert list(found) == ["base", "fs", "kmods", "site"]
    assert list(found["kmods"]) == [
        "/usr",
        "/usr/lib",
        "/usr/lib/modules",
        "/usr/lib/modules/6.1",
        "/usr/lib/modules/6.1/a.ko",
        "/usr/lib/modules/6.1/modules.dep",
    ]
    assert found["kmods"]["/usr/lib"] == Dir(0o755)
    assert list(found["fs"]) == ["/usr", "/usr/sbin", "/usr/sbin/mount.gfs2"]


def test_a_listed_directory_keeps_its_mode_wherever_it_is_repeated() -> None:
    entries = {
        "/root": entry(Dir(0o700), "rescue"),
        "/root/.ssh": entry(Dir(0o711)),
        "/root/.ssh/keys": entry(Inline(b"x"), "site"),
    }
    found = contents(split_layers(manifest_of(entries)))
    assert found["base"] == {"/root": Dir(0o700), "/root/.ssh": Dir(0o711)}
    assert found["rescue"] == {"/root": Dir(0o700)}
    assert found["site"]["/root/.ssh"] == Dir(0o711)


def test_only_early_and_site_are_raw() -> None:
    entries = {f"/{name}": entry(Inline(b""), name) for name in SEGMENTS}
    layers = split_layers(manifest_of(entries), level=7)
    assert [segment.name for segment in layers.segments] == list(SEGMENTS)
    raw = [segment.name for segment in layers.segments if segment.compression == "none"]
    assert raw == ["early", "site"]
    assert {segment.level for segment in layers.segments} == {7}


def test_nothing_gives_no_segment() -> None:
    assert split_layers(manifest_of({})).segments == ()


@given(st.sets(st.lists(st.sampled_from(["a", "b", "a.b", "\udcff", "é", "😀"]), min_size=1)
               .map(lambda parts: "/" + "/".join(parts)), max_size=12))  # fmt: skip
def test_every_segment_is_sorted_by_bytes_and_parents_come_first(paths: set[str]) -> None:
    above = {parent for path in paths for parent in parents(path)}
    leaves = sorted(paths - above)
    entries = {
        path: entry(Inline(b""), ("base", "net")[number % 2]) for number, path in enumerate(leaves)
    }
    layers = split_layers(manifest_of(entries))
    placed = []
    for segment in layers.segments:
        found = [path for path, _ in segment.entries]
        assert found == sorted(found, key=os.fsencode)
        for path, item in segment.entries:
            assert set(parents(path)) <= set(found[: found.index(path)])
            placed += [path] if isinstance(item.content, Inline) else []
    assert sorted(placed) == leaves


@pytest.mark.parametrize(
    ("blocker", "what"),
    [(Symlink("/run"), "a symbolic link"), (Inline(b""), "no directory")],
)
def test_nothing_can_lie_below_what_is_no_directory(blocker: Content, what: str) -> None:
    entries = {
        "/var": entry(blocker),
        "/var/run": entry(Inline(b""), "net"),
        "/var/log/x": entry(Inline(b""), "fs"),
    }
    with pytest.raises(ErrorGroup) as caught:
        split_layers(manifest_of(entries))
    assert {type(error) for error in caught.value.errors} == {ConflictError}
    assert [str(error).split(" ")[0] for error in caught.value.errors] == ["/var/log/x", "/var/run"]
    assert f"/var is {what}" in str(caught.value)
    assert caught.value.exit_code == 5


def test_a_segment_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="'nets'"):
        split_layers(manifest_of({"/x": entry(Inline(b""), "nets")}))


def test_secrets_show_in_segment_and_layers() -> None:
    plain = {"/a": entry(Inline(b"x"))}
    assert not split_layers(manifest_of(plain)).has_secret
    layers = split_layers(manifest_of(plain | {"/s": entry(Inline(b"y"), "site", secret=True)}))
    assert layers.has_secret
    assert [segment.has_secret for segment in layers.segments] == [False, True]


def test_the_key_does_not_depend_on_where_files_come_from(tmp_path: Path) -> None:
    first = sample(tmp_path / "one")
    moved = {
        path: replace(item, content=file_at(tmp_path / "two" / Path(item.content.source).name,
                                            b"other bytes, same digest", item.content.mode))
        if isinstance(item.content, File) else item
        for path, item in first.items()
    }  # fmt: skip

    def same(file: File) -> Stored:
        return Stored(1, Path(file.source).name)

    for one, two in zip(
        split_layers(manifest_of(first)).segments,
        split_layers(manifest_of(moved)).segments,
        strict=True,
    ):
        assert segment_key(one, same) == segment_key(two, same) is not None


def test_no_key_while_a_digest_is_unknown(tmp_path: Path) -> None:
    segment = only_segment({"/a": entry(Inline(b"")), "/b": entry(file_at(tmp_path / "b", b"1"))})
    assert segment_key(segment, known) is not None
    assert segment_key(segment, lambda _file: None) is None


BASE = {
    "/dir": entry(Dir(0o755)),
    "/file": entry(Inline(b"data", 0o644)),
    "/link": entry(Symlink("file")),
    "/null": entry(Node("c", 1, 3, 0o666)),
}


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/dir", Dir(0o700)),
        ("/dir", Inline(b"", 0o755)),
        ("/file", Inline(b"date", 0o644)),
        ("/file", Inline(b"data", 0o755)),
        ("/file", Inline(b"data", 0o4644)),
        ("/link", Symlink("dir")),
        ("/link", Inline(b"file", 0o777)),
        ("/null", Node("b", 1, 3, 0o666)),
        ("/null", Node("c", 3, 1, 0o666)),
        ("/null", Node("c", 1, 3, 0o600)),
        ("/new", Inline(b"", 0o644)),
    ],
)
def test_the_key_changes_with_everything_in_the_segment(path: str, content: Content) -> None:
    changed = only_segment(BASE | {path: entry(content)})
    assert segment_key(changed, known) != segment_key(only_segment(BASE), known)


def test_the_key_changes_with_a_files_content_and_size(tmp_path: Path) -> None:
    segment = only_segment({"/file": entry(file_at(tmp_path / "file", b"data"))})
    keys = {
        segment_key(segment, lambda _file, stored=stored: stored)
        for stored in (Stored(4, "aa"), Stored(4, "ab"), Stored(5, "aa"))
    }
    assert len(keys) == 3


@pytest.mark.parametrize("option", [{"level": 4}, {"mtime": 1}, {"compression": "none"}])
def test_the_key_changes_with_how_it_is_written(option: dict[str, object]) -> None:
    assert segment_key(only_segment(BASE, **option), known) != segment_key(
        only_segment(BASE), known
    )


def test_the_key_changes_with_the_libraries_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = segment_key(only_segment(BASE), known)
    monkeypatch.setattr("zstandard.ZSTD_VERSION", (1, 99, 0))
    assert segment_key(only_segment(BASE), known) != before


def test_the_key_knows_neither_name_nor_reasons() -> None:
    segment = only_segment(BASE)
    bare = tuple((path, replace(item, reasons=(), segment="fs")) for path, item in segment.entries)
    assert segment_key(replace(segment, name="fs", entries=bare), known) == segment_key(
        segment, known
    )
