"""An image that is there already, for tests of what replaces it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.images import leftovers


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An image to be replaced, which a failure must leave as it is."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/image").write_bytes(b"previous image")
    return tmp_path / "out/image"


@pytest.fixture
def kept(target: Path) -> Callable[[], bool]:
    """Tells whether `target` is untouched and nothing was left beside it."""
    before = target.stat()

    def is_kept() -> bool:
        now = target.stat()
        same = (now.st_ino, now.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        return same and target.read_bytes() == b"previous image" and not leftovers(target.parent)

    return is_kept
