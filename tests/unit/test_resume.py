"""`make matrix` goes on where it was stopped, and starts anew when anything has changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.resume import inputs_digest

ROWS = """
from pathlib import Path
def test_good(): pass
def test_bad(): assert Path("mended").exists()
"""


@pytest.fixture
def row(tmp_path: Path) -> Path:
    (tmp_path / "test_row.py").write_text(ROWS)
    return tmp_path


def run(row: Path, project: Path) -> str:
    """The closing line of a run of the two tests in `row`."""
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "support.resume"]
    argv += ["--resume", "results.json", "test_row.py"]
    environ = {**os.environ, "PYTHONPATH": str(project / "tests")}
    done = subprocess.run(
        argv, cwd=row, env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout.splitlines()[-1]


def test_only_what_has_not_passed_runs_again(row: Path, project: Path) -> None:
    assert run(row, project).startswith("1 failed, 1 passed")
    assert run(row, project).startswith("1 failed, 1 skipped")
    (row / "mended").touch()
    assert run(row, project).startswith("1 passed, 1 skipped")
    assert run(row, project).startswith("2 skipped")


def test_other_inputs_make_all_run_again(row: Path, project: Path) -> None:
    run(row, project)
    kept = json.loads((row / "results.json").read_text())
    (row / "results.json").write_text(json.dumps({**kept, "inputs": "of another day"}))
    assert run(row, project).startswith("1 failed, 1 passed")


def test_every_file_that_is_booted_counts(tmp_path: Path) -> None:
    hook = tmp_path / "hooks/init"
    hook.parent.mkdir()
    hook.write_text("one")
    first = inputs_digest(tmp_path)
    assert inputs_digest(tmp_path) == first
    hook.write_text("two")
    assert inputs_digest(tmp_path) != first


SCENARIOS = """
import pytest
from support.resume import RESULT
def leave(request, name, passed):
    row = {"scenario": name, "passed": passed, "failure": "" if passed else "no boot"}
    request.node.user_properties.append((RESULT, row))
def test_good(request): leave(request, "good", True)
def test_bad(request):
    leave(request, "bad", False)
    assert not "a root"
def test_judged(request):
    leave(request, "judged", True)
    assert "fenced" == "both"
"""


def test_what_a_scenario_gave_is_kept_and_a_failed_test_is_no_pass(
    tmp_path: Path, project: Path
) -> None:
    (tmp_path / "test_row.py").write_text(SCENARIOS)
    assert run(tmp_path, project).startswith("2 failed, 1 passed")
    kept = json.loads((tmp_path / "results.json").read_text())["results"]
    found = {name: (row["passed"], row["failure"]) for name, row in kept.items()}
    assert found["good"] == (True, "")
    assert found["bad"] == (False, "no boot")
    assert found["judged"][0] is False
    assert "both" in found["judged"][1]
    assert all(row["date"] for row in kept.values())


def test_the_record_that_is_made_of_the_runs_is_no_input_of_theirs(tmp_path: Path) -> None:
    record = tmp_path / "builder/srbuild/tested.json"
    record.parent.mkdir(parents=True)
    record.write_text("one")
    first = inputs_digest(tmp_path)
    record.write_text("two")
    assert inputs_digest(tmp_path) == first
