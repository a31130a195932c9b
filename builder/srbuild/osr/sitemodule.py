"""What OSR's lists ask for, written down as a boot module."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator

from srbuild.bootmodule import KINDS, Module
from srbuild.closure.closer import PROGRAM_DIRS
from srbuild.config.convert import Reader
from srbuild.errors import UsageError
from srbuild.host.sysroot import Sysroot
from srbuild.osr.lists import IsThere, Wishes
from srbuild.paths import HostPath, shown, sysroot_path


def has_in(sysroot: Sysroot) -> IsThere:
    """Tells of a program's name, a path or a pattern whether `sysroot` has it."""

    def is_there(name: str) -> bool:
        if "/" not in name:
            return any(sysroot.is_file(sysroot_path(f"{one}/{name}")) for one in PROGRAM_DIRS)
        return bool(sysroot.glob(name.rstrip("/")))

    return is_there


def module_text(wishes: Wishes, folder: HostPath, source: str) -> str:
    """The module.toml for `folder`, whose last two names are the module's kind and name.

    `source` is the lists' folder. Raises UsageError for a folder that no module can have, and
    ConfigError for what no module can be made of.
    """
    kind, name = folder.parent.name, folder.name
    if kind not in KINDS:
        hint = f"end it in KIND/NAME, such as modules/base/site; KIND is one of {', '.join(KINDS)}"
        raise UsageError(f"{folder} is no boot module's folder", hint)
    lines = [f"# Made by srbuild import --lists from {shown(source)}."]
    if wishes.notes:
        lines += ["#", "# What could not come along:"]
        lines += [f"# - {note}" for note in wishes.notes]
    lines += [
        f"name     = {_text(name)}",
        f"kind     = {_text(kind)}",
        'summary  = "What the lists of Open Shared Root had in the initrd"',
        'requires = ["core"]',
        "",
        *_table("packages", {"rhel": wishes.packages}),
        "[install]",
        *_rows("binaries", [*map(_text, wishes.binaries), *_unsure(wishes, path=False)]),
        *_rows("kmods", map(_text, wishes.kmods)),
        *_rows("files", [*_files(wishes), *_unsure(wishes, path=True)]),
        *_rows("dirs", map(_text, wishes.dirs)),
    ]
    text = "\n".join(lines).rstrip() + "\n"
    reader = Reader(str(folder / "module.toml"))
    reader.table(Module, tomllib.loads(text), given={"folder": folder})
    reader.finish()
    return text


def _files(wishes: Wishes) -> Iterator[str]:
    yield from map(_text, wishes.files)
    for source, target in wishes.maps.items():
        yield f"{{source = {_text(source)}, target = {_text(target)}}}"


def _unsure(wishes: Wishes, *, path: bool) -> Iterator[str]:
    """What may be taken if the sysroot has it, for a person to decide."""
    return (f"# {_text(name)}, # optional" for name in wishes.unsure if ("/" in name) == path)


def _table(name: str, table: dict[str, dict[str, None]]) -> Iterator[str]:
    rows = [line for key, values in table.items() for line in _rows(key, map(_text, values))]
    if rows:
        yield from (f"[{name}]", *rows, "")


def _rows(key: str, values: Iterable[str]) -> Iterator[str]:
    """An array with a line for each value; nothing when there is none."""
    found = list(values)
    if found:
        yield f"{key} = ["
        yield from (f"    {value}" if value.startswith("#") else f"    {value}," for value in found)
        yield "]"


def _text(value: str) -> str:
    # JSON's strings are TOML's, but for DEL, which no name here holds.
    return json.dumps(value, ensure_ascii=False)
