"""Where the cache is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from srbuild.paths import HostPath

VARIABLE = "SRBUILD_CACHE"


def asked_folder(options: Mapping[str, object], environ: Mapping[str, str]) -> HostPath | None:
    """The folder that command line and environment ask for, before either has been checked."""
    wish = options.get("cache") or environ.get(VARIABLE)
    if options.get("no_cache"):
        wish = "none"
    return cache_folder(str(wish) if wish else None, environ)


def cache_folder(wish: str | None, environ: Mapping[str, str]) -> HostPath | None:
    """The cache's folder: as asked (`none` for none), else as the XDG base directories say."""
    if wish is not None:
        return None if wish == "none" else Path(wish)
    base = environ.get("XDG_CACHE_HOME", "")
    if base.startswith("/"):  # the specification has relative ones ignored
        return Path(base) / "srbuild"
    home = environ.get("HOME", "")
    return Path(home) / ".cache" / "srbuild" if home.startswith("/") else None
