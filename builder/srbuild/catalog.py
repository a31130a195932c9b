"""The catalog: all boot modules on the search path, found by name, kind or capability."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

from srbuild import dependencies
from srbuild.bootmodule import (
    KINDS,
    FileWish,
    Install,
    Module,
    Option,
    Packages,
    Run,
    Survive,
    Template,
    boot_rank,
)
from srbuild.config.convert import Reader, collect, join_key, read_toml, suggest
from srbuild.errors import ConfigError, Origin, SrbuildError, raise_all
from srbuild.host.looks import look
from srbuild.paths import HostPath
from srbuild.shelf import Shelf

__all__ = [
    "KINDS",
    "KIND_NAMES",
    "Catalog",
    "FileWish",
    "Install",
    "Module",
    "Option",
    "Packages",
    "Run",
    "Survive",
    "Template",
    "load_catalog",
    "load_module",
    "open_catalog",
]

KIND_NAMES: Final[Mapping[str, str]] = {
    "base": "base module",
    "net": "network module",
    "block": "block device module",
    "volume": "volume module",
    "cluster": "cluster module",
    "fs": "file system module",
    "container": "container module",
    "rescue": "rescue module",
    "server": "server module",
}


class Catalog:
    """All boot modules that were found, by name, in the order of `boot_rank`."""

    def __init__(self, modules: Sequence[Module] | Shelf) -> None:
        self.modules: Mapping[str, Module] = (
            modules
            if isinstance(modules, Shelf)
            else {m.name: m for m in sorted(modules, key=boot_rank)}
        )

    @cached_property
    def kinds(self) -> Mapping[str, tuple[Module, ...]]:
        """Kind → its modules by name."""
        found = self.modules.values()
        return {kind: tuple(m for m in found if m.kind == kind) for kind in KINDS}

    def of_kind(self, kind: str) -> tuple[Module, ...]:
        """The modules of `kind` that a cluster file's table of that name may choose, by name."""
        return tuple(module for module in self.kinds[kind] if module.selectable)

    def module(self, name: str, kind: str = "", origin: Origin | None = None) -> Module:
        """The module `name`; with `kind` one that may be chosen as that.

        ConfigError when there is none; `origin` is where the user wrote the name.
        """
        found = self.modules.get(name)
        if found and (not kind or (found.kind == kind and found.selectable)):
            return found
        known = [m.name for m in (self.of_kind(kind) if kind else self.modules.values())]
        raise ConfigError(
            f"no {KIND_NAMES[kind] if kind else 'boot module'} {name!r}; "
            f"known: {', '.join(known) or 'none'}",
            _what_it_is(found, kind) if found else suggest(name, known),
            origin,
        )

    def provider(self, capability: str) -> Module:
        """The module called `capability`, or the only one that provides it.

        ConfigError when there is none or only the user could choose.
        """
        return dependencies.find_provider(self.modules, capability)

    def resolve(self, names: Iterable[str]) -> tuple[Module, ...]:
        """The modules `names` and all that they require, in the order to run them.

        Raises ConfigError and ConflictError; see `dependencies.resolve`.
        """
        errors: list[SrbuildError] = []
        chosen: list[str] = []
        for name in names:
            with collect(errors):
                chosen.append(self.module(name).name)
        raise_all(errors)
        return dependencies.resolve(self.modules, chosen)


def _what_it_is(module: Module, kind: str) -> str:
    if module.kind == kind:
        return f"{module.name} is part of what others need: --module {module.name} adds it alone"
    return f"{module.name} is a {KIND_NAMES[module.kind]}"


def load_catalog(search_path: Sequence[HostPath], points: Collection[str] | None = None) -> Catalog:
    """Read `*/*/module.toml` below each folder of `search_path`.

    `points` are the boot-time points that scripts may be run at; unchecked when not given.
    Raises ConfigError with all errors of all modules: unknown keys, scripts and templates that
    don't exist, folders that disagree with the declared name or kind, a name in two places,
    two options with one shell variable.
    """
    errors: list[SrbuildError] = []
    modules: list[Module] = []
    for root in search_path:
        for folder in _module_folders(root, errors):
            with collect(errors):
                modules.append(load_module(folder, points))
    errors.extend(_duplicates(modules))
    raise_all(errors)
    return Catalog(modules)


def open_catalog(own: HostPath, points: Collection[str]) -> Catalog:
    """The catalog of the folder `own`, whose modules fit together: the tests see to that.

    They are read as they are asked for; ConfigError as of `load_catalog`, then.
    """
    errors: list[SrbuildError] = []
    folders = _module_folders(own, errors)
    raise_all(errors)
    return Catalog(Shelf(folders, lambda folder: load_module(folder, points)))


def _module_folders(root: HostPath, errors: list[SrbuildError]) -> list[HostPath]:
    look(root)
    try:
        with os.scandir(root) as found:
            named = sorted(entry.name for entry in found if not entry.name.startswith("."))
    except OSError as error:
        errors.append(ConfigError(f"cannot read modules: {error.strerror}", "", Origin(str(root))))
        return []
    kinds = [root / name for name in named if _is_there(root / name, os.path.isdir)]
    folders = [kind / name for kind in kinds for name in sorted(os.listdir(kind))]
    return [one for one in folders if _is_there(one / "module.toml", os.path.exists)]


def _is_there(path: HostPath, is_it: Callable[[HostPath], bool]) -> bool:
    """Whether there `is_it`; noted as an input of the image, be it there or not."""
    look(path)
    return is_it(path)


def load_module(folder: HostPath, points: Collection[str] | None = None) -> Module:
    """Read the module in `folder`; ConfigError with all that is wrong with it."""
    path = folder / "module.toml"
    reader = Reader(str(path))
    module = reader.table(Module, read_toml(path), given={"folder": folder})
    if module is None:
        reader.finish()
        raise AssertionError("a failed conversion notes an error")
    for key, declared, stands in (
        ("name", module.name, folder.name),
        ("kind", module.kind, folder.parent.name),
    ):
        if declared != stands:
            reader.fail(key, f"{declared!r}, but the module lies in {stands}/")
    for point in module.run:
        if points is not None and point not in points:
            reader.unknown("run", point, points, "point")
    _check_files(module, reader)
    _check_needs(module, reader)
    options = {name: _with_default(o, reader) for name, o in module.options.items()}
    reader.finish()
    return replace(module, options=options)


def _check_files(module: Module, reader: Reader) -> None:
    for point, run in module.run.items():
        if not _is_there(module.folder / run.script, os.path.isfile):
            reader.fail(join_key("run", point), f"no script {run.script} in the module's folder")
    for index, script in enumerate(module.install.scripts):
        if not _is_there(module.folder / script, os.path.isfile):
            reader.fail(f"install.scripts[{index}]", f"no script {script} in the module's folder")
    for index, template in enumerate(module.templates):
        if not _is_there(module.template_path(template), os.path.isfile):
            reader.fail(
                f"template[{index}].source", f"no file {template.source} in the module's folder"
            )


def _check_needs(module: Module, reader: Reader) -> None:
    for option in module.options.values():
        for name in option.needs:
            needed = module.options.get(name)
            if needed is None:
                reader.unknown(f"options.{option.name}.needs", name, module.options, "option")
            elif needed.default or needed.cmdline:
                reader.fail(
                    f"options.{option.name}.needs",
                    f"{name} has a default or a kernel parameter, so it is never surely missing",
                )


def _with_default(option: Option, reader: Reader) -> Option:
    """`option` with its default as normalised values."""
    if option.default == ():
        return option
    key = f"options.{option.name}.default"
    found = reader.values(option.default, key, option.many, option.parse, secret=False)
    return replace(option, default=found or ())


def _duplicates(modules: Sequence[Module]) -> list[SrbuildError]:
    errors: list[SrbuildError] = []
    names: dict[str, Module] = {}
    variables: dict[str, tuple[Module, Option]] = {}
    for module in modules:
        first = names.setdefault(module.name, module)
        if first is not module:
            errors.append(
                ConfigError(
                    f"the module {module.name!r} is already in {first.folder}",
                    "give it another name: a module can't replace one that srbuild has",
                    module.origin,
                )
            )
            continue
        for option in module.options.values():
            other, its = variables.setdefault(option.variable(module.name), (module, option))
            if other is not module or its is not option:
                errors.append(
                    ConfigError(
                        f"{option.variable(module.name)} is also the variable of "
                        f"{other.name}.{its.name}",
                        "rename one of the two options",
                        Origin(module.origin.source, f"options.{option.name}"),
                    )
                )
    return errors
