"""Values found one after the other by a process of its own while this one goes on.

A process, not a thread: of Python only one thread runs at a time, and one that waits for its turn
after every file would hardly get on beside one that computes. What the work needs is there
already, since the process is forked; its values come back pickled, through a pipe.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable
from typing import Generic, NoReturn, TypeVar

Value = TypeVar("Value")


def may_fork() -> bool:
    """Whether a forked process is of use here, and safe: nobody holds a lock that it lacks."""
    return len(os.sched_getaffinity(0)) > 1 and threading.active_count() == 1


class Aside(Generic[Value]):
    """Runs `work` in a process of its own from now on; `stop` must be called in the end."""

    def __init__(self, work: Callable[[], Iterable[Value]]) -> None:
        """Start. Raises OSError when there can be no further process."""
        fd, end = os.pipe2(os.O_CLOEXEC)
        try:
            self._pid = os.fork()
        except OSError:
            os.close(fd)
            os.close(end)
            raise
        if not self._pid:
            os.close(fd)
            _run(work, end)
        os.close(end)
        self._pipe = os.fdopen(fd, "rb")

    def next(self) -> Value | None:
        """The next value, once it is there; None when there is no more, or `work` failed."""
        try:
            value: Value = pickle.load(self._pipe)  # from our own memory
        except (EOFError, pickle.UnpicklingError):  # the end, or in the middle of one
            return None
        return value

    def stop(self) -> None:
        """End the process, if it still runs, and whatever it was doing."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0
        self._pipe.close()


def _run(work: Callable[[], Iterable[object]], end: int) -> NoReturn:
    """In the new process: leave the values at the pipe's `end`, and nothing else to anybody."""
    status = 1
    try:
        # What fails here is tried again by the process that asked, which tells why.
        with os.fdopen(end, "wb", buffering=1 << 20) as pipe:
            for value in work():
                pipe.write(pickle.dumps(value))
                pipe.flush()
        status = 0
    finally:
        os._exit(status)
