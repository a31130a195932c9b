"""Images that are there already, and the trees that they are made from."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from srbuild import pipeline
from support.images import leftovers
from support.jobs import Job
from support.places import Place, unpacked


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An image to be replaced, which a failure must leave as it is."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/image").write_bytes(b"previous image")
    return tmp_path / "out/image"


@pytest.fixture
def kept(target: Path) -> Callable[[], bool]:
    """Tells whether `target` is untouched and nothing was left beside it."""
    before = target.stat()

    def is_kept() -> bool:
        now = target.stat()
        same = (now.st_ino, now.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        return same and target.read_bytes() == b"previous image" and not leftovers(target.parent)

    return is_kept


@pytest.fixture(scope="session")
def copy(sysroot: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The sysroot at another place, without what no image of these tests wants."""
    target = tmp_path_factory.mktemp("elsewhere") / "a" / "copy of the root"
    shutil.copytree(sysroot, target, symlinks=True, ignore=_unwanted)
    yield target
    shutil.rmtree(target)


def _unwanted(folder: str, names: list[str]) -> set[str]:
    """Those of `names` to be left out; device nodes always, whose content has no end."""
    here = {name: (Path(folder) / name).lstat().st_mode for name in names}
    other = {name for name, mode in here.items() if not _is_plain(mode)}
    return other | _BULK.get(Path(folder).name, set())


def _is_plain(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)


_BULK = {
    "usr": {"share"},
    "kernel": {"sound", "virt"},
    "drivers": {"gpu", "media", "staging", "infiniband", "iio", "hwmon", "hid", "platform"},
    "net": {"wireless"},
}


@pytest.fixture(scope="session")
def built(sysroot: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, dict[str, Any]]:
    """An image made cold from the sysroot; to be read only."""
    place = Place(tmp_path_factory.mktemp("built") / "place", sysroot)
    return place, place.build()


@pytest.fixture
def place(built: tuple[Place, dict[str, Any]], tmp_path: Path) -> Place:
    """Another folder, with an image there already and a warm cache."""
    first, _ = built
    place = Place(tmp_path / "place", first.sysroot)
    shutil.copytree(first.folder / "cache", place.folder / "cache")
    place.build()
    return place


@pytest.fixture(scope="session")
def unpacked_tree(
    built: tuple[Place, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The image as GNU cpio unpacks it, segment after segment; device nodes left out."""
    first, document = built
    root = tmp_path_factory.mktemp("unpacked") / "root"
    root.mkdir()
    for archive in unpacked(first.image, document):
        argv = ["cpio", "-i", "-d", "-u", "--quiet", "--nonmatching", "dev/*"]
        subprocess.run(argv, input=archive, cwd=root, check=True)
    return root


@pytest.fixture(scope="session")
def pristine_job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    job = Job(tmp_path_factory.mktemp("pristine") / "place")
    job.folder.mkdir()
    job.furnish()
    return job.folder


@pytest.fixture
def job(pristine_job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A copy of the pristine place, its image built and a witness of it kept."""
    found = Job(tmp_path / "place")
    shutil.copytree(pristine_job, found.folder, symlinks=True)
    (found.folder / "oracle").mkdir()
    for name in [name for name in os.environ if name.startswith("SRBUILD_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("srbuild.host.looks.is_settled", lambda *_: True)
    monkeypatch.chdir(found.folder)
    build = pipeline.build

    def counted(*args: Any) -> Any:
        found.full += 1
        return build(*args)

    monkeypatch.setattr(pipeline, "build", counted)
    found.settle()
    return found
