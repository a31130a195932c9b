"""Tables of nodes in CSV (RFC 4180): a header, then one node a line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping
from typing import Final

from srbuild.config.includes import read_beside
from srbuild.config.patterns import NODES_MAX
from srbuild.errors import ConfigError, Origin, SrbuildError, raise_all
from srbuild.frozen import frozen
from srbuild.paths import HostPath

# Besides these, a column may be an option: MODULE.OPTION.
COLUMNS: Final = ("name", "id", "mac", "address", "uuid", "serial", "asset_tag")


@frozen
class Row:
    """A line of the table: its cells by column, those that are empty left out."""

    line: int
    cells: Mapping[str, str]


def read_nodetable(path: HostPath, is_option: Callable[[str, str], bool]) -> tuple[Row, ...]:
    """The rows of the file at `path`; `is_option` knows MODULE and OPTION.

    A byte order mark, quotes and empty lines are read as spreadsheets write them. Raises
    ConfigError, or an ErrorGroup with all that is wrong, each with its line.
    """
    source = str(path)
    data = read_beside(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            "not UTF-8", "save it as CSV in UTF-8", Origin(source, "", line)
        ) from error
    errors: list[SrbuildError] = []
    rows: list[Row] = []
    first: dict[str, int] = {}
    header: list[str] | None = None
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for raw in lines:
            cells = [cell.strip() for cell in raw]
            if not any(cells):
                continue
            origin = Origin(source, "", lines.line_num)
            if header is None:
                header = _header(cells, origin, is_option)
            elif row := _row(header, cells, origin, first, errors):
                rows.append(row)
                if len(rows) > NODES_MAX:
                    raise ConfigError(f"more than {NODES_MAX} nodes", "", origin)
    except csv.Error as error:
        origin = Origin(source, "", lines.line_num)
        errors.append(ConfigError(f"not CSV: {error}", "quote cells as RFC 4180 has it", origin))
    if header is None and not errors:
        hint = f"a first line with the columns' names: {','.join(COLUMNS)}"
        errors.append(ConfigError("holds no table", hint, Origin(source)))
    raise_all(errors)
    return tuple(rows)


def _header(cells: list[str], origin: Origin, is_option: Callable[[str, str], bool]) -> list[str]:
    """The columns' names, which must be known, once each, `name` among them."""
    names = ["" if is_option(*_split(cell)) else cell for cell in cells]
    strange = [name for name in names if name and name not in COLUMNS]
    if len(cells) == 1 and re.search(r"[;\t]", cells[0]):
        raise ConfigError("its columns are not separated by commas", "save it with commas", origin)
    if strange or "name" not in cells:
        problem = f"unknown column {strange[0]!r}" if strange else "there is no column 'name'"
        hint = f"the first line names the columns: {', '.join(COLUMNS)}, MODULE.OPTION"
        raise ConfigError(problem, hint, origin)
    for cell in cells:
        if cells.count(cell) > 1:
            raise ConfigError(f"two columns are called {cell!r}", "drop one of them", origin)
    return cells


def _split(cell: str) -> tuple[str, str]:
    module, _, option = cell.partition(".")
    return module, option


def _row(
    header: list[str],
    cells: list[str],
    origin: Origin,
    first: dict[str, int],
    errors: list[SrbuildError],
) -> Row | None:
    if len(cells) != len(header):
        problem = f"has {len(cells)} cells, the first line {len(header)}"
        errors.append(ConfigError(problem, "give each column a cell, be it empty", origin))
        return None
    found = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
    name = found.get("name", "")
    if not name:
        errors.append(ConfigError("has no name", "say which node the line is about", origin))
        return None
    if first.setdefault(name, origin.line) != origin.line:
        problem = f"{name} is already in line {first[name]}"
        errors.append(
            ConfigError(problem, "several cards of a node: 'MAC MAC' in one cell", origin)
        )
        return None
    return Row(origin.line, found)
