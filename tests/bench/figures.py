"""Medians, their spread, and ratios of measurements that were taken in the same round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True, slots=True)
class Spread:
    """A median between the first and the third quartile."""

    median: float
    low: float
    high: float

    def text(self, digits: int = 2) -> str:
        """`1.23 (1.20-1.31)`."""
        return f"{self.median:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"


def spread(values: Sequence[float]) -> Spread:
    """The spread of at least one value."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, _, high = quantiles(values, n=4, method="inclusive")
    return Spread(median(values), low, high)


def ratios(values: Sequence[float], others: Sequence[float]) -> Spread:
    """How many times `others` the `values` are, round by round.

    Both have one measurement a round: what slows the machine down in one round slows both.
    """
    return spread([value / other for value, other in zip(values, others, strict=True)])


def fastest(*subjects: Sequence[float]) -> Sequence[float]:
    """The measurements with the smallest median, of at least one subject's."""
    return min(subjects, key=median)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: `measured` must be at most `limit`, or at least when `at_least` is set."""

    what: str
    measured: Spread
    limit: float
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the median meets it."""
        if self.at_least:
            return self.measured.median >= self.limit
        return self.measured.median <= self.limit

    def row(self) -> tuple[str, ...]:
        """What, bar, measured, met: for a table."""
        bar = f"{'>=' if self.at_least else '<='} {self.limit:g}"
        return self.what, bar, self.measured.text(), "met" if self.is_met else "NOT MET"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain-text table: the first column to the left, all others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(_line(cells, widths) for cells in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return "  ".join([first, *rest]).rstrip()
