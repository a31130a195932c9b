"""Sources and disks that go wrong: a clear error, and the previous image as it was."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from srbuild.errors import (
    ConflictError,
    ErrorGroup,
    MissingInputError,
    SrbuildError,
    VerifyError,
)
from srbuild.host.cache import ContentCache, FactStore
from srbuild.image import write_image
from srbuild.layers import Layers, split_layers
from srbuild.manifest import Inline, Symlink
from srbuild.paths import ImagePath
from srbuild.report import Report, verify_image
from support.images import (
    entry,
    file_at,
    leftovers,
    manifest_of,
    names,
    sample,
    write,
)


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
    real = os.read

    def meddle(fd: int, size: int) -> bytes:
        monkeypatch.setattr(os, "read", real)
        done = real(fd, size)
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

    monkeypatch.setattr(os, "read", meddle)
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
