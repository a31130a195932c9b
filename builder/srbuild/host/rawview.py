"""A directory as its file system has it, without what is mounted below.

On a node that runs from the shared root its own files are bound over the shared ones, and who
looks at / sees those. A clone of the mount alone, which is attached nowhere, shows what is below
them (open_tree(2), since Linux 5.2; it takes CAP_SYS_ADMIN).
"""

from __future__ import annotations

import ctypes
import os

from srbuild.errors import ConflictError
from srbuild.paths import HostPath

_OPEN_TREE = 428  # on all architectures
_CLONE = 1
_AT_EMPTY_PATH = 0x1000
_OWN = "/.srbuild/nodes/"
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def open_raw(root: HostPath) -> int:
    """Open the directory `root` without the mounts below it; the descriptor.

    Where that isn't allowed, as it is seen. Raises OSError; ConflictError when a node's own
    files would then be taken for the shared ones.
    """
    seen = os.open(root, _FLAGS)
    try:
        clone = _clone(seen)
    except OSError as error:
        if covered := _covered(root):
            os.close(seen)
            raise ConflictError(
                f"{root} is seen with a node's own files over the shared ones: {covered[0]}",
                hint=f"as root: mount --bind {root} /mnt, then --root /mnt",
            ) from error
        return seen
    os.close(seen)
    try:
        return os.open(".", _FLAGS, dir_fd=clone)
    finally:
        os.close(clone)


def _clone(fd: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    made = int(libc.syscall(_OPEN_TREE, fd, b"", _AT_EMPTY_PATH | _CLONE | os.O_CLOEXEC))
    if made < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return made


def _covered(root: HostPath) -> list[str]:
    """The mount points below `root` where a node's own is bound (proc(5), mountinfo)."""
    below = f"{str(root.resolve()).rstrip('/')}/"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        rows = [line.split(" ") for line in file]
    return [row[4] for row in rows if row[4].startswith(below) and _OWN in row[3]]
