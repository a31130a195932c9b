"""Levels of processors that glibc keeps better builds of a library for (`glibc-hwcaps`).

A library below `glibc-hwcaps/LEVEL` of a directory comes before the plain one on processors of
that level and better. Source: glibc's sysdeps/*/dl-hwcaps-subdirs.c and ld.so(8).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# e_machine → the levels above its baseline, best first.
HWCAPS: Final[Mapping[int, tuple[str, ...]]] = {
    62: ("x86-64-v4", "x86-64-v3", "x86-64-v2"),
    21: ("power11", "power10", "power9"),
    22: ("z17", "z16", "z15", "z14", "z13"),
}
# What the plain libraries are built for: the level at which no variant is of use.
_BASELINES: Final[Mapping[int, str]] = {62: "x86-64", 21: "power8", 22: "z10"}

# Level → e_machine, from the baseline upwards.
LEVELS: Final[Mapping[str, int]] = {
    level: machine
    for machine, better in HWCAPS.items()
    for level in (_BASELINES[machine], *reversed(better))
}


def shipped_levels(machine: int, cpu: str | None) -> tuple[str, ...]:
    """The levels whose variants go into the image, best first.

    `cpu` is the best level of the machines that boot it, None when they may be any. A level of
    another kind of processor leaves no variant: there is none that could be used.
    """
    better = HWCAPS.get(machine, ())
    if cpu is None:
        return better
    return better[better.index(cpu) :] if cpu in better else ()
