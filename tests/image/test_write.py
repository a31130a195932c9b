"""Writing an image: every kind of entry, the same bytes anywhere."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from srbuild.errors import (
    MissingInputError,
)
from srbuild.formats.segments import open_segment, split_image
from srbuild.manifest import File, Inline
from srbuild.paths import ImagePath
from support.images import (
    entry,
    file_at,
    sample,
    sha256,
    write,
)


def test_every_kind_of_entry_is_written_and_read_back(tmp_path: Path, target: Path) -> None:
    entries = sample(tmp_path)
    image, report = write(target, entries)
    assert report.ok
    assert target.stat().st_size == image.size == report.size
    assert hashlib.sha256(target.read_bytes()).hexdigest() == image.sha256
    assert [segment.name for segment in image.segments] == ["base", "fs", "kmods", "site"]
    tree = report.tree()
    assert set(entries) < set(tree)
    assert tree["/usr/bin/su"].mode == 0o4755
    assert tree["/usr/bin/sh"].target == "busybox"
    assert tree["/dev/console"].rdev == (5, 1)
    assert tree["/usr/bin/busybox"].sha256 == sha256((tmp_path / "busybox").read_bytes())
    assert report.content_size == sum(record.size for record in tree.values())


def test_digests_and_places_are_those_of_the_file(tmp_path: Path, target: Path) -> None:
    image, _ = write(target, sample(tmp_path))
    data = target.read_bytes()
    for segment in image.segments:
        part = data[segment.offset : segment.offset + segment.length]
        assert segment.offset % 4 == 0
        assert sha256(part) == segment.sha256
        raw = segment.compression == "none"
        plain = part if raw else zstandard.ZstdDecompressor().decompressobj().decompress(part)
        assert len(plain) == segment.cpio_size
    assert [segment.compression for segment in image.segments] == ["zstd", "zstd", "zstd", "none"]


def test_the_same_input_gives_the_same_bytes_anywhere(tmp_path: Path) -> None:
    entries = sample(tmp_path / "src")
    first, _ = write(tmp_path / "a", entries)
    for path in (tmp_path / "src").iterdir():
        os.utime(path, (5, 5))
    moved = {
        path: replace(item, content=file_at(Path(item.content.source), mode=item.content.mode))
        if isinstance(item.content, File)
        else item
        for path, item in entries.items()
    }
    (tmp_path / "other").mkdir()
    second, _ = write(tmp_path / "other/b", moved)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "other/b").read_bytes()
    assert first.segments == second.segments


def test_gnu_cpio_and_bsdtar_extract_a_segment(tmp_path: Path, target: Path) -> None:
    write(target, {p: e for p, e in sample(tmp_path).items() if not p.startswith("/dev/")})
    with open(target, "rb") as file:
        plain = open_segment(file, next(split_image(file))).read()
    for tool in (["cpio", "-idm", "--quiet"], ["bsdtar", "-xpf", "-"]):
        out = tmp_path / tool[0]
        out.mkdir()
        subprocess.run(tool, input=plain, cwd=out, check=True, timeout=60)
        assert (out / "usr/bin/busybox").read_bytes() == (tmp_path / "busybox").read_bytes()
        assert os.readlink(out / "usr/bin/sh") == "busybox"
        assert stat.S_IMODE((out / "root").stat().st_mode) == 0o700


def test_odd_names_are_written_and_verified_in_the_c_locale(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys\n"
        "from support.images import *\n"
        "from srbuild.image import write_image\n"
        "from srbuild.layers import split_layers\n"
        "odd = ['/a b', '/new\\nline', '/ünï', '/no\\udcffutf8', '/-x', '/…']\n"
        "entries = {p: entry(Inline(p.encode('utf-8', 'surrogateescape'))) for p in odd}\n"
        "entries['/link'] = entry(Symlink('ünï\\udcff'))\n"
        "image, report = write_image(split_layers(manifest_of(entries)), pathlib.Path('image'))\n"
        "assert set(report.tree()) == set(entries), report.tree()\n"
        "assert report.tree()['/link'].target == 'ünï\\udcff'\n"
    )
    (tmp_path / "run.py").write_text(code, encoding="utf-8")
    environment = os.environ | {
        "LC_ALL": "C",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    subprocess.run(
        [sys.executable, "run.py"], cwd=tmp_path, env=environment, check=True, timeout=60
    )


@pytest.mark.parametrize(("secret", "mode"), [(True, 0o600), (False, 0o644)])
def test_an_image_with_a_secret_is_private(tmp_path: Path, *, secret: bool, mode: int) -> None:
    before = os.umask(0o022)
    try:
        write(tmp_path / "image", {"/key": entry(Inline(b"x"), "site", secret=secret)})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "image").stat().st_mode) == mode


PACK: dict[str, Callable[[bytes], bytes]] = {
    "xz": lzma.compress,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("how", PACK)
def test_compressed_kmods_are_unpacked_on_the_way(tmp_path: Path, target: Path, how: str) -> None:
    plain = b"\x7fELF" + os.urandom(1000) * 50
    file = file_at(tmp_path / "a.ko.x", PACK[how](plain), unpack=how)
    image, report = write(target, {"/a.ko": entry(file, "kmods")})
    assert report.tree()["/a.ko"].sha256 == sha256(plain)
    assert image.stored[ImagePath("/a.ko")].size == len(plain)


@pytest.mark.parametrize("how", PACK)
def test_a_damaged_kmod_is_named(
    tmp_path: Path, target: Path, kept: Callable[[], bool], how: str
) -> None:
    file = file_at(tmp_path / "a.ko.x", PACK[how](b"x" * 5000)[:-6], unpack=how)
    with pytest.raises(MissingInputError, match=r"a\.ko\.x: "):
        write(target, {"/a.ko": entry(file, "kmods")})
    assert kept()
