"""Names by pattern: `node[001-128]` and `10.9.[0-3].[1-250]/16` → what they stand for."""

from __future__ import annotations

import re
from itertools import product
from typing import Final

NODES_MAX: Final = 1000

_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", re.ASCII)


def is_pattern(text: str) -> bool:
    """Whether `text` has brackets, be they right or not."""
    return "[" in text or "]" in text


def expand(text: str) -> tuple[str, ...]:
    """All that the pattern `text` stands for, the last bracket's numbers changing first.

    A bracket holds numbers and ranges with commas between; a range whose first number has
    leading zeros is padded to that width. Raises ValueError with a sentence for anything else,
    for a name that comes twice, and for more than `NODES_MAX`, which is found by counting.
    """
    plain = _BRACKET.sub("", text)
    if is_pattern(plain):
        raise ValueError(f"{text!r} has a bracket without its partner")
    ranges = [_ranges(text, found[1]) for found in _BRACKET.finditer(text)]
    count = 1
    for one in ranges:
        count *= sum(last - first + 1 for first, last, _ in one)
        if count > NODES_MAX:
            raise ValueError(f"{text!r} stands for more than {NODES_MAX}")
    numbers = [
        [f"{number:0{width}}" for first, last, width in one for number in range(first, last + 1)]
        for one in ranges
    ]
    between = _BRACKET.split(text)[::2]
    found = tuple(
        "".join(part for pair in zip(between, (*chosen, ""), strict=True) for part in pair)
        for chosen in product(*numbers)
    )
    seen: set[str] = set()
    for one_name in found:
        if one_name in seen:
            raise ValueError(f"{text!r} gives {one_name} twice: its ranges overlap")
        seen.add(one_name)
    return found


def _ranges(text: str, inside: str) -> list[tuple[int, int, int]]:
    """(first, last, width) of each range in a bracket."""
    found = []
    for part in inside.split(","):
        match = _RANGE.fullmatch(part)
        if not match:
            raise ValueError(f"{text!r}: {part!r} is no number and no range such as 001-128")
        first, last = match[1], match[2] or match[1]
        if int(last) < int(first):
            raise ValueError(f"{text!r}: the range {part} runs backwards")
        if last.startswith("0") and len(last) != len(first):
            raise ValueError(f"{text!r}: the range {part} is padded to two widths")
        width = len(first) if first.startswith("0") else 1
        found.append((int(first), int(last), width))
    return found
