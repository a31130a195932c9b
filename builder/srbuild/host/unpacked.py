"""What was unpacked in this run, kept aside so that no file is unpacked twice.

Suites from trixie on ship kmods as .ko.xz, and unpacking is most of what collecting and writing
them costs. The data goes to a temporary file without a name, so memory stays bounded and nothing
is left behind; where there is no room for it, files are just unpacked again.
"""

from __future__ import annotations

import os
import threading
from typing import IO

from srbuild.host.sysroot import Identity

LIMIT = 1 << 30  # bytes kept; a whole kernel's kmods have less


class UnpackedFiles:
    """Files' unpacked content by identity; for one run, and for all of its threads.

    A forked process sees what was kept before, and keeps its own in a file of its own.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._left = limit
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._end = 0
        self._places: dict[Identity, tuple[IO[bytes], int, int]] = {}  # file, offset, length
        os.register_at_fork(after_in_child=self._part)

    def put(self, identity: Identity, data: bytes) -> None:
        """Keep `data` as the content of the file, if there is room."""
        with self._lock:
            if identity in self._places or len(data) > self._left:
                return
            try:
                file = self._file = self._file or _unnamed_file()
                written = os.pwrite(file.fileno(), data, self._end)
            except OSError:
                written = -1
            if written != len(data):  # a full disk is no reason to fail here
                self._left = 0
                return
            self._places[identity] = file, self._end, written
            self._end += written
            self._left -= written

    def get(self, identity: Identity) -> bytes | None:
        """The content that was kept; None when there is none."""
        if identity not in self._places:
            return None
        file, offset, length = self._places[identity]
        data = os.pread(file.fileno(), length, offset)
        return data if len(data) == length else None

    def _part(self) -> None:
        self._lock = threading.Lock()
        self._file, self._end = None, 0


def _unnamed_file() -> IO[bytes]:
    import tempfile  # with its own imports 6 ms that most builds need not wait for

    return tempfile.TemporaryFile(prefix="srbuild-", buffering=0)


UNPACKED = UnpackedFiles()
"""Those of this process."""
