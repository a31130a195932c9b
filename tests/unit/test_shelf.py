"""Modules read when they are asked for are those that are read all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.catalog import Catalog, load_catalog, load_module, open_catalog
from srbuild.errors import ConfigError, SrbuildError
from srbuild.paths import data_dir
from srbuild.shelf import Shelf
from srbuild.spine import load_spine

OWN = data_dir() / "modules"
POINTS = load_spine(data_dir() / "hooks").points
EAGER = load_catalog([OWN], POINTS)


def test_they_are_the_same_in_the_same_order() -> None:
    shelf = open_catalog(OWN, POINTS).modules
    assert list(shelf) == list(EAGER.modules)
    assert len(shelf) == len(EAGER.modules)
    assert dict(shelf) == dict(EAGER.modules)
    assert "nonsense" not in shelf
    assert shelf.get("nonsense") is None


@pytest.mark.parametrize("fs", [m.name for m in EAGER.of_kind("fs")])
def test_what_is_chosen_brings_the_same_modules(fs: str) -> None:
    for block in ("", *(m.name for m in EAGER.of_kind("block"))):
        for container in (m.name for m in EAGER.of_kind("container")):
            names = [name for name in ("core", block, fs, container) if name]
            assert resolved(open_catalog(OWN, POINTS), names) == resolved(EAGER, names)


def resolved(catalog: Catalog, names: list[str]) -> list[str]:
    """The modules, or what is wrong with the choice."""
    try:
        return [module.name for module in catalog.resolve(names)]
    except SrbuildError as error:
        return [str(error)]


def test_a_build_reads_few_modules_but_those_it_takes() -> None:
    read: list[str] = []

    def noted(folder: Path) -> object:
        read.append(folder.name)
        return load_module(folder, POINTS)

    shelf = Shelf([m.folder for m in EAGER.modules.values()], noted)  # type: ignore[arg-type]
    taken = {module.name for module in Catalog(shelf).resolve(["core", "iscsi", "gfs2", "lxc"])}
    assert len(read) == len(set(read))
    assert set(read) >= taken
    assert len(read) < len(EAGER.modules) / 2


def test_what_is_wrong_with_one_is_told_when_it_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "fs" / "wrong"
    folder.mkdir(parents=True)
    (folder / "module.toml").write_text('name = "wrong"\nkind = "fs"\nsummery = ""\n')
    catalog = open_catalog(tmp_path, POINTS)
    assert list(catalog.modules) == ["wrong"]
    with pytest.raises(SrbuildError, match="summery"):
        catalog.module("wrong")


def test_a_folder_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match="cannot read modules"):
        open_catalog(Path("/nonexistent"), POINTS)
