"""A sysroot with a second, small tree laid over it: what a person has beside the distribution.

A file of the upper tree stands before one of the same path below; directories are merged, and
those below stay what they are. Neither tree is written to.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from srbuild.host.looks import look_plain
from srbuild.host.sysroot import Sysroot
from srbuild.paths import HostPath, SysrootPath


class OverlaidSysroot(Sysroot):
    """The tree at `root` with that at `upper` over it.

    A directory of the upper tree where the lower has a link (/lib of a merged-/usr tree) is not
    looked into: what is laid over a tree stands below /usr and /etc.
    """

    def __init__(self, root: HostPath, upper: HostPath) -> None:
        """Open both; MissingInputError when one is no directory."""
        super().__init__(root)
        self._upper = Sysroot(upper)
        self._merged: dict[str, Mapping[str, bool]] = {}

    def host(self, path: SysrootPath) -> str:
        """The host's name of `path`, in the tree that it stands in."""
        return self._upper.host(path) if self._is_above(path) else super().host(path)

    def _is_above(self, path: SysrootPath) -> bool:
        """Whether it is the upper tree's entry at `path` that counts."""
        above = _mode(self._upper.host(path))
        if above is None:
            return False
        below = _mode(super().host(path))
        return below is None or not (stat.S_ISDIR(above) or stat.S_ISDIR(below))

    def _entries(self, real: str) -> Mapping[str, bool]:
        known = self._merged.get(real)
        if known is None:
            above, below = self._upper._entries(real), super()._entries(real)
            both = above.keys() & below.keys()
            kept = [name for name in both if not self._is_above(SysrootPath(f"{real}/{name}"))]
            known = {**below, **above, **{name: below[name] for name in kept}}
            self._merged[real] = known
        return known


def _mode(path: str) -> int | None:
    """What kind of thing stands at `path`; None for nothing."""
    look_plain(path)
    try:
        return os.lstat(path).st_mode
    except OSError:
        return None
