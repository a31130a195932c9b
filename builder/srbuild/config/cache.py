"""Where caches are: one folder of this machine's own, and others to take segments from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from srbuild.errors import ConfigError, Origin
from srbuild.frozen import frozen
from srbuild.paths import HostPath

_SCHEMES = ("http://", "https://")


@frozen
class Caches:
    """`folder` is read, written and trusted, None for none.

    From the `shared` ones, folders and URLs in the order to ask them, segments are read and
    nothing else, and each is checked against its sources.
    """

    folder: HostPath | None
    shared: tuple[str, ...] = ()


def asked_folder(options: Mapping[str, object], environ: Mapping[str, str]) -> HostPath | None:
    """The folder that command line and environment ask for; None, too, when they are wrong."""
    try:
        return asked_caches(options, environ).folder
    except ConfigError:
        return None


def asked_caches(options: Mapping[str, object], environ: Mapping[str, str]) -> Caches:
    """The caches: as asked on the command line, else in the environment, else XDG's folder.

    The first folder is the one to write, `none` stands for no such folder. Raises ConfigError.
    """
    given = options.get("cache")
    if isinstance(given, Caches):
        return given
    if options.get("no_cache"):
        given = ("none",)
    origin = Origin("--cache")
    wishes = [str(one) for one in given] if isinstance(given, list | tuple) else []
    if isinstance(given, str | Path):
        wishes = [str(given)]
    if not wishes:
        origin = Origin("SRBUILD_CACHE")
        one = environ.get("SRBUILD_CACHE")
        wishes = [*([one] if one else []), *environ.get("SRBUILD_CACHES", "").split()]
    if "" in wishes:
        raise ConfigError("is empty", "leave it out or give it a value", origin)
    urls = {wish for wish in wishes if wish.startswith(_SCHEMES)}
    for url in sorted(urls):
        _check_url(url, origin)
    folders = [wish for wish in wishes if wish not in urls]
    first = folders[0] if folders else None
    shared = tuple(wish for wish in dict.fromkeys(wishes) if wish not in {first, "none"})
    return Caches(cache_folder(first, environ), shared)


def cache_folder(wish: str | None, environ: Mapping[str, str]) -> HostPath | None:
    """The cache's folder: as asked (`none` for none), else as the XDG base directories say."""
    if wish is not None:
        return None if wish == "none" else Path(wish)
    base = environ.get("XDG_CACHE_HOME", "")
    if base.startswith("/"):  # the specification has relative ones ignored
        return Path(base) / "srbuild"
    home = environ.get("HOME", "")
    return Path(home) / ".cache" / "srbuild" if home.startswith("/") else None


def _check_url(url: str, origin: Origin) -> None:
    """Raise ConfigError, without repeating what may hold a password, for no plain URL."""
    from urllib.parse import urlsplit  # most builds have no URL

    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or parts.query or parts.fragment or any(c <= " " for c in url):
        raise ConfigError(
            "is no plain URL of a folder",
            "https://HOST[:PORT]/FOLDER, which is asked for FOLDER/segments/KEY",
            origin,
        )
