"""A folder of finished segments that several processes fill and use at the same time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from srbuild.errors import SrbuildError
from srbuild.host.files import make_private_folder
from srbuild.paths import HostPath

_PREFIX = ".srbuild-stock-"


@contextmanager
def open_stock(beside: HostPath) -> Iterator[HostPath]:
    """A folder for one run, below `beside`, that only its owner can read; gone afterwards.

    Removes what killed runs have left. Raises SrbuildError when it can't be made.
    """
    try:
        make_private_folder(beside)
        _sweep(beside)
        lock = -1
        while lock < 0:
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=beside))
            lock = _lock(folder)
    except OSError as error:
        raise SrbuildError(f"cannot make a folder in {beside}: {error.strerror}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _lock(folder: HostPath) -> int:
    """The locked folder, -1 when another run's sweep took it before the lock."""
    with contextlib.suppress(FileNotFoundError):
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:
            return lock
        os.close(lock)
    return -1


def _sweep(beside: HostPath) -> None:
    for old in beside.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # somebody else's, gone, or held by a living run
            lock = os.open(old, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(old)
            finally:
                os.close(lock)


@contextmanager
def held(path: HostPath, *, wait: bool) -> Iterator[bool]:
    """Hold the lock `path` inside the block; False when another process has it and not `wait`."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(fd)
