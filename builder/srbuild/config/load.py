"""Options, environment, recipe and cluster file → one `Config`.

For each setting the first of these that gives it wins: command line, environment
(`SRBUILD_FS`, …), recipe (`--image`), cluster file, default. Lists (modules, kmods) add up.
The cluster file's file system, block device and container are facts about what exists, so
a different wish is an error, not a preference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Final

from srbuild.catalog import Catalog
from srbuild.config.cache import Caches, asked_caches
from srbuild.config.cluster import CHOSEN_KINDS, Cluster, load_cluster
from srbuild.config.convert import Reader, collect, read_toml, suggest
from srbuild.config.epoch import read_mtime
from srbuild.config.kernels import read_kernels
from srbuild.config.settings import Settings, read_assignment, read_settings
from srbuild.errors import ConfigError, ConflictError, Origin, SrbuildError, raise_all
from srbuild.formats.compress import COMPRESSIONS
from srbuild.frozen import frozen
from srbuild.host.looks import look
from srbuild.paths import HostPath, data_dir

# Settings with one value: name in `options` → option on the command line. The environment
# variable of each is SRBUILD_ and the option in upper case.
SINGLE: Final[Mapping[str, str]] = {
    "fs": "--fs",
    "blk": "--blk",
    "container": "--container",
    "sysroot": "--sysroot",
    "arch": "--arch",
    "cluster": "--cluster",
    "image": "--image",
    "output": "--output",
    "compression": "--compression",
    "cpu": "--cpu",
    "only_node": "--node",
    "name": "--name",
    "microcode": "--microcode",
}
# Those with several; in the environment they are separated by spaces.
SEVERAL: Final[Mapping[str, str]] = {
    "modules": "--module",
    "kmods": "--kmod",
    "features": "--feature",
    "modalias_from": "--modalias-from",
}

# Kind of module → the setting that names it.
SETTING_OF: Final[Mapping[str, str]] = {"block": "blk", "fs": "fs", "container": "container"}
# Compressor → lowest, default and highest level.
LEVELS: Final[Mapping[str, tuple[int, int, int]]] = {
    name: entry.levels for name, entry in COMPRESSIONS.items() if entry.compress
}


@frozen
class Config:
    """What was asked.

    `fs`, `blk`, `container` and `modules` are modules' names, without `container` the sysroot says
    (runtime.py); `kernels` versions, `all` for all of the sysroot's, empty for its newest; `values`
    options from recipe and command line, none secret; `compression` a name and level; `mtime`
    seconds since 1970; `only_node` the one whose parts are wanted, `cpu` the best level of
    processor to ship variants for, None for all of both; `features` those that programs only
    suggest in their dlopen notes; `arch` Debian's name of the one to take, `modaliases` the
    hardware to serve, None for any; `microcode` the vendors of processors, None for no updates;
    `shared_caches` folders and URLs to take finished segments from, `cache` the folder to keep
    them in, None for none.
    """

    name: str
    fs: str | None
    blk: str | None
    container: str | None
    modules: tuple[str, ...]
    kmods: tuple[str, ...]
    sysroot: HostPath
    kernels: tuple[str, ...]
    cluster: Cluster | None
    values: Settings
    output: HostPath
    compression: tuple[str, int]
    mtime: int
    cache: HostPath | None
    only_node: str | None
    cpu: Wish | None = None
    features: tuple[Wish, ...] = ()
    arch: str | None = None
    modaliases: tuple[str, ...] | None = None
    microcode: Wish | None = None
    shared_caches: tuple[str, ...] = ()


@frozen
class Recipe:
    """The keys of a recipe. `values` maps modules' names to tables of their options."""

    name: str | None = None
    summary: str = ""
    fs: str | None = None
    blk: str | None = None
    container: str | None = None
    modules: tuple[str, ...] = ()
    kmods: tuple[str, ...] = ()
    compression: str | None = None
    cpu: str | None = None
    features: tuple[str, ...] = ()
    microcode: str | None = None
    values: Mapping[str, object] = field(default_factory=dict)


@frozen
class Wish:
    """A setting's value and where it was given."""

    value: str
    origin: Origin


def load_config(
    options: Mapping[str, object],
    environ: Mapping[str, str],
    catalog: Catalog,
    recipes: HostPath | None = None,
) -> Config:
    """Merge everything that the user said, reading the recipe and the cluster file.

    `options` are those of the command line: the keys of `SINGLE` (a string or path, None when
    not given), `cache` (one or several), of `SEVERAL` and `set` (`module.option=value`) with
    sequences of strings; other keys are not looked at. `recipes` is the folder of named
    recipes, srbuild's own by default.
    Raises ConfigError, ConflictError, or an ErrorGroup with all that is wrong.
    """
    errors: list[SrbuildError] = []
    compression, mtime, modaliases, caches = ("zstd", 3), 0, None, Caches(None)
    cluster = None
    asked = _asked(options, environ, errors)
    recipe, source, values = _read_recipe(asked, recipes or data_dir() / "images", catalog, errors)
    _merge(values, _assignments(_strings(options.get("set")), catalog, errors))
    if "cluster" in asked:
        with collect(errors):
            cluster = load_cluster(Path(asked["cluster"].value), catalog)
    chosen = _chosen_modules(asked, cluster, catalog, errors)
    modules = _several("modules", options, environ, recipe.modules, source)
    for wish in modules:
        with collect(errors):
            catalog.module(wish.value, origin=wish.origin)
    kmods = _several("kmods", options, environ, recipe.kmods, source)
    kernels = read_kernels(options.get("kernel"), environ, errors)
    with collect(errors):
        if files := _several("modalias_from", options, environ, (), source):
            from srbuild.hardware import load_modaliases

            modaliases = load_modaliases((Path(wish.value), wish.origin) for wish in files)
    only_node = _only_node(asked.get("only_node"), cluster, "cluster" in asked, errors)
    with collect(errors):
        compression = parse_compression(asked.get("compression"))
    with collect(errors):
        mtime = read_mtime(environ)
    with collect(errors):
        caches = asked_caches(options, environ)
    name = _name(asked, chosen, cluster, errors)
    raise_all(errors)
    return Config(
        name=name,
        fs=chosen["fs"],
        blk=chosen["block"],
        container=chosen["container"],
        modules=tuple(wish.value for wish in modules),
        kmods=tuple(wish.value for wish in kmods),
        sysroot=Path(_value(asked, "sysroot") or "/"),
        kernels=kernels,
        cluster=cluster,
        values=values,
        output=Path(_value(asked, "output") or f"{name}.img"),
        compression=compression,
        mtime=mtime,
        cache=caches.folder,
        shared_caches=caches.shared,
        only_node=only_node,
        cpu=asked.get("cpu"),
        features=_several("features", options, environ, recipe.features, source),
        arch=_value(asked, "arch"),
        modaliases=modaliases,
        microcode=asked.get("microcode"),
    )


def _read_recipe(
    asked: dict[str, Wish], recipes: HostPath, catalog: Catalog, errors: list[SrbuildError]
) -> tuple[Recipe, str, dict[str, dict[str, tuple[str, ...]]]]:
    """The recipe, its file's name and its options; what it asks for is added to `asked`."""
    if "image" not in asked:
        return Recipe(), "", {}
    with collect(errors):
        path = find_recipe(asked["image"], recipes)
        recipe, values = load_recipe(path, catalog)
        for setting in ("fs", "blk", "container", "compression", "cpu", "microcode", "name"):
            given = getattr(recipe, setting)
            if given is not None:
                asked.setdefault(setting, Wish(given, Origin(str(path), setting)))
        return recipe, str(path), values
    return Recipe(), "", {}


def _assignments(
    texts: Iterable[str], catalog: Catalog, errors: list[SrbuildError]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """The options that `--set` gives; repeated, the last counts or the values add up."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for text in texts:
        with collect(errors):
            name, option, value = read_assignment(catalog, text, "--set")
            module = found.setdefault(name, {})
            several = catalog.modules[name].options[option].many
            module[option] = (*(module.get(option, ()) if several else ()), value)
    return found


def _merge(
    below: dict[str, dict[str, tuple[str, ...]]], above: Mapping[str, dict[str, tuple[str, ...]]]
) -> None:
    for name, options in above.items():
        below.setdefault(name, {}).update(options)


def _asked(
    options: Mapping[str, object], environ: Mapping[str, str], errors: list[SrbuildError]
) -> dict[str, Wish]:
    """The single settings that the command line or the environment gives.

    An empty variable counts as not set. An empty option is a mistake: `--sysroot "$DIR"` with
    DIR unset is no wish to build from the running system.
    """
    found: dict[str, Wish] = {}
    for name, option in SINGLE.items():
        variable = _variable(option)
        given = options.get(name)
        if given is not None and str(given) == "":
            errors.append(
                ConfigError("is empty", "leave it out or give it a value", Origin(option))
            )
        elif given is not None:
            found[name] = Wish(str(given), Origin(option))
        elif environ.get(variable):
            found[name] = Wish(environ[variable], Origin(variable))
    return found


def _variable(option: str) -> str:
    return f"SRBUILD_{option.removeprefix('--').replace('-', '_').upper()}"


def _value(asked: Mapping[str, Wish], name: str) -> str | None:
    return asked[name].value if name in asked else None


def _strings(raw: object) -> tuple[str, ...]:
    return tuple(str(item) for item in raw) if isinstance(raw, list | tuple) else ()


def _several(
    name: str,
    options: Mapping[str, object],
    environ: Mapping[str, str],
    recipe: Iterable[str],
    source: str,
) -> tuple[Wish, ...]:
    """The values of a list from the recipe, the environment and the command line, each once."""
    option = SEVERAL[name]
    variable = _variable(option) + "S"
    wishes = [
        *(Wish(value, Origin(source, f"{name}[{i}]")) for i, value in enumerate(recipe)),
        *(Wish(value, Origin(variable)) for value in environ.get(variable, "").split()),
        *(Wish(value, Origin(option)) for value in _strings(options.get(name))),
    ]
    return tuple({wish.value: wish for wish in reversed(wishes)}.values())[::-1]


def find_recipe(wish: Wish, recipes: HostPath) -> HostPath:
    """The recipe's file: a path, or a name found in the folder `recipes`; ConfigError if none."""
    if "/" in wish.value or wish.value.endswith(".toml"):
        return Path(wish.value)
    look(recipes)
    known = {found.stem for found in recipes.glob("*.toml")}
    if wish.value not in known:
        raise ConfigError(
            f"no recipe {wish.value!r}; known: {', '.join(sorted(known)) or 'none'}",
            f"{suggest(wish.value, known)} A recipe of your own is a path: --image ./NAME.toml",
            wish.origin,
        )
    return recipes / f"{wish.value}.toml"


def load_recipe(
    path: HostPath, catalog: Catalog
) -> tuple[Recipe, dict[str, dict[str, tuple[str, ...]]]]:
    """Read the recipe at `path`: its keys, and the options in its `[values.MODULE]` tables.

    Raises ConfigError, or an ErrorGroup with all that is wrong with the file.
    """
    reader = Reader(str(path))
    recipe = reader.table(Recipe, read_toml(path)) or Recipe()
    values = read_settings(reader, catalog, recipe.values, "values", "recipe")
    reader.finish()
    return recipe, values


def _chosen_modules(
    asked: Mapping[str, Wish],
    cluster: Cluster | None,
    catalog: Catalog,
    errors: list[SrbuildError],
) -> dict[str, str | None]:
    """Kind → the module that was asked for or that the cluster file names."""
    chosen: dict[str, str | None] = {}
    for kind in CHOSEN_KINDS:
        wish = asked.get(SETTING_OF[kind])
        real: str | None = getattr(cluster, kind) if cluster else None
        chosen[kind] = wish.value if wish else real
        if wish is None:
            continue
        with collect(errors):
            catalog.module(wish.value, kind, wish.origin)
        if cluster and real not in {None, wish.value}:
            errors.append(
                ConflictError(
                    f"{wish.value!r} is asked for, but {cluster.origin.source} says that "
                    f"{kind}.type is {real!r}",
                    "change one of the two",
                    wish.origin,
                )
            )
    return chosen


def _only_node(
    wish: Wish | None, cluster: Cluster | None, has_file: bool, errors: list[SrbuildError]
) -> str | None:
    if wish is None:
        return None
    names = [node.name for node in cluster.nodes] if cluster else []
    if not has_file:
        hint = "name the cluster file with --cluster FILE"
        errors.append(ConfigError("a node is known by its cluster file only", hint, wish.origin))
    elif cluster and wish.value not in names:
        message = f"{cluster.origin.source} has no node {wish.value!r}"
        errors.append(ConfigError(message, suggest(wish.value, names), wish.origin))
    return wish.value


def parse_compression(wish: Wish | None) -> tuple[str, int]:
    """`zstd` or `zstd:19` → name and level; ConfigError for an unknown name or level."""
    if wish is None:
        return "zstd", LEVELS["zstd"][1]
    name, colon, text = wish.value.partition(":")
    if name not in LEVELS:
        raise ConfigError(f"unknown compression {name!r}", suggest(name, LEVELS), wish.origin)
    lowest, default, highest = LEVELS[name]
    if not colon:
        return name, default
    if not re.fullmatch(r"[0-9]{1,2}", text) or not lowest <= int(text) <= highest:
        raise ConfigError(
            f"{text!r} is not a level of {name}", f"levels: {lowest} to {highest}", wish.origin
        )
    return name, int(text)


def _name(
    asked: Mapping[str, Wish],
    chosen: Mapping[str, str | None],
    cluster: Cluster | None,
    errors: list[SrbuildError],
) -> str:
    """The image's name: as asked, else file system and block device, else the cluster's."""
    if (wish := asked.get("name")) is None:
        parts = [part for part in (chosen["fs"], chosen["block"]) if part]
        return "-".join(parts) or (cluster.name if cluster else "srbuild")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", wish.value):
        hint = "64 letters, digits, '.', '_' and '-' at most"
        errors.append(ConfigError(f"{wish.value!r} is no image's name", hint, wish.origin))
    return wish.value
