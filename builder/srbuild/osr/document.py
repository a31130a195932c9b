"""A cluster.conf while it is read: what was taken from it, and what has no counterpart."""

from __future__ import annotations

from dataclasses import field
from typing import Final

from srbuild.errors import ConfigError, Origin, SrbuildError
from srbuild.formats.xmltree import Element, XmlError, parse_xml
from srbuild.frozen import frozen, mutable
from srbuild.paths import shown

_SHOWN_MAX: Final = 80  # characters of a value in a message
_LINES_SHOWN: Final = 8
_UNKNOWN: Final = "srbuild has nothing of the kind"


@frozen
class Loss:
    """Something at `lines` that a cluster file cannot say, or not in the same way, and why."""

    lines: tuple[int, ...]
    what: str
    why: str

    def __str__(self) -> str:
        lines = [str(line) for line in self.lines[:_LINES_SHOWN]]
        if len(self.lines) > _LINES_SHOWN:
            lines.append(f"{len(self.lines) - _LINES_SHOWN} more")
        word = "line" if len(lines) == 1 else "lines"
        return f"{word} {', '.join(lines)}: {shown(self.what)}: {shown(self.why)}"


@mutable
class Document:
    """The XML in `source`. Whatever nobody takes is a loss in the end, so nothing goes silently."""

    source: str
    root: Element
    errors: list[SrbuildError] = field(default_factory=list)
    _losses: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    _taken: set[tuple[Element, str]] = field(default_factory=set)
    _seen: set[Element] = field(default_factory=set)

    def get(self, element: Element, name: str) -> str:
        """The attribute `name` without spaces around it, empty when there is none; taken."""
        self._taken.add((element, name))
        return element.attributes.get(name, "").strip()

    def children(self, element: Element, tag: str) -> list[Element]:
        """The elements `tag` directly in `element`; seen."""
        found = [one for one in element.children if one.tag == tag]
        self._seen.update(found)
        return found

    def child(self, element: Element, tag: str) -> Element | None:
        """The only element `tag` in `element`; a second one is an error."""
        found = self.children(element, tag)
        for other in found[1:]:
            self.fail(other, f"a second <{tag}> in <{element.tag}>", "keep one of them")
        return found[0] if found else None

    def lose(self, element: Element, what: str, why: str, *names: str) -> None:
        """Note that `what` has no counterpart; the attributes `names` are taken with it."""
        self._taken.update((element, name) for name in names)
        key = (f"<{element.tag}> {what}".rstrip(), why)
        self._losses.setdefault(key, set()).add(element.line)

    def lose_value(self, element: Element, name: str, why: str) -> None:
        """Note that the attribute `name` has no counterpart, if it is there."""
        if name in element.attributes:
            self.lose(element, _shown_attribute(element, name), why, name)

    def lose_all(self, element: Element, why: str) -> None:
        """Note that `element` has none, nor has anything in it."""
        for one in element.iter():
            self._seen.add(one)
            self._taken.update((one, name) for name in one.attributes)
        words = " ".join(_shown_attribute(element, name) for name in element.attributes)
        self.lose(element, words, why)

    def fail(self, element: Element, message: str, hint: str = "") -> None:
        """Note an error that keeps the whole from being imported."""
        origin = Origin(self.source, f"<{element.tag}>", element.line)
        self.errors.append(ConfigError(message, hint, origin))

    def losses(self) -> list[Loss]:
        """All of them in the order of their first lines, with what nobody has taken."""
        rest = [self.root]
        while rest:
            one = rest.pop()
            for name in one.attributes:
                if (one, name) not in self._taken:
                    self.lose_value(one, name, _UNKNOWN)
            for child in one.children:
                if child in self._seen:
                    rest.append(child)
                else:
                    self.lose_all(child, _UNKNOWN)
        rows = sorted((tuple(sorted(lines)), *key) for key, lines in self._losses.items())
        return [Loss(*row) for row in rows]


def read_document(data: bytes, source: str) -> Document:
    """Read the XML `data` that `source` holds. Raises ConfigError with file and line."""
    try:
        return Document(source, parse_xml(data))
    except XmlError as error:
        hint = "it is meant to be Red Hat's /etc/cluster/cluster.conf"
        raise ConfigError(str(error), hint, Origin(source, "", error.line)) from error


def _shown_attribute(element: Element, name: str) -> str:
    """`name="value"`; a password is not shown."""
    value = element.attributes[name].strip()
    if any(word in name.lower() for word in ("pass", "pwd", "secret")):
        value = "(secret)"
    if len(value) > _SHOWN_MAX:
        value = value[:_SHOWN_MAX] + "…"
    return f'{name}="{value}"'
