"""The main job when something is missing, interrupted or damaged: never a half image."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from support.places import SRBUILD, Place, segments

LIBRARIES = ("libcorosync_common.so.4", "libopeniscsiusr.so")


# --- what is missing --------------------------------------------------------------------------


@pytest.fixture
def crippled(copy: Path) -> Iterator[Path]:
    """The copy without two libraries, each with all its names; afterwards it is whole again."""
    away = copy.parent / "away"
    away.mkdir()
    moved = [
        path for name in LIBRARIES for path in copy.rglob(f"{name}*") if "dpkg" not in path.parts
    ]
    assert len(moved) >= len(LIBRARIES)
    for path in moved:
        path.rename(away / path.name)
    yield copy
    for path in moved:
        (away / path.name).rename(path)
    away.rmdir()


def test_removed_libraries_are_all_named_and_the_image_stays(place: Place, crippled: Path) -> None:
    before = place.state()
    place.sysroot = crippled
    code, out, err = place.run()
    assert (code, out) == (4, "")
    assert place.state() == before
    assert not place.debris()
    for name in LIBRARIES:
        [error] = [one for one in err.split("srbuild: error: ")[1:] if one.startswith(name)]
        assert "(DT_NEEDED) ← module " in error
        assert "wanted by /usr/" in error
        package = "libcorosync-common4" if "corosync" in name else "libopeniscsiusr"
        assert f"hint: install {package} in the sysroot again" in error
    assert "/usr/sbin/corosync (DT_NEEDED) ← module corosync: install.binaries[0]" in err
    assert "/usr/sbin/iscsiadm (DT_NEEDED) ← " in err
    assert "module iscsi: install.binaries[1] (binary)" in err


@pytest.mark.parametrize("victim", ["usr/sbin/corosync", "lib/modules/*/kernel/fs/gfs2/gfs2.ko*"])
def test_a_file_that_may_not_be_read_is_named(copy: Path, tmp_path: Path, victim: str) -> None:
    place = Place(tmp_path / "place", copy)
    [path] = copy.glob(victim)
    mode = path.stat().st_mode
    drop = "-dac_override,-dac_read_search"
    prefix = ["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}"]
    path.chmod(0)
    try:
        code, _, err = place.run("--no-cache", prefix=prefix if os.geteuid() == 0 else [])
    finally:
        path.chmod(mode)
    assert code == 4, err
    assert path.name in err
    assert "Permission denied" in err
    assert "Traceback" not in err
    assert not place.image.exists()


# --- interrupted ------------------------------------------------------------------------------


def wait_for_draft(place: Place, size: int) -> None:
    """Wait until the draft of the image holds `size` bytes."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for name in place.debris():
            if name.startswith(".image.") and not name.startswith(".image.json"):
                try:
                    if (place.folder / name).stat().st_size >= size:
                        return
                except FileNotFoundError:
                    continue
        time.sleep(0.0005)
    pytest.fail(f"no draft of {size} bytes")


State: TypeAlias = list[tuple[int, int, bytes]]


def interrupted(place: Place, share: float, how: signal.Signals) -> tuple[int, str, State]:
    """Build anew, be killed once `share` of the image is written.

    Exit code, stderr, and the state before. A build that is done before the signal comes was not
    interrupted: then once more.
    """
    size = int(place.image.stat().st_size * share)
    for _ in range(20):
        before = place.state()
        process = place.start(place.argv("--no-cache", "--compression", "zstd:4"))
        wait_for_draft(place, size)
        process.send_signal(how)
        try:
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
        if process.returncode:
            return process.returncode, err, before
    pytest.fail("no build was still at work when the signal came")


def test_killed_builds_leave_the_image_and_the_next_one_clears_up(place: Place) -> None:
    for share in (0, 0.2, 0.7, 0.95):
        code, _, before = interrupted(place, share, signal.SIGKILL)
        assert code == -signal.SIGKILL
        assert place.state() == before
        assert place.debris()
    before = place.state()
    place.build("--compression", "zstd:5", "--no-cache")
    assert not place.debris()
    assert place.state() != before


def test_an_interrupted_build_clears_up_itself(place: Place) -> None:
    code, err, before = interrupted(place, 0.5, signal.SIGINT)
    assert code == 130
    assert err.splitlines()[-1] == "srbuild: interrupted"
    assert place.state() == before
    assert not place.debris()


# --- verification -----------------------------------------------------------------------------


def verify(image: Path) -> tuple[int, str]:
    done = subprocess.run(
        [SRBUILD, "verify", image], capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("which", ["base", "kmods", "site"])
def test_a_flipped_byte_anywhere_is_found(place: Place, which: str) -> None:
    segment = segments(place.build())[which]
    data = bytearray(place.image.read_bytes())
    data[segment["offset"] + segment["length"] // 2] ^= 0x10
    place.image.write_bytes(data)
    code, err = verify(place.image)
    assert code == 7
    assert "is not what it should be" in err


@pytest.mark.parametrize("left", [0.0, 0.5, 0.999])
def test_a_truncated_image_is_found(place: Place, left: float) -> None:
    os.truncate(place.image, int(place.image.stat().st_size * left))
    assert verify(place.image)[0] == 7
    (place.folder / "image.json").unlink()
    assert verify(place.image)[0] == 7


@pytest.mark.parametrize("pack", [["cat"], ["gzip"], ["zstd", "-q"]], ids=lambda argv: argv[0])
def test_an_initramfs_of_another_tool_is_sound(
    unpacked_tree: Path, tmp_path: Path, pack: list[str]
) -> None:
    listed = "".join(
        f"{path.relative_to(unpacked_tree)}\n"
        for top in ("usr/sbin", "etc")
        for path in sorted([unpacked_tree / top, *(unpacked_tree / top).rglob("*")])
    )
    argv = ["cpio", "-o", "-H", "newc", "--quiet", "--owner=+0:+0"]
    names = f"usr\n{listed}".encode()
    done = subprocess.run(
        argv, input=names, cwd=unpacked_tree, check=True, capture_output=True, timeout=60
    )
    packed = subprocess.run(pack, input=done.stdout, check=True, capture_output=True)
    image = tmp_path / "foreign.img"
    image.write_bytes(packed.stdout)
    assert verify(image) == (0, "")
    image.write_bytes(packed.stdout[: len(packed.stdout) // 2])
    assert verify(image)[0] == 7
