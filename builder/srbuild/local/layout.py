"""Where things are below /.srbuild, and what of it is there: docs/host-files.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from srbuild.errors import ConfigError, MissingInputError
from srbuild.frozen import frozen
from srbuild.hostfiles import HostEntry, What, parse_host_entries
from srbuild.local.lookup import Look, Place, matches, resolve

BASE: Final = "/.srbuild"
LIST: Final = f"{BASE}/list"
NODES: Final = f"{BASE}/nodes"
TEMPLATE: Final = f"{BASE}/template"
SHARED: Final = f"{BASE}/shared"
KEPT: Final = f"{BASE}/kept"
NEW: Final = f"{BASE}/new"
JOURNAL: Final = f"{BASE}/journal"
LOCAL: Final = f"{BASE}/local"
LIST_LIMIT: Final = 65536
HEAD: Final = """\
# The host-specific paths of this shared root, beside those that every root has. `srbuild local`
# writes it; an entry takes the place of that of the same name. Columns:
# NAME WHAT WHERE NEED FIRST MEANING…
"""
ALLOWED: Final[tuple[What, ...]] = ("dir", "state", "file", "tmpfs", "readonly", "shared")
_NODE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9-]+)*")
_RESERVED: Final = ("/proc", "/sys", "/dev", "/run", BASE)


@frozen
class Rule:
    """An entry that holds for the root, and whether the root's own list (`site`) has it."""

    entry: HostEntry
    site: bool


@frozen
class Held:
    """A path that a rule is about, and where it leads."""

    rule: Rule
    name: str
    place: Place


def check_node(name: str) -> str:
    """`name`; ConfigError when no node can be called so."""
    if not _NODE.fullmatch(name):
        raise ConfigError(f"{name!r} is no node's name", "small letters, digits and - as in n1")
    return name


def check_path(path: str) -> str:
    """`path`; ConfigError when no entry of a list can be about it."""
    parts = path.split("/")
    if not path.startswith("/") or "" in parts[1:] or {".", ".."} & set(parts):
        raise ConfigError(f"{path!r} is no absolute path", "as in /etc/example, without . and ..")
    if not path.isprintable() or any(char.isspace() for char in path):
        raise ConfigError(f"{path!r} holds blanks or control characters", "no list can name it")
    if {"*", "?"} & set("".join(parts[:-1])):
        raise ConfigError(f"{path}: only the last name may hold * or ?")
    for name in _RESERVED:
        if path == name or path.startswith(f"{name}/"):
            raise ConfigError(f"{path} cannot be one node's own", "name a path of the shared root")
    return path


def check_base(tree: Look) -> None:
    """MissingInputError unless `srbuild local init` was here."""
    found = tree.look(BASE)
    if found is None or found.kind != "dir":
        raise MissingInputError(
            "this root has no /.srbuild", hint="is it the shared root? then: srbuild local init"
        )


def nodes(tree: Look) -> list[str]:
    """The nodes that have files of their own."""
    return [name for name in tree.names(NODES) if _NODE.fullmatch(name)]


def site_text(tree: Look) -> str:
    """The root's own list; its head when there is none yet."""
    data = tree.read(LIST, LIST_LIMIT)
    if data is None:
        return HEAD
    if len(data) > LIST_LIMIT:
        raise ConfigError(f"{LIST} is longer than 64 KiB", "name directories, not their files")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{LIST} is no UTF-8", "correct it by hand") from error


def site_entries(text: str) -> tuple[HostEntry, ...]:
    """The entries of the root's own list; ConfigError for what the boot would refuse."""
    entries = parse_host_entries(text, LIST)
    seen: set[str] = set()
    for entry in entries:
        check_path(entry.name)
        if entry.what not in ALLOWED or entry.where != ("any",):
            kinds = ", ".join(ALLOWED)
            raise ConfigError(
                f"{LIST} has {entry.name} as {entry.what}", f"one of {kinds}; WHERE is any"
            )
        if entry.first not in ("shared", "tree", "empty", "none"):
            raise ConfigError(f"{LIST} has FIRST {entry.first} for {entry.name}", "shared, tree, …")
        if entry.name in seen:
            raise ConfigError(f"{LIST} has {entry.name} twice", "drop one")
        seen.add(entry.name)
    return entries


def with_entry(text: str, name: str, line: str = "") -> str:
    """The list's `text` with `line` for `name` in place of what it has for it."""
    kept = [
        old
        for old in text.splitlines()
        if old.lstrip().startswith("#") or old.split(None, 1)[:1] != [name]
    ]
    return "".join(f"{one}\n" for one in [*kept, *([line] if line else [])])


def families(tree: Look) -> frozenset[str]:
    """Of which families of systems the root is, as hooks/lib/hostlist.sh finds it."""
    found: set[str] = set()
    place = resolve(tree, "/etc/os-release")
    text = tree.read(place.path, 1 << 16) if place.leads == "found" else None
    lines = (text or b"").decode(errors="replace").splitlines()[:60]
    for line in lines:
        key, _, value = line.partition("=")
        if key in ("ID", "ID_LIKE"):
            words = set(re.findall(r"[a-z0-9]+", value.lower()))
            found |= {"debian"} if words & {"debian", "ubuntu"} else set()
            found |= {"rhel"} if words & {"rhel", "fedora", "centos"} else set()
    if not found:
        signs = {"debian": "/etc/debian_version", "rhel": "/etc/redhat-release"}
        found = {one for one, path in signs.items() if resolve(tree, path).leads == "found"}
    found = found or {"debian", "rhel"}
    inits = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
    has_systemd = any(resolve(tree, path).leads == "found" for path in inits)
    return frozenset({*found, "systemd" if has_systemd else "sysv"})


def rules(tree: Look, defaults: Sequence[HostEntry]) -> list[Rule]:
    """The entries that hold for the root: its own list's, then the defaults that concern it."""
    own = site_entries(site_text(tree))
    named = {entry.name for entry in own}
    words = families(tree)
    rest = [
        Rule(entry, False)
        for entry in defaults
        if entry.name not in named and entry.what != "mask" and entry.concerns(words)
    ]
    return [*(Rule(entry, True) for entry in own), *rest]


def held(tree: Look, found: Sequence[Rule]) -> list[Held]:
    """The paths that are host-specific or shared by the rules, by their parts."""
    rows = [
        Held(rule, name, resolve(tree, name))
        for rule in found
        if rule.entry.what != "virtual"
        for name in matches(tree, rule.entry.name)
    ]
    return sorted(rows, key=lambda row: (row.place.path.split("/"), row.name))


def own_paths(rows: Sequence[Held]) -> list[Held]:
    """Those of which each node has its own below nodes/NODE, the outermost only, without links.

    A path that leads into /.srbuild/local is the node's own wherever it is.
    """
    kinds = ("dir", "state", "file", "link", "identity")
    outer = ""
    kept: list[Held] = []
    for row in rows:
        path = row.place.path
        if row.rule.entry.what not in kinds or row.place.leads not in ("found", "own") or not path:
            continue
        if outer and path.startswith(outer):
            continue
        if any(path == one.place.path for one in kept[-1:]):
            continue
        kept.append(row)
        outer = f"{path}/"
    return kept
