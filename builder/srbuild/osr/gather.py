"""The files of OSR's lists, from a copy of /etc/comoonics/bootimage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from srbuild.config.includes import read_beside
from srbuild.errors import ConfigError, MissingInputError, Origin
from srbuild.paths import HostPath

_FILES_MAX: Final = 2000
_DEPTH_MAX: Final = 4


def gather_lists(folder: HostPath) -> dict[str, bytes]:
    """Every *.list in `folder` and below, by its name there; links are not followed.

    Raises MissingInputError where there is none, ConfigError for too many and unreadable ones.
    """
    found = {name: read_beside(folder / name) for name in _names(folder, "", ".list", _DEPTH_MAX)}
    if not found:
        hint = "copy OSR's /etc/comoonics/bootimage, with files.initrd.d and rpms.initrd.d in it"
        raise MissingInputError("has no *.list files", hint, Origin(str(folder)))
    return found


def gather_dumps(folder: HostPath | None) -> dict[str, bytes]:
    """Every file in `folder`, by its name; nothing without a folder."""
    if folder is None:
        return {}
    return {name: read_beside(folder / name) for name in _names(folder, "", "", 1)}


def _names(folder: HostPath, below: str, end: str, depth: int) -> list[str]:
    try:
        found = list(_walk(folder, below, end, depth))
    except OSError as error:
        origin = Origin(str(folder))
        raise ConfigError(f"cannot read it: {error.strerror}", origin=origin) from error
    if len(found) > _FILES_MAX:
        raise ConfigError(f"holds more than {_FILES_MAX} files", origin=Origin(str(folder)))
    return sorted(found)


def _walk(folder: HostPath, below: str, end: str, depth: int) -> Iterator[str]:
    with os.scandir(folder / below) as entries:
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            if entry.is_file(follow_symlinks=False) and name.endswith(end):
                yield name
            elif depth > 1 and entry.is_dir(follow_symlinks=False):
                yield from _walk(folder, name, end, depth - 1)
