"""What is kept between builds: compressed segments by content, and facts about files.

Both are only ever an aid: whatever is missing, damaged or can't be written is made anew, and a
segment's bytes are checked against their digest before they are used.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from srbuild.errors import SrbuildError
from srbuild.frozen import frozen
from srbuild.host.files import Draft, make_private_folder
from srbuild.host.looks import is_settled
from srbuild.host.sysroot import Identity
from srbuild.paths import HostPath

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

SEGMENT_SCHEMA = 2
MAX_HEADER = 4096  # bytes of the line before a segment's own
CACHE_LIMIT = 4 << 30  # bytes of segments; the least recently used go first
MAX_ROWS = 10_000  # of one table of facts

_STEP = 1 << 20
_HEX = frozenset("0123456789abcdef")


@frozen
class CachedSegment:
    """A segment in the cache: where its bytes are, and what they are said to be.

    `offset` and `length` in bytes within `path`; `sha256` of the bytes themselves, in hexadecimal,
    `cpio_size` of the archive inside them, in bytes.
    """

    path: HostPath
    offset: int
    length: int
    sha256: str
    cpio_size: int

    def chunks(self) -> Iterator[bytes]:
        """The segment's bytes, unchecked; fewer when the file was cut short."""
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.offset)
            left = self.length
            while left and (chunk := file.read(min(left, _STEP))):
                left -= len(chunk)
                yield chunk


def open_cached(path: HostPath) -> CachedSegment | None:
    """The segment in the file at `path`, not yet checked; None when there is none to be read."""
    try:
        with path.open("rb") as file:
            return parse_header(path, file.readline(MAX_HEADER))
    except OSError:
        return None


def parse_header(path: HostPath, line: bytes) -> CachedSegment | None:
    """What `line`, the first of the file at `path`, says of the segment behind it, if anything."""
    try:
        fields: dict[str, Any] = json.loads(line)
        if fields.pop("schema") != SEGMENT_SCHEMA:
            return None
        found = CachedSegment(path=path, offset=len(line), **fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    sizes = (found.length, found.cpio_size)
    return found if all(map(is_size, sizes)) and is_digest(found.sha256) else None


def is_digest(value: object) -> bool:
    """Whether `value` is a sha256 in hexadecimal, as srbuild writes it."""
    return isinstance(value, str) and len(value) == 64 and not set(value) - _HEX


def is_size(value: object) -> bool:
    """Whether `value` is a number of bytes."""
    return type(value) is int and 0 <= value < 1 << 63


class ContentCache:
    """Segments by key, each a file: one line of JSON, then the bytes.

    Several builds may use one cache at the same time.
    """

    def __init__(self, root: HostPath, limit: int = CACHE_LIMIT) -> None:
        self._folder = root / "segments"
        self._limit = limit

    def is_empty(self) -> bool:
        """Whether no look-up can succeed."""
        try:
            with os.scandir(self._folder) as entries:
                return next(entries, None) is None
        except OSError:
            return True

    def find(self, key: str) -> CachedSegment | None:
        """The segment of that key, not yet checked; None when there is none to be read."""
        path = self._folder / key
        found = open_cached(path)
        if found is not None:
            with contextlib.suppress(OSError):  # a folder that is only read
                os.utime(path)
        return found

    def discard(self, key: str) -> None:
        """Remove a segment that turned out to be damaged."""
        with contextlib.suppress(OSError):
            (self._folder / key).unlink()

    def store(self, key: str, segment: CachedSegment) -> str:
        """Keep the bytes that `segment` points at under `key`.

        Returns "" or, when they can't be kept, a sentence that says why.
        """
        fields = {name: value for name, value in asdict(segment).items() if name not in _PLACE}
        header = json.dumps({"schema": SEGMENT_SCHEMA, **fields}).encode() + b"\n"
        try:
            make_private_folder(self._folder)
            with Draft(self._folder / key, secret=True) as draft:
                draft.write(header)
                draft.copy(segment.path, segment.length, segment.offset)
                draft.rename()
        except (OSError, SrbuildError) as error:
            return f"the cache does not take a segment: {error}"
        return ""

    def prune(self) -> str:
        """Drop the least recently used segments above the limit, after all of one run are stored.

        Returns "" or, when that fails, a sentence that says why.
        """
        try:
            self._prune()
        except (FileNotFoundError, NotADirectoryError):  # nothing was ever stored
            return ""
        except OSError as error:
            return f"the cache keeps more than it should: {error}"
        return ""

    def _prune(self) -> None:
        found: list[tuple[os.stat_result, str]] = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # a draft that has its name by now
                    if entry.is_file():
                        found.append((entry.stat(), entry.path))
        excess = sum(status.st_size for status, _ in found) - self._limit
        for status, path in sorted(found, key=lambda pair: pair[0].st_mtime_ns):
            if excess <= 0:
                return
            Path(path).unlink(missing_ok=True)
            excess -= status.st_size


_PLACE = ("path", "offset")


@contextlib.contextmanager
def scratch_cache() -> Iterator[ContentCache]:
    """A cache for one build, gone afterwards."""
    import tempfile  # with its own imports 6 ms that most builds need not wait for

    with tempfile.TemporaryDirectory(prefix="srbuild-") as folder:
        yield ContentCache(Path(folder))


@frozen
class Row:
    """A fact that was put into a store: see `FactStore.put`."""

    table: str
    identity: Identity
    value: Json
    settled: bool


class FactStore:
    """Facts about files, found by a file's Identity; kept in one file of named tables.

    A value is anything that JSON holds. A table's name should change when the meaning of its
    values does. A file that changed a moment ago might change again without its times showing
    it, so such facts hold for this run only.
    """

    def __init__(self, path: HostPath | None, now: Callable[[], int] = time.time_ns) -> None:
        """Open the store at `path`; None keeps facts in memory only, damage counts as absence."""
        self._path = path
        self._now = now
        self._raw = _read_lines(path)
        self._tables: dict[str, dict[str, Json]] = {}
        self._used: dict[str, set[str]] = {}
        self._fleeting: dict[str, set[str]] = {}
        self._rows: list[Row] = []
        self._changed = False

    def get(self, table: str, identity: Identity) -> Json:
        """The fact about the file, None when there is none."""
        key = _row_key(identity)
        value = self._table(table).get(key)
        if value is not None:
            self._used[table].add(key)
        return value

    def put(self, table: str, identity: Identity, value: Json, *, settled: bool = False) -> None:
        """Remember a fact; `settled` when nobody but the caller writes to the file."""
        key = _row_key(identity)
        self._table(table)[key] = value
        self._used[table].add(key)
        if not settled and not is_settled(identity.mtime, identity.ctime, self._now()):
            self._fleeting[table].add(key)
        self._rows.append(Row(table, identity, value, settled))
        self._changed = True

    def rows(self) -> list[Row]:
        """All that was put in since the store was opened, for another process to put in, too."""
        return self._rows.copy()

    def save(self) -> str:
        """Write what was added; returns "" or, when that fails, a sentence that says why."""
        if not self._changed or self._path is None:
            return ""
        # Another build may have saved meanwhile: its tables are kept, ours go on top.
        lines = self._raw | _read_lines(self._path)
        for name in self._tables:
            lines[name] = _pack_table(name, self._merged(name, lines.get(name, b"")))
        try:
            make_private_folder(self._path.parent)
            with Draft(self._path, secret=True) as draft:
                draft.write(b"".join(lines.values()))
                draft.rename()
        except (OSError, SrbuildError) as error:
            return f"facts about files are not kept: {error}"
        self._changed = False
        return ""

    def _table(self, name: str) -> dict[str, Json]:
        if name not in self._tables:
            self._tables[name] = _unpack_table(self._raw.get(name, b""))
            self._used[name] = set()
            self._fleeting[name] = set()
        return self._tables[name]

    def _merged(self, name: str, line: bytes) -> dict[str, Json]:
        """The table's rows, those used in this run last, so that old ones are dropped first."""
        ours, used, fleeting = self._tables[name], self._used[name], self._fleeting[name]
        rows = {key: value for key, value in _unpack_table(line).items() if key not in used}
        rows |= {key: ours[key] for key in sorted(used - fleeting)}
        return dict(list(rows.items())[-MAX_ROWS:])


def _row_key(identity: Identity) -> str:
    return f"{identity.dev}-{identity.ino}-{identity.size}-{identity.mtime}-{identity.ctime}"


def _read_lines(path: HostPath | None) -> dict[str, bytes]:
    """Table name → its line, still packed."""
    try:
        data = path.read_bytes() if path else b""
    except OSError:
        return {}
    lines = data.splitlines(keepends=True)
    return {line.split(b"\t", 1)[0].decode("latin-1"): line for line in lines}


def _pack_table(name: str, rows: dict[str, Json]) -> bytes:
    """One line: name, CRC-32 of the rest, JSON, separated by tabs."""
    text = json.dumps(rows, separators=(",", ":")).encode()
    return f"{name}\t{zlib.crc32(text):08x}\t".encode() + text + b"\n"


def _unpack_table(line: bytes) -> dict[str, Json]:
    """The rows of a line; none when it is damaged."""
    parts = line.rstrip(b"\n").split(b"\t", 2)
    if len(parts) != 3 or parts[1] != f"{zlib.crc32(parts[2]):08x}".encode():
        return {}
    try:
        rows = json.loads(parts[2])
    except (ValueError, RecursionError):
        return {}
    return rows if isinstance(rows, dict) else {}
