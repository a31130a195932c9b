"""Shell tests run on a machine of files, once for each shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.shells import SHELLS, Machine


@pytest.fixture(params=SHELLS)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """A fresh machine for each test."""
    return Machine(tmp_path, SHELLS[request.param])
