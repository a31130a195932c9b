"""The spine's folder: its points, and where its files go."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.errors import ConfigError
from srbuild.paths import data_dir
from srbuild.spine import load_spine


def hooks(folder: Path, points: str | None) -> Path:
    (folder / "lib").mkdir()
    for name in ("init", "spine.sh", "shutdown.sh", "udhcpc.sh", "lib/base.sh", "lib/README"):
        (folder / name).write_text("#!/bin/sh\n")
    if points is not None:
        (folder / "points.toml").write_text(points)
    return folder


def test_points_keep_their_order_and_files_have_their_places(tmp_path: Path) -> None:
    spine = load_spine(hooks(tmp_path, '[point]\nnet = "up"\nidentity = "known"\ncleanup = "x"\n'))
    assert spine.points == ("net", "identity", "cleanup")
    assert {
        (source.relative_to(tmp_path).as_posix(), target) for source, target in spine.files
    } == {
        ("init", "/init"),
        ("spine.sh", "/usr/lib/srbuild/spine"),
        ("shutdown.sh", "/usr/lib/srbuild/shutdown"),
        ("udhcpc.sh", "/usr/lib/srbuild/udhcpc"),
        ("lib/base.sh", "/usr/lib/srbuild/lib/base.sh"),
    }


@pytest.mark.parametrize(
    "points", [None, "point", "", "[points]\nnet = 'x'\n", "point = 3\n", "point = 'a\x01'"]
)
def test_a_broken_installation_is_named(tmp_path: Path, points: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        load_spine(hooks(tmp_path, points))
    assert caught.value.hint == "reinstall srbuild"
    assert str(caught.value.origin) == str(tmp_path / "points.toml")


def test_the_spine_that_srbuild_ships() -> None:
    spine = load_spine(data_dir() / "hooks")
    assert spine.points == (
        *("identity", "net", "storage", "cluster", "mount", "local", "handover", "cleanup"),
    )
    targets = [target for _, target in spine.files]
    assert "/init" in targets
    assert len(targets) == len(set(targets))
