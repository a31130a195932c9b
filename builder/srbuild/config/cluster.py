"""The cluster file: who the nodes are, and the options of their storage, network and cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

from srbuild.bootmodule import Module, Option
from srbuild.catalog import Catalog
from srbuild.config import values
from srbuild.config.convert import Reader, collect, join_key, kind_of, read_toml
from srbuild.config.settings import Settings, read_options, read_settings
from srbuild.errors import ConfigError, Origin, SrbuildError, raise_all
from srbuild.paths import HostPath

# Tables whose `type` names a module; the other keys are that module's options.
CHOSEN_KINDS: Final = ("block", "fs", "container")
NODE_ID_MAX: Final = 2**31 - 1  # corosync clears the highest bit for the DLM


def _cluster_name(raw: object) -> str:
    # mkfs.gfs2 takes lock tables of at most 32 characters before the colon, of this alphabet.
    if not isinstance(raw, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", raw):
        raise ValueError(
            f"{raw!r} must be 1 to 32 letters, digits, - and _ (the lock table's name)"
        )
    return raw


def _node_name(raw: object) -> str:
    label = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
    if not isinstance(raw, str) or not re.fullmatch(rf"(?=.{{1,64}}$){label}(\.{label})*", raw):
        raise ValueError(f"{raw!r} must be a host name in a-z, 0-9, - and ., 64 long at most")
    return raw


def _node_id(raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= NODE_ID_MAX:
        raise ValueError(f"must be a whole number from 1 to {NODE_ID_MAX}")
    return raw


def _mac(raw: object) -> str:
    return values.parse("mac", raw)


def _cidr(raw: object) -> str:
    return values.parse("cidr", raw)


@dataclass(frozen=True, slots=True)
class _NodeTable:
    """The keys of `[[node]]` that are no module's table."""

    name: Annotated[str, _node_name]
    id: Annotated[int, _node_id]
    mac: tuple[Annotated[str, _mac], ...] = ()
    address: Annotated[str | None, _cidr] = None


@dataclass(frozen=True, slots=True)
class Node:
    """A node: `macs` in lower-case colon form, `address` with its prefix length.

    `values` are the options that this node has of its own; some may be secret.
    """

    name: str
    id: int
    macs: tuple[str, ...] = ()
    address: str | None = None
    values: Settings = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
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
    return read_cluster(read_toml(path), str(path), catalog)


def read_cluster(table: Mapping[str, object], source: str, catalog: Catalog) -> Cluster:
    """Make a `Cluster` of the `table` that `source` holds; see `load_cluster`."""
    reader = Reader(source)
    types = {kind: _chosen(reader, catalog, kind, table.get(kind)) for kind in CHOSEN_KINDS}
    chosen = {kind: module.name if module else None for kind, module in types.items()}
    site = _site_values(reader, catalog, table, types)
    nodes = _nodes(reader, catalog, table.get("node"))
    name = ""
    if "name" not in table:
        reader.fail("name", "missing", "the cluster's name, as its lock tables have it")
    else:
        try:
            name = _cluster_name(table["name"])
        except ValueError as error:
            reader.fail("name", str(error))
    _check_initiators(reader, catalog, nodes, site)
    reader.finish()
    return Cluster(
        name,
        tuple(node for _, node in nodes),
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
        return catalog.module(name, kind, Origin(reader.source, f"{kind}.type"))
    return None


def _site_values(
    reader: Reader,
    catalog: Catalog,
    table: Mapping[str, object],
    types: Mapping[str, Module | None],
) -> Settings:
    """The options that all nodes share, from every table but `node`."""
    fixed = {"name", "node", *CHOSEN_KINDS}
    others = {key: value for key, value in table.items() if key not in fixed}
    for key in [key for key in others if key not in catalog.modules]:
        reader.unknown("", key, fixed | catalog.modules.keys(), "table")
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


def _nodes(reader: Reader, catalog: Catalog, raw: object) -> Sequence[tuple[str, Node]]:
    """The nodes with their key paths, checked against each other."""
    if not isinstance(raw, list) or not raw:
        reader.fail("node", "missing" if raw is None else "must be at least one [[node]] table")
        return []
    found: list[tuple[str, Node]] = []
    for index, table in enumerate(raw):
        key = f"node[{index}]"
        if not isinstance(table, dict):
            reader.fail(key, f"must be a table, not {kind_of(table)}")
        elif node := _node(reader, catalog, table, key):
            found.append((key, node))
    _check_distinct(reader, found)
    return found


def _node(reader: Reader, catalog: Catalog, table: Mapping[str, object], key: str) -> Node | None:
    fixed = {"name", "id", "mac", "address"}
    own = {name: value for name, value in table.items() if name in fixed}
    if isinstance(own.get("mac"), str):
        own["mac"] = [own["mac"]]
    tables = {name: value for name, value in table.items() if name not in fixed}
    for name in [name for name in tables if name not in catalog.modules]:
        if name in CHOSEN_KINDS:
            hint = f"a node's options go by module: [node.{catalog.of_kind(name)[0].name}]"
            reader.fail(join_key(key, name), f"unknown key {name!r}", hint)
        else:
            reader.unknown(key, name, fixed | catalog.modules.keys())
        del tables[name]
    settings = read_settings(reader, catalog, tables, key, "node")
    read = reader.table(_NodeTable, own, key)
    return Node(read.name, read.id, read.mac, read.address, settings) if read else None


def _check_distinct(reader: Reader, nodes: Sequence[tuple[str, Node]]) -> None:
    """Note names, ids, MACs and addresses that two nodes have."""
    seen: dict[tuple[str, str], str] = {}
    for key, node in nodes:
        for what, value, at in _identities(key, node):
            first = seen.setdefault((what, value), at)
            if first != at:
                reader.fail(at, f"the {what} {value} is already that of {first}")


def _identities(key: str, node: Node) -> Iterator[tuple[str, str, str]]:
    """(what, value, key path) of all that no two nodes may share."""
    yield "name", node.name, f"{key}.name"
    yield "id", str(node.id), f"{key}.id"
    for index, mac in enumerate(node.macs):
        yield "MAC", mac, f"{key}.mac[{index}]"
    if node.address:
        yield "address", node.address.partition("/")[0], f"{key}.address"


def _check_initiators(
    reader: Reader, catalog: Catalog, nodes: Sequence[tuple[str, Node]], site: Settings
) -> None:
    """Note iSCSI names that nodes share: a target drops the first session for the second's.

    Concerns the options of type `iqn` that are a node's own, so not the target's name.
    """
    for module in catalog.modules.values():
        for option in module.options.values():
            if option.type != "iqn" or option.scope != "node":
                continue
            if option.name in site.get(module.name, {}) and len(nodes) > 1:
                reader.fail(
                    f"{module.table}.{option.name}",
                    "would be the same on all nodes",
                    f"set it for each node: [node.{module.name}]",
                )
            seen: dict[tuple[str, ...], str] = {}
            for key, node in nodes:
                value = node.values.get(module.name, {}).get(option.name, ())
                at = f"{key}.{module.name}.{option.name}"
                if value and seen.setdefault(value, at) != at:
                    reader.fail(at, f"{value[0]} is already that of {seen[value]}")


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
