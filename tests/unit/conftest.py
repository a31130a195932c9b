"""The command line in this process, in an empty folder, with a tree to build from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from support import commands
from support.commands import Done
from support.plans import furnish
from support.trees import Tree


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small root tree with all that the main job needs."""
    return furnish(Tree(tmp_path_factory.mktemp("cli") / "root"), "gfs2", "iscsi", "none")


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder but for a cluster file, with a cache of its own."""
    commands.surround(tmp_path, monkeypatch)


@pytest.fixture
def srbuild(surroundings: None, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs the command line with the words that it is given."""
    return partial(commands.srbuild, capsys)


@pytest.fixture
def job(root: Path) -> list[str]:
    """The main job's options."""
    return ["--fs", "gfs2", "--blk", "iscsi", "--sysroot", str(root)]


@pytest.fixture
def image(srbuild: Callable[..., Done], job: list[str]) -> Path:
    """The main job's image."""
    done = srbuild(*job, "--cluster", "cluster.toml", "-o", "image")
    assert done.code == 0, done.err
    return Path("image")
