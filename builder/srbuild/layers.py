"""Cutting the manifest into segments, and the keys by which finished segments are found again.

Every segment is an archive that can be unpacked alone: it repeats the directories above its
files, since the kernel silently drops a file whose parent does not exist yet.
"""

from __future__ import annotations

import hashlib
import json
import os

from srbuild.errors import ConflictError, raise_all
from srbuild.formats.compress import COMPRESSIONS
from srbuild.formats.cpio import MAX_FILE
from srbuild.frozen import frozen
from srbuild.manifest import Dir, Entry, File, Manifest, Symlink
from srbuild.paths import ImagePath, parents
from srbuild.records import Digests, make_record

FORMAT = 3  # goes into every key: to be raised whenever the same entries give other bytes
DEFAULT_COMPRESSION = "zstd"
DEFAULT_LEVEL = 3

SEGMENTS = (
    "early",
    "base",
    "net",
    "block",
    "volume",
    "cluster",
    "fs",
    "container",
    "rescue",
    "server",
    "kmods",
    "kmods-block",
    "kmods-volume",
    "kmods-cluster",
    "kmods-fs",
    "kmods-container",
    "kmods-rescue",
    "kmods-server",
    "kmods-more",
    "tables",
    "site",
)
"""All segments in the order in which the kernel unpacks them.

Each of them is the same in all images that choose the same boot modules of its kind; what follows
from the choice as a whole stands in the small one of tables. Those of kmods stand together behind
the programs: they are settled first and made beside these (see `headstart`).
"""

TABLES = "tables"

KMODS = frozenset(name for name in SEGMENTS if name.partition("-")[0] == "kmods")
"""Those that hold kmods and firmware."""

RAW_SEGMENTS = frozenset({"early", "site"})
"""Never compressed: the kernel looks for microcode in plain bytes, and the tail is replaced
or left out without a compressor at hand."""


@frozen
class Segment:
    """One archive of the image.

    `entries` are sorted by the bytes of their paths, directories above each included. `level`
    means nothing when `compression` is "none". `mtime`, in seconds since 1970, is every
    record's.
    """

    name: str
    compression: str
    level: int
    mtime: int
    entries: tuple[tuple[ImagePath, Entry], ...]

    @property
    def has_secret(self) -> bool:
        """Whether any entry is secret."""
        return any(entry.secret for _, entry in self.entries)


@frozen
class Layers:
    """The image's segments in order; none of them is empty."""

    segments: tuple[Segment, ...]

    @property
    def has_secret(self) -> bool:
        """Whether any entry is secret, so that the image must be 0600."""
        return any(segment.has_secret for segment in self.segments)


def split_layers(
    manifest: Manifest,
    *,
    compression: str = DEFAULT_COMPRESSION,
    level: int = DEFAULT_LEVEL,
    mtime: int = 0,
) -> Layers:
    """Cut `manifest` into segments.

    Raises ConflictError for an entry below a path that is no directory and for a file of 4 GiB
    or more, all of them together, and ValueError for a segment that SEGMENTS does not have.
    """
    entries = manifest.entries
    chosen: dict[str, dict[ImagePath, Entry]] = {name: {} for name in SEGMENTS}
    blocked: list[ConflictError] = []
    for path in sorted(entries, key=os.fsencode):
        entry = entries[path]
        if entry.segment not in chosen:
            raise ValueError(f"{path}: no segment is called {entry.segment!r}")
        segment = chosen[entry.segment]
        if isinstance(entry.content, File) and entry.content.size > MAX_FILE:
            blocked.append(_too_large(path, entry.content))
        for parent in map(ImagePath, parents(path)):
            above = entries.get(parent)
            if above and not isinstance(above.content, Dir):
                blocked.append(_blocked(path, parent, above))
            elif parent not in segment:
                segment[parent] = above or Entry(Dir(), entry.segment, reasons=())
        segment[path] = entry
    raise_all(blocked)
    return Layers(
        tuple(
            Segment(
                name,
                "none" if name in RAW_SEGMENTS else compression,
                level,
                mtime,
                tuple(sorted(segment.items(), key=lambda item: os.fsencode(item[0]))),
            )
            for name, segment in chosen.items()
            if segment
        )
    )


def segment_key(segment: Segment, digests: Digests) -> str | None:
    """The sha256, in hexadecimal, of all that determines the segment's bytes.

    Its name is not part of it. None when the digest of any file's data is unknown.
    """
    compression = COMPRESSIONS[segment.compression]
    head = [FORMAT, segment.compression, segment.level, compression.version(), segment.mtime]
    key = hashlib.sha256(json.dumps(head).encode())
    for path, entry in segment.entries:
        stored = digests(entry.content) if isinstance(entry.content, File) else None
        if stored is None and isinstance(entry.content, File):
            return None
        record = make_record(entry.content, stored)
        row = [path, record.st_mode, record.size, record.sha256, record.target, *record.rdev]
        key.update(b"\n" + json.dumps(row).encode())
    return key.hexdigest()


def _too_large(path: ImagePath, file: File) -> ConflictError:
    return ConflictError(
        f"{path} cannot be in the image: {file.source} has {file.size} bytes, and the archive "
        "that the kernel unpacks holds files of less than 4 GiB",
        hint="leave it out: the shared root is the place for it",
    )


def _blocked(path: ImagePath, parent: ImagePath, above: Entry) -> ConflictError:
    what = "a symbolic link" if isinstance(above.content, Symlink) else "no directory"
    return ConflictError(
        f"{path} cannot be in the image: {parent} is {what} there",
        hint=f"install it under the directory that {parent} leads to",
    )
