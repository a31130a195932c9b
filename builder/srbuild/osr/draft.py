"""A cluster file that is being put together, each value checked where it comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Final, TypeAlias

from srbuild.bootmodule import Option
from srbuild.catalog import Catalog
from srbuild.formats.xmltree import Element
from srbuild.frozen import mutable
from srbuild.osr.document import Document
from srbuild.paths import shown

Value: TypeAlias = str | int | bool | list[str]
Table: TypeAlias = dict[str, Value]

_ORDER: Final = ("network", "block", "multipath", "lvm", "fs", "container", "corosync", "fence")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@mutable
class NodeDraft:
    """A node; `tables` are its own options by boot module."""

    element: Element
    name: str
    id: int
    macs: list[str] = field(default_factory=list)
    address: str = ""
    tables: dict[str, Table] = field(default_factory=dict)


@mutable
class Draft:
    """The cluster file; `tables` by their names in it, `chosen` modules by kind, `asked` beside.

    `drbd` is the folder with DRBD's own configuration, empty when none is given.
    """

    doc: Document
    catalog: Catalog
    drbd: str = ""
    name: str = ""
    tables: dict[str, Table] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    nodes: list[NodeDraft] = field(default_factory=list)

    def choose(self, kind: str, module: str) -> None:
        """Make `module` the cluster's block device, file system or container."""
        self.chosen[kind] = module
        self.tables.setdefault(kind, {})["type"] = module

    def ask(self, module: str) -> None:
        """Ask for `module` beside those that are chosen."""
        self.tables.setdefault(module, {})
        if module not in self.asked:
            self.asked.append(module)

    def brings(self, module: str) -> bool:
        """Whether an image with the modules chosen and asked for has the boot module `module`."""
        chosen = ["core", *self.chosen.values(), *self.asked]
        return any(one.name == module for one in self.catalog.resolve(chosen))

    def option(self, module: str, option: str) -> Option:
        """What the catalog says of an option."""
        return self.catalog.modules[module].options[option]

    def set(
        self,
        element: Element,
        module: str,
        option: str,
        raw: str | Sequence[str],
        node: NodeDraft | None = None,
    ) -> None:
        """Set an option, for all or for `node`; what does not fit its type is an error."""
        declared = self.option(module, option)
        raws = [raw] if isinstance(raw, str) else list(raw)
        raws = [one for one in raws if one]
        if not raws:
            return
        try:
            values = [declared.parse(one) for one in raws]
        except ValueError as error:
            problem = "is not of the right form" if declared.secret else str(error)
            self.doc.fail(element, f"{module}'s {option}: {problem}", "correct it in this file")
            return
        if node is None:
            table = next((k for k, chosen in self.chosen.items() if chosen == module), module)
            self.tables.setdefault(table, {})[option] = _typed(declared, values)
        else:
            node.tables.setdefault(module, {})[option] = _typed(declared, values)

    def hoist(self) -> None:
        """Say for all what every node says alike, where there are several."""
        if len(self.nodes) < 2:
            return
        for module, options in list(self.nodes[0].tables.items()):
            for option, value in list(options.items()):
                tables = [node.tables.get(module, {}) for node in self.nodes]
                if all(table.get(option) == value for table in tables):
                    self.tables.setdefault(module, {})[option] = value
                    for table in tables:
                        del table[option]
        for node in self.nodes:
            node.tables = {name: table for name, table in node.tables.items() if table}

    @property
    def extra(self) -> list[str]:
        """The modules with a table that an image has only when `--module` asks for them."""
        known = {*self.chosen, *self.chosen.values()}
        found = {*self.tables, *(name for node in self.nodes for name in node.tables)} - known
        return sorted(name for name in found if name in self.asked or not self.brings(name))

    def text(self, heads: Sequence[str]) -> str:
        """The file, with `heads` as comments at its beginning."""
        lines = [f"# {shown(head)}".rstrip() for head in heads]
        lines += ["", f"name = {_toml(self.name)}"]
        for table in sorted(self.tables, key=_rank):
            lines += ["", f"[{table}]", *_pairs(self.tables[table])]
        for node in self.nodes:
            own: Table = {"name": node.name, "id": node.id}
            own |= {"mac": node.macs} if node.macs else {}
            own |= {"address": node.address} if node.address else {}
            lines += ["", "[[node]]", *_pairs(own)]
            for module, options in sorted(node.tables.items()):
                lines += ["", f"[node.{module}]", *_pairs(options)]
        return "\n".join(lines) + "\n"


def _rank(table: str) -> tuple[int, str]:
    return (_ORDER.index(table) if table in _ORDER else len(_ORDER), table)


def _typed(option: Option, values: list[str]) -> Value:
    if option.many:
        return values
    if option.type == "bool":
        return values[0] == "1"
    return int(values[0]) if option.type in {"int", "seconds"} else values[0]


def _pairs(table: Mapping[str, Value]) -> Iterator[str]:
    for key, value in table.items():
        assert _BARE.fullmatch(key)
        yield f"{key} = {_toml(value)}"


def _toml(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(_toml(one) for one in value)}]"
    # JSON's strings are TOML's, but for DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
