"""The nodes of a cluster file: written out, by pattern, from a table in CSV, and overridden."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Annotated, Final

from srbuild.catalog import Catalog
from srbuild.config import values
from srbuild.config.convert import Reader, join_key
from srbuild.config.expansion import RawNode, expand_nodes
from srbuild.config.includes import Places
from srbuild.config.machine import parse_serial, parse_uuid, swap_uuid
from srbuild.config.settings import Settings, read_settings
from srbuild.errors import Origin
from srbuild.frozen import frozen

# Tables whose `type` names a module; the other keys are that module's options.
CHOSEN_KINDS: Final = ("block", "fs", "container")
_FIXED: Final = frozenset({"name", "id", "mac", "address", "uuid", "serial", "asset_tag"})
NODE_ID_MAX: Final = 2**31 - 1  # corosync clears the highest bit for the DLM


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


@frozen
class _NodeTable:
    """The keys of `[[node]]` that are no module's table."""

    name: Annotated[str, _node_name]
    id: Annotated[int, _node_id]
    mac: tuple[Annotated[str, _mac], ...] = ()
    address: Annotated[str | None, _cidr] = None
    uuid: Annotated[str | None, parse_uuid] = None
    serial: Annotated[str | None, parse_serial] = None
    asset_tag: Annotated[str | None, parse_serial] = None


@frozen
class Node:
    """A node: `macs` in lower-case colon form, `address` with its prefix length.

    `uuid`, `serial` and `asset_tag` are what its firmware calls the machine (DMI).
    `values` are the options that this node has of its own; some may be secret. `origin` is
    where it was written down.
    """

    name: str
    id: int
    macs: tuple[str, ...] = ()
    address: str | None = None
    values: Settings = field(default_factory=dict, repr=False)
    origin: Origin | None = field(default=None, repr=False, compare=False)
    uuid: str | None = None
    serial: str | None = None
    asset_tag: str | None = None

    @property
    def hardware(self) -> dict[str, str]:
        """What its firmware calls the machine, by key of the cluster file."""
        found = {"uuid": self.uuid, "serial": self.serial, "asset_tag": self.asset_tag}
        return {key: value for key, value in found.items() if value}


def read_nodes(
    reader: Reader, catalog: Catalog, table: Mapping[str, object], places: Places, site: Settings
) -> tuple[Node, ...]:
    """The nodes of a cluster file's `table`, checked against each other.

    `site` are the options that all share. What is wrong is noted in `reader`.
    """
    raws = expand_nodes(reader, catalog, table, places)
    found = [(raw, node) for raw in raws if (node := _node(reader, catalog, raw))]
    _check_distinct(reader, found)
    _check_initiators(reader, catalog, [(raw.key, node) for raw, node in found], site)
    return tuple(node for _, node in found)


def _node(reader: Reader, catalog: Catalog, raw: RawNode) -> Node | None:
    table, key = raw.table, raw.key
    own = {name: value for name, value in table.items() if name in _FIXED}
    if isinstance(own.get("mac"), str):
        own["mac"] = [own["mac"]]
    tables = {name: value for name, value in table.items() if name not in _FIXED}
    for name in [name for name in tables if name not in catalog.modules]:
        if name in CHOSEN_KINDS:
            hint = f"a node's options go by module: [node.{catalog.of_kind(name)[0].name}]"
            reader.fail(join_key(key, name), f"unknown key {name!r}", hint)
        else:
            reader.unknown(key, name, _FIXED | catalog.modules.keys() | {"table"})
        del tables[name]
    settings = read_settings(reader, catalog, tables, key, "node")
    read = reader.table(_NodeTable, own, key)
    if read is None:
        return None
    place = reader.place(key)
    own_names = (read.uuid, read.serial, read.asset_tag)
    return Node(read.name, read.id, read.mac, read.address, settings, place, *own_names)


def _check_distinct(reader: Reader, nodes: Sequence[tuple[RawNode, Node]]) -> None:
    """Note what two nodes have that tells them apart: name, id, cards, serial and the like."""
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    for raw, node in nodes:
        for what, value, at in _identities(raw.key, node):
            first, owner = seen.setdefault((what, _canonical(what, value)), (at, node.name))
            if first != at:
                same = what == "name" or owner == node.name
                both = "" if same else f"{owner} and {node.name} can't both have it"
                where = reader.place(first)
                other = where.key if where.source == reader.source else str(where)
                reader.fail(at, f"the {what} {value} is already that of {other}", both)


def _identities(key: str, node: Node) -> Iterator[tuple[str, str, str]]:
    """(what, value, key path) of all that no two nodes may share."""
    yield "name", node.name, f"{key}.name"
    yield "id", str(node.id), f"{key}.id"
    for index, mac in enumerate(node.macs):
        yield "MAC", mac, f"{key}.mac[{index}]"
    if node.address:
        yield "address", node.address.partition("/")[0], f"{key}.address"
    for name, value in node.hardware.items():
        yield name.replace("_", " "), value, f"{key}.{name}"


def _canonical(what: str, value: str) -> str:
    """What is the same for two values that boot can't tell apart (hooks/lib/machine.sh)."""
    return min(value, swap_uuid(value)) if what == "uuid" else value.lower()


def _check_initiators(
    reader: Reader, catalog: Catalog, nodes: Sequence[tuple[str, Node]], site: Settings
) -> None:
    """Note iSCSI names that nodes share: a target drops the first session for the second's.

    Concerns the options of type `iqn` that are a node's own, so not the target's name.
    """
    used = {*site, *(name for _, node in nodes for name in node.values)}
    for module in (catalog.modules[name] for name in catalog.modules if name in used):
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
