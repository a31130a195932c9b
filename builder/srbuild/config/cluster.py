"""The cluster file: who the nodes are, and the options of their storage, network and cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from srbuild.bootmodule import Module, Option
from srbuild.catalog import Catalog
from srbuild.config.convert import Reader, collect, kind_of
from srbuild.config.includes import NODE_PART, Places, read_sources
from srbuild.config.nodes import CHOSEN_KINDS, Node, read_nodes
from srbuild.config.settings import Settings, read_options, read_settings
from srbuild.errors import ConfigError, Origin, SrbuildError, raise_all
from srbuild.frozen import frozen
from srbuild.paths import HostPath

__all__ = ["CHOSEN_KINDS", "Cluster", "Node", "check_required", "load_cluster", "read_cluster"]


def _cluster_name(raw: object) -> str:
    # mkfs.gfs2 takes lock tables of at most 32 characters before the colon, of this alphabet.
    if not isinstance(raw, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", raw):
        raise ValueError(
            f"{raw!r} must be 1 to 32 letters, digits, - and _ (the lock table's name)"
        )
    return raw


@frozen
class Cluster:
    """What a cluster file says. `block`, `fs` and `container` are modules' names.

    `values` are the options that all nodes share; some may be secret.
    """

    name: str
    nodes: tuple[Node, ...]
    block: str | None
    fs: str | None
    container: str | None
    values: Settings = field(repr=False)
    origin: Origin

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that have a table in the file, sorted."""
        return tuple(sorted({*self.values, *(name for node in self.nodes for name in node.values)}))


def load_cluster(path: HostPath, catalog: Catalog) -> Cluster:
    """Read the cluster file at `path` against the options that `catalog` declares.

    Raises ConfigError, or an ErrorGroup with all that is wrong with the file.
    """
    table, places = read_sources(path)
    return read_cluster(table, str(path), catalog, places)


def read_cluster(
    table: Mapping[str, object], source: str, catalog: Catalog, places: Places | None = None
) -> Cluster:
    """Make a `Cluster` of the `table` that `source` holds; see `load_cluster`.

    `places` tells where its keys were written, when `source` is not all of it.
    """
    places = places or Places(source)
    reader = Reader(source, places.origin)
    types = {kind: _chosen(reader, catalog, kind, table.get(kind)) for kind in CHOSEN_KINDS}
    chosen = {kind: module.name if module else None for kind, module in types.items()}
    site = _site_values(reader, catalog, table, types)
    nodes = read_nodes(reader, catalog, table, places, site)
    name = ""
    if "name" not in table:
        reader.fail("name", "missing", "the cluster's name, as its lock tables have it")
    else:
        try:
            name = _cluster_name(table["name"])
        except ValueError as error:
            reader.fail("name", str(error))
    raise_all(_once(reader.errors))
    return Cluster(
        name,
        nodes,
        chosen["block"],
        chosen["fs"],
        chosen["container"],
        site,
        Origin(source),
    )


def _chosen(reader: Reader, catalog: Catalog, kind: str, table: object) -> Module | None:
    """The module that the table `kind` names by its `type`; None when there is no such table."""
    if table is None:
        return None
    if not isinstance(table, dict):
        reader.fail(kind, f"must be a table, not {kind_of(table)}")
        return None
    name = table.get("type")
    if not isinstance(name, str):
        known = ", ".join(module.name for module in catalog.of_kind(kind))
        problem = "missing" if name is None else f"must be a string, not {kind_of(name)}"
        reader.fail(f"{kind}.type", problem, f"one of: {known}")
        return None
    with collect(reader.errors):
        return catalog.module(name, kind, reader.place(f"{kind}.type"))
    return None


def _site_values(
    reader: Reader,
    catalog: Catalog,
    table: Mapping[str, object],
    types: Mapping[str, Module | None],
) -> Settings:
    """The options that all nodes share, from every table but `node`."""
    fixed = {"name", "node", "override", *CHOSEN_KINDS}
    others = {key: value for key, value in table.items() if key not in fixed}
    for key in [key for key in others if key not in catalog.modules]:
        reader.unknown("", key, fixed | {"include"} | catalog.modules.keys(), "table")
        del others[key]
    found = read_settings(reader, catalog, others, "", "site")
    for kind, module in types.items():
        raw = table.get(kind)
        if module is None or not isinstance(raw, dict):
            continue
        rest = {key: value for key, value in raw.items() if key != "type"}
        options = read_options(reader, module, rest, kind, "site")
        for option in sorted(options.keys() & found.get(module.name, {}).keys()):
            reader.fail(f"{module.name}.{option}", f"is also set in [{kind}]", "drop one of them")
        found[module.name] = {**found.get(module.name, {}), **options}
    return found


def _once(errors: Sequence[SrbuildError]) -> list[SrbuildError]:
    """`errors` with one for what a pattern has wrong for all of its nodes alike."""
    kept: dict[tuple[object, ...], SrbuildError] = {}
    for error in errors:
        origin = error.origin
        key = NODE_PART.sub("", origin.key) if origin else ""
        place = (origin.source, origin.line, key) if origin else None
        kept.setdefault((place, error.message, error.hint), error)
    return list(kept.values())


def check_required(
    modules: Sequence[Module], cluster: Cluster, recipe: Settings | None = None
) -> None:
    """Check that `cluster` (or `recipe`) sets every option that `modules` or other options need.

    Raises ConfigError, or an ErrorGroup with all that is missing.
    """
    errors: list[SrbuildError] = []
    for module in modules:
        errors += _lone(module, cluster, recipe or {})
        for option in module.options.values():
            several = option.required == "several-nodes" and len(cluster.nodes) > 1
            if not several and option.required != "always":
                continue
            sources = (recipe or {}, cluster.values)
            if not option.applies(_given(module, sources)):
                continue
            if any(
                found.get(module.name, {}).get(option.name)
                for found in (cluster.values, recipe or {})
            ):
                continue
            without = [
                node.name
                for node in cluster.nodes
                if not node.values.get(module.name, {}).get(option.name)
            ]
            if without:
                errors.append(_missing(module, option, cluster, without))
    raise_all(errors)


def _lone(module: Module, cluster: Cluster, recipe: Settings) -> Iterator[ConfigError]:
    """An error for each option that is set without one that it needs, with the nodes concerned."""
    shared = {**recipe.get(module.name, {}), **cluster.values.get(module.name, {})}
    given = {
        node.name: {name for name, value in (shared | {**own}).items() if any(value)}
        for node in cluster.nodes
        for own in [node.values.get(module.name, {})]
    }
    pairs = ((option, name) for option in module.options.values() for name in option.needs)
    for option, name in pairs:
        alone = [who for who, its in given.items() if option.name in its and name not in its]
        if not alone:
            continue
        needed = module.options[name]
        table = f"[{module.table}]" if needed.scope == "site" else f"[node.{module.name}]"
        yield ConfigError(
            f"{', '.join(alone)}: {option.name} means nothing without {name}",
            f"set {name} in {table} ({needed.help}), or drop {option.name}",
            Origin(cluster.origin.source, f"{module.table}.{option.name}"),
        )


def _given(module: Module, sources: Sequence[Settings]) -> dict[str, tuple[str, ...]]:
    """The options of `module` by name, those of later `sources` before earlier ones'."""
    found = {option.name: option.default for option in module.options.values()}
    for source in sources:
        found.update(source.get(module.name, {}))
    return found


def _missing(
    module: Module, option: Option, cluster: Cluster, without: Sequence[str]
) -> ConfigError:
    table = f"[{module.table}]" if option.scope == "site" else f"[node.{module.name}]"
    why = option.reason or option.help
    if option.required == "several-nodes" and option.scope == "site":
        who = f"{len(cluster.nodes)} nodes need"
    elif len(without) < len(cluster.nodes):
        who = f"{', '.join(without)} {'needs' if len(without) == 1 else 'need'}"
    else:
        who = f"{module.name} needs"
    value = (
        f"one of: {', '.join(option.choices)}"
        if option.choices
        else f"a value of type {option.type}"
    )
    return ConfigError(
        f"{who} {table} {option.name}: {why}",
        f"set {option.name} in {table} to {value}",
        Origin(cluster.origin.source, f"{module.table}.{option.name}"),
    )
