"""A JSON Schema of the cluster file, made from the options that boot modules declare.

It is for editors: it never refuses what `load_cluster` takes, and can't see what spans keys.
No table is required: a file may be a part that others include.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from srbuild.bootmodule import Module, Option
from srbuild.catalog import Catalog
from srbuild.config.nodes import CHOSEN_KINDS, NODE_ID_MAX
from srbuild.config.nodetable import COLUMNS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_INT = r"^[+-]?[0-9]{1,18}$"
_SECONDS = r"^[0-9]{1,10}[smh]?$"
_FILLED = r"\{(name|id)\}"  # what a pattern's nodes fill in
_STRINGS: Final = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


def cluster_schema(catalog: Catalog) -> dict[str, Any]:
    """The schema (JSON Schema 2020-12) of cluster files for the modules of `catalog`."""
    modules = [module for module in catalog.modules.values() if module.options]
    chosen = {kind: _chosen(catalog.of_kind(kind)) for kind in CHOSEN_KINDS}
    return {
        "$schema": DIALECT,
        "title": "srbuild cluster file",
        "description": "The nodes of one shared root, and what they share.",
        "type": "object",
        "properties": {
            "name": {
                "description": "the cluster's name, as its lock tables have it",
                "type": "string",
                "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$",
            },
            "include": {"description": "files to begin with, relative to this one", **_STRINGS},
            "node": {"type": "array", "minItems": 1, "items": _node(catalog, "node")},
            "override": {"type": "array", "items": _node(catalog, "override")},
            **chosen,
            **{m.name: _closed(f"#/$defs/{m.name}", m.summary) for m in modules},
        },
        "additionalProperties": False,
        "$defs": {module.name: _options(module.options.values()) for module in modules},
    }


def _closed(ref: str, description: str) -> dict[str, Any]:
    return {
        "description": description,
        "type": "object",
        "$ref": ref,
        "unevaluatedProperties": False,
    }


def _chosen(modules: Iterable[Module]) -> dict[str, Any]:
    """A table whose `type` says which module's options may stand in it."""
    found = list(modules)
    return {
        "type": "object",
        "properties": {"type": {"enum": [module.name for module in found]}},
        "required": ["type"],
        "allOf": [
            {
                "if": {"properties": {"type": {"const": module.name}}},
                "then": {"$ref": f"#/$defs/{module.name}"},
            }
            for module in found
            if module.options
        ],
        "unevaluatedProperties": False,
    }


def _node(catalog: Catalog, what: str) -> dict[str, Any]:
    tables = {}
    for module in catalog.modules.values():
        own = [option for option in module.options.values() if option.scope == "node"]
        if own:
            tables[module.name] = _options(own, own=True) | {
                "type": "object",
                "description": module.summary,
                "additionalProperties": False,
            }
    properties: dict[str, Any] = {
        "name": {"description": "host name, or a pattern: node[001-128]", "type": "string"},
        "id": {
            "description": "a number of its own for ever, or a pattern: [1-128]",
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": NODE_ID_MAX},
                {"type": "string", "pattern": r"\["},
            ],
        },
        "mac": {"description": "of one of its network cards, or of several", **_STRINGS},
        "address": {
            "description": "with its prefix length; by DHCP without one",
            "type": "string",
        },
        "uuid": {"description": "of the machine, as its firmware says (DMI)", "type": "string"},
        "serial": {"description": "number of the machine (DMI)", "type": "string"},
        "asset_tag": {"description": "of the machine's chassis (DMI)", "type": "string"},
    }
    if what == "node":
        about = f"a CSV file beside this one: {','.join(COLUMNS)},MODULE.OPTION"
        properties["table"] = {"description": about, "type": "string"}
    made: dict[str, Any] = {
        "type": "object",
        "properties": {**properties, **tables},
        "additionalProperties": False,
    }
    if what == "override":
        return made | {"required": ["name"]}
    return made | {"anyOf": [{"required": ["name"]}, {"required": ["table"]}]}


def _options(options: Iterable[Option], *, own: bool = False) -> dict[str, Any]:
    return {"properties": {option.name: _option(option, own=own) for option in options}}


def _option(option: Option, *, own: bool) -> dict[str, Any]:
    value = _value(option)
    if own and "enum" in value | {"pattern": 0} and option.type != "bool":
        value = {"anyOf": [value, {"type": "string", "pattern": _FILLED}]}
    parts: dict[str, Any] = {"description": "; ".join(filter(None, (option.help, option.form)))}
    if option.secret:
        parts["writeOnly"] = True
    if option.default:
        parts["default"] = list(option.default) if option.many else option.default[0]
    if option.many:
        return parts | {"anyOf": [value, {"type": "array", "items": value}]}
    return parts | value


def _value(option: Option) -> dict[str, Any]:
    """What one value of the option may be in TOML."""
    if option.type == "bool":
        return {"type": ["boolean", "integer", "string"]}
    if option.type in {"int", "seconds"}:
        found: dict[str, Any] = {"type": ["integer", "string"]}
        found["pattern"] = _INT if option.type == "int" else _SECONDS
        if option.least is not None or option.type == "seconds":
            found["minimum"] = option.least or 0
        if option.most is not None:
            found["maximum"] = option.most
        return found
    if option.choices and option.type != "flags":
        return {"enum": list(option.choices)}
    return {"type": "string"}
