"""A pytest plug-in for long runs: `--resume FILE` passes over what has passed before.

What passed counts only while nothing that images and laboratory are made from has changed: the
project's own files and the sysroot's packages, by one digest that stands in FILE.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("builder", "hooks", "images", "modules", "tests/boot")
STAMP = "build/sysroot/var/lib/srbuild/sysroot.json"


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
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(project)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


class Resume:
    """Knows what has passed with these inputs, and writes down each test as it passes."""

    def __init__(self, path: Path, digest: str) -> None:
        self._path = path
        self._digest = digest
        kept = json.loads(path.read_text()) if path.is_file() else {}
        self._passed: list[str] = kept.get("passed", []) if kept.get("inputs") == digest else []

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if item.nodeid in self._passed:
            pytest.skip(f"passed before with the same inputs; remove {self._path} to run it again")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.when == "call" and report.passed:
            self._passed.append(item.nodeid)
            draft = self._path.with_suffix(".new")
            draft.write_text(json.dumps({"inputs": self._digest, "passed": self._passed}))
            draft.replace(self._path)
        return report
