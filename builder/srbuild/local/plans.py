"""What each command of `srbuild local` would change, from what the root is like now."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from typing import Final

from srbuild.errors import ConfigError, ConflictError, MissingInputError
from srbuild.frozen import frozen
from srbuild.hostfiles import HostEntry
from srbuild.local.layout import (
    BASE,
    HEAD,
    KEPT,
    LIST,
    LOCAL,
    NEW,
    NODES,
    SHARED,
    TEMPLATE,
    Held,
    Rule,
    check_node,
    check_path,
    families,
    held,
    nodes,
    own_paths,
    rules,
    site_text,
    with_entry,
)
from srbuild.local.lookup import Look, matches, resolve
from srbuild.local.steps import Plan, Step

KINDS: Final = ("dir", "state", "file", "tmpfs", "readonly")
_FIRST: Final = {"state": "tree", "readonly": "none", "tmpfs": "empty"}


@frozen
class Wish:
    """What the planner may ask for beside the tree: the default list, time and chance.

    `stamp` names what is kept (no two alike); `uuid` makes a new one with each call.
    """

    defaults: Sequence[HostEntry]
    stamp: str
    uuid: Callable[[], str]


def plan_init(tree: Look, *, links: bool) -> Plan:
    """Make the layout; with `links` also the directory that links to a node's own lead into."""
    folders = [(BASE, 0o755), (NODES, 0o755), (TEMPLATE, 0o755), (SHARED, 0o755), (KEPT, 0o700)]
    folders += [(LOCAL, 0o755)] if links else []
    steps = [Step("dir", path, mode=mode) for path, mode in folders if tree.look(path) is None]
    if tree.look(LIST) is None:
        steps.append(Step("text", LIST, text=HEAD))
    return Plan("init", tuple(steps), () if steps else ("all of it was there",))


def plan_add(tree: Look, wish: Wish, path: str, kind: str, meaning: str) -> Plan:
    """Put `path` on the root's list; `kind` is empty for what is there now."""
    check_path(path)
    found = rules(tree, wish.defaults)
    for rule in found:
        is_all = rule.entry.what not in ("shared", "virtual")
        if rule.entry.name == path and is_all and (not kind or rule.entry.what == kind):
            return Plan("add", (), (f"{path} is each node's own already: {rule.entry.meaning}",))
    default = _default(wish, path)
    text = site_text(tree)
    is_kept = default is not None and default.what not in ("shared", "virtual")
    if not kind and is_kept and default and default.concerns(families(tree)):
        return _listed("add", with_entry(text, path), f"{path} is each node's own again")
    kind = kind or _kind_of(tree, path)
    _check_outer(tree, found, path)
    place = resolve(tree, path)
    owned = [row.place.path for row in own_paths(held(tree, found))]
    outer = [one for one in owned if place.path.startswith(f"{one}/")]
    if outer and kind not in ("tmpfs", "readonly"):
        return Plan("add", (), (f"{path} is each node's own already, with {outer[0]}",))
    first = _FIRST.get(kind, "shared")
    need = "must" if kind == "readonly" else "make"
    line = f"{path} {kind} any {need} {first} {_meaning(meaning or 'added by srbuild local')}"
    notes = [f"{path} is each node's own ({kind}) from its next boot on"]
    left = [name for name in nodes(tree) if tree.look(f"{NODES}/{name}{place.path}")]
    if left and kind in ("dir", "state", "file"):
        notes.append(f"has one of its own already, and keeps it: {', '.join(left)}")
    return _listed("add", with_entry(text, path, line), *notes)


def _kind_of(tree: Look, path: str) -> str:
    places = [resolve(tree, one) for one in matches(tree, path)]
    kinds = {found.kind for place in places if (found := tree.look(place.path))}
    leads = {place.leads for place in places}
    if leads == {"found"} and len(kinds) == 1 and kinds <= {"dir", "file"}:
        return kinds.pop()
    if "virtual" in leads:
        raise ConflictError(f"{path} leads to this boot's own state: it is never shared")
    raise MissingInputError(
        f"{path} is no file or directory of the shared root",
        hint="say what it is to be: --kind dir, state, file or tmpfs; or make it there",
    )


def _check_outer(tree: Look, found: Sequence[Rule], path: str) -> None:
    """Nothing is kept apart below what is shared by `share`."""
    for rule in found:
        is_above = rule.entry.what == "shared" and path.startswith(f"{rule.entry.name}/")
        if is_above and tree.look(f"{SHARED}{resolve(tree, rule.entry.name).path}"):
            raise ConflictError(
                f"{path} is below {rule.entry.name}, which all nodes share",
                hint=f"srbuild local remove {rule.entry.name}, or name another path",
            )


def plan_remove(tree: Look, wish: Wish, path: str, *, put_aside: bool) -> Plan:
    """Take `path` off: all nodes share it from their next boot on.

    `put_aside` moves what the nodes have of their own to KEPT; else it stays for a later `add`.
    """
    check_path(path)
    found = next((r for r in rules(tree, wish.defaults) if r.entry.name == path), None)
    default = _default(wish, path)
    if found is None or (found.entry.what in ("shared", "virtual") and not found.site):
        raise MissingInputError(
            f"{path} is not host-specific", hint="write it as srbuild local list has it"
        )
    if found.site and found.entry.what == "shared" and default is not None:
        raise MissingInputError(
            f"{path} is shared already", hint=f"each node's own again: srbuild local add {path}"
        )
    line = f"{path} shared any may none all nodes share it" if default is not None else ""
    place = resolve(tree, path)
    steps = [Step("text", LIST, text=with_entry(site_text(tree), path, line))]
    notes = [f"{path} is shared from each node's next boot on"]
    homes = [*((f"{NODES}/{name}", name) for name in nodes(tree)), (SHARED, "shared")]
    left = [
        (f"{home}{place.path}", name) for home, name in homes if tree.look(f"{home}{place.path}")
    ]
    if put_aside:
        steps += [Step("dir", KEPT, mode=0o700)]
        steps += [
            Step("move", f"{KEPT}/{wish.stamp}/{name}{place.path}", source) for source, name in left
        ]
        notes += [f"what nodes had of it is in {KEPT}/{wish.stamp}"] if left else []
    elif left:
        notes.append(f"stays for a later add: {', '.join(source for source, _ in left)}")
    return Plan("remove", tuple(steps), tuple(notes))


def plan_share(tree: Look, wish: Wish, path: str, origin: str, meaning: str) -> Plan:
    """Have all nodes share `path`, which is below a directory of each node's own.

    What they share begins as a copy of what the node `origin` has, or when it is empty the
    shared root.
    """
    check_path(path)
    found = rules(tree, wish.defaults)
    rows = own_paths(held(tree, found))
    parent = resolve(tree, posixpath.dirname(path))
    place = f"{parent.path.rstrip('/')}/{posixpath.basename(path)}"
    if {"*", "?"} & set(path):
        raise ConfigError(f"{path}: a path is shared by its own name", "one without * and ?")
    if any(row.place.path == place or row.name == path for row in rows):
        raise ConflictError(f"{path} is itself kept apart", f"srbuild local remove {path}")
    if parent.leads != "found" or not any(place.startswith(f"{r.place.path}/") for r in rows):
        raise ConflictError(
            f"{path} is below no directory that is each node's own: all nodes share it as it is",
            hint="srbuild local list shows those",
        )
    inner = [rule.entry.name for rule in found if rule.entry.name.startswith(f"{path}/")]
    if inner:
        raise ConflictError(f"{inner[0]} is below {path} and kept apart", "remove it first")
    if origin and origin not in nodes(tree):
        raise MissingInputError(f"no node {origin} has files here", _have(tree))
    source = f"{NODES}/{origin}{place}" if origin else place
    there = tree.look(source)
    if there is None or there.kind not in ("dir", "file"):
        raise MissingInputError(
            f"{source} is no file or directory",
            hint="make it there, or begin with a node's: --from NODE",
        )
    steps = []
    if tree.look(f"{SHARED}{place}") is None:
        steps.append(Step("copy", f"{SHARED}{place}", source))
    line = f"{path} shared any may none {_meaning(meaning or 'shared by srbuild local')}"
    steps.append(Step("text", LIST, text=with_entry(site_text(tree), path, line)))
    note = f"{path} is shared from each node's next boot on, as {SHARED}{place}"
    return Plan("share", tuple(steps), (note,))


def plan_add_node(tree: Look, wish: Wish, name: str) -> Plan:
    """Make the node's own of all that is on the list, as its first boot would."""
    check_node(name)
    if name in nodes(tree):
        raise ConflictError(f"the node {name} has files here already", "srbuild local list")
    rows = own_paths(held(tree, rules(tree, wish.defaults)))
    new = f"{NEW}/{name}"
    steps = [Step("dir", NEW, mode=0o700), Step("dir", new, mode=0o755)]
    machine_id = wish.uuid().replace("-", "")
    for row in rows:
        steps += _first_of(tree, wish, row, new, name, machine_id)
    steps += [Step("dir", NODES), Step("move", f"{NODES}/{name}", new)]
    return Plan("add-node", tuple(steps), (f"{name} has its own files in {NODES}/{name}",))


def _first_of(
    tree: Look, wish: Wish, row: Held, new: str, name: str, machine_id: str
) -> list[Step]:
    """What a node begins with for `row`; nothing for what its boot alone can know."""
    first, path = row.rule.entry.first, row.place.path
    found = tree.look(path) if row.place.leads == "found" else None
    mode = found.mode if found else 0o644
    texts: dict[str, Callable[[], str]] = {
        "node-name": lambda: name,
        "machine-id": lambda: machine_id,
        "uuid": wish.uuid,
        "host-nqn": lambda: f"nqn.2014-08.org.nvmexpress:uuid:{wish.uuid()}",
    }
    if first in texts and (found is None or found.kind == "file"):
        return [Step("text", f"{new}{path}", text=f"{texts[first]()}\n", mode=mode)]
    template = tree.look(f"{TEMPLATE}{path}")
    if template and template.kind in ("dir", "file"):
        return [Step("copy", f"{new}{path}", f"{TEMPLATE}{path}")]
    if found is None or first == "boot":
        return []
    if found.kind == "dir":
        shape = {"shared": "all", "tree": "dirs"}.get(first, "none")
        return [Step("copy", f"{new}{path}", path, shape=shape)]  # type: ignore[arg-type]
    if first == "shared" and found.kind == "file":
        return [Step("copy", f"{new}{path}", path)]
    return [Step("text", f"{new}{path}", mode=mode)] if found.kind == "file" else []


def plan_remove_node(tree: Look, wish: Wish, name: str) -> Plan:
    """Put the node's own files aside, whole."""
    check_node(name)
    if name not in nodes(tree):
        raise MissingInputError(f"no node {name} has files here", _have(tree))
    kept = f"{KEPT}/{wish.stamp}/{name}"
    steps = (Step("dir", KEPT, mode=0o700), Step("move", kept, f"{NODES}/{name}"))
    return Plan("remove-node", steps, (f"what {name} had is in {kept}",))


def _have(tree: Look) -> str:
    return f"those that have: {', '.join(nodes(tree)) or 'none yet'}"


def _default(wish: Wish, path: str) -> HostEntry | None:
    return next((entry for entry in wish.defaults if entry.name == path), None)


def _meaning(text: str) -> str:
    if not text.isprintable() or len(text) > 200:
        raise ConfigError("the meaning is no line of text", "up to 200 printable characters")
    return text.strip()


def _listed(command: str, text: str, *notes: str) -> Plan:
    return Plan(command, (Step("text", LIST, text=text),), notes)
