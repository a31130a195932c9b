"""Search paths and names that depend on the working directory: what they lead to isn't known."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.trees import Tree, files
from support.unpacked import enter

OLD = "-Wl,--disable-new-dtags,-rpath,"
NEW = "-Wl,--enable-new-dtags,-rpath,"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


@pytest.mark.parametrize("flag", [OLD, NEW])
@pytest.mark.parametrize("path", ["./opt/x", ":", "opt/x"])
def test_what_is_found_from_one_directory_only_is_missing(tree: Tree, flag: str, path: str) -> None:
    tree.lib("/opt/x/liba.so")
    tree.program("/bin/p", "liba.so", flags=f"{flag}{path}")
    (missing,) = tree.close("/bin/p").missing
    assert missing.name == "liba.so"
    assert not [folder for folder in missing.searched if not folder.startswith("/")]
    assert loads_from(tree, "/bin/p", "/opt/x") == (not path.strip(":"))
    assert loads_from(tree, "/bin/p", "/") == ("opt" in path)
    assert not loads_from(tree, "/bin/p", "/bin")


@pytest.mark.parametrize("flag", [OLD, NEW])
def test_an_absolute_element_beside_it_counts(tree: Tree, flag: str) -> None:
    tree.lib("/opt/x/liba.so")
    tree.program("/bin/p", "liba.so", flags=f"{flag}nowhere::/opt/x:")
    closure = tree.close("/bin/p")
    assert closure.missing == ()
    assert "/opt/x/liba.so" in files(closure)
    assert tree.loaded("/bin/p")[0] >= {"/opt/x/liba.so"}


def test_a_library_needed_by_a_relative_path_is_refused(tree: Tree) -> None:
    tree.lib("/opt/x/liba.so")
    tree.program("/bin/p", "opt/x/liba.so")
    (missing,) = tree.close("/bin/p").missing
    assert missing.problem == "is relative to the working directory of whoever runs it"
    assert loads_from(tree, "/bin/p", "/")
    assert not loads_from(tree, "/bin/p", "/bin")


def loads_from(tree: Tree, program: str, folder: str) -> bool:
    """Whether the tree's own loader finds all for `program` run in `folder` of the tree."""

    change_root = enter(tree.root)

    def change() -> None:
        change_root()
        os.chdir(folder)

    done = subprocess.run(
        [program],
        env={"LD_TRACE_LOADED_OBJECTS": "1"},
        preexec_fn=change,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return "not found" not in done.stdout and done.returncode == 0
