"""Images of every compressor: the same tree, read back by independent readers, whole to the end."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from srbuild.formats.compress import COMPRESSIONS
from srbuild.formats.segments import open_segment, split_image
from srbuild.host.cache import ContentCache
from srbuild.image import Image, write_image
from srbuild.layers import split_layers
from srbuild.manifest import Entry, Inline
from srbuild.report import Expected, Report, verify_image
from support.images import entry, manifest_of, names, sample

WRITTEN = ["none", "zstd", "xz", "gzip", "lz4"]
PROGRAMS = [name for name in WRITTEN if name != "none"]


def write_as(
    name: str, target: Path, entries: dict[str, Entry], **options: object
) -> tuple[Image, Report]:
    level = COMPRESSIONS[name].levels[1]
    layers = split_layers(manifest_of(entries), compression=name, level=level)
    return write_image(layers, target, **options)  # type: ignore[arg-type]


def archives(image: Path) -> list[bytes]:
    """The archive inside each segment, unpacked."""
    with image.open("rb") as file:
        return [open_segment(file, place).read() for place in split_image(file)]


@pytest.mark.parametrize("name", WRITTEN)
def test_every_compressor_gives_the_same_tree_and_the_same_bytes_again(
    name: str, tmp_path: Path
) -> None:
    entries = sample(tmp_path)
    _, meant = write_as("none", tmp_path / "plain", entries)
    first, report = write_as(name, tmp_path / "first", entries)
    write_as(name, tmp_path / "second", entries)
    assert report.ok
    assert verify_image(tmp_path / "first").ok
    assert report.tree() == meant.tree()
    assert [s.compression for s in first.segments] == [name, name, name, "none"]
    assert archives(tmp_path / "first") == archives(tmp_path / "plain")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_usual_programs_extract_every_segment(name: str, tmp_path: Path) -> None:
    entries = sample(tmp_path / "src")
    image, _ = write_as(name, tmp_path / "image", entries)
    data = (tmp_path / "image").read_bytes()
    for segment, listed in zip(image.segments, names(tmp_path / "image"), strict=True):
        part = data[segment.offset : segment.offset + segment.length]
        if segment.compression != "none":
            command = [name, "-d", "-c"]
            part = subprocess.run(command, input=part, capture_output=True, check=True).stdout
        for command in (["cpio", "-it", "--quiet"], ["bsdtar", "-tf", "-"]):
            found = subprocess.run(command, input=part, capture_output=True, check=True).stdout
            assert [line.rstrip("/") for line in found.decode().splitlines()] == listed


@pytest.mark.parametrize("name", WRITTEN)
def test_whatever_is_put_behind_an_image_is_found(name: str, tmp_path: Path) -> None:
    """As `cat` or a boot loader does it: the image itself ends where an archive may start."""
    base, site = {"/a": entry(Inline(b"a" * 999))}, {"/b": entry(Inline(b"b"), "site")}
    for length in range(4):
        base["/init"] = entry(Inline(bytes(range(length)), 0o755))
        write_as(name, tmp_path / "base", base)
        write_as(name, tmp_path / "site", site)
        for tail in ("site", "base"):
            joined = (tmp_path / "base").read_bytes() + (tmp_path / tail).read_bytes()
            (tmp_path / "joined").write_bytes(joined)
            assert len(verify_image(tmp_path / "joined").segments) == 2
            assert verify_image(tmp_path / "joined").ok


@pytest.mark.parametrize("more", [0, 4])
def test_an_lz4_segment_wants_zeros_behind_it(more: int, tmp_path: Path) -> None:
    image, _ = write_as("lz4", tmp_path / "image", {"/a": entry(Inline(b"a"))})
    write_as("none", tmp_path / "tail", {"/b": entry(Inline(b"b"))})
    part = (tmp_path / "image").read_bytes()[: image.segments[0].length]
    zeros = -len(part) % 4 + more
    (tmp_path / "joined").write_bytes(part + bytes(zeros) + (tmp_path / "tail").read_bytes())
    report = verify_image(tmp_path / "joined")
    assert len(report.segments) == 2
    assert report.ok == bool(more)
    assert (f"only {zeros} zeros between it and the lz4 seg" in str(report.mismatches)) != bool(
        more
    )


def test_lz4_segments_may_touch(tmp_path: Path) -> None:
    image, _ = write_as("lz4", tmp_path / "image", {"/a": entry(Inline(b"a"))})
    part = (tmp_path / "image").read_bytes()[: image.segments[0].length]
    (tmp_path / "joined").write_bytes(part + part)
    report = verify_image(tmp_path / "joined")
    assert (report.ok, len(report.segments)) == (True, 2)


@pytest.mark.parametrize("name", PROGRAMS)
def test_damage_inside_a_segment_is_found(name: str, tmp_path: Path) -> None:
    image, report = write_as(name, tmp_path / "image", {"/a": entry(Inline(b"abc" * 9000))})
    data = bytearray((tmp_path / "image").read_bytes())
    data[image.segments[0].length // 2] ^= 0x10
    (tmp_path / "image").write_bytes(bytes(data))
    expected = Expected(image.segments[0].sha256, dict(report.segments[0].records))
    assert not verify_image(tmp_path / "image", [expected]).ok


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_cached_segment_is_one_of_the_same_compressor(name: str, tmp_path: Path) -> None:
    entries = {"/a": entry(Inline(b"abc" * 9000))}

    def build(compression: str, target: Path) -> bool:
        cache = ContentCache(tmp_path / "cache")
        image, report = write_as(compression, target, entries, cache=cache)
        assert report.ok
        return image.segments[0].from_cache

    others = [build(other, tmp_path / "other") for other in PROGRAMS if other != name]
    assert [*others, build(name, tmp_path / "image")] == [False] * len(PROGRAMS)
    assert build(name, tmp_path / "again")
    assert (tmp_path / "image").read_bytes() == (tmp_path / "again").read_bytes()
