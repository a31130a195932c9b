"""The project's own rules, as tests: linters, types, sizes, and how it is installed.

The shell of hooks/ and modules/ is looked at in tests/shell/test_lint.py, all other shell here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
FOLDERS = ("builder", "tests", "modules", "hooks", "images", "docs", ".ci")
MADE = {"__pycache__", ".hypothesis"}
MAX_LINES = 400
PYTHON_FOLDERS = ("builder", "tests", "modules")
SHELL_FOLDERS = ("hooks", "modules")
POSIX_SHELLS = ("sh", "dash", "ash", "busybox sh")
SHELLS = (*POSIX_SHELLS, "bash")


@cache
def files() -> tuple[Path, ...]:
    """Every source file of the project."""

    def walk(folder: Path) -> Iterator[Path]:
        for base, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name not in MADE]
            yield from (Path(base, name) for name in names if not name.endswith(".pyc"))

    top = [path for path in PROJECT.iterdir() if path.is_file() and path.name != ".git"]
    return tuple(sorted([*top, *(path for name in FOLDERS for path in walk(PROJECT / name))]))


def shell_of(path: Path) -> str:
    """The shell that a file is written for, empty when it is no script."""
    first = path.read_bytes().partition(b"\n")[0].decode("ascii", "replace")
    found = re.fullmatch(r"#! ?(?:/usr)?/bin/(?:env )?(busybox sh|[a-z]+)(?: .*)?", first)
    if found:
        return found[1] if found[1] in SHELLS else ""
    return "sh" if path.suffix == ".sh" or first == "# shellcheck shell=sh" else ""


def scripts(*shells: str) -> list[Path]:
    """The shell scripts outside of hooks/ and modules/."""
    own = [path for path in files() if path.relative_to(PROJECT).parts[0] not in SHELL_FOLDERS]
    return [path for path in own if shell_of(path) in shells]


def check(*argv: str | Path) -> None:
    """Run a linter in the project; what it says is the test's message."""
    done = subprocess.run(
        argv, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, f"\n{done.stdout}{done.stderr}"


def tool(name: str) -> Path:
    """A program of the virtual environment that the tests run in."""
    return Path(sys.executable).parent / name


@pytest.mark.parametrize("how", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff(how: list[str]) -> None:
    check(tool("ruff"), *how, "--no-cache", "--quiet", *PYTHON_FOLDERS)


def test_mypy() -> None:
    check(tool("mypy"), "--strict")


@pytest.mark.parametrize(
    ("shell", "names"), [("sh", POSIX_SHELLS), ("bash", ("bash",))], ids=["sh", "bash"]
)
def test_shellcheck(shell: str, names: tuple[str, ...]) -> None:
    paths = scripts(*names)
    assert paths, "the scripts are not found"
    check("shellcheck", "--external-sources", f"--shell={shell}", *paths)


@pytest.mark.parametrize("shell", [["dash"], ["busybox", "ash"]], ids=" ".join)
def test_every_script_is_posix(shell: list[str]) -> None:
    for path in scripts(*POSIX_SHELLS):
        check(*shell, "-n", path)


def test_no_file_has_outgrown_its_name() -> None:
    made = {"requirements.lock", "requirements-fuzz.lock", "options.md", "tested.json"}
    made |= {"cluster.schema.json"}
    long = {
        str(path.relative_to(PROJECT)): lines
        for path in files()
        if path.name not in made and (lines := path.read_bytes().count(b"\n")) > MAX_LINES
    }
    assert not long


def test_programs_are_run_in_one_place() -> None:
    imports = re.compile(
        r"^\s*(?:import|from) (?:subprocess|pty)\b|os\.(?:system|popen|exec)", re.MULTILINE
    )
    found = {
        str(path.relative_to(PROJECT / "builder/srbuild"))
        for path in (PROJECT / "builder").rglob("*.py")
        if imports.search(path.read_text())
    }
    assert found == {"host/tool.py", "lab/qemu.py"}


def test_nothing_of_one_machine_is_in_the_project() -> None:
    foreign = re.compile(
        r"(?<![\w.])/(?:work|farm|tmp/lab)/|deb\.debian\." + r"org|pypi\." + r"org|pythonhosted"
    )
    found = [
        f"{path.relative_to(PROJECT)}: {hit[0]}"
        for path in files()
        if path != Path(__file__) and (hit := foreign.search(path.read_text(errors="replace")))
    ]
    assert not found


def test_scripts_that_are_run_are_executable() -> None:
    for name in (".ci/run", ".ci/need"):
        assert os.access(PROJECT / name, os.X_OK), name


def test_the_lock_file_pins_all_that_the_project_names() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["dev"],
        *project["build-system"]["requires"],
    ]
    lock = (PROJECT / "requirements.lock").read_text()
    pins = dict(
        re.findall(r"^([a-z0-9-]+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE)
    )
    assert len(pins) == lock.count("=="), "a pin without a digest"
    for requirement in wanted:
        found = re.fullmatch(r"([a-z0-9-]+)(>=|==)([0-9.]+)", requirement)
        assert found, requirement
        pinned, least = (numbers(text) for text in (pins[found[1]], found[3]))
        assert pinned == least if found[2] == "==" else pinned >= least, requirement


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def test_the_tests_run_on_what_the_lock_file_pins() -> None:
    lock = (PROJECT / "requirements.lock").read_text()
    done = subprocess.run(
        [sys.executable, "-m", "pip", "freeze", "--exclude-editable"],
        capture_output=True,
        text=True,
        check=True,
    )
    installed = {line.lower().replace("_", "-") for line in done.stdout.split() if "==" in line}
    pinned = set(re.findall(r"^\S+==\S+", lock, re.MULTILINE))
    mentioned = {pin.partition("==")[0] for pin in pinned}
    assert {pin for pin in installed if pin.partition("==")[0] in mentioned} <= pinned


def test_an_installed_wheel_finds_modules_hooks_and_recipes(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    check(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, PROJECT)
    (wheel,) = tmp_path.glob("srbuild-*.whl")
    check(*pip, "install", "--no-deps", "--no-index", "--target", tmp_path / "there", wheel)
    code = """
        from srbuild.paths import data_dir
        from srbuild.pipeline import find_modules, find_spine
        print(data_dir(), *sorted(find_modules().modules), find_spine().points[-1])
        print(*sorted(path.name for path in (data_dir() / "images").iterdir()))
    """
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(line.strip() for line in code.splitlines())],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "there")},
        capture_output=True,
        text=True,
        check=True,
    )
    words = done.stdout.split()
    assert words[0] == str(tmp_path / "there/srbuild/data")
    assert {"gfs2", "iscsi", "cleanup", "gfs2-iscsi.toml"} <= set(words)


def test_make_help_tells_every_task() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    done = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert {line.split()[1] for line in done.stdout.splitlines()} == set(phony.split())
    bare = subprocess.run(["make"], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert bare.stdout == done.stdout


def test_ci_runs_the_test_command_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "make").write_text('#!/bin/sh\npwd\necho "$@"\nexit 3\n')
    (tmp_path / "make").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [PROJECT / ".ci/run"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [str(PROJECT), "--no-print-directory test"]
    assert done.returncode == 3
