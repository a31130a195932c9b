"""The default list of host-specific paths: modules/container/local/hostfiles.list.

One file for the boot (hooks/lib/hostlist.sh reads it), the documentation and csync2; its head
says what its columns mean.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final, Literal, TypeAlias, cast, get_args

from srbuild.errors import ConfigError, Origin, SrbuildError, raise_all
from srbuild.frozen import frozen
from srbuild.host.looks import look
from srbuild.paths import HostPath, data_dir

What: TypeAlias = Literal[
    "dir", "state", "file", "link", "identity", "tmpfs", "readonly", "virtual", "shared", "mask"
]
Where: TypeAlias = Literal["any", "debian", "rhel", "systemd", "sysv"]
First: TypeAlias = Literal[
    "shared", "tree", "empty", "none", "boot", "node-name", "machine-id", "host-nqn", "uuid"
]
LIST: Final = "container/local/hostfiles.list"
"""The list's place below a folder of boot modules."""

_COLUMNS: Final = 6
_PATH = re.compile(r"(/[^/\s]+)+")
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]+\.(service|socket|mount|automount|target|timer|path|slice)")


@frozen
class HostEntry:
    """An entry of the list: a path, or of the kind `mask` a systemd unit.

    `where` are the words that must all hold for the system on the root. With `must` (in the list
    also `make`) a boot that can't keep the path apart fails. `first` says what a node begins with.
    """

    name: str
    what: What
    where: tuple[Where, ...]
    must: bool
    first: First
    meaning: str

    def concerns(self, families: Collection[str]) -> bool:
        """Whether the entry is for a system of which `families` hold."""
        return all(word == "any" or word in families for word in self.where)


def default_entries() -> tuple[HostEntry, ...]:
    """The entries of all boot modules that srbuild ships, the list of `local` first."""
    modules = data_dir() / "modules"
    first = modules / LIST
    others = sorted(path for path in modules.glob("*/*/hostfiles.list") if path != first)
    return tuple(entry for path in (first, *others) for entry in load_host_entries(path))


def load_host_entries(path: HostPath) -> tuple[HostEntry, ...]:
    """Read the list at `path`, in its order.

    Raises ConfigError, or an ErrorGroup with all lines that are no entries.
    """
    look(path)
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"no list of host-specific paths: {error}",
            hint="reinstall srbuild",
            origin=Origin(str(path)),
        ) from error
    return parse_host_entries(text, str(path))


def parse_host_entries(text: str, source: str) -> tuple[HostEntry, ...]:
    """Make entries of the list's `text`, which `source` holds; see `load_host_entries`."""
    errors: list[SrbuildError] = []
    found: dict[tuple[str, tuple[Where, ...]], HostEntry] = {}
    for number, line in _lines(text):
        origin = Origin(source, f"line {number}")
        try:
            entry = _entry(line)
        except ValueError as error:
            errors.append(ConfigError(str(error), hint="the list's head says how", origin=origin))
            continue
        if found.setdefault((entry.name, entry.where), entry) is not entry:
            errors.append(ConfigError(f"{entry.name} is there twice", "drop one", origin))
    raise_all(errors)
    return tuple(found.values())


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line


def _entry(line: str) -> HostEntry:
    words = line.split(None, _COLUMNS - 1)
    if len(words) != _COLUMNS:
        raise ValueError(f"{line!r} has {len(words)} columns of {_COLUMNS}")
    name, what, where, need, first, meaning = words
    places = where.split("+")
    known = [
        ("WHAT", [what], get_args(What)),
        ("WHERE", places, get_args(Where)),
        ("NEED", [need], ("must", "make", "may")),
        ("FIRST", [first], get_args(First)),
    ]
    for column, given, allowed in known:
        for word in given:
            if word not in allowed:
                raise ValueError(f"{word!r} is no {column}; one of: {', '.join(allowed)}")
    if not (_UNIT if what == "mask" else _PATH).fullmatch(name):
        raise ValueError(f"{name!r} is no {'unit' if what == 'mask' else 'absolute path'}")
    if {".", ".."} & set(name.split("/")):
        raise ValueError(f"{name!r} must not go up")
    return HostEntry(
        name,
        cast("What", what),
        cast("tuple[Where, ...]", tuple(places)),
        need != "may",
        cast("First", first),
        meaning.rstrip(),
    )
