"""Where a host-specific path leads on the shared root, as the boot sees it.

The same rules as hooks/lib/hostresolve.sh: links are followed inside the root, what leads to the
kernel's file systems is each node's own anyway.
"""

from __future__ import annotations

import fnmatch
from typing import Final, Literal, Protocol, TypeAlias

from srbuild.frozen import frozen
from srbuild.host.confined import Found

MAX_LINKS: Final = 40
MAX_MATCHES: Final = 256
_VIRTUAL: Final = {"/proc", "/sys", "/dev", "/run"}
_OWN: Final = {"/.srbuild/local", "/.cdsl.local"}

Class: TypeAlias = Literal["found", "missing", "virtual", "own", "absent", "loop", "odd"]


class Look(Protocol):
    """What can be seen of a tree (host/confined.py)."""

    def look(self, path: str) -> Found | None:
        """What is at `path` itself."""

    def names(self, path: str) -> list[str]:
        """The names in the directory `path`."""

    def read(self, path: str, limit: int = ...) -> bytes | None:
        """The file `path`."""


@frozen
class Place:
    """Where a path leads: `path` has no link in it; of `own` it is below the node's own files.

    `is_linked`: whether links were on the way.
    """

    leads: Class
    path: str
    is_linked: bool = False


def resolve(tree: Look, path: str) -> Place:
    """Follow `path` inside `tree` as a process whose root it is would."""
    todo = [part for part in reversed(path.split("/")) if part]
    done: list[str] = []
    links = 0
    while todo:
        part = todo.pop()
        if part == ".":
            continue
        if part == "..":
            if done:
                done.pop()
            continue
        done.append(part)
        here = "/" + "/".join(done)
        if not part.isprintable():
            return Place("odd", here, links > 0)
        if here in _VIRTUAL:
            return Place("virtual", here, links > 0)
        if here in _OWN:
            return _below_own(here, todo)
        found = tree.look(here)
        if found is None:
            return Place("absent" if todo else "missing", here, links > 0)
        if found.kind == "link":
            links += 1
            if links > MAX_LINKS:
                return Place("loop", here, True)
            done = [] if found.target.startswith("/") else done[:-1]
            todo.extend(name for name in reversed(found.target.split("/")) if name)
        elif todo and found.kind != "dir":
            return Place("absent", here, links > 0)
    return Place("found" if done else "odd", "/" + "/".join(done), links > 0)


def _below_own(here: str, todo: list[str]) -> Place:
    below = [name for name in reversed(todo) if name != "."]
    if ".." in below or not all(name.isprintable() for name in below):
        return Place("odd", here, True)
    return Place("own", "".join(f"/{name}" for name in below) if "srbuild" in here else "", True)


def matches(tree: Look, pattern: str) -> list[str]:
    """The paths that `pattern` stands for; itself when it is none."""
    folder, _, last = pattern.rpartition("/")
    if not {"*", "?"} & set(last):
        return [pattern]
    place = resolve(tree, folder)
    if place.leads != "found":
        return []
    names = [name for name in tree.names(place.path) if name.isprintable()]
    return [f"{folder}/{name}" for name in names if fnmatch.fnmatchcase(name, last)][:MAX_MATCHES]
