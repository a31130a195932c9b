"""Distributions' roots for the lab: made once, known by their packages, never left half made."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.errors import ToolError
from srbuild.lab import tree
from srbuild.lab.tree import TREES, cached_tree


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mmdebstrap that writes what it was asked for to the archive; fails if `fail` is there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "mmdebstrap"
    program.write_text(
        "#!/bin/sh\n"
        f'for last; do :; done\nprintf "%s\\n" "$@" >"$last"\n'
        f"echo made >>{tmp_path}/count\n[ ! -e {tmp_path}/fail ]\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return tmp_path


def test_a_root_is_made_once_of_its_packages(tool: Path) -> None:
    first = cached_tree("systemd", "x86_64", tool / "cache")
    assert cached_tree("systemd", "x86_64", tool / "cache") == first
    assert (tool / "count").read_text() == "made\n"
    words = first.read_text().splitlines()
    assert "--architectures=amd64" in words
    include = next(word for word in words if word.startswith("--include="))
    assert {"systemd-sysv", "dbus", "iproute2"} <= set(include[10:].split(","))
    assert words[-2] == "bookworm"


def test_each_init_and_each_architecture_has_its_own(tool: Path) -> None:
    made = {
        cached_tree(name, machine, tool / "cache").name
        for name in TREES
        for machine in ("x86_64", "aarch64")
    }
    assert len(made) == 2 * len(TREES)


def test_other_packages_replace_the_archive(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = cached_tree("systemd", "x86_64", tool / "cache")
    other = cached_tree("sysvinit", "x86_64", tool / "cache")
    monkeypatch.setattr(tree, "TREES", {"systemd": tree.Tree("systemd", ("runit",))})
    new = cached_tree("systemd", "x86_64", tool / "cache")
    assert new != old
    assert sorted(path.name for path in (tool / "cache").glob("*.tar")) == sorted(
        (new.name, other.name)
    )


def test_one_that_fails_leaves_nothing(tool: Path) -> None:
    (tool / "fail").touch()
    with pytest.raises(ToolError, match="mmdebstrap"):
        cached_tree("systemd", "x86_64", tool / "cache")
    assert [path.suffix for path in (tool / "cache").iterdir()] == [".lock"]


def test_without_mmdebstrap_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("srbuild.host.tool.SBIN", ())
    with pytest.raises(ToolError, match="mmdebstrap"):
        cached_tree("systemd", "x86_64", tmp_path / "cache")
