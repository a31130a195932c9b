"""Writing the image: one pass over every file, verified before it replaces the previous one.

A second thread compresses, and a third one reads each segment back while it is written. What was
made ahead (`headstart`) was read back there; here its bytes are compared by digest. Nothing
is taken on trust: sources are compared with their Identity before and after they are read, cached
segments with their digest and then, like all others, with the manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue
from typing import TypeAlias

from srbuild.archive import Available, load_libarchive
from srbuild.archiver import write_archive
from srbuild.digests import KnownDigests
from srbuild.errors import VerifyError
from srbuild.formats.compress import zeros_behind
from srbuild.formats.segments import Slice
from srbuild.frozen import frozen
from srbuild.host.cache import CachedSegment, ContentCache, FactStore
from srbuild.host.files import Draft
from srbuild.host.sources import check_sources
from srbuild.layers import Layers, Segment
from srbuild.manifest import File
from srbuild.paths import HostPath, ImagePath
from srbuild.records import Stored, make_record
from srbuild.report import (
    Expected,
    Report,
    SegmentReport,
    compare_copy,
    find_segments,
    read_segment,
    read_slice,
    summarise,
)


@frozen
class ImageSegment:
    """A segment as it was written.

    `offset`, `length` and `cpio_size` (of the archive inside) in bytes; `sha256` is the digest
    of the segment's own bytes in hexadecimal.
    """

    name: str
    compression: str
    offset: int
    length: int
    sha256: str
    cpio_size: int
    from_cache: bool = False


@frozen
class Image:
    """The finished file: size in bytes, sha256 in hexadecimal, segments in order.

    `stored` tells the data of every File by its image path; `notes` are sentences about what
    was put right on the way, such as a damaged cache entry. `keys` find the segments in the
    cache, in order; empty for one that is not kept there.
    """

    path: HostPath
    size: int
    sha256: str
    segments: tuple[ImageSegment, ...]
    stored: dict[ImagePath, Stored]
    notes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


@frozen
class Made:
    """A segment that was made ahead, into the file `path`, and read back there.

    `written` tells where it stands, `found` what was read, `stored` the data of its Files.
    """

    path: HostPath
    written: ImageSegment
    found: SegmentReport
    stored: Mapping[ImagePath, Stored]


Ahead: TypeAlias = Callable[[Segment], Made | None]
"""Finds a segment that was made ahead; None when there is none of the very same content."""

Sidecar: TypeAlias = tuple[HostPath, Callable[[Image, Report], bytes]]


def write_image(
    layers: Layers,
    target: HostPath,
    *,
    cache: ContentCache | None = None,
    facts: FactStore | None = None,
    sidecar: Sidecar | None = None,
    ahead: Ahead | None = None,
) -> tuple[Image, Report]:
    """Write the image to a draft beside `target`, verify it, and only then make it `target`.

    `sidecar` is a second file, and a function that gives its bytes: it is on the disk, too,
    before either of the two replaces what was there. `facts` keeps files' digests for the next
    build. What `ahead` finds is copied, and compared with what was verified. Whatever is raised,
    `target` is as it was before: MissingInputError and VerifyError for sources that can't be
    read or changed, VerifyError when what was read back is not what was meant, SrbuildError for
    the folder and the disk, ToolError without libarchive, ConflictError for what newc can't hold.
    """
    files = (entry.content for segment in layers.segments for _, entry in segment.entries)
    check_sources(content for content in files if isinstance(content, File))
    load_libarchive()
    with Draft(target, secret=layers.has_secret) as draft, ThreadPoolExecutor(2) as pool:
        writer = _ImageWriter(draft, pool, cache, facts or FactStore(None), ahead)
        try:
            report = writer.write(layers)
            if not report.ok and writer.distrust_cache():
                report = writer.write(layers)
        finally:
            writer.stop()
        if not report.ok:
            raise VerifyError(
                f"{target} was not written: read back, it is not what was meant:\n  "
                + "\n  ".join(report.mismatches),
                hint="a file may have changed meanwhile; build again, with --no-cache if it stays",
            )
        image = writer.image()
        kept = pool.submit(writer.fill_cache, image.keys)  # meanwhile: it reads the draft
        with contextlib.ExitStack() as stack:
            beside = None
            if sidecar is not None:
                path, describe = sidecar
                beside = stack.enter_context(Draft(path))
                beside.write(describe(image, report))
                beside.sync()
            notes = kept.result()
            writer.wait_for_disk()
            draft.commit()
            if beside:
                beside.commit()
    return replace(image, notes=(*image.notes, *notes)), report


def make_ahead(layers: Layers, draft: Draft) -> list[Made]:
    """Make segments of an image that is not settled yet, one after the other, into `draft`.

    Raises what `write_image` does for its sources.
    """
    load_libarchive()
    with ThreadPoolExecutor(1) as pool:
        writer = _ImageWriter(draft, pool, None, FactStore(None))
        try:
            return [writer.make_apart(segment) for segment in layers.segments]
        finally:
            writer.stop()


class _Progress:
    """How far a segment was written, for the thread that reads it back meanwhile.

    A queue rather than a lock: Ctrl-C may strike the writer anywhere, also between taking a lock
    and the block that would give it back, and the reader must not wait for ever then.
    """

    def __init__(self, offset: int) -> None:
        self._end = offset
        self._closed = False
        self._sizes: SimpleQueue[int] = SimpleQueue()

    def advance(self, size: int) -> None:
        """`size` more bytes are in the file."""
        self._sizes.put(size)

    def close(self) -> None:
        """Nothing more will come."""
        self._sizes.put(-1)

    def available(self, at: int) -> int:
        """The number of bytes behind offset `at`, once there are any; 0 at the end."""
        while not self._closed and (self._end <= at or not self._sizes.empty()):
            size = self._sizes.get()
            self._closed = size < 0
            self._end += max(size, 0)
        return self._end - at


class _ImageWriter:
    """Writes segments to a draft, from the cache where it has them, and reads them back."""

    def __init__(
        self,
        draft: Draft,
        pool: Executor,
        cache: ContentCache | None,
        facts: FactStore,
        ahead: Ahead | None = None,
    ) -> None:
        self._draft = draft
        self._ahead = ahead
        self._pool = pool
        self._cache = cache
        self._digests = KnownDigests(facts)
        self._digest = hashlib.sha256()
        self._segments: list[tuple[Segment, ImageSegment]] = []
        self._reading: list[Future[SegmentReport]] = []
        self._progress: list[_Progress] = []
        self._on_disk: Future[None] | None = None
        self._stored: dict[ImagePath, Stored] = {}
        self._notes: list[str] = []
        self._is_cache_trusted = cache is not None and not cache.is_empty()

    def write(self, layers: Layers) -> Report:
        """Write all segments, read them back, compare them with what was meant."""
        for segment in layers.segments:
            written = self._copy_cached(segment) or self._copy_ahead(segment) or self._make(segment)
            self._append(zeros_behind(segment.compression, self._draft.tell()))
            self._segments.append((segment, written))
        self._on_disk = self._pool.submit(self._draft.sync)
        return self._verify()

    def wait_for_disk(self) -> None:
        """Return once all is on the disk; raises what `Draft.sync` does."""
        if self._on_disk:
            self._on_disk.result()

    def make_apart(self, segment: Segment) -> Made:
        """Make one segment and read it back, by itself."""
        self._stored = {}
        written = self._make(segment)
        return Made(self._draft.path, written, self._reading.pop().result(), self._stored)

    def distrust_cache(self) -> bool:
        """Drop all that came from the cache, from there too, and begin anew without it.

        False, and nothing done, when nothing came from the cache.
        """
        suspects = [segment for segment, written in self._segments if written.from_cache]
        for segment in suspects:
            key = self._key(segment)
            if key and self._cache:
                self._cache.discard(key)
            self._notes.append(f"segment {segment.name}: wrong in the cache, made anew")
        if suspects:
            self._draft.truncate(0)
            self._digest = hashlib.sha256()
            self._segments, self._reading, self._stored = [], [], {}
            self._is_cache_trusted = False
        return bool(suspects)

    def stop(self) -> None:
        """Let nobody wait for more, wherever Ctrl-C struck, a `finally` included."""
        for progress in self._progress:
            progress.close()

    def _verify(self) -> Report:
        found = [future.result() for future in self._reading]
        places, damage = find_segments(self._draft.fd)
        if not damage and places != [segment.place for segment in found]:
            damage = ["the image does not fall into the segments that were written"]
        expected = [
            Expected(
                written.sha256,
                {
                    path: make_record(entry.content, self._stored.get(path))
                    for path, entry in segment.entries
                },
            )
            for segment, written in self._segments
        ]
        return summarise(self._draft.tell(), found, damage, expected)

    def image(self) -> Image:
        """The image as it was written."""
        return Image(
            self._draft.target,
            self._draft.tell(),
            self._digest.hexdigest(),
            tuple(written for _, written in self._segments),
            self._stored,
            tuple(self._notes),
            tuple(self._key(segment) or "" for segment, _ in self._segments),
        )

    def fill_cache(self, keys: Sequence[str]) -> list[str]:
        """Keep the segments that did not come from the cache; sentences about what failed."""
        if self._cache is None:
            return []
        problems: list[str] = []
        for key, (_, written) in zip(keys, self._segments, strict=True):
            if key and not written.from_cache:
                place = (self._draft.path, written.offset, written.length)
                kept = CachedSegment(*place, written.sha256, written.cpio_size)
                problems.append(self._cache.store(key, kept))
        problems.append(self._cache.prune())
        return [problem for problem in problems if problem]

    def _append(self, data: bytes | memoryview) -> None:
        self._draft.write(data)
        self._digest.update(data)

    def _make(self, segment: Segment) -> ImageSegment:
        offset = self._draft.tell()
        digest = hashlib.sha256()
        progress = _Progress(offset)
        self._progress.append(progress)

        def sink(chunk: bytes | memoryview) -> None:
            self._append(chunk)
            progress.advance(len(chunk))
            digest.update(chunk)

        place = Slice(offset, 0, segment.compression)
        try:
            self._read_back(place, progress.available)
            archived = write_archive(segment, sink)
        finally:
            progress.close()
        self._keep(segment, archived.stored)
        return ImageSegment(
            segment.name,
            segment.compression,
            offset,
            self._draft.tell() - offset,
            digest.hexdigest(),
            archived.cpio_size,
        )

    def _keep(self, segment: Segment, stored: Mapping[ImagePath, Stored]) -> None:
        """Note the data of the segment's Files, for the next build, too, unless it is secret."""
        for path, entry in segment.entries:
            if path in stored and isinstance(entry.content, File) and not entry.secret:
                self._digests.remember(entry.content, stored[path])
        self._stored |= stored

    def _copy_ahead(self, segment: Segment) -> ImageSegment | None:
        """Append the segment as it was made ahead; None, and nothing appended, when it wasn't."""
        made = self._ahead(segment) if self._ahead else None
        if made is None:
            return None
        place = Slice(self._draft.tell(), made.written.length, segment.compression)
        self._draft.copy(made.path, place.length, made.written.offset)
        self._reading.append(self._pool.submit(compare_copy, self._draft.fd, place, made.found))
        for chunk in read_slice(self._draft.fd, place):
            self._digest.update(chunk)
        self._keep(segment, made.stored)
        return replace(made.written, offset=place.offset)

    def _copy_cached(self, segment: Segment) -> ImageSegment | None:
        """Append the segment from the cache; None, and nothing appended, when it isn't there."""
        if self._cache is None or not self._is_cache_trusted:
            return None
        if not segment.has_secret:
            self._digests.learn(segment)
        key = self._key(segment)
        found = self._cache.find(key) if key else None
        if key is None or found is None:
            return None
        offset, before, digest = self._draft.tell(), self._digest.copy(), hashlib.sha256()
        for chunk in found.chunks():
            digest.update(chunk)
            self._append(chunk)
        if digest.hexdigest() != found.sha256:
            self._draft.truncate(offset)
            self._digest = before
            self._cache.discard(key)
            self._notes.append(f"segment {segment.name}: damaged in the cache, made anew")
            return None
        for path, entry in segment.entries:
            stored = self._digests.find(entry.content) if isinstance(entry.content, File) else None
            if stored is not None:
                self._stored[path] = stored
        self._read_back(Slice(offset, found.length, segment.compression))
        return ImageSegment(
            segment.name,
            segment.compression,
            offset,
            found.length,
            found.sha256,
            found.cpio_size,
            from_cache=True,
        )

    def _read_back(self, place: Slice, available: Available | None = None) -> None:
        self._reading.append(self._pool.submit(read_segment, self._draft.fd, place, available))

    def _key(self, segment: Segment) -> str | None:
        """The segment's key; None when it must not be cached or a digest is unknown."""
        if self._cache is None:
            return None
        return self._digests.key(segment)
