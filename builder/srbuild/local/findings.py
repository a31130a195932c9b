"""What hosts would fight over: `srbuild local check`, and what a node's own differ in: `diff`."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias

from srbuild.errors import SrbuildError
from srbuild.frozen import frozen
from srbuild.host.confined import Found
from srbuild.hostfiles import HostEntry
from srbuild.local.layout import (
    BASE,
    LIST,
    LOCAL,
    NODES,
    SHARED,
    TEMPLATE,
    Held,
    check_base,
    held,
    nodes,
    own_paths,
    rules,
)
from srbuild.local.lookup import Look, resolve

Weight: TypeAlias = Literal["error", "fight", "note"]
_MADE: Final = ("node-name", "machine-id", "uuid", "host-nqn", "boot")
_ONE_HOSTS: Final = (
    "*.pid", "*.lock", "*.lease", "*.leases", "*.journal", "lock", "LCK..*", "wtmp", "btmp",
    "lastlog", "utmp", "*-wal", "*.sock",
)  # fmt: skip
_SEARCHED: Final = ("/etc", "/var", "/root", "/srv")
_ENTRIES: Final = 500_000
_SMALL: Final = 4096
_BLOCK: Final = 1 << 28


@frozen
class Finding:
    """Something at `path`: an error stops a boot, a fight is two hosts' writing to one file.

    `hint` is the way out.
    """

    weight: Weight
    path: str
    text: str
    hint: str = ""


def check(tree: Look, defaults: Sequence[HostEntry]) -> list[Finding]:
    """All there is to say about the root, errors first. Raises what makes looking impossible."""
    check_base(tree)
    try:
        found = rules(tree, defaults)
    except SrbuildError as error:
        return [Finding("error", LIST, str(error.message), error.hint)]
    rows = held(tree, found)
    findings = [
        *_layout(tree),
        *_places(rows),
        *_nodes(tree, own_paths(rows)),
        *_shared(tree, rows),
        *_left(tree, rows),
        *_writers(tree, rows),
    ]
    order = ("error", "fight", "note")
    return sorted(set(findings), key=lambda one: (order.index(one.weight), one.path, one.text))


def _layout(tree: Look) -> Iterator[Finding]:
    for path in (NODES, TEMPLATE, SHARED, LOCAL):
        found = tree.look(path)
        if found and found.kind != "dir":
            yield Finding("error", path, f"is a {found.kind}", "put a directory in its place")
        elif found and found.mode & 0o022:
            yield Finding("error", path, "others may write here", f"chmod go-w {path}")
    found = tree.look(BASE)
    if found and found.mode & 0o022:
        yield Finding("error", BASE, "others may write here", f"chmod go-w {BASE}")


def _places(rows: Sequence[Held]) -> Iterator[Finding]:
    texts = {
        "absent": "is a link to {}, which is not there",
        "loop": "is a link that leads to itself",
        "odd": "leads to a name that cannot be mounted on",
    }
    for row in rows:
        leads = row.place.leads
        if leads == "absent" and not row.place.is_linked:
            if row.rule.site and row.rule.entry.what != "shared":
                yield Finding(
                    "note", row.name, "its directory is not there: nothing is kept apart",
                    f"make it, or: srbuild local remove {row.name}",
                )  # fmt: skip
        elif leads in texts and row.rule.entry.what != "shared":
            weight: Weight = "error" if row.rule.entry.must else "note"
            yield Finding(
                weight, row.name, texts[leads].format(row.place.path), "correct the link"
            )  # fmt: skip


def _nodes(tree: Look, rows: Sequence[Held]) -> Iterator[Finding]:
    names = nodes(tree)
    for row in rows:
        path = row.place.path
        shared = tree.look(path) if row.place.leads == "found" else None
        said: dict[str, list[str]] = {}
        inodes = {shared.inode: path} if shared and shared.kind == "file" else {}
        for name in names:
            own = f"{NODES}/{name}{path}"
            try:
                found = tree.look(own)
            except SrbuildError as error:
                yield Finding("error", own, error.message, error.hint)
                continue
            if found is None:
                continue
            if found.kind not in ("dir", "file"):
                yield Finding(
                    "error", own, f"is a {found.kind}, which is not followed",
                    "put a file or a directory in its place",
                )  # fmt: skip
            elif shared and found.kind != shared.kind:
                yield Finding(
                    "error", own, f"is a {found.kind}, the shared root's a {shared.kind}",
                    f"put a {shared.kind} in its place, or remove it",
                )  # fmt: skip
            elif found.kind == "file":
                other = inodes.setdefault(found.inode, own)
                if other != own:
                    yield Finding(
                        "fight", own, f"is the same file as {other} (a hard link)",
                        "copy it, and rename the copy over it",
                    )  # fmt: skip
                if row.rule.entry.first in _MADE and found.size:
                    text = (tree.read(own, _SMALL) or b"").decode(errors="replace")
                    said.setdefault(text.strip(), []).append(name)
        for text, several in said.items():
            if text and len(several) > 1:
                yield Finding(
                    "fight", row.name, f"is the same on {', '.join(several)}",
                    f"remove it of all but one, below {NODES}: their next boot makes a new one",
                )  # fmt: skip


def _shared(tree: Look, rows: Sequence[Held]) -> Iterator[Finding]:
    owned = [row.place.path for row in own_paths(rows)]
    inner = [row for row in rows if row.rule.entry.what not in ("shared", "virtual")]
    for row in rows:
        path = row.place.path
        if row.rule.entry.what != "shared" or not row.rule.site or row.place.leads == "virtual":
            continue
        try:
            found = tree.look(f"{SHARED}{path}")
        except SrbuildError as error:
            yield Finding("error", f"{SHARED}{path}", error.message, error.hint)
            continue
        if found and found.kind not in ("dir", "file"):
            yield Finding("error", f"{SHARED}{path}", f"is a {found.kind}", "put a file there")
        if found is None and any(path.startswith(f"{one}/") for one in owned):
            yield Finding(
                "error", row.name, f"is to be shared, but {SHARED}{path} is not there",
                f"srbuild local remove {row.name}, then share it again",
            )  # fmt: skip
        for one in inner:
            if found and one.place.path.startswith(f"{path}/") and one.place.leads == "found":
                yield Finding(
                    "error", one.name, f"is to be kept apart below {row.name}, which is shared",
                    "srbuild local remove one of the two",
                )  # fmt: skip


def _left(tree: Look, rows: Sequence[Held]) -> Iterator[Finding]:
    """What nodes have of their own that no entry names any more."""
    known = {row.place.path for row in rows if row.rule.entry.what != "shared"}
    known |= {row.rule.entry.name for row in rows if row.rule.entry.what != "shared"}
    for name in nodes(tree):
        todo = [""]
        while todo:
            path = todo.pop()
            for entry in tree.names(f"{NODES}/{name}{path}"):
                below = f"{path}/{entry}"
                if below in known or below == "/.new":
                    continue
                found = tree.look(f"{NODES}/{name}{below}")
                if found and found.kind == "dir" and any(k.startswith(f"{below}/") for k in known):
                    todo.append(below)
                else:
                    yield Finding(
                        "note", f"{NODES}/{name}{below}", "no entry of the list is about it",
                        f"srbuild local add {below}, or move it away",
                    )  # fmt: skip


def _writers(tree: Look, rows: Sequence[Held]) -> Iterator[Finding]:
    """Files by whose names one host writes them, where all hosts share them."""
    apart = {row.place.path for row in rows if row.rule.entry.what != "shared"}
    wished = {row.place.path for row in rows if row.rule.entry.what == "shared"}
    left = _ENTRIES
    todo: list[str] = [path for path in _SEARCHED if resolve(tree, path).path == path]
    while todo:
        folder = todo.pop()
        for name in tree.names(folder):
            path = f"{folder}/{name}"
            left -= 1
            if left < 0:
                yield Finding("note", folder, "is too much to look through", "look by hand")
                return
            if path in apart or path in wished:
                continue
            found = tree.look(path)
            if found and found.kind == "dir":
                todo.append(path)
            elif found and _is_one_hosts(name, found):
                yield Finding(
                    "fight", path, "is written by one host, and shared by all",
                    f"srbuild local add {folder if folder not in _SEARCHED else path}",
                )  # fmt: skip


def _is_one_hosts(name: str, found: Found) -> bool:
    if found.kind == "other":
        return True
    return found.kind == "file" and any(fnmatch.fnmatchcase(name, one) for one in _ONE_HOSTS)


@frozen
class Difference:
    """How one path differs between two nodes: `only` names who alone has it, else `how` says."""

    path: str
    only: str = ""
    how: tuple[str, ...] = ()


def diff(tree: Look, one: str, two: str) -> list[Difference]:
    """What the trees of the nodes `one` and `two` differ in, by path."""
    found: list[Difference] = []
    todo = [""]
    while todo:
        path = todo.pop()
        names = [set(tree.names(f"{NODES}/{node}{path}")) for node in (one, two)]
        for name in sorted(names[0] | names[1]):
            below = f"{path}/{name}"
            if below == "/.new":
                continue
            seen = [tree.look(f"{NODES}/{node}{below}") for node in (one, two)]
            first, second = seen
            if first is None or second is None:
                found.append(Difference(below, only=two if first is None else one))
                continue
            how = _differs(tree, first, second, [f"{NODES}/{n}{below}" for n in (one, two)])
            if how:
                found.append(Difference(below, how=how))
            if first.kind == "dir" and second.kind == "dir":
                todo.append(below)
    return sorted(found, key=lambda row: row.path.split("/"))


def _differs(tree: Look, one: Found, two: Found, paths: Sequence[str]) -> tuple[str, ...]:
    if one.kind != two.kind:
        return (f"{one.kind} and {two.kind}",)
    how = []
    if one.mode != two.mode:
        how.append(f"mode {one.mode:04o} and {two.mode:04o}")
    if (one.uid, one.gid) != (two.uid, two.gid):
        how.append(f"owner {one.uid}:{one.gid} and {two.uid}:{two.gid}")
    if one.kind == "link" and one.target != two.target:
        how.append("target")
    if one.kind == "file" and (
        one.size != two.size or tree.read(paths[0], _BLOCK) != tree.read(paths[1], _BLOCK)
    ):
        how.append("content")
    return tuple(how)
