"""Segments made once for all images of a run, and images put together from them.

A segment is made, by the one writer of `image.py` and verified by it, into a file of its own in a
folder that all processes of the run share. An image is then copied together from such files, read
back and compared with them byte by byte: what was verified once need not be unpacked again.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Sequence
from dataclasses import astuple, replace

from srbuild.borrow import borrow_segments
from srbuild.digests import KnownDigests
from srbuild.errors import VerifyError
from srbuild.formats.compress import zeros_behind
from srbuild.frozen import frozen
from srbuild.host.cache import ContentCache, FactStore
from srbuild.host.files import Draft, write_atomic
from srbuild.host.remote_cache import SharedCache
from srbuild.host.stock import held
from srbuild.image import Image, ImageSegment, Sidecar, write_image
from srbuild.layers import FORMAT, Layers, Segment
from srbuild.manifest import File, Inline
from srbuild.paths import HostPath, ImagePath
from srbuild.records import Stored
from srbuild.report import Report, SegmentReport, summarise
from srbuild.structure import check_gaps

_STEP = 1 << 20


@frozen
class Stocked:
    """A verified segment at the beginning of the file `path`.

    `found` is what was read back, `stored` the data of its Files; `notes` as an Image's.
    """

    path: HostPath
    written: ImageSegment
    found: SegmentReport
    stored: dict[ImagePath, Stored]
    notes: tuple[str, ...]


class SegmentStock:
    """The segments of one run in `folder`, which all of its processes share."""

    def __init__(
        self,
        folder: HostPath,
        cache: ContentCache | None,
        shared: Sequence[SharedCache],
        facts: FactStore,
    ) -> None:
        self._folder = folder
        self._cache = cache
        self._shared = shared
        self._facts = facts
        self._known: dict[str, Stocked] = {}

    def gather(self, layers: Layers) -> list[Stocked]:
        """Every segment of `layers`, each from here or made now.

        What another process is making is left for last. Raises what `write_image` does.
        """
        names = [stock_key(segment) for segment in layers.segments]
        found: dict[str, Stocked] = {}
        for wait in (False, True):
            for name, segment in zip(names, layers.segments, strict=True):
                if name not in found:
                    with held(self._folder / f"{name}.lock", wait=wait) as is_ours:
                        if is_ours:
                            found[name] = self._find(name) or self._make(name, segment)
        return [found[name] for name in names]

    def _find(self, name: str) -> Stocked | None:
        known = self._known.get(name)
        if known is None:
            try:
                data = (self._folder / f"{name}.about").read_bytes()
            except FileNotFoundError:
                return None
            known = pickle.loads(data)  # the run's own, in a folder that only its owner can write
            assert isinstance(known, Stocked)
            self._known[name] = known
        return replace(known, written=replace(known.written, from_cache=True), notes=())

    def _make(self, name: str, segment: Segment) -> Stocked:
        notes: tuple[str, ...] = ()
        if self._shared and self._cache:
            digests = KnownDigests(self._facts)
            notes = borrow_segments([segment], self._shared, self._cache, digests)
        path = self._folder / name
        image, report = write_image(Layers((segment,)), path, cache=self._cache, facts=self._facts)
        [written], [found] = image.segments, report.segments
        made = Stocked(path, written, found, image.stored, (*notes, *image.notes))
        data = pickle.dumps(made)
        write_atomic(self._folder / f"{name}.about", data, secret=True)
        self._known[name] = made
        return made


def stock_key(segment: Segment) -> str:
    """The sha256 of what the segment is made from; its files count by their identity."""
    head = [FORMAT, segment.name, segment.compression, segment.level, segment.mtime]
    key = hashlib.sha256(json.dumps(head).encode())
    for path, entry in segment.entries:
        match entry.content:
            case File(source, size, mode, identity, unpack):
                facts: object = [source, size, mode, *astuple(identity), unpack]
            case Inline(data, mode):
                facts = [mode, hashlib.sha256(data).hexdigest()]
            case other:
                facts = [type(other).__name__, *astuple(other)]
        key.update(json.dumps([path, entry.secret, facts]).encode())
    return key.hexdigest()


def assemble_image(
    layers: Layers, parts: Sequence[Stocked], target: HostPath, sidecar: Sidecar
) -> tuple[Image, Report]:
    """Make `target` and its sidecar of `parts`, the segments of `layers`.

    The same bytes that `write_image` would write. Raises VerifyError when what was read back is
    not what was copied, SrbuildError for the folder and the disk; `target` is then as before.
    """
    path, describe = sidecar
    with Draft(target, secret=layers.has_secret) as draft, Draft(path) as beside:
        segments: list[ImageSegment] = []
        for part in parts:
            segments.append(replace(part.written, offset=draft.tell()))
            draft.copy(part.path, part.written.length)
            draft.write(zeros_behind(part.written.compression, draft.tell()))
        digest = _compare(draft, parts, segments)
        places = [
            replace(part.found.place, offset=segment.offset)
            for part, segment in zip(parts, segments, strict=True)
        ]
        found = [replace(p.found, place=place) for p, place in zip(parts, places, strict=True)]
        report = summarise(draft.tell(), found, list(check_gaps(places)), None)
        if not report.ok:
            raise VerifyError(
                f"{target} was not written:\n  " + "\n  ".join(report.mismatches),
                hint="build again, with --no-cache if it stays",
            )
        stored = {file: data for part in parts for file, data in part.stored.items()}
        notes = tuple(note for part in parts for note in part.notes)
        image = Image(target, draft.tell(), digest, tuple(segments), stored, notes)
        beside.write(describe(image, report))
        beside.sync()
        draft.commit()
        beside.commit()
    return image, report


def _compare(draft: Draft, parts: Sequence[Stocked], segments: Sequence[ImageSegment]) -> str:
    """The sha256 of what stands in `draft`, once it is the same as in the parts."""
    digest = hashlib.sha256()
    at = 0
    for part, segment in zip(parts, segments, strict=True):
        digest.update(os.pread(draft.fd, segment.offset - at, at))
        with part.path.open("rb", buffering=0) as original:
            left, at = segment.length, segment.offset
            while left:
                wanted = original.read(min(left, _STEP))
                if not wanted or os.pread(draft.fd, len(wanted), at) != wanted:
                    raise VerifyError(
                        f"{draft.target} was not written: {segment.name} changed on the way",
                        hint="build again; look after the disk when it happens twice",
                    )
                digest.update(wanted)
                left, at = left - len(wanted), at + len(wanted)
    digest.update(os.pread(draft.fd, draft.tell() - at, at))
    return digest.hexdigest()
