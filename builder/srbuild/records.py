"""What an archive says about one path: the common terms of writer, verifier and sidecar."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable
from typing import TypeAlias

from srbuild.frozen import frozen
from srbuild.manifest import Content, Dir, File, Inline, Node, Symlink


@frozen
class Stored:
    """A file's data as it stands in the image, unpacked: bytes and sha256 in hexadecimal."""

    size: int
    sha256: str


Digests: TypeAlias = Callable[[File], Stored | None]
"""What is known about a file's data without reading it; None when nothing is."""

TYPE_BITS = {
    "file": stat.S_IFREG,
    "dir": stat.S_IFDIR,
    "symlink": stat.S_IFLNK,
    "char": stat.S_IFCHR,
    "block": stat.S_IFBLK,
    "fifo": stat.S_IFIFO,
    "socket": stat.S_IFSOCK,
}


@frozen
class Record:
    """One path's record.

    `kind` is a key of TYPE_BITS, "hardlink" or "unknown", `mode` the permission bits. `size` in
    bytes and `sha256` (of the data, in hexadecimal) are a file's, `target` is a link's, `rdev` a
    device's numbers.
    """

    kind: str
    mode: int
    size: int = 0
    sha256: str = ""
    target: str = ""
    rdev: tuple[int, int] = (0, 0)

    @property
    def st_mode(self) -> int:
        """Type and permissions as one number, as `stat` has them; a hard link's is a file's."""
        kind = "file" if self.kind == "hardlink" else self.kind
        return TYPE_BITS.get(kind, 0) | self.mode


def make_record(content: Content, stored: Stored | None = None) -> Record:
    """The record that `content` becomes.

    `stored` is wanted for a File; without it the record has no digest and, where the file is
    unpacked on the way, only a guess for its size.
    """
    match content:
        case File(size=size, mode=mode):
            if stored is None:
                return Record("file", mode, size)
            return Record("file", mode, stored.size, stored.sha256)
        case Inline(data=data, mode=mode):
            return Record("file", mode, len(data), hashlib.sha256(data).hexdigest())
        case Dir(mode=mode):
            return Record("dir", mode)
        case Symlink(target=target):
            return Record("symlink", 0o777, target=target)
        case Node(kind=kind, major=major, minor=minor, mode=mode):
            return Record("char" if kind == "c" else "block", mode, rdev=(major, minor))
