"""The bootstrap as something to install on a local disk: a tree, a tar archive or a squashfs.

What an initrd would hold, entry by entry; only how it is written differs. Microcode is left out:
it is for the kernel's loader and no part of a root.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from typing import IO, Literal, TypeAlias, cast, get_args

from srbuild.errors import ConflictError, UsageError
from srbuild.frozen import frozen
from srbuild.host.files import Draft
from srbuild.host.sources import check_sources, read_source, unpack_source
from srbuild.host.tool import find_tool, run
from srbuild.host.tree import write_tree
from srbuild.layers import Layers
from srbuild.manifest import Content, Entry, File, Inline, Node
from srbuild.paths import HostPath, ImagePath
from srbuild.records import make_record

Root: TypeAlias = Literal["tree", "tar", "squashfs"]
Shape: TypeAlias = Root | Literal["disk"]
SHAPES: tuple[Shape, ...] = (*get_args(Root), "disk")
ENDINGS: dict[str, Shape] = {
    ".tar": "tar",
    ".squashfs": "squashfs",
    ".sqfs": "squashfs",
    ".img": "disk",
    ".raw": "disk",
}
MKSQUASHFS = "mksquashfs"
_SECONDS = 1800  # for mksquashfs, which compresses on whatever processors there are
_LEVELLED = ("gzip", "zstd")
_EARLY = "early"
_MAX_LEVEL = {"gzip": 9, "zstd": 22}


@frozen
class Bootstrap:
    """What is to be installed.

    `entries` are sorted by the bytes of their paths, each after the directories above it, and
    `mtime` (seconds since 1970) is that of all.
    """

    entries: tuple[tuple[ImagePath, Entry], ...]
    mtime: int
    compression: tuple[str, int]

    @property
    def has_secret(self) -> bool:
        """Whether any entry is secret."""
        return any(entry.secret for _, entry in self.entries)


def guess_shape(target: HostPath, wanted: str | None) -> Shape:
    """The shape to write: `wanted`, or what the ending says, none being a tree's.

    Raises UsageError for an ending that says nothing.
    """
    if wanted is not None:
        return cast(Shape, wanted)
    if target.is_dir() or not target.suffix:
        return "tree"
    if target.suffix in ENDINGS:
        return ENDINGS[target.suffix]
    known = ", ".join(ENDINGS)
    raise UsageError(
        f"{target}: its ending does not say what to write",
        f"name it with --as {'|'.join(SHAPES)}, or end it in one of {known}; none is a tree",
    )


def join_layers(layers: Layers, mtime: int, compression: tuple[str, int]) -> Bootstrap:
    """All segments' entries as one root."""
    joined: dict[ImagePath, Entry] = {}
    for segment in layers.segments:
        if segment.name != _EARLY:
            joined.update(segment.entries)
    ordered = sorted(joined.items(), key=lambda item: os.fsencode(item[0]))
    return Bootstrap(tuple(ordered), mtime, compression)


def write_bootstrap(bootstrap: Bootstrap, target: HostPath, shape: Root) -> tuple[str, ...]:
    """Write `bootstrap` to `target`, which is replaced by the finished one and not before.

    A disk is not for this function: it holds a finished image (publish/disk.py).

    Returns sentences for the user. Raises UsageError for a target that is somebody else's,
    ToolError when mksquashfs is missing or fails, ConflictError for what a tree can't hold
    without root, SrbuildError when the target can't be written.
    """
    if shape == "squashfs":
        find_tool(MKSQUASHFS)
    contents = (entry.content for _, entry in bootstrap.entries)
    check_sources(content for content in contents if isinstance(content, File))
    if shape == "tree":
        return _write_tree(bootstrap, target)
    with Draft(target, secret=bootstrap.has_secret) as draft:
        if shape == "tar":
            _write_tar(bootstrap, cast(IO[bytes], draft))
        else:
            _write_squashfs(bootstrap, draft)
        draft.commit()
    return ()


def _write_tar(bootstrap: Bootstrap, sink: IO[bytes]) -> None:
    """GNU tar's format: sorted, owned by 0:0 without names, one time for all."""
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for path, entry in bootstrap.entries:
            _add(archive, path, entry.content, bootstrap.mtime)


def _add(archive: tarfile.TarFile, path: ImagePath, content: Content, mtime: int) -> None:
    record = make_record(content)
    member = tarfile.TarInfo(f".{path}")
    member.mode, member.mtime = record.mode, mtime
    if record.kind == "file":
        size = content.identity.size if isinstance(content, File) else record.size
        pieces = read_content(content)
        if isinstance(content, File) and content.unpack:
            data = b"".join(pieces)
            size, pieces = len(data), iter((data,))
        member.size = size
        archive.addfile(member, cast(IO[bytes], io.BufferedReader(_Pieces(pieces))))
        return
    kinds = {"dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE, "char": tarfile.CHRTYPE}
    member.type = kinds.get(record.kind, tarfile.BLKTYPE)
    member.linkname = record.target
    member.devmajor, member.devminor = record.rdev
    archive.addfile(member)


def read_content(content: Content) -> Iterator[bytes]:
    """The data of a file in pieces, unpacked; raises what `read_source` does."""
    if isinstance(content, Inline):
        yield content.data
    elif isinstance(content, File) and content.unpack:
        yield unpack_source(content)
    elif isinstance(content, File):
        yield from read_source(content)


class _Pieces(io.RawIOBase):
    """Pieces of data as a file to read from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        room = memoryview(cast(bytearray, buffer))
        size = min(len(room), len(self._rest))
        room[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _write_squashfs(bootstrap: Bootstrap, draft: Draft) -> None:
    """By mksquashfs from the tar archive: owners and device nodes need no root that way."""
    archive = io.BytesIO()
    _write_tar(bootstrap, archive)
    command = [MKSQUASHFS, "-", str(draft.path), "-tar", "-noappend", "-no-progress", "-quiet"]
    # The root directory has no entry, and would be the user's; of a tar archive's root mksquashfs
    # 4.5 obeys no owner but that of all.
    command += ["-all-root", "-root-mode", "755", "-root-time", str(bootstrap.mtime)]
    command += ["-no-xattrs", *_compression_words(*bootstrap.compression)]
    epoch = {"SOURCE_DATE_EPOCH": str(bootstrap.mtime)}
    run(command, timeout=_SECONDS, env=epoch, input=archive.getvalue())


def _compression_words(name: str, level: int) -> list[str]:
    if name == "none":
        return ["-noI", "-noD", "-noF", "-noX"]
    words = ["-comp", name]
    if name in _LEVELLED:
        words += ["-Xcompression-level", str(max(1, min(level, _MAX_LEVEL[name])))]
    return words


def _write_tree(bootstrap: Bootstrap, target: HostPath) -> tuple[str, ...]:
    entries = bootstrap.entries
    notes: tuple[str, ...] = ()
    if os.geteuid() != 0:
        _refuse_marked(entries)
        entries = tuple(item for item in entries if not isinstance(item[1].content, Node))
        said = (
            f"{target} belongs to you, not to root, and has no device nodes: chown it to 0:0 where"
        )
        notes = (f"{said} it is installed; --as tar needs neither",)
    rows = ((path, make_record(e.content), read_content(e.content)) for path, e in entries)
    write_tree(target, rows, bootstrap.mtime)
    return notes


def _refuse_marked(entries: tuple[tuple[ImagePath, Entry], ...]) -> None:
    """Raise ConflictError for programs that must be another's than the user's own."""
    marks = stat.S_ISUID | stat.S_ISGID
    marked = [
        path
        for path, entry in entries
        if isinstance(entry.content, File | Inline) and entry.content.mode & marks
    ]
    if marked:
        raise ConflictError(
            f"{marked[0]} is set-user-id or set-group-id, and a tree made without root would give "
            f"it to you ({len(marked)} such files)",
            "run as root, or write --as tar or --as squashfs",
        )
