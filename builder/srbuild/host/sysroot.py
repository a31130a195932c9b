"""Reading a root tree as a process inside it would see it.

Every symlink is followed *inside* the tree: an absolute target starts again at the tree's
root and `..` stops there, so nothing outside is ever named (path_resolution(7), with the
tree's root as the process's root). Directories are listed once and remembered, which makes
the closure's many look-ups of absent files dictionary misses.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import BinaryIO, TypeVar, cast

from srbuild.errors import MissingInputError
from srbuild.frozen import frozen
from srbuild.host.looks import look, look_plain
from srbuild.paths import HostPath, SysrootPath, sysroot_path

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
Made = TypeVar("Made")
MAX_LINKS = 40  # the kernel's own limit: MAXSYMLINKS in include/linux/namei.h


@frozen
class Identity:
    """What tells whether a file is still the one that was read.

    All numbers as `stat` gives them; times in nanoseconds.
    """

    dev: int
    ino: int
    size: int
    mtime: int
    ctime: int


@frozen
class Link:
    """A symlink met on the way: its own path (no link in it) and its target, unchanged."""

    path: SysrootPath
    target: str


@frozen
class Resolved:
    """Where a path leads: `path` without any link in it, and the links met, in order."""

    path: SysrootPath
    links: tuple[Link, ...]


class Sysroot:
    """A root tree: a directory, or the running system at `/`. Read only."""

    def __init__(self, root: HostPath) -> None:
        """Open the tree at `root`; MissingInputError when it is no directory."""
        look(root)
        if not root.is_dir():
            raise MissingInputError(
                f"no sysroot at {root}",
                hint="make one with: srbuild sysroot create DIR --fs FS --blk BLK",
            )
        self.root = root.absolute()
        self._prefix = "" if str(self.root) == "/" else str(self.root)
        self._dirs: dict[str, Mapping[str, bool]] = {}
        self._targets: dict[str, str] = {}
        self._made: dict[object, object] = {}
        self._foreseen: Callable[[object], object] = lambda key: None

    def once(self, key: object, make: Callable[[], Made]) -> Made:
        """What `make` makes of this tree, made when `key` is first asked for.

        For what several images take from one tree; `key` must tell all that it depends on.
        """
        if key not in self._made:
            found = self._foreseen(key)
            self._made[key] = make() if found is None else found
        return cast(Made, self._made[key])

    def foresee(self, find: Callable[[object], object]) -> None:
        """Take what `find` gives for a key, unless it is None, in place of what would be made."""
        self._foreseen = find

    def made(self) -> dict[object, object]:
        """All that `once` has been asked for, by key."""
        return self._made.copy()

    def host(self, path: SysrootPath) -> str:
        """The host's name of `path`, which must hold no link (see `resolve`)."""
        return self._prefix + path

    def find(self, path: SysrootPath) -> Resolved | None:
        """Follow `path` inside the tree; None when it leads nowhere or in circles."""
        done: list[str] = []
        todo = [part for part in reversed(path.split("/")) if part]
        links: list[Link] = []
        is_named = False  # what was walked last: a name, which may be no directory
        while todo:
            part = todo.pop()
            if part in (".", ".."):
                if is_named and not self._is_folder("/" + "/".join(done)):
                    return None
                if part == ".." and done:
                    done.pop()
                is_named = False
                continue
            here = "/" + "/".join(done)
            is_link = self._entries(here).get(part)
            if is_link is None:
                return None
            is_named = not is_link
            if is_named:
                done.append(part)
                continue
            if len(links) >= MAX_LINKS:
                return None
            link = f"{here.rstrip('/')}/{part}"
            target = self._target(link)
            links.append(Link(SysrootPath(link), target))
            if target.startswith("/"):
                done.clear()
            todo.extend(p for p in reversed(target.split("/")) if p)
        return Resolved(SysrootPath("/" + "/".join(done)), tuple(links))

    def resolve(self, path: SysrootPath) -> Resolved:
        """Like `find`, but MissingInputError when there is nothing at `path`."""
        found = self.find(path)
        if found is None:
            raise MissingInputError(f"{path} is not in the sysroot {self.root}")
        return found

    def exists(self, path: SysrootPath) -> bool:
        """Whether `path` leads to something inside the tree."""
        return self.find(path) is not None

    def stat(self, path: SysrootPath) -> os.stat_result:
        """The stat of what `path` leads to; MissingInputError when nothing."""
        return self.lstat(self.resolve(path).path)

    def lstat(self, real: SysrootPath) -> os.stat_result:
        """The stat of what stands at `real`; MissingInputError when it is gone meanwhile."""
        path = self.host(real)
        try:
            status = os.lstat(path)
        except OSError as error:
            look_plain(path)
            raise self._unreadable(real, error) from error
        look_plain(path, status)
        return status

    def attributes(self, real: SysrootPath) -> list[str]:
        """The names of the extended attributes (xattr(7)) of the file at `real`, sorted."""
        look_plain(self.host(real))
        try:
            return sorted(os.listxattr(self.host(real), follow_symlinks=False))
        except OSError:  # a file system without any
            return []

    def is_file(self, path: SysrootPath) -> bool:
        """Whether `path` leads to a regular file."""
        found = self.find(path)
        return found is not None and stat.S_ISREG(self.lstat(found.path).st_mode)

    def read(self, path: SysrootPath) -> bytes:
        """The whole content of the file that `path` leads to.

        Raises MissingInputError when there is none, it can't be read or is no regular file.
        """
        real = self.resolve(path).path
        fd = self._descriptor(real)
        try:
            pieces = []
            while piece := os.read(fd, os.fstat(fd).st_size + 1):
                pieces.append(piece)
            return b"".join(pieces)
        except OSError as error:
            raise self._unreadable(real, error) from error
        finally:
            os.close(fd)

    def open(self, real: SysrootPath) -> BinaryIO:
        """Open the regular file at `real` (a `Resolved.path`), unbuffered, to read parts of it.

        Raises MissingInputError when it can't be opened or is something else: a FIFO would hang,
        a device might do anything.
        """
        return open(self._descriptor(real), "rb", buffering=0)

    def _descriptor(self, real: SysrootPath) -> int:
        look_plain(self.host(real))
        try:
            fd = os.open(self.host(real), _FLAGS)
        except OSError as error:
            raise self._unreadable(real, error) from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise self._unreadable(real, OSError(0, "no regular file"))
        return fd

    def _unreadable(self, real: SysrootPath, error: OSError) -> MissingInputError:
        return MissingInputError(f"cannot read {real} in {self.root}: {error.strerror}")

    def read_text(self, path: SysrootPath) -> str:
        """The file's content as UTF-8, foreign bytes as surrogate escapes."""
        return self.read(path).decode("utf-8", "surrogateescape")

    def names(self, path: SysrootPath) -> list[str]:
        """The sorted names in the directory that `path` leads to; empty when it is none."""
        found = self.find(path)
        return sorted(self._entries(found.path)) if found else []

    def glob(self, pattern: str) -> list[SysrootPath]:
        """The sorted paths that match a shell pattern; `**` is any depth of directories.

        Links are followed for the directories in the pattern, as a shell does; the paths
        are those that match, not what they lead to.
        """
        matches = [SysrootPath("/")]
        for part in sysroot_path(pattern).split("/")[1:]:
            matches = [m for base in matches for m in self._glob_step(base, part)]
        return sorted(set(matches))

    def _glob_step(self, base: SysrootPath, part: str) -> list[SysrootPath]:
        stem = base.rstrip("/")
        if part == "**":
            return self._below(base)
        if not any(char in part for char in "*?["):
            path = SysrootPath(f"{stem}/{part}")
            return [path] if self.exists(path) else []
        names = fnmatch.filter(self.names(base), part)
        return [SysrootPath(f"{stem}/{name}") for name in names]

    def _below(self, base: SysrootPath) -> list[SysrootPath]:
        """`base` and all directories below it that hold anything, without those behind links."""
        found = [base]
        for folder in found:
            below = (SysrootPath(f"{folder.rstrip('/')}/{name}") for name in self.names(folder))
            found += [path for path in below if not self._is_link(path) and self.names(path)]
        return found

    def _is_link(self, path: SysrootPath) -> bool:
        base, _, name = path.rpartition("/")
        found = self.find(SysrootPath(base or "/"))
        return bool(found and self._entries(found.path).get(name))

    def _is_folder(self, real: str) -> bool:
        return stat.S_ISDIR(self.lstat(SysrootPath(real)).st_mode)

    def _entries(self, real: str) -> Mapping[str, bool]:
        """Name → is it a link, for the directory `real`; empty when it is no directory."""
        known = self._dirs.get(real)
        if known is None:
            look_plain(self._prefix + real)
            try:
                with os.scandir(self._prefix + real) as entries:
                    known = {entry.name: entry.is_symlink() for entry in entries}
            except PermissionError as error:
                raise self._unreadable(SysrootPath(real), error) from error
            except OSError:
                known = {}
            self._dirs[real] = known
        return known

    def _target(self, link: str) -> str:
        if link not in self._targets:
            look_plain(self.host(SysrootPath(link)))
            try:
                self._targets[link] = os.readlink(self.host(SysrootPath(link)))
            except OSError as error:
                raise self._unreadable(SysrootPath(link), error) from error
        return self._targets[link]

    @cached_property
    def is_merged(self) -> bool:
        """Whether /lib is a link into /usr (merged-/usr)."""
        return self._is_link(SysrootPath("/lib"))


def may_be_packed(source: HostPath) -> bool:
    """Whether `source` is anything else than a plain directory: an archive, an OCI layout."""
    layout = source / "oci-layout"  # the file that marks one (image-layout specification)
    look(source)
    look(layout)
    return not source.is_dir() or layout.exists()


def identity(status: os.stat_result) -> Identity:
    """The part of a stat result that tells one version of a file from another."""
    return Identity(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )
