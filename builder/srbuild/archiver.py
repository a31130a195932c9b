"""One segment's entries into one compressed archive, every file read once.

One thread reads and hashes, a second one compresses and hands the result to the sink.
"""

from __future__ import annotations

import hashlib
import os

from srbuild.belt import Belt
from srbuild.errors import ConflictError
from srbuild.formats.compress import Sink, open_compressor
from srbuild.formats.cpio import CpioWriter
from srbuild.frozen import frozen
from srbuild.host.sources import read_source, unpack_source
from srbuild.layers import Segment
from srbuild.manifest import Content, File, Inline, Symlink
from srbuild.paths import ImagePath
from srbuild.records import Stored, make_record

_GATHER = 32 << 10  # bytes: less than that is not worth a call to the compressor


@frozen
class Archived:
    """The archive inside a segment: its size in bytes, and its Files' data."""

    cpio_size: int
    stored: dict[ImagePath, Stored]


def write_archive(segment: Segment, sink: Sink) -> Archived:
    """Write `segment`'s archive, compressed, to `sink`, which a second thread calls.

    Raises whatever `sink` does, what `read_source` does for its files, and ConflictError for an
    entry that newc can't hold (a file of 4 GiB, a name or link target longer than 4095 bytes).
    """
    compressor = open_compressor(segment.compression, sink, level=segment.level)
    stored: dict[ImagePath, Stored] = {}
    with Belt(compressor.write) as belt:
        gather = _Gather(belt.write)
        writer = CpioWriter(gather.write, segment.mtime)
        for path, entry in segment.entries:
            content = entry.content
            try:
                if isinstance(content, File):
                    stored[path] = _add_file(writer, path, content)
                else:
                    add_other(writer, path, content)
            except ValueError as error:
                raise ConflictError(f"{path} cannot be in the image: {error}") from error
        writer.close()
        gather.flush()
    compressor.finish()
    return Archived(gather.size, stored)


def _add_file(writer: CpioWriter, path: ImagePath, file: File) -> Stored:
    name, mode = os.fsencode(path[1:]), make_record(file).st_mode
    if file.unpack:
        data = unpack_source(file)
        writer.add(name, mode, size=len(data))
        writer.write(data)
        return Stored(len(data), hashlib.sha256(data).hexdigest())
    digest = hashlib.sha256()
    writer.add(name, mode, size=file.identity.size)
    for chunk in read_source(file):
        digest.update(chunk)
        writer.write(chunk)
    return Stored(file.identity.size, digest.hexdigest())


def add_other(writer: CpioWriter, path: ImagePath, content: Content) -> None:
    """Write the record of anything but a File; ValueError for what newc can't hold."""
    record = make_record(content)
    data = b""
    if isinstance(content, Inline):
        data = content.data
    elif isinstance(content, Symlink):
        data = os.fsencode(content.target)
        check_target(data)
    writer.add(
        os.fsencode(path[1:]),
        record.st_mode,
        size=len(data),
        nlink=2 if record.kind == "dir" else 1,
        rdev=record.rdev,
    )
    writer.write(data)


def check_target(target: bytes) -> None:
    """Raise ValueError for a link target that the kernel would not make a link of."""
    if not target or b"\0" in target or len(target) > 4095:
        raise ValueError(f"no link can lead to {target[:60]!r}")


class _Gather:
    """Joins small pieces on their way to the compressor, and counts the archive's bytes."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._pending = bytearray()
        self.size = 0

    def write(self, chunk: bytes | memoryview) -> None:
        if len(chunk) < _GATHER:
            self._pending += chunk
            if len(self._pending) >= _GATHER:
                self.flush()
        else:
            self.flush()
            self._push(chunk)

    def flush(self) -> None:
        if self._pending:
            self._push(bytes(self._pending))
            self._pending.clear()

    def _push(self, chunk: bytes | memoryview) -> None:
        self.size += len(chunk)
        self._sink(chunk)
