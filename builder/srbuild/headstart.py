"""A head start for the kmods: found, compressed and verified while the rest is collected.

They are most of any image, and what the plan alone settles: no library or template adds to them,
as a rule. So once there is a plan, a process of its own looks for them, tells what it found, and
makes their segments into a file beside the image; this one goes on with programs, templates
and all other segments.

It is a guess and nothing hangs on it. When the image wants other kmods in the end (a file of it
tells modprobe of more, say), or when the process fails for whatever reason, they are found and
their segments made where all others are, and what is wrong with them is told there, with all else
that is wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeAlias

from srbuild.archive import load_libarchive
from srbuild.collect import collect_kmods
from srbuild.errors import SrbuildError
from srbuild.frozen import frozen
from srbuild.host import looks
from srbuild.host.aside import Aside, may_fork
from srbuild.host.cache import FactStore, Row
from srbuild.host.files import Draft
from srbuild.host.looks import Looks
from srbuild.host.sysroot import Sysroot
from srbuild.image import Made, make_ahead
from srbuild.kernels.kmods import KmodClosure
from srbuild.layers import KMODS, Layers, Segment, split_layers
from srbuild.manifest import Manifest
from srbuild.paths import HostPath
from srbuild.plan import Plan


@frozen
class Found:
    """What the process found out about kmods: closures as `Sysroot.once` knows them, by key."""

    closures: Mapping[object, KmodClosure]
    rows: tuple[Row, ...]
    looks: Looks


Given: TypeAlias = Mapping[str, Made]
"""What was made ahead, by its segment's fingerprint."""


class HeadStart:
    """The kmods of one image, looked for and made into segments beside all else; use it `with`."""

    def __init__(self, target: HostPath) -> None:
        """For the image `target`."""
        self._target = target
        self._aside: Aside[Found | Given] | None = None
        self._facts = FactStore(None)
        self._found: Found | None = None
        self._given: Given | None = None
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
        """Begin with the kmods of `plan`, if that is of use here."""
        if not may_fork():
            return
        # Whatever is wrong will be found again, with all else that is.
        with contextlib.suppress(SrbuildError, OSError):
            load_libarchive()  # once for both processes
            draft = self._open.enter_context(Draft(self._target, secret=True))
            self._aside = Aside(lambda: _find_and_make(plan, sysroot, facts, draft))
            self._open.callback(self._aside.stop)
            self._facts = facts
            sysroot.foresee(self._foresee)

    def find(self, segment: Segment) -> Made | None:
        """What was made ahead of `segment`, once it is there.

        None when nothing was, or something else than `segment` is.
        """
        if self._aside is None or segment.name not in KMODS:
            return None
        if self._given is None:
            self._learn()
            given = self._aside.next()
            self._given = given if isinstance(given, Mapping) else {}
        return self._given.get(_fingerprint(segment))

    def _foresee(self, key: object) -> KmodClosure | None:
        """The closure that `Sysroot.once` knows by `key`, if the process has found it."""
        if not _is_closure_key(key):
            return None
        found = self._learn()
        return found.closures.get(key) if found else None

    def _learn(self) -> Found | None:
        """What the process found, once it has; noted here as if it had been found here."""
        if self._found is None and self._aside is not None:
            found = self._aside.next()
            if isinstance(found, Found):
                self._found = found
                looks.add(found.looks)
                for row in found.rows:
                    self._facts.put(row.table, row.identity, row.value, settled=row.settled)
        return self._found


def _find_and_make(
    plan: Plan, sysroot: Sysroot, facts: FactStore, draft: Draft
) -> Iterator[Found | Given]:
    """In the other process: a Found, and what was made, unless something is amiss."""
    known = len(facts.rows())
    with looks.recorded() as seen:
        manifest = collect_kmods(plan, sysroot, facts)
        closures = {
            key: closure
            for key, closure in sysroot.made().items()
            if isinstance(closure, KmodClosure)
        }
    yield Found(closures, tuple(facts.rows()[known:]), seen)
    segments = _segments(plan, manifest)
    made = make_ahead(Layers(segments), draft) if segments else []
    yield {
        _fingerprint(segment): one
        for segment, one in zip(segments, made, strict=True)
        if not one.found.mismatches
    }


def _segments(plan: Plan, manifest: Manifest) -> tuple[Segment, ...]:
    name, level = plan.config.compression
    layers = split_layers(manifest, compression=name, level=level, mtime=plan.config.mtime)
    return tuple(one for one in layers.segments if one.name in KMODS)


def _fingerprint(segment: Segment) -> str:
    """The same for segments of the same bytes alone: who wished for what does not matter."""
    contents = [(path, entry.content) for path, entry in segment.entries]
    facts = repr((replace(segment, entries=()), segment.has_secret, contents))
    return hashlib.sha256(facts.encode("utf-8", "surrogateescape")).hexdigest()


def _is_closure_key(key: object) -> bool:
    return isinstance(key, tuple) and key[:1] == ("kmods",)
