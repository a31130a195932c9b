"""The line on which each key of a TOML file stands, which tomllib does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

# TOML 1.0 in tokens: strings of four kinds, comments, marks, white space, and the rest.
_TOKEN: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*|[\[\]{}=.\n]|[ \t\r]+|[^\s\[\]{}=.\"'#]+|.",
    re.DOTALL,
)


def key_lines(text: str) -> Mapping[str, int]:
    """Key path (`node[2].iscsi.initiator`) → line, from 1, in the TOML document `text`.

    Tables and arrays of tables have their header's line. Keys inside of values are left out.
    """
    lines: dict[str, int] = {}
    counts: dict[str, int] = {}
    prefix = ""
    for line, words in _statements(text):
        if words[0] != "[":
            lines.setdefault(_join(prefix, words), line)
            continue
        is_array = words[1:2] == ["["]
        prefix = _header([word for word in words if word not in {"[", "]"}], is_array, counts)
        lines.setdefault(prefix, line)
    return lines


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """(line, words) of each header and each key, without the value."""
    words: list[str] = []
    line, start, depth, in_value = 1, 1, 0, False
    for found in _TOKEN.finditer(text):
        word = found[0]
        if word == "\n" and depth <= 0:
            if words:
                yield start, words
            words, depth, in_value = [], 0, False
        elif word.isspace() or word.startswith("#"):
            pass
        elif word == "=" and not in_value:
            in_value = True
        else:
            depth += (word in {"[", "{"}) - (word in {"]", "}"})
            if not in_value:
                start = start if words else line
                words.append(word)
        line += word.count("\n")
    if words:
        yield start, words


def _names(words: list[str]) -> Iterator[str]:
    for word in words:
        if word != ".":
            yield word[1:-1] if word[0] in "\"'" else word


def _join(prefix: str, words: list[str]) -> str:
    return ".".join([*([prefix] if prefix else []), *_names(words)])


def _header(words: list[str], is_array: bool, counts: dict[str, int]) -> str:
    """The key path of a header; `counts` holds how many tables each array has so far."""
    path = ""
    names = list(_names(words))
    for index, name in enumerate(names):
        path = f"{path}.{name}" if path else name
        if is_array and index == len(names) - 1:
            counts[path] = counts.get(path, 0) + 1
        if path in counts:
            path = f"{path}[{counts[path] - 1}]"
    return path
