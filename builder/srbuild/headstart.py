"""A head start for the kmods: they are compressed and verified while the rest is still planned.

They are most of any image, and what the plan alone settles: no library or template adds to them,
as a rule. So once there is a plan, a process of its own makes their segments into a file beside
the image, and this one goes on with programs, templates and all other segments.

It is a guess and nothing hangs on it. When the image wants other kmods in the end (a file of it
tells modprobe of more, say), or when the process fails for whatever reason, the segments are made
where all others are, and what is wrong with them is told there, with all else that is wrong.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from types import TracebackType
from typing import Self

from srbuild.archive import load_libarchive
from srbuild.collect import collect_kmods
from srbuild.errors import SrbuildError
from srbuild.host.aside import Aside, may_fork
from srbuild.host.cache import FactStore
from srbuild.host.files import Draft
from srbuild.host.sysroot import Sysroot
from srbuild.image import Made, make_ahead
from srbuild.layers import KMODS, Layers, Segment, split_layers
from srbuild.paths import HostPath
from srbuild.plan import Plan


class HeadStart:
    """The segments of the kmods of one image, made beside all else; used with `with`."""

    def __init__(self, target: HostPath) -> None:
        """For the image `target`."""
        self._target = target
        self._given: dict[str, Segment] = {}
        self._made: dict[str, Made] = {}
        self._aside: Aside[list[Made]] | None = None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def begin(self, plan: Plan, sysroot: Sysroot, facts: FactStore) -> None:
        """Begin with the kmods of `plan`, if that is of use and nothing is wrong with them."""
        if not may_fork():
            return
        name, level = plan.config.compression
        mtime = plan.config.mtime
        # Whatever is wrong will be found again, with all else that is.
        with contextlib.suppress(SrbuildError, OSError):
            manifest = collect_kmods(plan, sysroot, facts)
            layers = split_layers(manifest, compression=name, level=level, mtime=mtime)
            segments = tuple(one for one in layers.segments if one.name in KMODS)
            if not segments:
                return
            load_libarchive()  # once for both processes
            draft = self._open.enter_context(Draft(self._target, secret=True))
            self._aside = Aside(lambda: make_ahead(Layers(segments), draft))
            self._open.callback(self._aside.stop)
            self._given = {segment.name: segment for segment in segments}

    def find(self, segment: Segment) -> Made | None:
        """What was made ahead of `segment`, once it is there.

        None when nothing was, or something else than `segment` is.
        """
        given = self._given.get(segment.name)
        if given is None or self._aside is None or not _is_same(segment, given):
            return None
        if not self._made:
            made = self._aside.result() or []
            self._made = {one.written.name: one for one in made if not one.found.mismatches}
            self._given = {name: self._given[name] for name in self._made}
        return self._made.get(segment.name)


def _is_same(one: Segment, other: Segment) -> bool:
    """Whether the two are the same bytes: who wished for what does not matter."""
    if replace(one, entries=()) != replace(other, entries=()):
        return False
    mine, others = ([(path, e.content) for path, e in s.entries] for s in (one, other))
    return mine == others and not one.has_secret
