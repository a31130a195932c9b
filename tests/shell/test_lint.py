"""Every shell file: clean under shellcheck, understood by both shells, true to the rules."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
HOOKS = [PROJECT / "hooks/init", *sorted((PROJECT / "hooks").rglob("*.sh"))]
SCRIPTS = sorted((PROJECT / "modules").rglob("*.sh"))
FILES = [*HOOKS, *SCRIPTS]

each = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT)))


def code(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]


def test_shellcheck_finds_nothing() -> None:
    command = ["shellcheck", "--external-sources", "--shell=sh", *map(str, FILES)]
    found = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert found.stdout + found.stderr == ""


@each
@pytest.mark.parametrize("shell", [["dash"], ["busybox", "ash"]], ids=["dash", "busybox"])
def test_the_shells_understand_it(path: Path, shell: list[str]) -> None:
    found = subprocess.run([*shell, "-n", str(path)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")


@each
def test_nothing_is_evaluated_and_no_finding_silenced(path: Path) -> None:
    text = path.read_text()
    assert "shellcheck disable" not in text
    assert not [line for line in code(path) if re.search(r"(^|[;&|]\s*|\s)eval\s", line)]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_script_stops_at_errors_and_never_just_sleeps(path: Path) -> None:
    lines = code(path)
    assert path.read_text().startswith("#!/bin/sh\n# ")
    assert "set -eu" in lines
    assert not [line for line in lines if re.match(r"\s*(usleep|sleep)\s", line)]


def test_pid_1_can_end_in_no_other_way_than_by_exec() -> None:
    lines = code(PROJECT / "hooks/init")
    assert "set +eu" in lines
    assert not [line for line in lines if re.match(r"\s*exit\b", line)]
    assert lines[-1] == "done"
    assert "while :; do" in lines
