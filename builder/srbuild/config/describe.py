"""Texts about options for the documentation and for help, made from their declarations."""

from __future__ import annotations

from collections.abc import Iterable

from srbuild.bootmodule import Module, Option

_HEADINGS = ("option", "type", "default", "meaning", "kernel parameters")


def option_table(module: Module) -> str:
    """The options of `module` as a Markdown table; empty when it has none."""
    if not module.options:
        return ""
    rows = [_HEADINGS, ("---",) * len(_HEADINGS), *_rows(module.options.values())]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _rows(options: Iterable[Option]) -> Iterable[tuple[str, ...]]:
    for option in options:
        yield (
            _code(option.name),
            ("list of " if option.many else "") + option.type,
            _code(" ".join(option.default)),
            _meaning(option).replace("|", "\\|"),
            ", ".join(_code(name) for name in option.cmdline),
        )


def _meaning(option: Option) -> str:
    """The option's help with what its other keys add to it."""
    parts = [option.help]
    if option.choices:
        parts.append(f"one of {', '.join(_code(choice) for choice in option.choices)}")
    if option.form:
        parts.append(option.form)
    if option.refused:
        parts.append(f"never {', '.join(_code(word) for word in option.refused)}")
    if option.required == "always":
        parts.append("required")
    elif option.required == "several-nodes":
        parts.append("required for several nodes")
    if option.when:
        parts.append(f"only with {_code(option.when)}")
    if option.scope == "node":
        parts.append("may differ from node to node")
    if option.shared:
        parts.append("all nodes know it")
    if option.needs:
        parts.append(f"needs {', '.join(_code(name) for name in option.needs)}")
    if option.secret:
        parts.append("secret")
    return "; ".join(parts)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
