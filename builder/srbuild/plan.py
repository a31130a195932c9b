"""The plan: which boot modules go into the image, in order, and what they ask for.

`make_plan` is pure: it reads nothing but the values that it is given. What a request leads to
in a sysroot is found by `collect`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Final

from srbuild.bootmodule import Module, Option
from srbuild.catalog import Catalog
from srbuild.config.cluster import check_required
from srbuild.config.ipform import asks_dhcp6
from srbuild.config.load import Config
from srbuild.errors import ConfigError, ConflictError, Origin, SrbuildError, raise_all
from srbuild.frozen import frozen
from srbuild.layers import TABLES
from srbuild.limits import check_limits
from srbuild.paths import ImagePath, image_path
from srbuild.requests import (
    Binary,
    Copy,
    Data,
    Firmware,
    Folder,
    Kmod,
    Library,
    Own,
    Plugin,
    Rendered,
    Request,
)
from srbuild.spine import CLEANUP, HOME, Spine

BASE_MODULE = "core"
NONE = "none"
# Of these kinds an image has one module at most: what two of them would both do.
ALONE: Final[Mapping[str, str]] = {"fs": "mount the root", "container": "take over at handover"}


@frozen
class Plan:
    """What will be collected: the configuration, its boot modules in order, their requests."""

    config: Config
    modules: tuple[Module, ...]
    requests: tuple[Request, ...]


def make_plan(config: Config, catalog: Catalog, spine: Spine) -> Plan:
    """Choose and order the boot modules and list everything that they ask for.

    Raises ConfigError for unknown modules, for values of modules that are not in the image,
    for options that must be set and are not, and for requirements that nothing meets;
    ConflictError for modules that exclude each other or can't serve the cluster.
    """
    chosen = [*_chosen(config)]
    chosen += _brought(config, catalog, catalog.resolve(chosen))
    modules = catalog.resolve(dict.fromkeys(chosen))
    raise_all(_rivals(modules))
    raise_all(_stray_values(config, modules))
    raise_all(_without_dhcp6(config, modules))
    if config.cluster:
        check_required(modules, config.cluster, config.values)
        check_limits(modules, config.cluster, config.values)
    requests = (
        *_spine_requests(spine),
        *_tables(config, modules, spine),
        *_narrowed(config, [r for module in modules for r in _module_requests(module)]),
        *(Kmod(name, False, Origin("recipe or --kmod", name)) for name in config.kmods),
    )
    return Plan(config, modules, requests)


def _narrowed(config: Config, requests: list[Request]) -> Iterator[Request]:
    """The modules' requests; whole subtrees of kmods give way to an inventory of hardware."""
    for request in requests:
        if isinstance(request, Kmod) and config.modaliases is not None:
            yield replace(request, narrow=True)
        else:
            yield request


def _chosen(config: Config) -> Iterator[str]:
    yield BASE_MODULE
    # Without a word and without a sysroot to look into (see runtime.py) it is what needs nothing.
    container = config.container or (NONE if config.fs else None)
    yield from (name for name in (config.blk, config.fs, container) if name)
    yield from config.modules


def _brought(config: Config, catalog: Catalog, modules: tuple[Module, ...]) -> Iterator[str]:
    """The modules that the values of `modules`' options ask for: see `Option.brings`.

    ConfigError when no module offers what a value names.
    """
    for module in modules:
        for option in module.options.values():
            if not option.brings:
                continue
            for value, origin in _values_of(config, module.name, option.name):
                wish = option.brings + value.replace("_", "-")
                try:
                    yield catalog.provider(wish).name
                except ConfigError as error:
                    problem = f"no boot module is for {option.name} = {value!r}"
                    offers = {o for m in catalog.modules.values() for o in (m.name, *m.provides)}
                    known = sorted(o for o in offers if o.startswith(option.brings))
                    names = ", ".join(o.removeprefix(option.brings) for o in known)
                    raise ConfigError(problem, f"one of: {names}", origin) from error


def _values_of(config: Config, module: str, option: str) -> Iterator[tuple[str, Origin]]:
    """Every value that an option has anywhere, each with the place where it stands."""
    for value in config.values.get(module, {}).get(option, ()):
        yield value, Origin("recipe or --set", f"values.{module}.{option}")
    if config.cluster is None:
        return
    source = config.cluster.origin.source
    for value in config.cluster.values.get(module, {}).get(option, ()):
        yield value, Origin(source, f"{module}.{option}")
    for index, node in enumerate(config.cluster.nodes):
        for value in node.values.get(module, {}).get(option, ()):
            yield value, Origin(source, f"node[{index}].{module}.{option}")


def _rivals(modules: tuple[Module, ...]) -> list[SrbuildError]:
    """Pairs of modules that would do the same work."""
    return [
        ConflictError(
            f"{one.name} and {other.name} exclude each other: both {ALONE[one.kind]}",
            "leave out one of them",
            other.origin,
        )
        for one, other in combinations(modules, 2)
        if one.kind == other.kind and one.kind in ALONE and one.selectable and other.selectable
    ]


def _stray_values(config: Config, modules: tuple[Module, ...]) -> list[SrbuildError]:
    """Settings for boot modules that the image has not: a slip rather than a wish."""
    names = {module.name for module in modules}
    places = [(name, Origin("recipe or --set", f"values.{name}")) for name in config.values]
    if config.cluster:
        source = config.cluster.origin.source
        places += [(name, Origin(source, name)) for name in config.cluster.modules]
    return [
        ConfigError(
            f"settings for the boot module {name!r}, which is not in this image",
            f"drop them or add it with --module {name}",
            origin,
        )
        for name, origin in places
        if name not in names
    ]


def _without_dhcp6(config: Config, modules: tuple[Module, ...]) -> list[SrbuildError]:
    """Interfaces that are to ask for DHCPv6, in an image without a client for it."""
    if any(module.name == "dhcp6" for module in modules):
        return []
    return [
        ConfigError(
            f"ip = {value!r} asks for DHCPv6, and the image has no client for it",
            "add the boot module with --module dhcp6, or use auto6",
            origin,
        )
        for value, origin in _values_of(config, "network", "ip")
        if asks_dhcp6(value)
    ]


def _spine_requests(spine: Spine) -> Iterator[Request]:
    for source, target in spine.files:
        mode = 0o644 if target.startswith(f"{HOME}/lib/") else 0o755
        yield Own(source, target, mode, Origin("hooks", source.name), "base")


def _tables(config: Config, modules: tuple[Module, ...], spine: Spine) -> Iterator[Request]:
    """The tables that the spine reads at boot."""
    origin = Origin("boot modules")
    tables: Mapping[str, list[str]] = {
        f"{HOME}/points": list(spine.points),
        f"{HOME}/runs": list(_runs(modules, spine)),
        f"{HOME}/options": [_option_row(m, o) for m in modules for o in m.options.values()],
        f"{HOME}/survive": [name for module in modules for name in module.survive.processes],
        "/etc/srbuild/values": list(_image_values(config, modules)),
    }
    if built := list(_built_with(config, modules)):
        tables = {**tables, f"{HOME}/built": built}
    if refused := list(_refused_rows(modules)):
        tables = {**tables, f"{HOME}/refused": refused}
    for path, lines in tables.items():
        yield Data(image_path(path), _lines(lines), origin, TABLES)
    for module in modules:
        # Optional ones and whole subtrees are for the devices present: cold-plugging loads them.
        if loaded := [name for name in module.install.kmods if not name.startswith("=")]:
            yield Data(
                image_path(f"{HOME}/kmods/{module.name}"),
                _lines(loaded),
                Origin(f"module {module.name}", "install.kmods"),
                module.kind,
            )


def _lines(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def _runs(modules: tuple[Module, ...], spine: Spine) -> Iterator[str]:
    """What runs at each point: modules in boot order, for the clean-up in reverse."""
    for point in spine.points:
        ordered = modules[::-1] if point == CLEANUP else modules
        for module in ordered:
            run = module.run.get(point)
            if run:
                yield f"{point} {module.name} {_script_path(module, run.script)} {run.timeout}"


def _script_path(module: Module, script: str) -> ImagePath:
    return image_path(f"{HOME}/modules/{module.name}/{script}")


def _option_row(module: Module, option: Option) -> str:
    flags = (str(int(option.many)), str(int(option.secret)))
    return "\t".join((option.variable(module.name), option.type, *flags, ",".join(option.cmdline)))


def _refused_rows(modules: tuple[Module, ...]) -> Iterator[str]:
    """What options of flags don't take, for values that come up at boot: variable, word, why."""
    for module in modules:
        for option in module.options.values():
            for word, reason in option.refused.items():
                yield "\t".join((option.variable(module.name), word, reason))


def _image_values(config: Config, modules: tuple[Module, ...]) -> Iterator[str]:
    for module in modules:
        given = config.values.get(module.name, {})
        for option in module.options.values():
            value = given.get(option.name, option.default)
            if value:
                yield f"{option.variable(module.name)}={' '.join(value)}"


def _built_with(config: Config, modules: tuple[Module, ...]) -> Iterator[str]:
    """The options that the recipe or --set gives a value: they win over OSR's com-NAME."""
    for module in modules:
        for name in config.values.get(module.name, {}):
            yield module.options[name].variable(module.name)


def _module_requests(module: Module) -> Iterator[Request]:
    """Everything that one module's [install], [[template]] and [run] ask for."""
    install = module.install
    segment = module.kind

    def asked(key: str, index: int) -> Origin:
        return Origin(f"module {module.name}", f"{key}[{index}]")

    for i, name in enumerate(install.binaries):
        yield Binary(name, asked("install.binaries", i), segment)
    for i, name in enumerate(install.libraries):
        yield Library(name, asked("install.libraries", i), segment)
    for i, pattern in enumerate(install.plugins):
        yield Plugin(pattern, asked("install.plugins", i), segment)
    for i, wish in enumerate(install.files):
        yield Copy(wish.source, wish.target, asked("install.files", i), segment)
    for i, name in enumerate(install.kmods):
        yield Kmod(name, False, asked("install.kmods", i))
    for i, name in enumerate(install.optional_kmods):
        yield Kmod(name, True, asked("install.optional_kmods", i))
    for i, pattern in enumerate(install.firmware):
        yield Firmware(pattern, asked("install.firmware", i))
    for i, path in enumerate(install.dirs):
        yield Folder(path, asked("install.dirs", i), segment)
    for i, template in enumerate(module.templates):
        yield Rendered(
            module.name,
            module.template_path(template),
            template.target,
            template.scope,
            template.file_mode,
            template.secret,
            asked("template", i),
        )
    for script in sorted({*install.scripts, *(run.script for run in module.run.values())}):
        origin = Origin(f"module {module.name}", "run")
        yield Own(module.folder / script, _script_path(module, script), 0o755, origin, segment)
