"""Writing files so that a reader sees the old content or the new, never a part.

A draft is a hidden temporary file in its target's folder, locked while its writer lives. The
next writer in that folder removes the drafts that nobody holds: what a killed run left.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from srbuild.errors import SrbuildError, UsageError
from srbuild.paths import HostPath

_DRAFT_SUFFIX = ".srbuild-draft"
_LOCK_SUFFIX = ".srbuild-lock"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_COPY = (errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


class Draft:
    """A file being written beside `target`, which it replaces on `commit` and not before.

    Used with `with`: leaving the block without `commit` removes the draft and leaves the target
    as it was. Every method raises SrbuildError when the folder or the disk does not let it.
    """

    def __init__(self, target: HostPath, *, secret: bool = False) -> None:
        """Begin; `secret` makes the file readable by its owner only, else the umask decides.

        Raises UsageError when `target` is something that a file can't replace.
        """
        with _reported("write", target):
            is_other = target.exists() and not target.is_file()
        if is_other:
            raise UsageError(f"{target} is no regular file", hint="name another output file")
        self.target = target
        self.path = target
        self.fd = -1
        self._mode = 0o600 if secret else 0o666
        self._size = 0

    def __enter__(self) -> Self:
        with _reported("write", self.target):
            _sweep(self.target.parent)
            while self.fd < 0:
                self.path, self.fd = _create(self.target, self._mode)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.path != self.target:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
        os.close(self.fd)

    def tell(self) -> int:
        """The number of bytes written."""
        return self._size

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`."""
        rest = memoryview(data)
        with _reported("write", self.target):
            while rest:
                done = os.write(self.fd, rest)
                self._size += done
                rest = rest[done:]

    def copy(self, source: HostPath, size: int, offset: int = 0) -> None:
        """Append `size` bytes of the file `source` from `offset`, in the kernel where it can."""
        with _reported("write", self.target), source.open("rb", buffering=0) as file:
            file.seek(offset)
            left = size
            while left:
                try:
                    done = os.copy_file_range(file.fileno(), self.fd, left)
                except OSError as error:
                    if error.errno not in _NO_COPY:
                        raise
                    done = os.sendfile(self.fd, file.fileno(), None, left)
                if not done:
                    raise OSError(errno.EIO, f"{source} is cut short")
                left -= done
        self._size += size

    def truncate(self, size: int) -> None:
        """Forget what was written behind the first `size` bytes."""
        with _reported("write", self.target):
            os.ftruncate(self.fd, size)
            os.lseek(self.fd, size, os.SEEK_SET)
        self._size = size

    def sync(self) -> None:
        """Bring what was written so far to the disk; another thread may go on writing."""
        with _reported("write", self.target):
            os.fdatasync(self.fd)

    def commit(self) -> None:
        """Make it the target: on the disk first, then under its name, then the name on disk."""
        with _reported("write", self.target):
            os.fsync(self.fd)
        self.rename()
        with _reported("write", self.target):
            _sync_folder(self.target.parent)

    def rename(self) -> None:
        """Make it the target without waiting for the disk: for files that may be lost."""
        with _reported("write", self.target):
            self.path.replace(self.target)
        self.path = self.target


@contextlib.contextmanager
def locked(target: HostPath) -> Iterator[None]:
    """Let only one process at a time replace `target`; others wait here for it.

    SrbuildError when the folder does not let it; where there are no locks nobody waits.
    """
    path = target.with_name(f".{target.name[:200]}{_LOCK_SUFFIX}")
    fd = -1
    with _reported("write", target):
        while fd < 0:
            fd = _lock(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(fd)


def _lock(path: HostPath) -> int:
    """The locked file at `path`, or -1 when whoever had it took it away meanwhile."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(fd)
            raise
    if os.fstat(fd).st_nlink:
        return fd
    os.close(fd)
    return -1


def write_atomic(target: HostPath, data: bytes, *, secret: bool = False) -> None:
    """Replace `target` by `data`; SrbuildError, and the old file as it was, when that fails."""
    with Draft(target, secret=secret) as draft:
        draft.write(data)
        draft.commit()


def make_private_folder(path: HostPath) -> None:
    """Make `path` and its parents; new ones are open to their owner only. Raises OSError."""
    for folder in [path, *path.parents][::-1]:
        if not folder.is_dir():
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)


def write_new_tree(folder: HostPath, files: Iterable[tuple[str, bytes, int]]) -> None:
    """Make `folder`, open to its owner only, with `files`: (absolute path in there, data, mode).

    SrbuildError when the folder exists already or a file can't be written.
    """
    with _reported("make", folder):
        folder.mkdir(mode=0o700)
    for name, data, mode in files:
        path = folder / name.lstrip("/")
        with _reported("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(data)


def write_new_module(folder: HostPath, declaration: bytes) -> None:
    """Make `folder`, and what is above it, with a module.toml; SrbuildError when it exists."""
    with _reported("make", folder):
        folder.mkdir(parents=True)
    write_atomic(folder / "module.toml", declaration)


def _create(target: HostPath, mode: int) -> tuple[HostPath, int]:
    """A new locked draft, or -1 for its descriptor when a sweep took it before the lock."""
    path = target.with_name(f".{target.name[:200]}.{os.urandom(6).hex()}{_DRAFT_SUFFIX}")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:  # without locks nobody sweeps either
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
    if os.fstat(fd).st_nlink:
        return path, fd
    os.close(fd)
    return path, -1


def _sweep(folder: HostPath) -> None:
    """Remove the drafts in `folder` that no living process holds."""
    with os.scandir(folder) as entries:
        debris = [Path(e.path) for e in entries if e.name.endswith(_DRAFT_SUFFIX)]
    for path in debris:
        # Somebody else's, gone, or locked by its writer: not ours to remove.
        with contextlib.suppress(OSError):
            _remove_unheld(path)


def _remove_unheld(path: HostPath) -> None:
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino == os.fstat(fd).st_ino:
                path.unlink()
    finally:
        os.close(fd)


def _sync_folder(folder: HostPath) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _reported(verb: str, path: HostPath) -> Iterator[None]:
    """Turn an OSError into an SrbuildError that names `path`."""
    try:
        yield
    except OSError as error:
        hint = ""
        if error.errno in _NO_SPACE:
            hint = f"make room on the file system of {path.parent}, or name another output"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT):
            hint = f"{path.parent} must be an existing folder that you may write to"
        raise SrbuildError(f"cannot {verb} {path}: {error.strerror}", hint=hint) from error
