"""Writing an image and reading it back: the right bytes or a clear error, never a half."""

from __future__ import annotations

import ctypes.util
import gzip
import hashlib
import json
import lzma
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from srbuild.errors import (
    ConflictError,
    ErrorGroup,
    MissingInputError,
    SrbuildError,
    ToolError,
    VerifyError,
)
from srbuild.formats.cpio import CpioReader, CpioWriter
from srbuild.formats.segments import open_segment, split_image
from srbuild.host.cache import ContentCache, FactStore
from srbuild.image import Image, write_image
from srbuild.layers import Layers, split_layers
from srbuild.manifest import Dir, Entry, File, Inline, Manifest, Symlink
from srbuild.outputs import is_current, record_output
from srbuild.paths import ImagePath
from srbuild.report import Report, verify_image
from srbuild.sidecar import from_json, to_json
from support.images import entry, file_at, manifest_of, sample

SETTLE = 0.15  # seconds after which facts about a new file are kept


def write(target: Path, entries: dict[str, Entry], **options: object) -> tuple[Image, Report]:
    return write_image(split_layers(manifest_of(entries)), target, **options)  # type: ignore[arg-type]


def names(image: Path) -> list[list[str]]:
    with open(image, "rb") as file:
        return [
            [os.fsdecode(header.name) for header in CpioReader(open_segment(file, segment))]
            for segment in split_image(file)
        ]


def leftovers(folder: Path) -> list[Path]:
    return list(folder.glob(".*draft"))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An image to be replaced, which a failure must leave as it is."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/image").write_bytes(b"previous image")
    return tmp_path / "out/image"


@pytest.fixture
def kept(target: Path) -> Callable[[], bool]:
    before = target.stat()

    def is_kept() -> bool:
        now = target.stat()
        same = (now.st_ino, now.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        return same and target.read_bytes() == b"previous image" and not leftovers(target.parent)

    return is_kept


def test_every_kind_of_entry_is_written_and_read_back(tmp_path: Path, target: Path) -> None:
    entries = sample(tmp_path)
    image, report = write(target, entries)
    assert report.ok
    assert target.stat().st_size == image.size == report.size
    assert hashlib.sha256(target.read_bytes()).hexdigest() == image.sha256
    assert [segment.name for segment in image.segments] == ["base", "kmods", "fs", "site"]
    tree = report.tree()
    assert set(entries) < set(tree)
    assert tree["/usr/bin/su"].mode == 0o4755
    assert tree["/usr/bin/sh"].target == "busybox"
    assert tree["/dev/console"].rdev == (5, 1)
    assert tree["/usr/bin/busybox"].sha256 == _sha256((tmp_path / "busybox").read_bytes())
    assert report.content_size == sum(record.size for record in tree.values())


def test_digests_and_places_are_those_of_the_file(tmp_path: Path, target: Path) -> None:
    image, _ = write(target, sample(tmp_path))
    data = target.read_bytes()
    for segment in image.segments:
        part = data[segment.offset : segment.offset + segment.length]
        assert segment.offset % 4 == 0
        assert _sha256(part) == segment.sha256
        raw = segment.compression == "none"
        plain = part if raw else zstandard.ZstdDecompressor().decompressobj().decompress(part)
        assert (len(plain), _sha256(plain)) == (segment.cpio_size, segment.cpio_sha256)
    assert [segment.compression for segment in image.segments] == ["zstd", "zstd", "zstd", "none"]


def test_the_same_input_gives_the_same_bytes_anywhere(tmp_path: Path) -> None:
    entries = sample(tmp_path / "src")
    first, _ = write(tmp_path / "a", entries, threads=1)
    for path in (tmp_path / "src").iterdir():
        os.utime(path, (5, 5))
    moved = {
        path: replace(item, content=file_at(Path(item.content.source), mode=item.content.mode))
        if isinstance(item.content, File)
        else item
        for path, item in entries.items()
    }
    (tmp_path / "other").mkdir()
    second, _ = write(tmp_path / "other/b", moved, threads=4)
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
    assert report.tree()["/a.ko"].sha256 == _sha256(plain)
    assert image.stored[ImagePath("/a.ko")].size == len(plain)


@pytest.mark.parametrize("how", PACK)
def test_a_damaged_kmod_is_named(
    tmp_path: Path, target: Path, kept: Callable[[], bool], how: str
) -> None:
    file = file_at(tmp_path / "a.ko.x", PACK[how](b"x" * 5000)[:-6], unpack=how)
    with pytest.raises(MissingInputError, match=r"a\.ko\.x: "):
        write(target, {"/a.ko": entry(file, "kmods")})
    assert kept()


# --- sources that are not what they were


def test_all_changed_and_missing_files_are_named_together(
    tmp_path: Path, target: Path, kept: Callable[[], bool]
) -> None:
    files = {f"/{name}": entry(file_at(tmp_path / name, b"data")) for name in "abcde"}
    (tmp_path / "a").unlink()
    (tmp_path / "b").write_bytes(b"longer than before")
    (tmp_path / "c").unlink()
    (tmp_path / "c").symlink_to("d")
    (tmp_path / "e").unlink()
    os.mkfifo(tmp_path / "e")
    with pytest.raises(ErrorGroup) as caught:
        write(target, files)
    found = [str(error) for error in caught.value.errors]
    assert [type(error) for error in caught.value.errors] == [MissingInputError, *[VerifyError] * 3]
    for name, message in zip("abce", found, strict=True):
        assert str(tmp_path / name) in message
    assert kept()


@pytest.mark.parametrize("change", ["append", "truncate", "rewrite", "replace"])
def test_a_file_that_changes_while_it_is_read_is_named(
    tmp_path: Path,
    target: Path,
    kept: Callable[[], bool],
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    victim = tmp_path / "victim"
    entries = {"/a": entry(Inline(b"")), "/victim": entry(file_at(victim, b"v" * 1_000_000))}
    layers = split_layers(manifest_of(entries))
    real = os.readv

    def meddle(fd: int, buffers: list[memoryview]) -> int:
        monkeypatch.setattr(os, "readv", real)
        done = real(fd, buffers)
        time.sleep(0.02)  # past the file system's clock tick
        if change == "append":
            with open(victim, "ab") as file:
                file.write(b"more")
        elif change == "truncate":
            os.truncate(victim, 100_000)
        elif change == "rewrite":
            with open(victim, "r+b") as file:
                file.write(b"other")
        else:
            victim.unlink()
            victim.write_bytes(b"w" * 1_000_000)
        return done

    monkeypatch.setattr(os, "readv", meddle)
    with pytest.raises(VerifyError, match="victim changed while"):
        write_image(layers, target)
    assert kept()


def test_an_unreadable_file_is_named(
    tmp_path: Path, target: Path, kept: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "shadow"
    entries = {"/etc/shadow": entry(file_at(secret, b"x"))}
    real = os.open

    def deny(path: str, flags: int, mode: int = 0o777) -> int:
        if path == str(secret):
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", deny)  # root may read anything: pretended
    with pytest.raises(
        MissingInputError, match=r"cannot read .*shadow: Permission denied"
    ) as caught:
        write(target, entries)
    assert "readable" in caught.value.hint
    assert kept()


@pytest.mark.parametrize(
    ("path", "content", "what"),
    [
        ("/" + "x/" * 2048 + "y", Inline(b""), "hold the name"),
        ("/TRAILER!!!", Inline(b""), "end the archive"),
        ("/link", Symlink(""), "no link can lead to"),
        ("/link", Symlink("x" * 4096), "no link can lead to"),
        ("/lone\ud800", Inline(b""), "surrogates"),
    ],
)
def test_what_the_kernel_would_drop_is_refused(
    target: Path, kept: Callable[[], bool], path: str, content: Inline | Symlink, what: str
) -> None:
    entries = {path: entry(content)}
    layers = split_layers(manifest_of({"/ok": entry(Inline(b""))}))
    [segment] = layers.segments
    odd = ((ImagePath(path), entries[path]),)
    with pytest.raises(ConflictError, match=what):
        write_image(Layers((replace(segment, entries=odd),)), target)
    assert kept()


# --- places that cannot be written


def test_a_full_disk_leaves_the_previous_image(
    tmp_path: Path, target: Path, kept: Callable[[], bool]
) -> None:
    entries = {"/big": entry(file_at(tmp_path / "big", os.urandom(3_000_000)))}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(SrbuildError, match=f"cannot write {target}: File too large") as caught:
            write(target, entries)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.exit_code == 1
    assert "make room" in caught.value.hint
    assert kept()


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of 1 MB, which only root can mount."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    if subprocess.run(command, check=False, capture_output=True, timeout=60).returncode:
        pytest.skip("only root can mount a small disk")
    return disk


def test_no_space_on_a_real_disk(tmp_path: Path, small_disk: Path) -> None:
    try:
        (small_disk / "image").write_bytes(b"previous image")
        big = {"/big": entry(file_at(tmp_path / "big", os.urandom(3_000_000)))}
        with pytest.raises(SrbuildError, match="No space left on device"):
            write(small_disk / "image", big)
        assert (small_disk / "image").read_bytes() == b"previous image"
        assert leftovers(small_disk) == []
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True, timeout=60)
        with pytest.raises(SrbuildError, match="Read-only file system") as caught:
            write(small_disk / "image", {"/a": entry(Inline(b""))})
        assert "may write to" in caught.value.hint
        assert (small_disk / "image").read_bytes() == b"previous image"
    finally:
        subprocess.run(["umount", "-l", str(small_disk)], check=True, timeout=60)


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SrbuildError, match=r"cannot write .*/none/image: No such file"):
        write(tmp_path / "none/image", {"/a": entry(Inline(b""))})


def test_a_killed_build_leaves_the_image_and_the_next_one_cleans_up(
    tmp_path: Path, target: Path
) -> None:
    (tmp_path / "big").write_bytes(os.urandom(1 << 20) * 8)
    code = (
        "import os, pathlib, sys, time\n"
        "from support.images import *\n"
        "from srbuild.image import write_image\n"
        "from srbuild.layers import split_layers\n"
        "real, left = os.write, [3]\n"
        "def slow(fd, data):\n"
        "    left[0] -= 1\n"
        "    if left[0] == 0:\n"
        "        print('writing', flush=True); time.sleep(600)\n"
        "    return real(fd, data)\n"
        "os.write = slow\n"
        "entries = {'/big': entry(file_at(pathlib.Path(sys.argv[1])))}\n"
        "write_image(split_layers(manifest_of(entries)), pathlib.Path(sys.argv[2]))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, str(tmp_path / "big"), str(target)]
    build = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    assert build.stdout is not None
    assert build.stdout.readline() == b"writing\n"
    assert len(leftovers(target.parent)) == 1
    build.send_signal(signal.SIGKILL)
    build.communicate(timeout=60)
    assert target.read_bytes() == b"previous image"
    assert leftovers(target.parent) != []
    write(target, {"/a": entry(Inline(b"x"))})
    assert leftovers(target.parent) == []
    assert names(target) == [["a"]]


def test_builds_of_one_target_side_by_side_leave_a_whole_image(
    tmp_path: Path, target: Path
) -> None:
    entries = sample(tmp_path)
    cache = ContentCache(tmp_path / "cache")
    outcomes: list[Report] = []

    def build() -> None:
        outcomes.append(write(target, entries, cache=cache, facts=FactStore(None))[1])

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert [report.ok for report in outcomes] == [True] * 4
    assert verify_image(target).ok
    assert leftovers(target.parent) == []


# --- verification


def written(tmp_path: Path) -> tuple[Path, Manifest, Image, Report]:
    manifest = manifest_of(sample(tmp_path), notes=("left out: libfoo",))
    image, report = write_image(split_layers(manifest), tmp_path / "image")
    return tmp_path / "image", manifest, image, report


def test_the_sidecar_says_what_is_in_the_image(tmp_path: Path) -> None:
    path, manifest, image, report = written(tmp_path)
    sidecar = from_json(to_json(manifest, image, report))
    assert sidecar.sha256 == _sha256(path.read_bytes())
    assert sidecar.notes == ("left out: libfoo",)
    assert list(sidecar.entries) == sorted(manifest.entries)
    assert {p: (e.record, e.segment, e.reasons) for p, e in sidecar.entries.items()} == {
        p: (report.tree()[p], e.segment, e.reasons) for p, e in manifest.entries.items()
    }
    assert verify_image(path, sidecar.expected()).ok


def test_the_sidecar_tells_nothing_of_a_secret_but_its_size(tmp_path: Path) -> None:
    manifest = manifest_of({"/key": entry(Inline(b"hunter2"), "site", secret=True)})
    image, report = write_image(split_layers(manifest), tmp_path / "image")
    text = to_json(manifest, image, report)
    assert b"hunter2" not in text
    assert _sha256(b"hunter2").encode() not in text
    sidecar = from_json(text)
    assert sidecar.entries[ImagePath("/key")].record.size == 7
    assert verify_image(tmp_path / "image", sidecar.expected()).ok


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"\xff", b'{"schema": 1}', b'{"schema": 99}', b"null"]
)
def test_a_damaged_sidecar_is_refused(data: bytes) -> None:
    with pytest.raises(VerifyError, match="sidecar"):
        from_json(data)


def test_any_sidecar_with_a_field_lost_is_refused(tmp_path: Path) -> None:
    _, manifest, image, report = written(tmp_path)
    fields = json.loads(to_json(manifest, image, report))
    for name in fields:
        rest = {key: value for key, value in fields.items() if key != name}
        with pytest.raises(VerifyError, match="damaged sidecar"):
            from_json(json.dumps(rest).encode())


def test_one_byte_changed_anywhere_is_found(tmp_path: Path) -> None:
    path, manifest, image, report = written(tmp_path)
    expected = from_json(to_json(manifest, image, report)).expected()
    data = path.read_bytes()
    for at in range(0, len(data), max(1, len(data) // 97)):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        (tmp_path / "damaged").write_bytes(damaged)
        assert not verify_image(tmp_path / "damaged", expected).ok, f"byte {at}"


def test_an_image_cut_short_is_found_without_a_manifest(tmp_path: Path) -> None:
    path, _, image, _ = written(tmp_path)
    data = path.read_bytes()
    ends = [0, *(segment.offset + segment.length for segment in image.segments)]
    for length in (1, 100, len(data) // 2, len(data) - 1, ends[1] + 5):
        (tmp_path / "damaged").write_bytes(data[:length])
        report = verify_image(tmp_path / "damaged")
        assert not report.ok
        assert "offset" in report.mismatches[0]


def test_a_lost_segment_is_found_with_a_manifest(tmp_path: Path) -> None:
    path, manifest, image, report = written(tmp_path)
    expected = from_json(to_json(manifest, image, report)).expected()
    os.truncate(path, image.segments[-1].offset)
    assert "3 segments where 4 were written" in verify_image(path, expected).mismatches


@pytest.mark.parametrize(
    ("path", "content", "what"),
    [
        ("/usr/bin/sh", Symlink("sh2"), "symlink 0777 to sh2 where symlink 0777 to busybox"),
        ("/usr/bin/sh", Inline(b"busybox", 0o777), "file 0777, 7 bytes"),
        ("/root", Dir(0o755), "dir 0755 where dir 0700"),
        ("/init", Inline(b"#!/bin/sh\nexec sx\n", 0o755), "sha256"),
        ("/new", Inline(b""), "not meant to be there"),
    ],
)
def test_every_difference_is_told(
    tmp_path: Path, path: str, content: Dir | Inline | Symlink, what: str
) -> None:
    _, manifest, image, report = written(tmp_path)
    expected = from_json(to_json(manifest, image, report)).expected()
    write(tmp_path / "other", sample(tmp_path) | {path: entry(content)})
    found = verify_image(tmp_path / "other", expected).mismatches
    assert any(line.startswith(f"{path}: ") and what in line for line in found), found


def archive(*records: tuple[str, int, bytes]) -> bytes:
    out = bytearray()
    writer = CpioWriter(out.extend)
    for name, mode, data in records:
        writer.add(name.encode(), mode, size=len(data))
        writer.write(data)
    writer.close()
    return bytes(out)


FILE, DIR, LINK = 0o100644, 0o040755, 0o120777


@pytest.mark.parametrize(
    ("image", "what"),
    [
        (archive(("a/b", FILE, b"")), "/a/b: its directory does not stand before it"),
        (archive(("a/b", FILE, b""), ("a", DIR, b"")), "/a/b: its directory does not stand"),
        (archive(("a", DIR, b"")) + archive(("a/b", FILE, b"")), "/a/b: its directory"),
        (archive(("a", LINK, b"/x"), ("a/b", FILE, b"")), "no directory but a symlink"),
        (archive(("a", FILE, b"1"), ("a", FILE, b"2")), "/a: twice in one segment"),
        (archive(("a", DIR, b"")) + archive(("a", FILE, b"")), "/a: different in two segments"),
        (archive(("a", LINK, b"b"), ("b", LINK, b"/a")), "/a: links in a circle"),
        (archive(("a", LINK, b"a/x")), "/a: links in a circle"),
        (archive(("../a", FILE, b"")), "no plain name"),
        (archive(("a", DIR, b""), ("a/../b", FILE, b"")), "no plain name"),
        (b"", "no segment"),
        (b"junk", "junk at offset 0"),
        (gzip.compress(b"no archive"), "offset 0"),
        (gzip.compress(archive(("a", FILE, b"x" * 99))[:150]), "offset 0"),
    ],
)
def test_structures_that_the_kernel_loses_files_of(tmp_path: Path, image: bytes, what: str) -> None:
    (tmp_path / "image").write_bytes(image)
    report = verify_image(tmp_path / "image")
    assert any(what in line for line in report.mismatches), report.mismatches


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, PACK["zstd"]])
def test_what_other_tools_write_is_fine(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "tree/usr/bin").mkdir(parents=True)
    (tmp_path / "tree/usr/bin/tool").write_bytes(b"x" * 100_000)
    (tmp_path / "tree/usr/bin/hard").hardlink_to(tmp_path / "tree/usr/bin/tool")
    (tmp_path / "tree/bin").symlink_to("usr/bin")
    (tmp_path / "tree/resolv.conf").symlink_to("/run/resolv.conf")
    command = ["sh", "-c", "find . | LC_ALL=C sort | cpio --quiet -o -H newc"]
    made = subprocess.run(
        command, cwd=tmp_path / "tree", capture_output=True, check=True, timeout=60
    )
    (tmp_path / "image").write_bytes(archive(("early", FILE, b"x")) + pack(made.stdout))
    report = verify_image(tmp_path / "image")
    assert report.ok, report.mismatches
    kinds = {path: record.kind for path, record in report.tree().items()}
    assert kinds["/bin"] == "symlink"
    assert {kinds["/usr/bin/tool"], kinds["/usr/bin/hard"]} == {"file", "hardlink"}
    assert kinds["/early"] == "file"


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"cannot read .*/none: No such file"):
        verify_image(tmp_path / "none")


def test_without_libarchive_the_package_is_named(tmp_path: Path) -> None:
    code = (
        "import pathlib; from srbuild.report import verify_image; verify_image(pathlib.Path('x'))"
    )
    environment = os.environ | {"LIBARCHIVE": str(tmp_path / "no.so")}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=False, timeout=60
    )
    assert b"srbuild.errors.ToolError: libarchive is not installed" in found.stderr
    assert b"libarchive13" in found.stderr


def test_a_library_without_the_functions_counts_as_none(tmp_path: Path) -> None:
    code = (
        "import sys; from srbuild.errors import ToolError\n"
        "from srbuild.archive import load_libarchive\n"
        "try: load_libarchive()\n"
        "except ToolError as error: sys.exit(error.exit_code)\n"
    )
    libc = ctypes.util.find_library("c") or "libc.so.6"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, env=os.environ | {"LIBARCHIVE": libc}, check=False, timeout=60)
    assert found.returncode == ToolError.exit_code


def test_a_write_that_goes_wrong_is_found_before_the_image_is_replaced(
    tmp_path: Path, target: Path, kept: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk or a memory that flips a bit."""
    real = os.write
    big = file_at(tmp_path / "big", os.urandom(500_000))

    def flip(fd: int, data: memoryview) -> int:
        damaged = bytearray(data)
        damaged[len(damaged) // 2] ^= 1
        return real(fd, damaged)

    monkeypatch.setattr(os, "write", flip)
    with pytest.raises(VerifyError, match="was not written") as caught:
        write(target, {"/big": entry(big)})
    assert caught.value.exit_code == 7
    assert kept()


# --- the cache


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
    assert from_cache(second) == ["base", "kmods", "fs", "site"]
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
    assert from_cache(store.build(target, entries)) == ["base", "kmods", "fs", "site"]


def test_with_known_digests_a_cached_segments_files_are_not_read(
    tmp_path: Path, target: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = sample(tmp_path)
    time.sleep(SETTLE)
    store.build(target, entries)
    reads: list[object] = []
    monkeypatch.setattr(os, "readv", lambda *arguments: reads.append(arguments))
    assert from_cache(store.build(target, entries)) == ["base", "kmods", "fs", "site"]
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
    assert second.sha256 == first.sha256 == _sha256((tmp_path / "second").read_bytes())
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
    digest = _sha256(b"hunter2").encode()
    everything = [path.read_bytes() for path in store.root.rglob("*") if path.is_file()]
    assert not any(b"hunter2" in data or digest in data for data in everything)
    assert from_cache(store.build(target, entries)) == ["base"]


def test_a_cache_that_cannot_be_written_is_noted(tmp_path: Path, target: Path) -> None:
    (tmp_path / "file").touch()
    image, report = write(target, {"/a": entry(Inline(b""))}, cache=ContentCache(tmp_path / "file"))
    assert report.ok
    assert "does not take a segment" in image.notes[0]


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


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
