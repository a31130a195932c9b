"""One function's value, found by a process of its own while this one goes on.

A process, not a thread: of Python only one thread runs at a time, and one that waits for its turn
after every file would hardly get on beside one that computes. What the function needs is there
already, since the process is forked; its value comes back pickled, through a pipe.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar

Value = TypeVar("Value")


def may_fork() -> bool:
    """Whether a forked process is of use here, and safe: nobody holds a lock that it lacks."""
    return len(os.sched_getaffinity(0)) > 1 and threading.active_count() == 1


class Aside(Generic[Value]):
    """Runs `work` in a process of its own from now on; `stop` must be called in the end."""

    def __init__(self, work: Callable[[], Value]) -> None:
        """Start. Raises OSError when there can be no further process."""
        self._fd, end = os.pipe2(os.O_CLOEXEC)
        try:
            self._pid = os.fork()
        except OSError:
            os.close(self._fd)
            os.close(end)
            raise
        if not self._pid:
            os.close(self._fd)
            _run(work, end)
        os.close(end)

    def result(self) -> Value | None:
        """The value, once it is there; None when `work` failed, in whatever way."""
        data = bytearray()
        while chunk := os.read(self._fd, 1 << 20):
            data += chunk
        status, self._pid = os.waitpid(self._pid, 0)[1], 0
        value: Value | None = pickle.loads(data) if status == 0 else None  # from our own memory
        return value

    def stop(self) -> None:
        """End the process, if it still runs, and whatever it was doing."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _run(work: Callable[[], object], end: int) -> NoReturn:
    """In the new process: leave the value at the pipe's `end`, and nothing else to anybody."""
    status = 1
    try:
        # What fails here is tried again by the process that asked, which tells why.
        data = memoryview(pickle.dumps(work()))
        while data:
            data = data[os.write(end, data) :]
        status = 0
    finally:
        os._exit(status)
