"""XML from anywhere as a small tree that knows its lines.

A document type is refused, and with it every entity but XML's own five; size, depth and number of
elements are bounded, so no input costs more than its length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Final, NoReturn
from xml.parsers import expat

from srbuild.frozen import mutable

SIZE_MAX: Final = 4 << 20  # bytes
DEPTH_MAX: Final = 64
ELEMENTS_MAX: Final = 100_000


class XmlError(ValueError):
    """What is wrong with a document, in a sentence; `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@mutable
class Element:
    """An element; `text` is what stands directly in it. Compared by identity."""

    tag: str
    attributes: dict[str, str]
    line: int
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def iter(self, tag: str = "") -> Iterator[Element]:
        """It and all below it in document order, of the name `tag` if one is given."""
        rest = [self]
        while rest:
            one = rest.pop()
            if not tag or one.tag == tag:
                yield one
            rest += reversed(one.children)


def parse_xml(data: bytes) -> Element:
    """The root element of the document `data`. Raises XmlError."""
    if len(data) > SIZE_MAX:
        raise XmlError(f"is larger than {SIZE_MAX >> 20} MiB", 1)
    builder = _Builder()
    parser = builder.parser
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise XmlError(f"is no XML: {reason}", error.lineno) from error
    except XmlError:
        raise
    except (ValueError, LookupError) as error:  # an encoding that expat leaves to Python
        raise XmlError(f"is no XML: {error}", parser.CurrentLineNumber) from error
    assert builder.root
    return builder.root


class _Builder:
    """Makes the tree out of the parser's events."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def _refuse(self, message: str) -> NoReturn:
        raise XmlError(message, self.parser.CurrentLineNumber)

    def _doctype(self, *_: object) -> None:
        self._refuse("declares a document type, which could hold entities: remove the DOCTYPE")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > ELEMENTS_MAX:
            self._refuse(f"has more than {ELEMENTS_MAX} elements")
        if len(self._open) >= DEPTH_MAX:
            self._refuse(f"has elements more than {DEPTH_MAX} deep")
        element = Element(tag, attributes, self.parser.CurrentLineNumber)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        if self._open:
            self._open[-1].text += text
