"""The manifest: every path of the image, what stands there, and why.

`why`, `list`, `diff`, `size` and the JSON manifest are views of this value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TypeAlias

from srbuild.errors import Origin
from srbuild.frozen import frozen
from srbuild.host.sysroot import Identity
from srbuild.paths import ImagePath


@frozen
class Reason:
    """One wish for an entry.

    `how` names the relation as the field does (`DT_NEEDED`, `PT_INTERP`, `link`, `softdep`,
    `firmware`, `binary`, …); `by` is who wished: another entry, or an Origin at a chain's end.
    """

    how: str
    by: ImagePath | Origin


@frozen
class File:
    """A regular file copied from the host's `source` (a sysroot file, or one of srbuild's own).

    `size` in bytes and `identity` are those seen when it was collected: a file that changed
    before it was written is an error. `unpack` says how the content is decompressed on its way
    into the image: "xz", "zstd", "gzip", or "" for as it is.
    """

    source: str
    size: int
    mode: int
    identity: Identity
    unpack: str = ""


@frozen
class Dir:
    """A directory."""

    mode: int = 0o755


@frozen
class Symlink:
    """A symbolic link; `target` as it will be read from the image."""

    target: str


@frozen
class Node:
    """A device node, written as a cpio record without mknod. `kind` is "c" or "b"."""

    kind: str
    major: int
    minor: int
    mode: int = 0o600


@frozen
class Inline:
    """A file whose bytes were generated: rendered templates, indexes, option tables."""

    data: bytes
    mode: int = 0o644


Content: TypeAlias = File | Dir | Symlink | Node | Inline


@frozen
class Entry:
    """What stands at one path: its content, its segment, who wanted it, is it secret.

    The segment is the earliest one that anybody wanted it in.
    """

    content: Content
    segment: str
    reasons: tuple[Reason, ...]
    secret: bool = False


@frozen
class Package:
    """A distribution package that supplied files, for provenance."""

    name: str
    version: str
    architecture: str


@frozen
class Manifest:
    """All entries, sorted by path, and what else is worth telling.

    `kernels` are the versions whose kmods it has, newest first, and `kernel` is the first of
    them, empty for none. `notes` are sentences for the user about things left out by rule (a
    recommended dlopen library that the sysroot lacks, say); an unmet requirement is never a note.
    """

    entries: Mapping[ImagePath, Entry]
    kernel: str
    notes: tuple[str, ...] = ()
    packages: tuple[Package, ...] = field(default=())
    kernels: tuple[str, ...] = ()

    @property
    def has_secret(self) -> bool:
        """Whether any entry is secret, so that the image must be 0600."""
        return any(entry.secret for entry in self.entries.values())


def chain(manifest: Manifest, path: ImagePath) -> tuple[Reason, ...]:
    """The first chain of reasons from `path` up to the Origin that started it."""
    found: list[Reason] = []
    seen: set[ImagePath] = set()
    while path in manifest.entries and path not in seen:
        seen.add(path)
        reason = manifest.entries[path].reasons[0]
        found.append(reason)
        if isinstance(reason.by, Origin):
            break
        path = reason.by
    return tuple(found)
