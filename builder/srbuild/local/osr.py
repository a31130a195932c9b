"""OSR's trees of host-dependent links (CDSLs), converted to this layout.

OSR keeps a node's own in .cluster/cdsl/ID, binds that over .cdsl.local and has a relative link
into it at each host-dependent path; what is shared below such a path is a link back into
.cluster/shared. The inventory says which paths are which. Everything is copied first; the links
give way to mount points at the end, and the old tree is kept.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from srbuild.errors import (
    ConfigError,
    ConflictError,
    MissingInputError,
    SrbuildError,
    raise_all,
)
from srbuild.formats.xmltree import SIZE_MAX, XmlError, parse_xml
from srbuild.frozen import frozen
from srbuild.local.layout import (
    BASE,
    KEPT,
    LIST,
    NODES,
    SHARED,
    TEMPLATE,
    check_node,
    check_path,
    site_text,
    with_entry,
)
from srbuild.local.lookup import Look
from srbuild.local.plans import Wish
from srbuild.local.steps import Plan, Step

CDSLTAB: Final = "/etc/cdsltab"
_BINDS = ("bind", "rbind")
INVENTORIES: Final = ("/.cdsl_inventory.xml", "/var/lib/cdsl/cdsl_inventory.xml")


@frozen
class Inventory:
    """What OSR's inventory at `path` says: where things are, and the paths by their type."""

    path: str
    tree: str
    shared_tree: str
    link: str
    default: str
    prefix: str
    own: tuple[str, ...]
    shared: tuple[str, ...]
    bound: tuple[str, ...] = ()
    """Those of `own` that no link leads to: OSR's cdsltab has them bound."""


def read_inventory(tree: Look) -> Inventory:
    """Find and read it. MissingInputError when there is none, ConfigError for what is no such."""
    for path in INVENTORIES:
        data = tree.read(path, SIZE_MAX)
        if data is not None:
            found = parse_inventory(data, path)
            table = tree.read(CDSLTAB, SIZE_MAX)
            return found if table is None else with_cdsltab(found, table)
    raise MissingInputError(
        "this root has no inventory of OSR's", f"looked for {' and '.join(INVENTORIES)}"
    )


def parse_inventory(data: bytes, path: str) -> Inventory:
    """Make an `Inventory` of the XML `data`, which `path` holds."""
    hint = "it is OSR's cdsl_inventory.xml, version 2.0"
    try:
        root = parse_xml(data)
    except XmlError as error:
        raise ConfigError(f"{path}: line {error.line}: {error}", hint) from error
    head = next((one for one in root.iter() if one.attributes.get("tree")), root)
    words = {
        name: head.attributes.get(name) or usual
        for name, usual in {
            "tree": ".cluster/cdsl",
            "sharedtree": ".cluster/shared",
            "link": ".cdsl.local",
            "default_dir": "default",
            "node_prefix": "",
        }.items()
    }
    folders = {name: _folder(words[name], path) for name in ("tree", "sharedtree", "link")}
    found: dict[str, list[str]] = {"hostdependent": [], "shared": []}
    for one in root.iter("cdsl"):
        kind, source = one.attributes.get("type", ""), one.attributes.get("src", "")
        if kind not in found:
            raise ConfigError(f"{path} has {source!r} of the type {kind!r}", hint)
        found[kind].append(check_path("/" + source.strip("/")))
    return Inventory(
        path,
        folders["tree"],
        folders["sharedtree"],
        folders["link"],
        words["default_dir"],
        words["node_prefix"],
        tuple(sorted(set(found["hostdependent"]))),
        tuple(sorted(set(found["shared"]))),
    )


def with_cdsltab(osr: Inventory, table: bytes) -> Inventory:
    """`osr` with what its /etc/cdsltab, `table`, binds from the nodes' trees to the same paths.

    Raises ConflictError for what has no counterpart here.
    """
    bound: list[str] = []
    errors: list[SrbuildError] = []
    for number, line in enumerate(table.decode("utf-8", "surrogateescape").splitlines(), 1):
        words = line.partition("#")[0].split()
        if len(words) > 2 and words[2] in _BINDS:
            words = [words[2], *words[:2]]
        if not words or (words[0] not in _BINDS and not words[0].startswith("/")):
            continue  # another file system
        if words[0] in _BINDS and len(words) > 2:
            target = f"/{words[2].strip('/')}"
            if f"/{words[1].strip('/')}" == f"{osr.tree}/{osr.prefix}%(nodeid)s{target}":
                bound.append(check_path(target))
                continue
        problem = f"{CDSLTAB}, line {number}: {line.strip()!r} has no counterpart"
        hint = "what it does can be had by srbuild local add: take it out, then convert"
        errors.append(ConflictError(problem, hint))
    raise_all(errors)
    own = tuple(sorted({*osr.own, *bound}))
    return replace(osr, own=own, bound=tuple(bound))


def _folder(text: str, path: str) -> str:
    parts = text.strip("/").split("/")
    if not text.isprintable() or {"", ".", ".."} & set(parts):
        raise ConfigError(f"{path} names the folder {text!r}", "a path on the shared root")
    return f"/{'/'.join(parts)}"


def plan_convert(tree: Look, wish: Wish, names: Mapping[str, str]) -> Plan:
    """Bring OSR's tree into this layout; `names` are the nodes' by OSR's numbers.

    Raises what says that it can't be done, before anything is.
    """
    osr = read_inventory(tree)
    if tree.names(osr.link):
        raise ConflictError(
            f"{osr.link} is in use: a node runs here with OSR's tree",
            hint="convert while all nodes are down, from a machine that has the root mounted",
        )
    homes = _homes(tree, osr, names)
    _check_nesting(osr)
    text, steps = site_text(tree), [Step("dir", f"{BASE}/{one}") for one in ("nodes", "template")]
    points: list[Step] = []
    for path in osr.own:
        made, line, point = _own(tree, wish, osr, path, homes)
        steps += made
        points += point
        text = with_entry(text, path, line) if line else text
    for path in osr.shared:
        steps.append(_shared(tree, osr, path, homes))
        line = f"{path} shared any may none shared below a node's own, as OSR had it"
        text = with_entry(text, path, line)
    kept = f"{KEPT}/{wish.stamp}/osr"
    steps += [Step("text", LIST, text=text), *points, Step("dir", KEPT, mode=0o700)]
    tops = {f"/{one.strip('/').split('/')[0]}" for one in (osr.tree, osr.shared_tree, osr.link)}
    for path in (*sorted(tops), osr.path, CDSLTAB):
        if tree.look(path):
            steps.append(Step("move", f"{kept}{path}", path))
    notes = [f"{osr.path}: {len(osr.own)} paths of {len(homes)} nodes, {len(osr.shared)} shared"]
    notes.append(f"what OSR had is in {kept}")
    if tree.look(CDSLTAB):
        notes.append(f"{CDSLTAB} goes with it: name its other file systems in /etc/fstab")
    return Plan("convert", tuple(steps), tuple(notes))


def _homes(tree: Look, osr: Inventory, names: Mapping[str, str]) -> dict[str, str]:
    """Where each node's own is to be, by where OSR has it; the default is the template."""
    homes: dict[str, str] = {}
    unknown: list[str] = []
    for name in tree.names(osr.tree):
        if name == osr.default:
            homes[f"{osr.tree}/{name}"] = TEMPLATE
        elif found := re.fullmatch(f"{re.escape(osr.prefix)}([0-9]+)", name):
            node = names.get(found[1])
            unknown += [] if node else [found[1]]
            homes[f"{osr.tree}/{name}"] = f"{NODES}/{check_node(node)}" if node else ""
        else:
            raise ConflictError(
                f"{osr.tree}/{name} is no node's by its number", "move it away, or rename it"
            )
    if unknown:
        raise ConfigError(
            f"OSR's nodes {', '.join(unknown)} have no names yet",
            hint=" ".join(f"--node {number}=NAME" for number in unknown),
        )
    given = [home for home in homes.values() if home]
    twice = {home for home in given if given.count(home) > 1}
    if twice or not given:
        raise ConfigError(
            f"one name for several nodes: {', '.join(sorted(twice))}"
            if twice
            else f"{osr.tree} has no nodes"
        )
    return homes


def _check_nesting(osr: Inventory) -> None:
    hint = "this layout has no such level: make the one or the other the same for all with "
    hint += "com-rmcdsl, then convert"
    errors = [
        ConflictError(f"{path} is host-dependent below {outer}", hint)
        for path in osr.own
        for outer in (*osr.own, *osr.shared)
        if path.startswith(f"{outer}/")
    ]
    errors += [
        ConflictError(f"{path} is shared, below nothing host-dependent", "com-rmcdsl it")
        for path in osr.shared
        if not any(path.startswith(f"{outer}/") for outer in osr.own)
    ]
    raise_all(errors)


def _own(
    tree: Look, wish: Wish, osr: Inventory, path: str, homes: Mapping[str, str]
) -> tuple[list[Step], str, list[Step]]:
    """The copies of `path`, its line in the list, if any, its mount point if it has none."""
    link = tree.look(path)
    is_point = path in osr.bound and link is not None and link.kind in ("dir", "file")
    is_link = link is not None and link.kind == "link" and _leads(path, link.target, osr.link)
    if not is_point and not is_link:
        raise ConflictError(
            f"{path} is in {osr.path}, but is no link into {osr.link}",
            hint="com-cdslinvchk tells more; correct the one or the other",
        )
    steps, kinds, mode = [], set(), 0o755
    for source, home in homes.items():
        found = tree.look(f"{source}{path}")
        if found is None:
            continue
        if found.kind not in ("dir", "file"):
            raise ConflictError(
                f"{source}{path} is a {found.kind}", "put a directory or a file there"
            )
        if tree.look(f"{home}{path}"):
            raise ConflictError(f"{home}{path} is there already", "move it away")
        kinds.add(found.kind)
        mode = found.mode
        left = tuple(f"{source}{one}" for one in osr.shared if one.startswith(f"{path}/"))
        steps.append(Step("copy", f"{home}{path}", f"{source}{path}", without=left))
    if len(kinds) != 1:
        why = "a file for some, a directory for others" if kinds else "in no node's tree"
        raise ConflictError(f"{path} is {why}", "correct it below " + osr.tree)
    kind = kinds.pop()
    point = [] if is_point else [Step("point", path, text=kind, mode=mode)]
    is_known = any(entry.name == path for entry in wish.defaults)
    line = "" if is_known else f"{path} {kind} any make shared host-dependent, as OSR had it"
    return steps, line, point


def _shared(tree: Look, osr: Inventory, path: str, homes: Mapping[str, str]) -> Step:
    """The copy of what `path` leads to in the nodes' trees."""
    for source in homes:
        found = tree.look(f"{source}{path}")
        if found is None or found.kind != "link":
            continue
        # The link was made to be followed from where the node's tree is bound.
        folder = f"{osr.link}{posixpath.dirname(path)}"
        leads = posixpath.normpath(posixpath.join(folder, found.target))
        there = tree.look(leads) if leads.startswith(f"{osr.shared_tree}/") else None
        if there and there.kind in ("dir", "file"):
            if tree.look(f"{SHARED}{path}"):
                raise ConflictError(f"{SHARED}{path} is there already", "move it away")
            return Step("copy", f"{SHARED}{path}", leads)
    raise ConflictError(
        f"{path} is in {osr.path} as shared, but leads into {osr.shared_tree} in no node's tree",
        hint="com-cdslinvchk tells more; correct the one or the other",
    )


def _leads(path: str, target: str, folder: str) -> bool:
    leads = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return leads.startswith(f"{folder}/")
