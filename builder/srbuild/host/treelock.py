"""One command at a time on a shared root, whichever node it is given on.

The lock is a file that link(2) gives its name, which on NFS and cluster file systems alike only
one can. It says who holds it. One whose process is gone is taken over on the same machine; about
another machine nobody here can know, so a person says.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict

from srbuild.errors import ConflictError, SrbuildError
from srbuild.frozen import frozen
from srbuild.host.confined import Tree
from srbuild.paths import shown

LOCK = "/.srbuild/lock"
_TRIES = 5
_SIZE = 4096


@frozen
class Holder:
    """Who holds the lock: `boot` and `space` (its pid namespace) tell whose number `pid` is.

    `start` is when that process began, `token` tells its locks apart.
    """

    host: str
    boot: str
    space: str
    pid: int
    start: str
    command: str
    token: str = ""

    @staticmethod
    def self(command: str) -> Holder:
        """What this process writes down."""
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        space = os.readlink("/proc/self/ns/pid")
        pid = os.getpid()
        return Holder(platform.node(), boot, space, pid, _start(pid), command, os.urandom(8).hex())

    @staticmethod
    def parse(data: bytes) -> Holder | None:
        """Who wrote `data`; None when it is not this command's writing."""
        try:
            found = json.loads(data)
            holder = Holder(**found)
        except (ValueError, TypeError):
            return None
        words = (holder.host, holder.boot, holder.space, holder.start, holder.command, holder.token)
        is_right = isinstance(holder.pid, int) and all(isinstance(word, str) for word in words)
        return holder if is_right else None

    def text(self) -> bytes:
        """What `parse` reads."""
        return json.dumps(asdict(self)).encode()

    def is_gone(self, me: Holder) -> bool:
        """Whether its process has ended for certain, as `me` can see it."""
        if (self.boot, self.space) != (me.boot, me.space):
            return False
        return _start(self.pid) != self.start


def _start(pid: int) -> str:
    """When the process began, in the kernel's ticks (proc(5), stat's field 22); empty if gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


@contextlib.contextmanager
def held(tree: Tree, command: str, *, take_over: bool = False) -> Iterator[None]:
    """Hold the lock of `tree` for `command`; ConflictError while somebody else has it.

    `take_over`: a person has said that whoever holds it is gone.
    """
    me = Holder.self(command)
    draft = f"{LOCK}.{me.boot}.{me.pid}"
    tree.remove(draft)
    try:
        tree.write_new(draft, me.text(), 0o644)
        _take(tree, draft, me, take_over=take_over)
    except OSError as error:
        raise SrbuildError(f"{LOCK}: {error.strerror}", "it takes a writable root") from error
    finally:
        tree.unlink(draft)
    try:
        _sweep(tree, me)
        yield
    finally:
        if tree.read(LOCK, _SIZE) == me.text():
            tree.unlink(LOCK)


def _sweep(tree: Tree, me: Holder) -> None:
    """Remove what processes of this machine that were killed have left."""
    folder, _, name = LOCK.rpartition("/")
    for left in tree.names(folder):
        if left.startswith(f"{name}."):
            holder = Holder.parse(tree.read(f"{folder}/{left}", _SIZE) or b"")
            if holder and holder.is_gone(me):
                tree.unlink(f"{folder}/{left}")


def _take(tree: Tree, draft: str, me: Holder, *, take_over: bool) -> None:
    for _ in range(_TRIES):
        try:
            tree.link(draft, LOCK)
        except FileExistsError:
            with _alone(tree):
                data = tree.read(LOCK, _SIZE)
                holder = Holder.parse(data) if data is not None else None
                if data is None:
                    continue
                if data == me.text():  # NFS: made, and asked for again when the answer was lost
                    return
                if not take_over and (holder is None or not holder.is_gone(me)):
                    raise _busy(holder) from None
                tree.unlink(LOCK)
        else:
            return
    raise ConflictError("the lock of this shared root goes from hand to hand", "try again")


@contextlib.contextmanager
def _alone(tree: Tree) -> Iterator[None]:
    """Alone on this machine: between looking at a lock and removing it nobody else may take it."""
    fd = os.open(tree.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: two at once are rare
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _busy(holder: Holder | None) -> ConflictError:
    who = "something that is none of srbuild's"
    if holder:
        who = f"{holder.host}, process {holder.pid}: srbuild local {holder.command}"
    return ConflictError(
        f"the shared root is in use by {shown(who)}",
        hint=f"wait for it; if that machine or process is gone for good: --break-lock "
        f"(the lock is {LOCK})",
    )
