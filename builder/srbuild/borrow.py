"""Taking finished segments from caches that others fill, each checked byte for byte before use.

Whoever can write to such a cache must not be able to put anything into an image, so that neither
the file's name nor what it says of itself is a proof: see `exact.py`.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from srbuild.digests import KnownDigests
from srbuild.exact import ForeignSegment, check_exact, size_limit
from srbuild.frozen import frozen
from srbuild.host.cache import CachedSegment, ContentCache
from srbuild.host.remote_cache import CacheProblem, SharedCache
from srbuild.layers import Segment

_AT_ONCE = 4  # segments being fetched
_STEP = 1 << 20


@frozen
class _Wanted:
    segment: Segment
    key: str
    limit: int


def borrow_segments(
    segments: Sequence[Segment],
    shared: Sequence[SharedCache],
    local: ContentCache,
    digests: KnownDigests,
) -> tuple[str, ...]:
    """Put those of `segments` into `local` that it lacks and one of the `shared` caches has.

    Files that `digests` does not know are read for it. Secret segments are not asked for.
    Returns sentences about caches that don't answer and segments that were refused. Raises what
    `hash_source` does.
    """
    wanted: list[_Wanted] = []
    for segment in segments:
        if not segment.has_secret:
            digests.learn(segment)
            key = digests.key(segment)
            if key and local.find(key) is None:
                wanted.append(_Wanted(segment, key, size_limit(segment, digests.find)))
    before = [cache.problem() for cache in shared]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda one: _borrow(one, shared, local, digests), wanted)
        notes = [note for notes in found for note in notes]
    notes += filter(None, [local.prune()])
    for cache, old in zip(shared, before, strict=True):
        if (problem := cache.problem()) and not old:
            notes.append(f"cache {cache.name} is not used: {problem}")
    return tuple(notes)


def _borrow(
    wanted: _Wanted, shared: Sequence[SharedCache], local: ContentCache, digests: KnownDigests
) -> list[str]:
    notes: list[str] = []
    for cache in shared:
        try:
            with tempfile.NamedTemporaryFile(prefix="srbuild-", buffering=1 << 20) as file:
                data = cast(BinaryIO, file)
                found = cache.fetch(wanted.key, wanted.limit, data)
                if found is None:
                    continue
                data.flush()
                _check(data, found, wanted.segment, digests)
                problem = local.store(wanted.key, replace(found, path=Path(file.name), offset=0))
                return [*notes, problem] if problem else notes
        except (CacheProblem, ForeignSegment) as error:
            notes.append(f"segment {wanted.segment.name} of {cache.name} is refused: {error}")
    return notes


def _check(file: BinaryIO, found: CachedSegment, segment: Segment, digests: KnownDigests) -> None:
    """Raise ForeignSegment unless the whole of `file` is `segment` and what `found` says is so."""
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(_STEP):
        digest.update(chunk)
    if digest.hexdigest() != found.sha256:
        raise ForeignSegment("it is not what its header says")
    cpio_size = check_exact(file, found.length, segment, digests.find)
    if cpio_size != found.cpio_size:
        raise ForeignSegment("its archive is not what its header says")
