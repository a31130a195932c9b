"""Where the cache is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from srbuild.paths import HostPath


def cache_folder(wish: str | None, environ: Mapping[str, str]) -> HostPath | None:
    """The cache's folder: as asked (`none` for none), else as the XDG base directories say."""
    if wish is not None:
        return None if wish == "none" else Path(wish)
    base = environ.get("XDG_CACHE_HOME", "")
    if base.startswith("/"):  # the specification has relative ones ignored
        return Path(base) / "srbuild"
    home = environ.get("HOME", "")
    return Path(home) / ".cache" / "srbuild" if home.startswith("/") else None
