"""`[[node]]` and `[[override]]` → one raw table for each node.

A table whose name is a pattern makes several nodes, and so does one with a `table` in CSV; with
both, the table has a line for each name of the pattern. Later ones win: pattern, CSV, override.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from srbuild.catalog import Catalog
from srbuild.config.convert import Reader, collect, kind_of, suggest
from srbuild.config.includes import Places, confined
from srbuild.config.nodetable import COLUMNS, Row, read_nodetable
from srbuild.config.patterns import NODES_MAX, expand, is_pattern
from srbuild.errors import Origin
from srbuild.frozen import frozen
from srbuild.paths import HostPath

_OWN = ("id", "mac", "address", "uuid", "serial", "asset_tag")  # keys that no two nodes share


@frozen
class RawNode:
    """A node's keys before they are checked; `key` is its place in the merged cluster file."""

    key: str
    table: dict[str, Any]


def expand_nodes(
    reader: Reader, catalog: Catalog, table: Mapping[str, object], places: Places
) -> list[RawNode]:
    """The nodes of a cluster file's `table`, patterns and CSV written out, overrides applied."""
    tables = table.get("node")
    if not isinstance(tables, list) or not tables:
        what = "missing" if tables is None else "must be at least one [[node]] table"
        reader.fail("node", what)
        return []
    failed = len(reader.errors)
    found: list[RawNode] = []
    made: set[str] = set()  # keys of nodes that a pattern or a table made
    for index, raw in enumerate(tables):
        key = f"node[{index}]"
        if not isinstance(raw, dict):
            reader.fail(key, f"must be a table, not {kind_of(raw)}")
        elif "table" in raw or (isinstance(raw.get("name"), str) and is_pattern(raw["name"])):
            several = _several(reader, catalog, raw, key, places)
            made |= {node.key for node in several}
            found += several
        else:
            found.append(RawNode(key, dict(raw)))
        if len(found) > NODES_MAX:
            reader.fail(key, f"more than {NODES_MAX} nodes with those before")
            return []
    known = len(reader.errors) == failed  # else a node may be missing for another's mistake
    _override(reader, table.get("override", []), found, places, strict=known)
    for node in found:
        if node.key in made:
            _fill_in(node.table)
    return found


def _several(
    reader: Reader, catalog: Catalog, raw: Mapping[str, Any], key: str, places: Places
) -> list[RawNode]:
    """The nodes of one table; none when something about all of them is wrong."""
    failed = len(reader.errors)
    names = _pattern(reader, f"{key}.name", raw["name"]) if "name" in raw else ()
    rows: dict[str, tuple[Row, str]] = {}
    if "table" in raw:
        rows = _rows(reader, catalog, raw["table"], key, places)
    if len(reader.errors) > failed:
        return []
    if "name" in raw and "table" in raw:
        _match(reader, names, rows, key)
    names = names or tuple(rows)
    shared = {name: value for name, value in raw.items() if name not in {"name", "table", *_OWN}}
    own = {what: _each(reader, raw, what, names, key) for what in _OWN if what in raw}
    if len(reader.errors) > failed:
        return []
    found = []
    for index, name in enumerate(names):
        node = RawNode(f"{key}({name})", {"name": name, **copy.deepcopy(shared)})
        for what, each in own.items():
            node.table[what] = each[index]
        if name in rows:
            row, source = rows[name]
            _apply_row(node, row, source, places)
        found.append(node)
    return found


def _pattern(reader: Reader, key: str, raw: object) -> tuple[str, ...]:
    if not isinstance(raw, str):
        reader.fail(key, f"must be a string, not {kind_of(raw)}")
        return ()
    try:
        return expand(raw)
    except ValueError as error:
        reader.fail(key, str(error), "write it as node[001-128] or node[1-4,7,9-12]")
        return ()


def _each(
    reader: Reader, raw: Mapping[str, Any], what: str, names: Sequence[str], key: str
) -> Sequence[object]:
    """The value of the key `what` for each of `names`."""
    value, at = raw[what], f"{key}.{what}"
    if len(names) == 1 and not (isinstance(value, str) and is_pattern(value)):
        return [value]
    if isinstance(value, str) and what == "address" and "{id}" in value and not is_pattern(value):
        return [value] * len(names)
    if not isinstance(value, str) or not is_pattern(value):
        if names:
            way = "give the table a column for it" if "table" in raw else "write a pattern: [1-128]"
            reader.fail(at, f"would be that of all {len(names)} nodes", way)
        return []
    if "name" not in raw:
        reader.fail(at, "would follow the order of the table's lines", "give it a column there")
        return []
    found = _pattern(reader, at, value)
    if found and len(found) != len(names):
        reader.fail(at, f"{value!r} stands for {len(found)}, the name for {len(names)}")
        return []
    return [int(one) if what == "id" and one.isdecimal() else one for one in found]


def _rows(
    reader: Reader, catalog: Catalog, raw: object, key: str, places: Places
) -> dict[str, tuple[Row, str]]:
    """Name → row and file, of the table in CSV that a node's table names."""

    def is_option(module: str, option: str) -> bool:
        return module in catalog.modules and option in catalog.modules[module].options

    source, _ = places.resolve(f"{key}.table")
    try:
        path = confined(HostPath(places.source).parent, source, raw)
    except ValueError as error:
        reader.fail(f"{key}.table", str(error))
        return {}
    if not path.is_file():
        reader.fail(f"{key}.table", f"{raw!r}: there is no such file")
        return {}
    with collect(reader.errors):
        return {row.cells["name"]: (row, str(path)) for row in read_nodetable(path, is_option)}
    return {}


def _match(reader: Reader, names: Sequence[str], rows: Mapping[str, Any], key: str) -> None:
    """Note names of the pattern that the table lacks, and the other way round."""
    known = set(names)
    for name, (row, source) in rows.items():
        if name not in known:
            origin = Origin(source, "name", row.line)
            reader.fail(f"{key}.name", f"{origin}: {name} is none of the pattern's")
    if lacking := [name for name in names if name not in rows]:
        few = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if lacking[3:] else "")
        reader.fail(f"{key}.table", f"has no line for {few}")


def _apply_row(node: RawNode, row: Row, source: str, places: Places) -> None:
    for column, cell in row.cells.items():
        place = Origin(source, column, row.line)
        if column in COLUMNS:
            value: object = cell
            if column == "mac":
                value = cell.split()
            elif column == "id" and cell.isascii() and cell.isdecimal() and len(cell) < 20:
                value = int(cell)
            node.table[column] = value
        else:
            module, _, option = column.partition(".")
            options = node.table.setdefault(module, {})
            if isinstance(options, dict):
                options[option] = cell
        places.cells[f"{node.key}.{column}"] = place


def _override(
    reader: Reader, raw: object, nodes: Sequence[RawNode], places: Places, *, strict: bool
) -> None:
    """Lay each `[[override]]` over the nodes that its name or pattern means.

    With `strict` a name that no node has is a mistake.
    """
    if not isinstance(raw, list):
        reader.fail("override", f"must be [[override]] tables, not {kind_of(raw)}")
        return
    by_name = {str(node.table.get("name")): node for node in nodes}
    for index, table in enumerate(raw):
        key = f"override[{index}]"
        if not isinstance(table, dict):
            reader.fail(key, f"must be a table, not {kind_of(table)}")
            continue
        if "name" not in table:
            reader.fail(f"{key}.name", "missing", "the node, or a pattern of nodes, that it is for")
            continue
        names = _pattern(reader, f"{key}.name", table["name"])
        rest = {name: value for name, value in table.items() if name != "name"}
        if "table" in rest:
            reader.fail(f"{key}.table", "an override reads no table", "use [[node]] for it")
            continue
        own = {what: _each(reader, table, what, names, key) for what in _OWN if what in rest}
        for place, name in enumerate(names):
            if name not in by_name and not strict:
                continue
            if name not in by_name:
                reader.fail(f"{key}.name", f"there is no node {name!r}", suggest(name, by_name))
                continue
            values = {**rest, **{what: each[place] for what, each in own.items() if each}}
            _lay_over(by_name[name], values, key, places)


def _lay_over(node: RawNode, values: Mapping[str, Any], key: str, places: Places) -> None:
    for name, value in values.items():
        below = node.table.get(name)
        if isinstance(value, dict) and isinstance(below, dict):
            node.table[name] = {**below, **value}
            leaves = [f"{name}.{option}" for option in value]
        else:
            node.table[name] = copy.deepcopy(value)
            leaves = [name]
        for leaf in leaves:
            places.cells.pop(f"{node.key}.{leaf}", None)
            places.aliases[f"{node.key}.{leaf}"] = places.resolve(f"{key}.{leaf}")


def _fill_in(table: dict[str, Any]) -> None:
    """Put name and id for `{name}` and `{id}` in the other values."""
    name, number = str(table.get("name", "")), str(table.get("id", ""))

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{name}", name).replace("{id}", number)
        if isinstance(value, list):
            return [filled(one) for one in value]
        if isinstance(value, dict):
            return {key: filled(one) for key, one in value.items()}
        return value

    for key in table.keys() - {"name", "id"}:
        table[key] = filled(table[key])
