"""Writing a whole folder so that others see the old tree or the new one, never a part."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from srbuild.errors import ConflictError, SrbuildError, UsageError
from srbuild.host.files import locked
from srbuild.paths import HostPath
from srbuild.records import Record

MARK = ".srbuild-bootstrap"
"""A file in the top folder of each tree: what has none is somebody else's and left alone."""

Row = tuple[str, Record, Iterable[bytes]]
"""Absolute path in the tree, record, and the data if it is a file."""

_SUFFIX = ".srbuild-tree"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # linux/fs.h
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


def write_tree(target: HostPath, rows: Iterable[Row], mtime: int) -> None:
    """Make the folder `target` of `rows`, each after the folder above it; all get `mtime`.

    A tree that this function made, or an empty folder, is replaced. Raises UsageError for any
    other target, ConflictError for one with a file system mounted in it, SrbuildError when it
    can't be written; an earlier tree then stays as it was.
    """
    target = Path(os.path.abspath(target))
    if target == target.parent:
        raise UsageError("a bootstrap cannot be put in place of /", "name a folder for it")
    _check_target(target)
    with locked(target), _reported(target):
        _sweep(target)
        draft = target.with_name(f"{_prefix(target)}{os.urandom(6).hex()}{_SUFFIX}")
        draft.mkdir(mode=0o700)
        try:
            _fill(draft, rows, mtime)
            _sync(draft)
            _check_target(target)
            _put(draft, target)
        finally:
            _remove(draft)


def _check_target(target: HostPath) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UsageError(f"{target} is no folder", "name another one, or remove it")
    if not target.exists():
        return
    mark = target / MARK
    with _reported(target):
        is_ours = mark.is_file() and not mark.is_symlink()
        is_empty = not any(target.iterdir())
    if not is_ours and not is_empty:
        raise UsageError(
            f"{target} is not empty, and not a bootstrap that srbuild wrote",
            f"name a new folder; srbuild replaces only what holds {MARK}",
        )
    _refuse_mounts(target)


def _refuse_mounts(target: HostPath) -> None:
    """Raise ConflictError when anything is mounted on `target` or below it."""
    top = os.fsencode(target.resolve())
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        place = line.split()[4].decode("unicode_escape").encode("latin-1")
        if place == top or place.startswith(top + b"/"):
            raise ConflictError(
                f"something is mounted on {os.fsdecode(place)}: {target} can't be replaced",
                f"umount {os.fsdecode(place)}",
            )


def _fill(draft: HostPath, rows: Iterable[Row], mtime: int) -> None:
    folders = [(draft, 0o755)]
    for name, record, data in rows:
        path = draft / name.lstrip("/")
        if record.kind == "dir":
            folders.append((path, record.mode))
            path.mkdir(mode=0o700, exist_ok=path == draft)
        else:
            _make(path, record, data)
            os.utime(path, (mtime, mtime), follow_symlinks=False)
    _make(draft / MARK, Record("file", 0o644), (b"written by srbuild, which may replace it\n",))
    os.utime(draft / MARK, (mtime, mtime))
    for path, mode in reversed(folders):
        path.chmod(mode)
        _own(path)
        os.utime(path, (mtime, mtime))


def _make(path: HostPath, record: Record, data: Iterable[bytes]) -> None:
    if record.kind == "symlink":
        path.symlink_to(record.target)
        _own(path)
        return
    if record.kind == "file":
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.writelines(data)
    else:
        os.mknod(path, record.st_mode, os.makedev(*record.rdev))
    _own(path)
    path.chmod(record.mode)  # after chown, which takes set-user-id away


def _own(path: HostPath) -> None:
    if os.geteuid() == 0:
        os.chown(path, 0, 0, follow_symlinks=False)


def _sync(draft: HostPath) -> None:
    """Bring the draft's file system to the disk, and no other one."""
    fd = os.open(draft, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc().syncfs(fd) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(fd)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _put(draft: HostPath, target: HostPath) -> None:
    """Give `draft` the name `target`; what had it gets the draft's, to be removed."""
    if not target.exists():
        draft.rename(target)
        return
    names = os.fsencode(draft), os.fsencode(target)
    done = _libc().renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    if done == 0:
        return
    number = ctypes.get_errno()
    if number not in _NO_EXCHANGE:
        raise OSError(number, os.strerror(number))
    # No exchange here (NFS): for a moment there is no tree at all, but never half of one.
    old = draft.with_name(f"{_prefix(target)}{os.urandom(6).hex()}{_SUFFIX}")
    target.rename(old)
    draft.rename(target)
    _remove(old)


def _prefix(target: HostPath) -> str:
    return f".{target.name[:200]}."


def _sweep(target: HostPath) -> None:
    """Remove what killed runs left; the caller has the target's lock, so nobody uses it."""
    for path in target.parent.iterdir():
        name = path.name
        rest = name.removeprefix(_prefix(target)).removesuffix(_SUFFIX)
        if name == f"{_prefix(target)}{rest}{_SUFFIX}" and len(rest) == 12 and rest.isalnum():
            _remove(path)


def _remove(path: HostPath) -> None:
    if path.is_dir() and not path.is_symlink():
        _refuse_mounts(path)
        for folder, _, _ in os.walk(path):  # folders without w or x for their owner
            os.chmod(folder, 0o700)
        shutil.rmtree(path)


@contextlib.contextmanager
def _reported(target: HostPath) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = error.strerror or str(error)
        raise SrbuildError(
            f"cannot write {target}: {what}",
            f"{target.parent} must be a folder that you may write to, with room for a second tree",
        ) from error
