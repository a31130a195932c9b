"""The pages of docs/ that follow from the boot modules' declarations.

Prints docs/options.md; with the word `host-files` docs/host-files.md, whose table alone is made.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from srbuild.catalog import load_catalog
from srbuild.config.describe import option_table
from srbuild.hostfiles import LIST, HostEntry, load_host_entries
from srbuild.paths import data_dir

HEAD = """\
# Options of the boot modules

Made from the modules' declarations by `make docs`. An option is set in the cluster file (in
`[block]`, `[fs]`, `[container]` or the module's own table; for one node in `[node.MODULE]`), in a
recipe under `[values.MODULE]`, by `--set MODULE.OPTION=VALUE`, or by a kernel parameter.
"""


def options_page() -> str:
    """The text of docs/options.md."""
    parts = [HEAD]
    for module in load_catalog([data_dir() / "modules"]).modules.values():
        table = option_table(module)
        if table:
            parts.append(f"## {module.name}\n\n{module.summary}.\n\n{table}")
    return "\n".join(parts)


LIST_HEADING = "## The default list\n"
_HEAD_OF = {
    "path": ("path", "where", "what", "need", "a node begins with", "it is"),
    "unit": ("unit, masked in a container", "where", "because"),
}
_BEGINNING = {
    "shared": "the shared root's",
    "tree": "its directories",
    "empty": "nothing",
    "none": "nothing",
    "boot": "the bootstrap's",
    "node-name": "its name",
    "machine-id": "a new id",
    "host-nqn": "a new name",
    "uuid": "a new number",
}
_NOTHING_OF_ITS_OWN = {"virtual", "shared", "readonly"}


def host_files_page(page: Path) -> str:
    """docs/host-files.md as `page` has it, with the table of the list at its end."""
    text = page.read_text()
    begin = text.index(LIST_HEADING)
    kept, _, _ = text[begin:].partition("\n| ")
    entries = load_host_entries(data_dir() / "modules" / LIST)
    paths = [_path_row(entry) for entry in entries if entry.what != "mask"]
    units = [
        (f"`{entry.name}`", ", ".join(entry.where), entry.meaning)
        for entry in entries
        if entry.what == "mask"
    ]
    tables = "\n".join((_table(_HEAD_OF["path"], paths), _table(_HEAD_OF["unit"], units)))
    return f"{text[:begin]}{kept.rstrip()}\n\n{tables}"


def _path_row(entry: HostEntry) -> tuple[str, ...]:
    first = "" if entry.what in _NOTHING_OF_ITS_OWN else _BEGINNING[entry.first]
    need = "must" if entry.must else "may"
    return f"`{entry.name}`", ", ".join(entry.where), entry.what, need, first, entry.meaning


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n".replace("|  |", "| |") for cells in lines)


if __name__ == "__main__":
    if sys.argv[1:] == ["host-files"]:
        print(host_files_page(Path("docs/host-files.md")), end="")
    else:
        print(options_page(), end="")
