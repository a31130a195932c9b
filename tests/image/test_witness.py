"""Builds that a witness makes short: what they tell and leave, and what they don't rely on."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from srbuild.paths import data_dir
from srbuild.witness import FOLDER
from support.images import leftovers
from support.jobs import Job, rewrite


def test_an_image_that_is_gone_is_put_together(job: Job) -> None:
    whole, full = job.state(), job.full
    for path in ("image", "image.json"):
        Path(path).unlink()
        code, out, err = job.build()
        assert code == 0
        assert ", verified (" in out
        assert "  base " in err
        shown = [line for line in err.splitlines() if line.startswith("  ")]
        assert all(line.endswith(" from the cache") for line in shown)
        assert job.state() == whole
    assert job.full == full
    assert " is up to date (" in job.build()[1]
    assert not leftovers(job.folder)


def segments() -> Iterator[Path]:
    return Path(os.environ["XDG_CACHE_HOME"], "srbuild/segments").iterdir()


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        rewrite,
        lambda path: os.truncate(path, path.stat().st_size - 1),
        lambda path: path.write_bytes(b""),
    ],
)
def test_a_damaged_cache_never_becomes_an_image(job: Job, damage: Callable[[Path], object]) -> None:
    damage(max(segments(), key=lambda path: path.stat().st_size))
    job.image.unlink()
    job.check()
    assert " is up to date (" in job.build()[1]


def test_a_poisoned_cache_never_becomes_an_image(job: Job) -> None:
    """A segment of another image, whole in itself, under this one's key."""
    first, second = itertools.islice(segments(), 2)
    shutil.copy(first, second)
    job.image.unlink()
    job.check()


@pytest.mark.parametrize("what", ["link", "hard link", "folder"])
def test_what_stands_in_the_way_is_left_to_the_build(job: Job, what: str) -> None:
    job.image.unlink()
    if what == "link":
        job.image.symlink_to("cluster.toml")
    elif what == "hard link":
        os.link("recipe.toml", job.image)
    else:
        job.image.mkdir()
    before = [path.read_bytes() for path in (Path("cluster.toml"), Path("recipe.toml"))]
    code, _, _ = job.build()
    assert code in (0, 2)
    assert [path.read_bytes() for path in (Path("cluster.toml"), Path("recipe.toml"))] == before


def test_the_document_is_the_same(job: Job) -> None:
    document = json.loads(job.build("--json")[1])
    shutil.rmtree(os.environ["XDG_CACHE_HOME"] + "/srbuild/witnesses")
    full = json.loads(job.build("--json")[1])
    assert document.pop("seconds") >= 0
    full.pop("seconds")
    assert document == full
    assert document["changed"] is False
    job.image.unlink()
    shutil.rmtree(os.environ["XDG_CACHE_HOME"] + "/srbuild/witnesses")
    made = json.loads(job.build("--json")[1])
    job.image.unlink()
    assembled = json.loads(job.build("--json")[1])
    for one_of in (made, assembled):
        one_of.pop("seconds")
    assert assembled == made
    assert assembled["changed"] is True


def test_notes_are_told_again(job: Job) -> None:
    job.image.unlink()
    _, _, first = job.build("--no-cache")
    assert "fencing is unsafe-none" in first
    job.settle()
    told = [line for line in job.build()[2].splitlines() if line.startswith("srbuild: ")]
    assert told == [line for line in first.splitlines() if line.startswith("srbuild: ")]


def test_without_a_cache_there_is_no_witness(job: Job) -> None:
    full = job.full
    job.build("--no-cache")
    job.build("--cache", "none")
    assert job.full == full + 2


def test_a_check_always_looks(job: Job) -> None:
    Path("root/usr/sbin/iscsid").unlink()
    assert job.build("--dry-run")[0] == 4


def test_parts_do_not_answer_for_each_other(job: Job) -> None:
    whole = job.image.read_bytes()
    assert job.build("--part", "base")[0] == 0
    assert job.image.read_bytes() != whole
    assert job.build()[0] == 0
    assert job.image.read_bytes() == whole


AUDIT = """
import json, os, sys
seen = set()
def hook(event, args):
    if event in ("open", "os.scandir", "os.listdir", "os.listxattr") and args:
        if isinstance(args[0], (str, os.PathLike)):
            seen.add(os.path.abspath(args[0]))
from srbuild.cli.main import main
sys.addaudithook(hook)
try:
    main(sys.argv[2:])
finally:
    with open(sys.argv[1], "w") as file:
        json.dump(sorted(seen), file)
"""


def test_whatever_a_build_opens_or_lists_was_looked_at(job: Job, tmp_path: Path) -> None:
    """Python itself tells what was opened: nothing that is read may be forgotten."""
    time.sleep(0.2)  # in another process, files have to be settled
    argv = ["--image", "gfs2-iscsi", "--sysroot", "root", "--cluster", "cluster.toml"]
    argv += ["--module-path", "modules", "--module", "mine", "-o", "image"]
    cache = tmp_path / "fresh"
    subprocess.run(
        [sys.executable, "-c", AUDIT, str(tmp_path / "seen"), *argv],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        check=True,
        timeout=60,
    )
    [kept] = (cache / "srbuild" / FOLDER).iterdir()
    data = kept.read_bytes()
    start = data.index(b"\n") + 1
    row = json.loads(data[start : start + int(data.split(None, 2)[1])])
    looked = {os.path.abspath(path) for path in (*row["followed"], *row["plain"])}
    opened = set(json.loads((tmp_path / "seen").read_text()))
    inputs = {path for path in opened if is_input(Path(path), job.folder)}
    assert len(inputs) > 100
    assert inputs <= looked


def is_input(path: Path, folder: Path) -> bool:
    """Whether it is one of the user's files or of those that srbuild comes with."""
    own = any(path.is_relative_to(data_dir() / name) for name in ("modules", "hooks", "images"))
    users = path.is_relative_to(folder) and not path.name.startswith((".image", "image"))
    return own or (users and path != folder)


IMPORTED = """
import sys
from srbuild.cli.main import main
try:
    main(sys.argv[2:])
finally:
    with open(sys.argv[1], "w") as file:
        file.write("\\n".join(sys.modules))
"""
HEAVY = ("jinja2", "elftools", "libarchive", "zstandard", "tomllib", "srbuild.pipeline")


@pytest.mark.parametrize("state", ["there", "gone"])
def test_a_witness_opens_no_input_and_imports_little(job: Job, tmp_path: Path, state: str) -> None:
    argv = ["--image", "gfs2-iscsi", "--sysroot", "root", "--cluster", "cluster.toml"]
    argv += ["--module-path", "modules", "--module", "mine", "-o", "image"]
    for script, name in ((AUDIT, "seen"), (AUDIT, "seen"), (IMPORTED, "modules")):
        time.sleep(0.2)
        if state == "gone":
            job.image.unlink()
        command = [sys.executable, "-c", script, str(tmp_path / name), *argv]
        subprocess.run(command, check=True, timeout=60)
    opened = map(Path, json.loads((tmp_path / "seen").read_text()))
    assert [path for path in opened if is_input(path, job.folder)] == []
    imported = set((tmp_path / "modules").read_text().split())
    assert imported.isdisjoint(HEAVY)
