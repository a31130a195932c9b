"""Who builds, and where: an ordinary user, a folder that may not be written, the machine itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.places import SRBUILD, Place

# A user namespace with one user in it, who is not root there and has no capability.
ORDINARY = [] if os.geteuid() else ["unshare", "--user", "--map-user=1234", "--map-group=1234"]


def test_the_ordinary_user_of_these_tests_is_one() -> None:
    tell = "import os; print(os.geteuid()); os.mknod('/tmp/never', 0o020600, os.makedev(1, 3))"
    argv = [*ORDINARY, sys.executable, "-c", tell]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert int(done.stdout) != 0
    assert "PermissionError" in done.stderr


def test_an_ordinary_user_builds_the_very_same_image(tmp_path: Path, sysroot: Path) -> None:
    first = Place(tmp_path / "first", sysroot)
    second = Place(tmp_path / "second", sysroot)
    one = first.build("--no-cache")
    other = second.build("--no-cache", prefix=ORDINARY)
    assert first.image.read_bytes() == second.image.read_bytes()
    sidecars = [(place.folder / "image.json").read_bytes() for place in (first, second)]
    assert sidecars[0] == sidecars[1]
    assert one["segments"] == other["segments"]


@pytest.fixture
def locked(tmp_path: Path, sysroot: Path) -> Iterator[Place]:
    """A place with an image in it, and no leave to write there."""
    place = Place(tmp_path / "place", sysroot)
    place.build()
    place.folder.chmod(0o555)
    yield place
    place.folder.chmod(0o755)


def test_a_folder_that_may_not_be_written_keeps_its_image(locked: Place) -> None:
    before = locked.state()
    for words in (("--no-cache",), ("--set", "gfs2.options=nodiratime")):
        code, _, err = locked.run(*words, prefix=ORDINARY)
        assert code not in (0, 2), err
        assert str(locked.image.name) in err
        assert "Permission denied" in err
        assert "Traceback" not in err
    assert locked.state() == before
    assert locked.debris() == []


def test_the_machine_itself_is_a_sysroot_like_any_other(tmp_path: Path) -> None:
    """What it has is built from; of what it lacks, every piece is named with a way out."""
    place = Place(tmp_path / "place", Path("/"))
    code, out, err = place.run("--json", "--no-cache")
    assert "Traceback" not in err
    if code == 0:
        argv = [SRBUILD, "verify", place.image]
        subprocess.run(argv, check=True, capture_output=True, timeout=120)
        return
    assert code == 4, err
    assert not place.image.exists()
    errors = json.loads(out)["errors"]
    assert errors
    assert [error for error in errors if not error["hint"]] == []
