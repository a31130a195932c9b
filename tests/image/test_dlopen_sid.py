"""systemd's own dlopen notes, as Debian sid builds them. Needs the network once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(900)]
SRBUILD = Path(sys.executable).with_name("srbuild")
MODULE = """
name = "systemd-tools"
kind = "base"
summary = "Programs of systemd"
requires = ["core"]
[install]
binaries = ["systemctl", "udevadm", "/usr/lib/systemd/systemd"]
"""


@pytest.fixture(scope="module")
def sid(project: Path) -> Path:
    tree = project / "build" / "sysroot-sid-systemd"
    argv = [SRBUILD, "sysroot", "create", tree, "--suite", "sid"]
    argv += ["--package", "systemd", "--package", "liblz4-1"]  # which systemd only suggests
    subprocess.run(argv, check=True, timeout=800)
    return tree


def check(sid: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    module = folder / "base/systemd-tools"
    module.mkdir(parents=True, exist_ok=True)
    (module / "module.toml").write_text(MODULE)
    return subprocess.run(
        [
            *(SRBUILD, "build", "--module", "systemd-tools", "--module-path", folder),
            *("--sysroot", sid, "--no-cache", "-o", folder / "image", "--json", *options),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def names(folder: Path) -> set[str]:
    entries = json.loads((folder / "image.json").read_text())["entries"]
    return {path.rpartition("/")[2] for path in entries}


def test_recommended_libraries_come_and_suggested_ones_are_named(sid: Path, tmp_path: Path) -> None:
    done = check(sid, tmp_path)
    assert done.returncode == 0, done.stderr
    notes = json.loads(done.stdout)["notes"]
    (left_out,) = [note for note in notes if note.startswith("left out")]
    assert "lz4 (liblz4.so.1)" in left_out
    assert {"libmount.so.1", "libzstd.so.1"} <= names(tmp_path)  # recommended by systemctl
    assert "liblz4.so.1" not in names(tmp_path)


def test_a_feature_comes_when_it_is_asked_for(sid: Path, tmp_path: Path) -> None:
    done = check(sid, tmp_path, "--feature", "lz4")
    assert done.returncode == 0, done.stderr
    assert "liblz4.so.1" in names(tmp_path)
    argv = [SRBUILD, "why", tmp_path / "image", "/usr/lib/x86_64-linux-gnu/liblz4.so.1"]
    told = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "dlopen: /usr/bin/systemctl" in told


def test_an_unknown_feature_is_an_error(sid: Path, tmp_path: Path) -> None:
    done = check(sid, tmp_path, "--feature", "lz44")
    assert done.returncode == 3
    assert "did you mean 'lz4'?" in done.stderr
