"""Which boot modules a few named ones need, and in which order all of them run."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from srbuild.bootmodule import Module, boot_rank
from srbuild.config.convert import collect, suggest
from srbuild.errors import ConfigError, ConflictError, Origin, SrbuildError, raise_all
from srbuild.shelf import Shelf

ASKED_FOR: Final = ""  # who wanted a module that the user named


def find_provider(modules: Mapping[str, Module], capability: str, besides: str = "") -> Module:
    """The one of `modules` that is called `capability`, or the only one that provides it.

    `besides` names one that does not count. ConfigError when there is none or only the user
    could choose.
    """
    if capability in modules and capability != besides:
        return modules[capability]
    some = modules.mentioning(capability) if isinstance(modules, Shelf) else modules.values()
    found = [m for m in sorted(some, key=boot_rank) if m.offers(capability) and m.name != besides]
    if len(found) == 1:
        return found[0]
    if not found:
        known = {offer for m in modules.values() for offer in (m.name, *m.provides)}
        raise ConfigError(f"no boot module provides {capability!r}", suggest(capability, known))
    names = ", ".join(m.name for m in found)
    if all(m.kind == "block" for m in found):
        message = "a block device is needed, and none is chosen"
        raise ConfigError(message, f"choose one with --blk: {names}")
    raise ConfigError(
        f"several boot modules provide {capability!r}: {names}", "choose one with --module NAME"
    )


def resolve(modules: Mapping[str, Module], names: Iterable[str]) -> tuple[Module, ...]:
    """`names` of `modules` and all that they require, each after what it requires.

    A requirement is met by a chosen module that has or provides that name; otherwise by the
    module of that name, otherwise by the only provider. Modules that don't depend on each
    other come in the order of `KINDS`, then by name.
    Raises ConfigError (unmet or ambiguous requirements, cycles) and ConflictError (two
    modules that exclude each other), each with the chain that led there.
    """
    wanted_by: dict[str, str] = dict.fromkeys(names, ASKED_FOR)
    while missing := _unmet(modules, wanted_by):
        errors: list[SrbuildError] = []
        found: dict[str, str] = {}
        for requirement, by in missing:
            with collect(errors):
                found.setdefault(_provider(modules, requirement, by, wanted_by), by)
        if not found:
            raise_all(errors)
        wanted_by.update(found)
    chosen = sorted((modules[name] for name in wanted_by), key=boot_rank)
    raise_all(_conflicts(chosen, wanted_by))
    return _in_order(chosen)


def _unmet(modules: Mapping[str, Module], wanted_by: Mapping[str, str]) -> list[tuple[str, str]]:
    """(requirement, who has it), for what no chosen module but the requiring one offers."""
    chosen = sorted((modules[name] for name in wanted_by), key=boot_rank)
    return [
        (requirement, module.name)
        for module in chosen
        for requirement in module.requires
        if not any(other.offers(requirement) for other in chosen if other is not module)
    ]


def _provider(
    modules: Mapping[str, Module], requirement: str, by: str, wanted_by: Mapping[str, str]
) -> str:
    """Whom to add for the `requirement` of the module `by`, which can't meet it itself."""
    try:
        return find_provider(modules, requirement, by).name
    except ConfigError as error:
        chain = " → ".join([*chain_of(by, wanted_by), requirement])
        origin = Origin(modules[by].origin.source, "requires")
        raise ConfigError(f"{error.message} ({chain})", error.hint, origin) from error


def chain_of(name: str, wanted_by: Mapping[str, str]) -> list[str]:
    """The modules from one that the user named down to `name`."""
    chain = [name]
    while (by := wanted_by[chain[0]]) != ASKED_FOR:
        chain.insert(0, by)
    return chain


def _conflicts(chosen: Sequence[Module], wanted_by: Mapping[str, str]) -> list[SrbuildError]:
    def why(module: Module) -> str:
        return " → ".join(chain_of(module.name, wanted_by))

    pairs = {
        (min(one, other, key=boot_rank).name, max(one, other, key=boot_rank).name): (
            one,
            other,
            reason,
        )
        for one in chosen
        for other in chosen
        for wish, reason in one.conflicts.items()
        if one is not other and other.offers(wish)
    }
    return [
        ConflictError(
            f"{one.name} and {other.name} exclude each other: {reason}",
            f"leave out one of: {why(one)}; {why(other)}",
            one.origin,
        )
        for one, other, reason in pairs.values()
    ]


def _in_order(chosen: Sequence[Module]) -> tuple[Module, ...]:
    """Sort topologically, ties by rank (Kahn 1962 with a heap)."""
    before = {
        module.name: {
            other.name
            for other in chosen
            if other is not module
            and any(other.offers(wish) for wish in (*module.requires, *module.after))
        }
        for module in chosen
    }
    by_name = {module.name: module for module in chosen}
    ready = [boot_rank(module) for module in chosen if not before[module.name]]
    heapq.heapify(ready)
    order: list[Module] = []
    while ready:
        _, name = heapq.heappop(ready)
        order.append(by_name[name])
        for other, needs in before.items():
            if name in needs:
                needs.remove(name)
                if not needs:
                    heapq.heappush(ready, boot_rank(by_name[other]))
    if len(order) < len(chosen):
        cycle = _cycle({name: needs for name, needs in before.items() if needs})
        raise ConfigError(
            f"boot modules wait for each other in a circle: {' → '.join(cycle)}",
            "drop one of these from requires or after",
            by_name[cycle[0]].origin,
        )
    return tuple(order)


def _cycle(before: Mapping[str, set[str]]) -> list[str]:
    """One circle in `before`, whose every member waits for another; it ends where it begins."""
    path = [min(before)]
    while path[-1] not in path[:-1]:
        path.append(min(before[path[-1]] & before.keys()))
    return path[path.index(path[-1]) :]
