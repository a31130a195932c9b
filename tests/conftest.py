"""What tests of every kind share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

PROJECT = Path(__file__).resolve().parent.parent

# The same examples in every run of CI, new ones in everybody else's.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write tests/golden/*.txt anew instead of comparing with them",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For `--dist loadgroup`: a file's tests, which share what they make, go to one worker.

    So do all that boot: two boots at once would only take each other's processors.
    """
    for item in items:
        group = "boot" if item.get_closest_marker("boot") else item.location[0]
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def project() -> Path:
    """The checkout that is being tested."""
    return PROJECT


@pytest.fixture(scope="session")
def sysroot(project: Path) -> Path:
    """The Debian tree that `make test` makes: gfs2 on iscsi, bookworm; read only."""
    directory = project / "build" / "sysroot"
    if not directory.is_dir():
        pytest.fail(
            f"no sysroot at {directory}; make it with: "
            f"srbuild sysroot create {directory} --every-module"
        )
    return directory
