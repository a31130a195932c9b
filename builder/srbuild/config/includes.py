"""A cluster file with what it includes: one table, and where each of its keys was written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Final, TypeAlias

from srbuild.config.convert import collect, kind_of, parse_toml
from srbuild.config.lines import key_lines
from srbuild.errors import ConfigError, Origin, SrbuildError, raise_all
from srbuild.frozen import mutable
from srbuild.host.looks import look
from srbuild.paths import HostPath

FILE_MAX: Final = 4 << 20  # bytes: a thousand nodes written out are a quarter of that
ADDED: Final = ("node", "override")  # arrays, to which every file adds
_LAST = re.compile(r"[.\[(][^.\[(]*$")
NODE_PART = re.compile(r"\([^)]*\)")

Place: TypeAlias = tuple[str, str]  # a file, and a key path in it


@mutable
class Places:
    """Where the keys of a merged table were written.

    `aliases` maps a key path, and so all below it, to a file and the key path in there.
    """

    source: str
    lines: dict[str, Mapping[str, int]] = field(default_factory=dict)
    aliases: dict[str, Place] = field(default_factory=dict)
    cells: dict[str, Origin] = field(default_factory=dict)

    def resolve(self, key: str) -> Place:
        """The file that says `key`, and the key path in that file."""
        head = key
        while head:
            if head in self.aliases:
                source, own = self.aliases[head]
                return source, own + key[len(head) :]
            head = _LAST.sub("", head) if _LAST.search(head) else ""
        return self.source, key

    def origin(self, key: str) -> Origin:
        """The file, key and line of `key`, or of the table around it."""
        head = key
        while head:
            if head in self.cells:
                return self.cells[head]
            head = _LAST.sub("", head) if _LAST.search(head) else ""
        source, own = self.resolve(key)
        lines, head = self.lines.get(source, {}), NODE_PART.sub("", own)
        while head and head not in lines:
            head = _LAST.sub("", head) if _LAST.search(head) else ""
        return Origin(source, own, lines.get(head, 0))


def read_beside(path: HostPath) -> bytes:
    """The bytes of the file at `path`; ConfigError when it can't be read or is too large."""
    look(path)
    try:
        with path.open("rb") as file:
            data = file.read(FILE_MAX + 1)
    except OSError as error:
        raise ConfigError(f"cannot read it: {error.strerror}", origin=Origin(str(path))) from error
    if len(data) > FILE_MAX:
        raise ConfigError(f"is larger than {FILE_MAX >> 20} MiB", origin=Origin(str(path)))
    return data


def confined(home: HostPath, source: str, raw: object) -> HostPath:
    """The file that `source` calls `raw`, which must lie in the folder `home` or below.

    Links are followed before that is checked. Raises ValueError with a sentence.
    """
    if not isinstance(raw, str):
        raise ValueError(f"must be a file's name, not {kind_of(raw)}")
    if not raw or not raw.isprintable() or raw.startswith("/") or ".." in raw.split("/"):
        raise ValueError(f"{raw!r} must be a relative name without '..'")
    path = HostPath(os.path.dirname(source), raw)
    real, base = os.path.realpath(path), os.path.realpath(home)
    if not real.startswith(base.rstrip("/") + "/"):
        raise ValueError(f"{raw!r} leads out of the cluster file's folder")
    return path


def read_sources(path: HostPath) -> tuple[dict[str, object], Places]:
    """The table of the cluster file at `path` and of all that it includes, merged.

    A file's own keys win over those that it includes, a later include's over an earlier one's;
    tables are merged key by key, nodes and overrides add up, those included first.
    Raises ConfigError, or an ErrorGroup.
    """
    includes = _Includes(path.parent)
    merged = includes.read(path, ())
    raise_all(includes.errors)
    return merged.table, Places(str(path), includes.lines, merged.aliases)


@mutable
class _Merged:
    """A table of several files, and the file of each key and table in it."""

    table: dict[str, object] = field(default_factory=dict)
    aliases: dict[str, Place] = field(default_factory=dict)

    def add(self, other: _Merged) -> None:
        """Lay `other` over this one."""
        for name, value in other.table.items():
            below = self.table.get(name)
            if name in ADDED and isinstance(value, list) and isinstance(below, list | None):
                base = len(below or [])
                self.table[name] = [*(below or []), *value]
                for index in range(len(value)):
                    place = other.aliases[f"{name}[{index}]"]
                    self.aliases[f"{name}[{base + index}]"] = place
                continue
            both = isinstance(value, dict) and isinstance(below, dict)
            self.table[name] = {**below, **value} if both else value  # type: ignore[dict-item]
            self.aliases[name] = other.aliases[name]
            for key in value if isinstance(value, dict) else ():
                self.aliases[f"{name}.{key}"] = other.aliases[f"{name}.{key}"]


class _Includes:
    """Reads files and what they include, each once, from `home` and the folders below."""

    def __init__(self, home: HostPath) -> None:
        self.home = home
        self.errors: list[SrbuildError] = []
        self.lines: dict[str, Mapping[str, int]] = {}
        self.seen: dict[str, str] = {}  # a file's real path → who named it

    def read(self, path: HostPath, chain: tuple[str, ...]) -> _Merged:
        """The table of `path`; `chain` holds the real paths of the files that led here."""
        source, real = str(path), os.path.realpath(path)
        data = read_beside(path)
        own = parse_toml(data, source)
        self.lines[source] = key_lines(data.decode())
        self.seen.setdefault(real, source)
        merged = _Merged()
        wanted = own.pop("include", [])
        for index, raw in enumerate(wanted if isinstance(wanted, list) else [wanted]):
            key = f"include[{index}]" if isinstance(wanted, list) else "include"
            origin = Origin(source, key, self.lines[source].get("include", 0))
            with collect(self.errors):
                if found := self._include(raw, origin, (*chain, real)):
                    merged.add(found)
        merged.add(_Merged(own, dict(_aliases(own, source))))
        return merged

    def _include(self, raw: object, origin: Origin, chain: tuple[str, ...]) -> _Merged:
        try:
            path = confined(self.home, origin.source, raw)
        except ValueError as error:
            hint = "include files of the cluster file's folder"
            raise ConfigError(str(error), hint, origin) from error
        real = os.path.realpath(path)
        if real in chain:
            raise ConfigError(f"{raw!r} leads back to itself", "break the loop", origin)
        if real in self.seen:
            problem = f"{raw!r} is already included by {self.seen[real]}"
            raise ConfigError(problem, "include a file once", origin)
        self.seen[real] = origin.source
        if not path.is_file():
            raise ConfigError(f"{raw!r}: there is no such file", "", origin)
        return self.read(path, chain)


def _aliases(table: Mapping[str, object], source: str) -> Iterator[tuple[str, Place]]:
    for name, value in table.items():
        yield name, (source, name)
        for key in value if isinstance(value, dict) else ():
            yield f"{name}.{key}", (source, f"{name}.{key}")
        for index in range(len(value) if isinstance(value, list) else 0):
            yield f"{name}[{index}]", (source, f"{name}[{index}]")
