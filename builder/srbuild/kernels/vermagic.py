"""Whether a kernel takes a kmod: the `vermagic` that both were built with.

Sources: include/linux/vermagic.h; same_magic in kernel/module/main.c. The first word is the
release of the kernel that a kmod was built for, the others are the configuration's. With
`modversions` among them a kernel passes over the release and compares the checksums of the
symbols instead. The RHEL family relies on it for what its weak-modules links below
weak-updates/; anywhere else another release is a kmod left over from another kernel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from srbuild.frozen import frozen

_ELSEWHERE: Final = "weak-updates/"


@frozen
class Magic:
    """A kmod's file, relative to the modules directory, and its vermagic."""

    name: str
    path: str
    vermagic: str


def refused(kernel: str, kmods: Iterable[Magic]) -> Iterator[tuple[str, str, str]]:
    """(Name, why as a whole sentence, way out) of each of `kmods` that `kernel` would not load.

    What configuration the kernel has is told by its own kmods, those below kernel/. A kmod
    without a vermagic says nothing, and is not judged.
    """
    way_out = f"build it for {kernel}, or remove it and run depmod again"
    judged = [kmod for kmod in kmods if kmod.vermagic.split()]
    own = Counter(_flags(kmod) for kmod in judged if kmod.path.startswith("kernel/"))
    usual = own.most_common(1)[0][0] if own else None
    for kmod in judged:
        release, flags = kmod.vermagic.split()[0], _flags(kmod)
        by_checksums = kmod.path.startswith(_ELSEWHERE) and "modversions" in flags
        if release != kernel and not by_checksums:
            why = f"{kmod.path} was built for kernel {release}, not for {kernel}"
            yield kmod.name, why, way_out
        elif usual is not None and flags != usual:
            unlike = f"{' '.join(flags)!r}, not {' '.join(usual)!r}"
            why = (
                f"{kmod.path} was built for a kernel configured otherwise than {kernel} ({unlike})"
            )
            yield kmod.name, why, way_out


def _flags(kmod: Magic) -> tuple[str, ...]:
    return tuple(kmod.vermagic.split()[1:])
