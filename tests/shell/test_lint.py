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


# What a root's own init runs at the end goes on, come what may. By its shell.
LAST_ACTS = {"none/halt.sh": "/bin/sh", "none/last.sh": "/run/initramfs/bin/busybox sh"}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_script_stops_at_errors(path: Path) -> None:
    shell = LAST_ACTS.get("/".join(path.parts[-2:]))
    assert path.read_text().startswith(f"#!{shell or '/bin/sh'}\n# ")
    assert ("set +eu" if shell else "set -eu") in code(path)


SLEEP = re.compile(r"(^|[\s;&|({`!/])u?sleep([\s;&|)}`]|$)")


def functions_that_sleep(text: str) -> list[str]:
    """The functions in whose lines `sleep` or `usleep` is a word; "" outside of any."""
    found, inside = [], ""
    for line in text.splitlines():
        if opened := re.match(r"(\w+)\(\) *[{(]", line):
            inside = opened[1]
        elif line.startswith(("}", ")")):
            inside = ""
        if SLEEP.search(re.sub(r"(^|\s)#.*", "", line)):
            found.append(inside)
    return found


@each
def test_nothing_just_sleeps(path: Path) -> None:
    """Waits have a name and an end: `sr_wait_for`. Its own pause is the one place for a sleep."""
    allowed = ["sr_pause"] if path.name == "base.sh" else []
    assert functions_that_sleep(path.read_text()) == allowed


@pytest.mark.parametrize(
    "line",
    [
        "sleep 1",
        "  usleep 100000",
        "a && sleep 60",
        "while :; do sleep 60; done",
        "(sleep 1)",
        "x=$(sleep 1)",
        "timeout 5 sleep 4 &",
        "/bin/sleep 1",
        "if ! sleep 1; then",
    ],
)
def test_a_sleep_anywhere_is_found(line: str) -> None:
    assert functions_that_sleep(line) == [""]
    assert functions_that_sleep(f"sr_pause() {{\n    {line}\n}}\n{line}\n") == ["sr_pause", ""]


@pytest.mark.parametrize(
    "line", ["# sleep 1", "say asleep", "sleepy 1", "a=sleep_time", "no-sleep"]
)
def test_what_only_looks_like_it_is_not(line: str) -> None:
    assert functions_that_sleep(line) == []


def test_pid_1_can_end_in_no_other_way_than_by_exec() -> None:
    lines = code(PROJECT / "hooks/init")
    assert "set +eu" in lines
    assert not [line for line in lines if re.match(r"\s*exit\b", line)]
    assert lines[-1] == "done"
    assert "while :; do" in lines
