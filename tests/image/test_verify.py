"""Reading an image back: every difference is found."""

from __future__ import annotations

import ctypes.util
import gzip
import json
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from srbuild.errors import (
    MissingInputError,
    ToolError,
    VerifyError,
)
from srbuild.formats.cpio import CpioWriter
from srbuild.image import Image, write_image
from srbuild.layers import split_layers
from srbuild.manifest import Dir, Inline, Manifest, Symlink
from srbuild.paths import ImagePath
from srbuild.report import Report, verify_image
from srbuild.sidecar import from_json, to_json
from support.images import (
    entry,
    file_at,
    manifest_of,
    sample,
    sha256,
    write,
)


def written(tmp_path: Path) -> tuple[Path, Manifest, Image, Report]:
    manifest = manifest_of(sample(tmp_path), notes=("left out: libfoo",))
    image, report = write_image(split_layers(manifest), tmp_path / "image")
    return tmp_path / "image", manifest, image, report


def test_the_sidecar_says_what_is_in_the_image(tmp_path: Path) -> None:
    path, manifest, image, report = written(tmp_path)
    sidecar = from_json(to_json(manifest, image, report))
    assert sidecar.sha256 == sha256(path.read_bytes())
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
    assert sha256(b"hunter2").encode() not in text
    sidecar = from_json(text)
    assert sidecar.entries[ImagePath("/key")].record.size == 7
    assert verify_image(tmp_path / "image", sidecar.expected()).ok


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"\xff", b'{"schema": 3}', b'{"schema": 99}', b"null"]
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
        (gzip.compress(b"no archive", mtime=0), "offset 0"),
        (gzip.compress(archive(("a", FILE, b"x" * 99))[:150], mtime=0), "offset 0"),
    ],
)
def test_structures_that_the_kernel_loses_files_of(tmp_path: Path, image: bytes, what: str) -> None:
    (tmp_path / "image").write_bytes(image)
    report = verify_image(tmp_path / "image")
    assert any(what in line for line in report.mismatches), report.mismatches


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, zstandard.compress])
def test_what_other_tools_write_is_fine(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "tree/usr/bin").mkdir(parents=True)
    (tmp_path / "tree/usr/bin/tool").write_bytes(b"x" * 100_000)
    (tmp_path / "tree/usr/bin/hard").hardlink_to(tmp_path / "tree/usr/bin/tool")
    (tmp_path / "tree/bin").symlink_to("usr/bin")
    (tmp_path / "tree/resolv.conf").symlink_to("/run/resolv.conf")
    command = ["sh", "-c", "find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0"]
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
