"""The pages of docs/ that follow from the boot modules' declarations; prints docs/options.md."""

from __future__ import annotations

from srbuild.catalog import load_catalog
from srbuild.config.describe import option_table
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


if __name__ == "__main__":
    print(options_page(), end="")
