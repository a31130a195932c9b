"""What tests of every kind share."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

PROJECT = Path(__file__).resolve().parent.parent

# The same examples in every run of CI, new ones in everybody else's.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
# A script's background job, as `make test &` in one is, begins with SIGINT ignored, and so would
# all that it starts; some tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write tests/golden/*.txt anew instead of comparing with them",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n`: a file's tests, which share what they make, go to one worker, all boots to one.

    Two boots at once would only take each other's processors.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "boot" if nodeid.startswith("tests/boot/") else nodeid.partition("::")[0]

    return ByFile(config, log)


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
