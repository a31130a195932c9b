"""Which file system stands on what: asked of srbuild itself; prints docs/combinations.md."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from srbuild.bootmodule import Module
from srbuild.catalog import Catalog, load_catalog
from srbuild.config.cluster import load_cluster
from srbuild.config.load import load_config
from srbuild.errors import SrbuildError
from srbuild.limits import check_limits
from srbuild.paths import data_dir
from srbuild.pipeline import find_spine
from srbuild.plan import make_plan

HEAD = """\
# What goes together

The table is made by `make docs` from what srbuild itself says to each pair of `--fs` and `--blk`.
A number stands for a refusal, below; what is refused writes no image.

"""
TAIL = """\

## Refused as well

Each with its own exit code and way out; tests/unit/test_combinations.py runs them all.

- Two modules of the kind fs, or of the kind container, in one image (5): each would do the other's
  work over again.
- Settings for a boot module that the image has not (3).
- `gfs` together with corosync, `gfs2`'s messaging (5): its nodes talk through cman.
- GFS2 without a lock manager cannot be had: `gfs2` brings `dlm` and `corosync` along, and several
  nodes without `[fence]` are refused (3).
- A file system that nodes share on a mirror with one primary, and one that they don't share on a
  mirror with two (5): see [drbd.md](drbd.md).
- A kernel without the file system's kmod (4), with how to convert what is
  [of the first generation](first-generation.md) or what to install of [Veritas](vxcfs.md).

## Left out on purpose

**LUKS.** A node of a cluster boots unattended, so the key would be in the image or come over the
network that the image opens: whoever can boot the image could read the disk. And two nodes that
open one LUKS volume are not told of each other's changes to its header. Encrypt below the nodes,
in the storage (self-encrypting disks, or dm-crypt on the target's server), and the network with the
means of its protocol. A single node's disk with LUKS on it stops the boot at `mount` and says so.
"""
# What options must be set before limits are looked at does not matter here.
TWO_NODES = """
name = "lab"
[[node]]
name = "n1"
id = 1
address = "10.9.0.21/24"
[[node]]
name = "n2"
id = 2
address = "10.9.0.22/24"
"""


def outcome(catalog: Catalog, fs: str, blk: str) -> SrbuildError | tuple[Module, ...]:
    """What becomes of `--fs FS --blk BLK`, or without --blk: an error, or the boot modules."""
    given = {name: value for name, value in (("fs", fs), ("blk", blk)) if value}
    try:
        return make_plan(load_config(given, {}, catalog), catalog, find_spine()).modules
    except SrbuildError as error:
        return error


def two_nodes(catalog: Catalog, modules: tuple[Module, ...]) -> str:
    """What two nodes of one cluster need besides, or why they are refused."""
    needed = [
        f"with `[{module.table}] {option.name}`"
        for module in modules
        for option in module.options.values()
        if option.required == "several-nodes"
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cluster.toml"
        path.write_text(TWO_NODES)
        try:
            check_limits(modules, load_cluster(path, catalog), {})
        except SrbuildError as error:
            unless = [m.limits.unless for m in modules if m.limits.unless]
            return f"with `{unless[0]} = true` (read-only)" if unless else error.message
    return ", ".join(needed) or "yes"


def combinations_page(catalog: Catalog) -> str:
    """The text of docs/combinations.md."""
    blocks = [module.name for module in catalog.of_kind("block")]
    refusals: dict[str, int] = {}
    rows = [
        ["`--fs`", "no `--blk`", *(f"`--blk {name}`" for name in blocks), "two nodes"],
        ["---"] * (len(blocks) + 3),
    ]
    for fs in catalog.of_kind("fs"):
        found = {blk: outcome(catalog, fs.name, blk) for blk in ("", *blocks)}
        works = [one for one in found.values() if not isinstance(one, SrbuildError)]
        cells = [_cell(one, refusals) for one in found.values()]
        rows.append([f"`{fs.name}`", *cells, two_nodes(catalog, works[0])])
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return HEAD + table + "\n" + _listed(refusals) + TAIL


def _cell(found: SrbuildError | tuple[Module, ...], refusals: dict[str, int]) -> str:
    if not isinstance(found, SrbuildError):
        return "yes"
    reason = found.message.partition(" exclude each other: ")[2] or found.message.split(" (")[0]
    text = f"{reason} (exit code {found.exit_code})"
    return str(refusals.setdefault(text, len(refusals) + 1))


def _listed(refusals: Mapping[str, int]) -> str:
    return "".join(f"{number}. {text}\n" for text, number in refusals.items())


if __name__ == "__main__":
    print(combinations_page(load_catalog([data_dir() / "modules"])), end="")
