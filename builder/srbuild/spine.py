"""The boot-time spine in hooks/ that every image carries: its points and its files."""

from __future__ import annotations

import tomllib

from srbuild.errors import ConfigError, Origin
from srbuild.frozen import frozen
from srbuild.host.looks import look
from srbuild.paths import HostPath, ImagePath, image_path

# Where the image keeps the spine, and where its scripts look for its tables.
HOME = "/usr/lib/srbuild"
CLEANUP = "cleanup"

_PLACES = {"init": "/init", "srctl.sh": "/usr/sbin/srctl"}


@frozen
class Spine:
    """`points` in boot order, `cleanup` last; `files` as (source, place in the image)."""

    points: tuple[str, ...]
    files: tuple[tuple[HostPath, ImagePath], ...]


def load_spine(folder: HostPath) -> Spine:
    """Read the hooks in `folder`: points.toml and the scripts beside it.

    Raises ConfigError when points.toml is missing or says nothing sensible: a broken
    installation of srbuild rather than a user's mistake.
    """
    table = folder / "points.toml"
    for path in (table, folder, folder / "lib"):
        look(path)
    try:
        points = tuple(tomllib.loads(table.read_text())["point"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"no boot points: {error}", hint="reinstall srbuild", origin=Origin(str(table))
        ) from error
    files = [
        (path, image_path(_PLACES.get(path.name, f"{HOME}/{path.name.removesuffix('.sh')}")))
        for path in sorted(folder.iterdir())
        if path.is_file() and path != table
    ]
    files += [(path, image_path(f"{HOME}/lib/{path.name}")) for path in _library(folder)]
    for source, _ in files:
        look(source)
    return Spine(points, tuple(files))


def _library(folder: HostPath) -> list[HostPath]:
    return sorted((folder / "lib").glob("*.sh"))
