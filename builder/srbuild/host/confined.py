"""A root tree that is changed from outside: no link in it leads anywhere, whoever puts it there.

Every path is absolute inside the tree and is walked name by name from the tree's descriptor with
O_NOFOLLOW, so that one whose parts become links while it is walked is refused, not followed.
What is made is on the disk before it gets its name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

from srbuild.errors import ConflictError, MissingInputError, SrbuildError
from srbuild.frozen import frozen
from srbuild.host.rawview import open_raw
from srbuild.paths import HostPath

Kind: TypeAlias = Literal["dir", "file", "link", "other"]
Shape: TypeAlias = Literal["all", "dirs", "none"]
_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 1 << 20
_NO_ATTRIBUTES = {errno.ENOTSUP, errno.EPERM, errno.EINVAL, errno.EACCES}


@frozen
class Found:
    """What is at a path itself: `target` of a link, else empty; `mode` without the type."""

    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    inode: tuple[int, int]
    mtime: int
    target: str = ""


def _ignore(_: str) -> None:
    """What happens before a change, unless a test wants to know."""


class Tree:
    """The tree at `root`, without what is mounted below it.

    `before` is called with a word before each change that is made.
    """

    def __init__(self, root: HostPath, before: Callable[[str], None] = _ignore) -> None:
        """Open it; MissingInputError when it is no directory."""
        try:
            self._fd = open_raw(root)
        except OSError as error:
            raise MissingInputError(
                f"no shared root at {root}: {error.strerror}", hint="mount it, and name that place"
            ) from error
        self.root = root
        self.before = before

    def close(self) -> None:
        """Let go of the tree."""
        os.close(self._fd)

    # --- looking

    def look(self, path: str) -> Found | None:
        """What is at `path`; None when there is nothing. Its directories may not be links."""
        if path == "/":
            return _found(os.fstat(self._fd), "")
        try:
            with self._parent(path) as (fd, name):
                return _look(fd, name)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names(self, path: str) -> list[str]:
        """The names in the directory `path`, sorted; none when it is not there."""
        try:
            with self._dir(path) as fd:
                return sorted(os.listdir(fd))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self, path: str, limit: int = 1 << 20) -> bytes | None:
        """The file `path`, at most `limit` bytes and one more; None when there is none."""
        try:
            with self._parent(path) as (fd, name), _opened(name, _FILE, fd) as file:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise ConflictError(f"{path} is no file", "put a file in its place")
                return _read(file, limit)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refused(path, error) from error

    # --- changing

    def make_dirs(self, path: str, mode: int = 0o755) -> None:
        """Make the directory `path` and those above it; `mode` is of those that are new."""
        at = ""
        for name in path.strip("/").split("/"):
            at = f"{at}/{name}"
            with self._reported(at), self._parent(at) as (fd, last):
                found = _look(fd, last)
                if found is None:
                    self.before("mkdir")
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(last, mode, dir_fd=fd)
                        os.chmod(last, mode, dir_fd=fd)
                    os.fsync(fd)
                elif found.kind != "dir":
                    raise ConflictError(
                        f"{at} is a {found.kind}, no directory; links are not followed",
                        "put a directory in its place",
                    )

    def write_new(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Make the file `path`, which is not there yet. Raises FileExistsError."""
        with self._parent(path) as (fd, name):
            self.before("create")
            with _opened(name, _NEW, fd, 0o600) as file:
                _write(file, data)
                os.fchmod(file, mode)
                os.fsync(file)

    def link(self, source: str, path: str) -> None:
        """Give the file `source` the name `path`, too. Raises FileExistsError."""
        with self._parent(source) as (fd, name), self._parent(path) as (to, last):
            self.before("link")
            os.link(name, last, src_dir_fd=fd, dst_dir_fd=to, follow_symlinks=False)
            os.fsync(to)

    def rename(self, source: str, path: str) -> None:
        """Give what is at `source` the name `path`; a file there is replaced, atomically."""
        with self._reported(path), self._parent(source) as (fd, name):
            with self._parent(path) as (to, last):
                self.before("rename")
                os.rename(name, last, src_dir_fd=fd, dst_dir_fd=to)
                os.fsync(to)
            os.fsync(fd)

    def unlink(self, path: str) -> None:
        """Take the name `path` off what is no directory, if it is there."""
        with contextlib.suppress(FileNotFoundError), self._parent(path) as (fd, name):
            self.before("unlink")
            os.unlink(name, dir_fd=fd)
            os.fsync(fd)

    def remove(self, path: str) -> None:
        """Remove what is at `path` with all that is below it; links are not followed."""
        found = self.look(path)
        if found is None:
            return
        if found.kind != "dir":
            self.unlink(path)
            return
        for name in self.names(path):
            self.remove(f"{path}/{name}")
        with self._parent(path) as (fd, name):
            self.before("rmdir")
            os.rmdir(name, dir_fd=fd)

    def copy(
        self, source: str, path: str, shape: Shape, skip: Callable[[str], bool] = lambda _: False
    ) -> None:
        """Copy `source` to `path`, which is not there: owners, modes, times, attributes.

        `shape` says how much of a directory: all, its directories, or nothing below it. Device
        nodes, sockets and pipes are left out, and what `skip` says of paths below `source`.
        Other file systems mounted below are not entered.
        """
        found = self.look(source)
        if found is None:
            raise MissingInputError(f"{source} is not there any more", "give the command again")
        with self._reported(path):
            self._copy(source, path, shape, skip, found.inode[0])

    def _copy(
        self, source: str, path: str, shape: Shape, skip: Callable[[str], bool], device: int
    ) -> None:
        with self._parent(source) as (fd, name), self._parent(path) as (to, last):
            found = _look(fd, name)
            if found is None or found.kind == "other" or found.inode[0] != device:
                return
            self.before("copy")
            if found.kind == "link":
                os.symlink(found.target, last, dir_fd=to)
                os.chown(last, found.uid, found.gid, dir_fd=to, follow_symlinks=False)
                return
            if found.kind == "file":
                with _opened(name, _FILE, fd) as old, _opened(last, _NEW, to, 0o600) as new:
                    while data := os.read(old, _BLOCK):
                        _write(new, data)
                    _dress(old, new)
                    os.fsync(new)
                return
            os.mkdir(last, 0o700, dir_fd=to)
        for entry in self.names(source) if shape != "none" else []:
            below = f"{source}/{entry}"
            inner = self.look(below)
            if inner and (shape == "all" or inner.kind == "dir") and not skip(below):
                self._copy(below, f"{path}/{entry}", shape, skip, device)
        with self._dir(source) as old, self._dir(path) as new:
            _dress(old, new)
            os.fsync(new)

    # --- walking

    @contextlib.contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        """The directory that holds `path`, opened, and the last name."""
        folder, _, name = path.rpartition("/")
        if not path.startswith("/") or name in ("", ".", "..") or "\0" in path:
            raise ValueError(f"{path!r} names nothing in a tree")
        with self._dir(folder or "/") as fd:
            yield fd, name

    @contextlib.contextmanager
    def _dir(self, path: str) -> Iterator[int]:
        fd = os.dup(self._fd)
        try:
            at = ""
            for name in path.split("/"):
                if not name:
                    continue
                if name in (".", ".."):
                    raise ValueError(f"{path!r} is no path in a tree")
                at = f"{at}/{name}"
                inner = _enter(fd, name, at)
                os.close(fd)
                fd = inner
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _reported(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _refused(path, error) from error


def _enter(fd: int, name: str, at: str) -> int:
    try:
        return os.open(name, _DIR, dir_fd=fd)
    except NotADirectoryError as error:
        found = _look(fd, name)
        if found and found.kind == "link":
            raise ConflictError(
                f"{at} is a link, which is not followed", "put a directory in its place"
            ) from error
        raise


def _refused(path: str, error: OSError) -> SrbuildError:
    if error.errno == errno.ELOOP:
        return ConflictError(f"{path} is a link, which is not followed", "put a file in its place")
    hints = {
        errno.EROFS: "mount the shared root writable",
        errno.EACCES: "it takes the rights of root",
        errno.EPERM: "it takes the rights of root",
        errno.ENOSPC: "make room on the shared root; the command can be given again",
        errno.EDQUOT: "make room on the shared root; the command can be given again",
    }
    return SrbuildError(f"{path}: {error.strerror}", hints.get(error.errno or 0, ""))


@contextlib.contextmanager
def _opened(name: str, flags: int, fd: int, mode: int = 0o600) -> Iterator[int]:
    file = os.open(name, flags, mode, dir_fd=fd)
    try:
        yield file
    finally:
        os.close(file)


def _look(fd: int, name: str) -> Found | None:
    try:
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        target = os.readlink(name, dir_fd=fd) if stat.S_ISLNK(status.st_mode) else ""
    except FileNotFoundError:
        return None
    return _found(status, target)


def _found(status: os.stat_result, target: str) -> Found:
    kinds: dict[int, Kind] = {stat.S_IFDIR: "dir", stat.S_IFREG: "file", stat.S_IFLNK: "link"}
    return Found(
        kinds.get(stat.S_IFMT(status.st_mode), "other"),
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_size,
        (status.st_dev, status.st_ino),
        status.st_mtime_ns,
        target,
    )


def _read(file: int, limit: int) -> bytes:
    parts: list[bytes] = []
    left = limit + 1
    while left > 0 and (data := os.read(file, min(left, _BLOCK))):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _dress(old: int, new: int) -> None:
    """Give `new` the owner, mode, extended attributes and times of `old`."""
    status = os.fstat(old)
    os.fchown(new, status.st_uid, status.st_gid)
    os.fchmod(new, stat.S_IMODE(status.st_mode))
    try:
        for name in os.listxattr(old):
            os.setxattr(new, name, os.getxattr(old, name))
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES:
            raise
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
