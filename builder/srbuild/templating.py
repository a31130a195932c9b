"""What templates can do besides showing values: read a folder of the user's, and refuse.

A template knows the cluster, its nodes and all options together, so it is where a combination
that can't work is found out: better when the image is built than when a node boots.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Mapping, Sequence
from typing import Never

from srbuild.bootmodule import Module
from srbuild.config.cluster import Cluster
from srbuild.errors import ConfigError, ConflictError, MissingInputError, Origin
from srbuild.frozen import frozen
from srbuild.host.looks import look
from srbuild.paths import HostPath

FILE_MAX = 1 << 20  # bytes: more is no configuration


@frozen
class UserFile:
    """A file of the user's, taken as it is; `bare` is its text without comments (`# …`)."""

    name: str
    text: str

    @property
    def bare(self) -> str:
        """The text without comments, its white space made single spaces."""
        quoted_or_comment = re.compile(r'("(?:[^"\\]|\\.)*")|#[^\n]*')
        kept = quoted_or_comment.sub(lambda match: match[1] or "", self.text)
        return " ".join(kept.split())


def template_functions(modules: Sequence[Module], cluster: Cluster | None) -> Mapping[str, object]:
    """What every template may use besides `options`, `cluster` and `node`.

    `offers(NAME)` tells whether a boot module of the image is called NAME or provides it;
    `refuse(MESSAGE, HINT)` ends the build with ConflictError, `lack(MESSAGE, HINT)` with
    ConfigError; `folder(PATH, PATTERN…)` gives the user's files there, see `read_folder`.
    """
    origin = cluster.origin if cluster else None

    def offers(name: str) -> bool:
        return any(module.offers(name) for module in modules)

    def refuse(message: str, hint: str = "") -> Never:
        raise ConflictError(message, hint, origin)

    def lack(message: str, hint: str = "") -> Never:
        raise ConfigError(message, hint, origin)

    def folder(path: str, *patterns: str) -> tuple[UserFile, ...]:
        beside = os.path.dirname(origin.source) if origin else ""
        return read_folder(HostPath(beside, path), patterns)

    return {"offers": offers, "refuse": refuse, "lack": lack, "folder": folder}


def read_folder(path: HostPath, patterns: Sequence[str]) -> tuple[UserFile, ...]:
    """The files in `path` that match `patterns`, those of the first pattern first, each by name.

    Hidden ones are left out.

    MissingInputError when the folder or a file can't be read or nothing matches, ConfigError
    for what is no text of a reasonable size.
    """
    look(path)
    try:
        names = sorted(name for name in os.listdir(path) if not name.startswith("."))
    except OSError as error:
        raise MissingInputError(
            f"cannot read the folder: {error.strerror}", "", Origin(str(path))
        ) from error
    chosen = dict.fromkeys(
        name for pattern in patterns for name in names if fnmatch.fnmatchcase(name, pattern)
    )
    if not chosen:
        raise MissingInputError(
            f"nothing here is called {' or '.join(patterns)}", "", Origin(str(path))
        )
    return tuple(UserFile(name, _read_text(path / name)) for name in chosen)


def _read_text(path: HostPath) -> str:
    look(path)
    try:
        with path.open("rb") as file:
            data = file.read(FILE_MAX + 1)
    except OSError as error:
        raise MissingInputError(f"cannot read: {error.strerror}", "", Origin(str(path))) from error
    if len(data) > FILE_MAX or b"\0" in data:
        raise ConfigError("is no text of a reasonable size", "", Origin(str(path)))
    return data.decode("utf-8", "surrogateescape")
