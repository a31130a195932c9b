"""A belt between two threads: one puts pieces of a stream on it, the other one takes them off.

Compressing is half of a build's work and lets go of Python's lock, so it has a thread of its own
while the first one reads and hashes what comes next. What is under way is bounded, whatever
the stream's size.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from srbuild.formats.compress import Sink

DEPTH = 16  # pieces on the belt; of 256 KiB at most, so 4 MiB


class Belt:
    """Calls `take` in a second thread with every piece that is written, in order.

    Used with `with`; leaving the block by an exception leaves out what was not taken yet. Queues
    rather than locks, as in `image._Progress`: Ctrl-C may strike between any two steps.
    """

    def __init__(self, take: Sink) -> None:
        self._take: Callable[[bytes | memoryview], object] = take
        self._pieces: SimpleQueue[bytes | None] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        self._error: BaseException | None = None
        self._is_stopped = False
        # A daemon: should Ctrl-C strike before `__enter__`, nobody waits for it in the end.
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        for _ in range(DEPTH):
            self._room.put(None)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_stopped = error is not None
        self._pieces.put(None)
        self._thread.join()
        if error is None and self._error:
            raise self._error

    def write(self, piece: bytes | memoryview) -> None:
        """Put `piece`, which may be reused then, on the belt; waits while there is no room.

        Raises what `take` raised for an earlier one.
        """
        self._room.get()
        if self._error:
            raise self._error
        self._pieces.put(bytes(piece))  # bytes are taken as they are, not copied

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            if not self._is_stopped and not self._error:
                try:
                    self._take(piece)
                except BaseException as error:
                    self._error = error
            self._room.put(None)
