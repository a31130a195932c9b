"""A pytest plug-in for long runs: `--resume FILE` passes over what has passed before.

What passed counts only while nothing that images and laboratory are made from has changed: the
project's own files and the sysroot's packages, by one digest that stands in FILE. FILE also keeps
what each scenario gave, for tests/support/rows.py: a test that fails leaves a result that did not
pass, whatever the scenario itself said.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("builder", "hooks", "images", "modules", "tests/boot")
STAMP = "build/sysroot/var/lib/srbuild/sysroot.json"
RECORDS = "builder/srbuild/tested.json"  # made of the runs: no input of theirs
RESULT = "scenario result"  # the user property in which a test leaves a scenario's result


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--resume", metavar="FILE", type=Path, help="go on where FILE says")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--resume")
    if path is not None:
        config.pluginmanager.register(Resume(path, inputs_digest(PROJECT)))


def inputs_digest(project: Path) -> str:
    """The sha256, in hexadecimal, of all files that decide what is booted and how."""
    digest = hashlib.sha256()
    files = [path for folder in FOLDERS for path in (project / folder).rglob("*")]
    for path in [*sorted(files), project / STAMP]:
        if path == project / RECORDS:
            continue
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(project)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def sysroot_suite(sysroot: Path) -> str:
    """The suite that a tree made by `srbuild sysroot create` is of."""
    stamp = json.loads((sysroot / STAMP.removeprefix("build/sysroot/")).read_text())
    return str(stamp["suite"])


class Resume:
    """Knows what has passed with these inputs, and writes down each test as it passes."""

    def __init__(self, path: Path, digest: str) -> None:
        self._path = path
        self._digest = digest
        kept = json.loads(path.read_text()) if path.is_file() else {}
        same = kept.get("inputs") == digest
        self._passed: list[str] = kept.get("passed", []) if same else []
        self._results: dict[str, Any] = kept.get("results", {}) if same else {}

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if item.nodeid in self._passed:
            pytest.skip(f"passed before with the same inputs; remove {self._path} to run it again")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.when == "call" and not report.skipped:
            if report.passed:
                self._passed.append(item.nodeid)
            found = [result for name, result in item.user_properties if name == RESULT]
            for result in found:
                self._keep(result, "" if report.passed else _last_line(report.longreprtext))
            self._save()
        return report

    def _keep(self, result: Any, failure: str) -> None:
        row = {**result, "date": datetime.datetime.now(datetime.UTC).date().isoformat()}
        if failure and row["passed"]:
            row |= {"passed": False, "failure": failure}
        self._results[row["scenario"]] = row

    def _save(self) -> None:
        document = {"inputs": self._digest, "passed": self._passed, "results": self._results}
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(document, indent=1))
        draft.replace(self._path)


def _last_line(text: str) -> str:
    """What pytest says last of a failure."""
    lines = [line.strip() for line in text.splitlines() if line.startswith("E ")]
    return lines[0].removeprefix("E").strip() if lines else "the test failed"
