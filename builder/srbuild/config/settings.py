"""Tables of modules' options (`[block]`, `[values.network]`, `[node.iscsi]`) → checked values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from srbuild.bootmodule import Module
from srbuild.catalog import Catalog
from srbuild.config.convert import Reader, join_key, kind_of, suggest
from srbuild.errors import ConfigError, Origin

# option → its normalised values, and module → those of its options that are set
Options: TypeAlias = Mapping[str, tuple[str, ...]]
Settings: TypeAlias = Mapping[str, Options]

# Where a table stands: a cluster file, one of its nodes, or what may be published (a recipe).
Place: TypeAlias = Literal["site", "node", "recipe"]


def read_options(
    reader: Reader, module: Module, table: object, key: str, place: Place
) -> dict[str, tuple[str, ...]]:
    """The options of `module` in `table`, which stands at the key path `key`.

    What is wrong is noted in `reader` and left out.
    """
    if not isinstance(table, dict):
        reader.fail(key, f"must be a table of options of {module.name}, not {kind_of(table)}")
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for name, raw in table.items():
        option = module.options.get(name)
        at = join_key(key, name)
        if option is None:
            reader.unknown(key, name, module.options.keys(), f"option of {module.name}")
        elif place == "node" and option.scope == "site":
            reader.fail(
                at, "is the same on all nodes", f"set {name} in [{module.table}], outside of node"
            )
        elif place == "recipe" and option.secret:
            reader.fail(at, "is a secret", "secrets belong in the cluster file")
        else:
            values = reader.values(raw, at, option.many, option.parse, option.secret)
            if values is not None:
                found[name] = values
    return found


def read_settings(
    reader: Reader, catalog: Catalog, tables: Mapping[str, object], key: str, place: Place
) -> dict[str, dict[str, tuple[str, ...]]]:
    """The options of several modules: `tables` maps modules' names to their tables."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, table in tables.items():
        module = catalog.modules.get(name)
        if module is None:
            at = join_key(key, name)
            reader.fail(at, f"no boot module {name!r}", suggest(name, catalog.modules.keys()))
        else:
            found[name] = read_options(reader, module, table, join_key(key, name), place)
    return found


def read_assignment(catalog: Catalog, text: str, source: str) -> tuple[str, str, str]:
    """Split `module.option=value` from the command line; `source` is the option's name.

    Returns module, option and the value in its normal form. Raises ConfigError.
    """
    origin = Origin(source, text.partition("=")[0])
    place, equals, raw = text.partition("=")
    name, dot, option_name = place.partition(".")
    if not equals or not dot:
        # What was given may be a secret, so it is not repeated.
        raise ConfigError("must be MODULE.OPTION=VALUE", origin=Origin(source))
    module = catalog.module(name, origin=origin)
    option = module.options.get(option_name)
    if option is None:
        hint = suggest(option_name, module.options.keys())
        raise ConfigError(f"unknown option of {name} {option_name!r}", hint, origin)
    if option.secret:
        raise ConfigError("is a secret", "secrets belong in the cluster file", origin)
    try:
        return name, option_name, option.parse(raw)
    except ValueError as error:
        raise ConfigError(str(error), "", origin) from error
