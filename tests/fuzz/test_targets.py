"""Every run of the tests replays what fuzzing starts from, what it once broke, and a little more.

`make fuzz` does the real work.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.targets import TARGETS

REGRESSIONS = sorted(Path(__file__).with_name("regressions").glob("*/*"))
PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: f"{path.parent.name}/{path.name}")
@pytest.mark.timeout(20)
def test_what_once_broke_a_parser(path: Path) -> None:
    TARGETS[path.parent.name].run(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.timeout(60)
def test_well_formed_and_damaged_input(name: str) -> None:
    target = TARGETS[name]
    whole = target.seeds()
    for data in whole:
        target.run(data)

    @settings(
        max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.sampled_from(whole), st.lists(st.tuples(st.integers(0), st.binary(max_size=8))))
    def damaged(data: bytes, changes: list[tuple[int, bytes]]) -> None:
        for place, piece in changes:
            at = place % (len(data) + 1)
            data = data[:at] + piece + data[at + len(piece) :]
        target.run(data)

    damaged()


def test_the_driver_names_its_targets_and_refuses_others() -> None:
    command = [sys.executable, "-m", "fuzz", "nosuchtarget"]
    done = subprocess.run(
        command, cwd=PROJECT / "tests", capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "no target nosuchtarget" in done.stderr


def test_what_fuzzing_needs_is_pinned_apart() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    [wanted] = project["project"]["optional-dependencies"]["fuzz"]
    lock = (PROJECT / "requirements-fuzz.lock").read_text()
    name, _, least = wanted.partition(">=")
    assert f"\n{name}==" in lock
    assert lock.split(f"{name}==")[1].split()[0].split(".") >= least.split(".")
    assert f"{name}==" not in (PROJECT / "requirements.lock").read_text()
