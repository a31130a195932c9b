"""Putting together again an image that was verified before, from its segments in the cache.

The writer of `image.py` is not needed for it, nor is the reader behind `report.py`: what these
found out holds for the image's bytes, and that they are the same bytes is what is checked here,
by the digest of what stands in the file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Any

from srbuild.host.cache import CachedSegment, ContentCache, FactStore
from srbuild.host.files import Draft, locked
from srbuild.outputs import record_output, sidecar_path
from srbuild.paths import HostPath
from srbuild.witness import Witness

_STEP = 1 << 20  # bytes read at a time


def assemble(target: HostPath, witness: Witness, cache: ContentCache, facts: FactStore) -> bool:
    """Make `target` and its sidecar what `witness` says, if the cache has all of it.

    False, and everything as it was, when the cache lacks a segment or has a damaged one, or when
    something else than a file of this name alone stands in the way. Both are on the disk before
    either of the two appears. Raises SrbuildError for the folder and the disk.
    """
    beside = sidecar_path(target)
    found = _find_segments(witness, cache)
    if not found or not all(map(_is_free, (target, beside))):
        return False
    places = witness.document["segments"]
    with locked(target), Draft(target) as draft:
        for place, segment in zip(places, found, strict=True):
            draft.write(bytes(place["offset"] - draft.tell()))
            for chunk in segment.chunks():
                draft.write(chunk)
        draft.write(bytes(witness.document["size"] - draft.tell()))
        if _digest(draft.fd) != witness.document["sha256"]:
            return False
        with Draft(beside) as sidecar:
            sidecar.write(witness.sidecar)
            sidecar.sync()
            draft.commit()
            sidecar.commit()
        for path in (target, beside):
            record_output(path, facts, witness.inputs)
    return True


def _find_segments(witness: Witness, cache: ContentCache) -> list[CachedSegment]:
    """All segments, in order; none when one is missing or another one than was verified."""
    places: list[dict[str, Any]] = witness.document["segments"]
    if not witness.keys or len(witness.keys) != len(places):
        return []
    found = [segment for key in witness.keys if key and (segment := cache.find(key))]
    told = [(segment.length, segment.sha256) for segment in found]
    return found if told == [(place["length"], place["sha256"]) for place in places] else []


def _is_free(path: HostPath) -> bool:
    """Whether nothing stands at `path`, or a file that has no other name."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _digest(fd: int) -> str:
    """The sha256, in hexadecimal, of the whole file that `fd` has open, read from it."""
    digest, at = hashlib.sha256(), 0
    while chunk := os.pread(fd, _STEP, at):
        digest.update(chunk)
        at += len(chunk)
    return digest.hexdigest()
