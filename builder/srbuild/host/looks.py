"""What a build looked at, noted while it looks.

Looking again shows the same for as long as all of it is as it was, which stat alone can tell.
Whatever reads an input of an image calls `look` (or `look_plain`) *before* it reads, lists or
finds nothing: should the input change meanwhile, the note is of what was there earlier, and no
longer true. Absence is noted like presence. Nothing is noted outside of `recorded`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

SETTLED = 100_000_000  # nanoseconds: coarser than the clock of most file systems' times
SETTLED_COARSE = 2_000_000_000  # of those that know whole seconds only; FAT counts in twos
_SECOND = 1_000_000_000

# Device, inode, size, mtime and ctime in nanoseconds; None where nothing is.
Seen: TypeAlias = "tuple[int, int, int, int, int] | None"
Rows: TypeAlias = Mapping[str, "Seen | list[int]"]
_Stat: TypeAlias = Callable[[str], os.stat_result]


def is_settled(mtime: int, ctime: int, now: int) -> bool:
    """Whether a file of these times would show other ones if it changed from `now` on.

    All in nanoseconds. One that was written a moment ago may be written again within the same
    tick of its file system's clock.
    """
    newest = max(mtime, ctime)
    return now - newest >= (SETTLED if newest % _SECOND else SETTLED_COARSE)


class Looks:
    """All that was looked at: files, directories and variables, each with what was there first.

    `followed` are paths whose links were followed, `plain` those that were looked at themselves.
    `is_sure` is false once something can't be noted so that a change would show.
    """

    def __init__(self, now: Callable[[], int] = time.time_ns) -> None:
        self.followed: dict[str, Seen] = {}
        self.plain: dict[str, Seen] = {}
        self.variables: dict[str, str | None] = {}
        self.is_sure = True
        self._now = now
        self._began = now()

    def note(self, rows: dict[str, Seen], path: str, stat: _Stat) -> None:
        """Look at `path` with `stat`; what was seen there before stays as it was first seen."""
        if rows.get(path) is not None:
            return
        try:
            seen = _look(path, stat)
        except (OSError, ValueError):
            self.is_sure = False
            return
        if rows.setdefault(path, seen) != seen:
            self.is_sure = False
        if seen is not None and not is_settled(seen[3], seen[4], self._now()):
            self.is_sure = False

    def add(self, other: Looks) -> None:
        """Note what `other` has; where the two saw different things, nothing is sure."""
        self.is_sure = self.is_sure and other.is_sure
        for mine, theirs in ((self.followed, other.followed), (self.plain, other.plain)):
            for path, seen in theirs.items():
                if mine.setdefault(path, seen) != seen:
                    self.is_sure = False

    def note_code(self, path: str) -> None:
        """Note a file that this process has run: it must be there, and older than the process."""
        self.note(self.followed, path, os.stat)
        seen = self.followed.get(path)
        if seen is None or not is_settled(seen[3], seen[4], self._began):
            self.is_sure = False

    def environ(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        """`environ` as it is; the variables that are asked for are noted."""
        return _Environ(environ, self.variables)


class _Environ(Mapping[str, str]):
    def __init__(self, environ: Mapping[str, str], seen: dict[str, str | None]) -> None:
        self._environ = environ
        self._seen = seen

    def __getitem__(self, name: str) -> str:
        self._seen[name] = self._environ.get(name)
        return self._environ[name]

    def __iter__(self) -> Iterator[str]:
        raise TypeError("variables are asked for one by one")

    def __len__(self) -> int:
        raise TypeError("variables are asked for one by one")


# One for the process, not for each thread: what a build's threads look at is noted, too.
_current: Looks | None = None


@contextmanager
def recorded() -> Iterator[Looks]:
    """Note what is looked at in the block, by whatever thread."""
    global _current  # noqa: PLW0603
    outer, _current = _current, Looks()
    try:
        yield _current
    finally:
        _current = outer


def add(looks: Looks) -> None:
    """Note what another process has noted, as if it had been looked at here."""
    if _current is not None:
        _current.add(looks)


def look(path: str | os.PathLike[str]) -> None:
    """Note what `path` leads to."""
    if _current is not None:
        _current.note(_current.followed, os.fspath(path), os.stat)


def look_plain(path: str, status: os.stat_result | None = None) -> None:
    """Note what stands at `path` itself; `status` when the caller has its lstat already."""
    if _current is not None:
        _current.note(_current.plain, path, os.lstat if status is None else lambda _: status)


def is_unchanged(followed: Rows, plain: Rows) -> bool:
    """Whether stat shows of all these paths what it showed before."""
    try:
        return _are_as(followed, os.stat) and _are_as(plain, os.lstat)
    except (OSError, ValueError):
        return False


def _are_as(rows: Rows, stat: _Stat) -> bool:
    return all(_look(path, stat) == (seen and tuple(seen)) for path, seen in rows.items())


def _look(path: str, stat: _Stat) -> Seen:
    """What is at `path` now. Raises OSError when that can't be told."""
    try:
        found = stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
