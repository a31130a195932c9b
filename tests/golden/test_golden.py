"""What every boot module and every recipe asks for, compared with the text kept in this folder.

A change here changes what goes into users' images, so it has to be looked at:
`pytest --update-golden tests/golden` writes the files anew, `git diff` then shows the change.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from srbuild.config.load import load_config
from srbuild.paths import data_dir
from srbuild.pipeline import find_modules, find_spine
from srbuild.plan import Plan, make_plan
from srbuild.requests import (
    Binary,
    Copy,
    Data,
    Firmware,
    Folder,
    Kmod,
    Library,
    Own,
    Plugin,
    Rendered,
    Request,
)
from srbuild.runtime import with_runtime
from support.plans import Project

FOLDER = Path(__file__).parent
CATALOG = find_modules()
RECIPES = sorted(path.stem for path in (data_dir() / "images").glob("*.toml"))


def plan_of(**options: object) -> Plan:
    config, _ = with_runtime(load_config(options, {}, CATALOG), CATALOG, None)
    return make_plan(config, CATALOG, find_spine())


def line(request: Request) -> str:
    """A request as one line, its origin left out."""
    match request:
        case Binary(name=name, segment=segment):
            return f"binary {name} ({segment})"
        case Library(name=name, segment=segment):
            return f"library {name} ({segment})"
        case Plugin(pattern=pattern, segment=segment):
            return f"plugin {pattern} ({segment})"
        case Copy(pattern=pattern, target=target, segment=segment):
            return f"file {pattern}{f' as {target}' if target else ''} ({segment})"
        case Kmod(name=name, optional=optional):
            return f"kmod {name}{' if there' if optional else ''}"
        case Firmware(pattern=pattern):
            return f"firmware {pattern}"
        case Own(source=source, target=target, mode=mode, segment=segment):
            return f"own {source.relative_to(data_dir())} as {target} {mode:04o} ({segment})"
        case Rendered(source=source, target=target, scope=scope, mode=mode, secret=secret):
            name = source.relative_to(data_dir())
            return f"template {name} as {target} {mode:04o} {scope}{' secret' if secret else ''}"
        case Data(target=target, data=data, segment=segment):
            rows = "".join(f"\n  {row}" for row in data.decode().splitlines())
            return f"table {target} ({segment}){rows}"
        case Folder(target=target, segment=segment):
            return f"directory {target} ({segment})"


def module_text(plan: Plan, name: str) -> Iterator[str]:
    """What the module itself asks for, and what it brings along."""
    yield f"boot modules: {' '.join(module.name for module in plan.modules)}"
    yield from (line(r) for r in plan.requests if r.origin.source == f"module {name}")


def recipe_text(plan: Plan) -> Iterator[str]:
    """The recipe's boot modules, the spine's files and tables, and what no module asks for."""
    yield f"boot modules: {' '.join(module.name for module in plan.modules)}"
    yield from (line(r) for r in plan.requests if not r.origin.source.startswith("module "))


def compare(name: str, lines: Iterator[str], config: pytest.Config) -> None:
    path = FOLDER / f"{name}.txt"
    text = "".join(f"{one}\n" for one in lines)
    if config.getoption("--update-golden"):
        path.write_text(text)
    known = path.read_text() if path.exists() else "no such file\n"
    assert text == known, f"{path.name} has changed: pytest --update-golden tests/golden"


@pytest.mark.parametrize("name", sorted(CATALOG.modules))
def test_what_a_module_asks_for(name: str, pytestconfig: pytest.Config) -> None:
    # Several modules provide a block device, so a file system's images name theirs.
    blk = {"blk": "iscsi"} if "block" in CATALOG.modules[name].requires else {}
    compare(f"module-{name}", module_text(plan_of(modules=[name], **blk), name), pytestconfig)


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_recipe_asks_for(name: str, pytestconfig: pytest.Config) -> None:
    compare(f"recipe-{name}", recipe_text(plan_of(image=name)), pytestconfig)


def test_no_text_is_left_over() -> None:
    known = {f"module-{name}" for name in CATALOG.modules} | {f"recipe-{name}" for name in RECIPES}
    assert {path.stem for path in FOLDER.glob("*.txt")} == known


def test_every_wish_shows_in_the_text(tmp_path: Path) -> None:
    project = Project(tmp_path)
    install = {
        "binaries": ['"b"'],
        "libraries": ['"l"'],
        "plugins": ['"p"'],
        "files": ['"f"', '{source = "f", target = "/t"}'],
        "kmods": ['"k"'],
        "optional_kmods": ['"o"'],
        "firmware": ['"w"'],
        "dirs": ['"/d"'],
    }
    seen = set()
    for key, wishes in install.items():
        for wish in wishes:
            project.module("fs", "one", f"[install]\n{key} = [{wish}]\n")
            seen.add(tuple(module_text(project.plan(modules=["one"]), "one")))
    assert len(seen) == 9
