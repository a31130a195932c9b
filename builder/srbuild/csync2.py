"""csync2's configuration: what hosts with disks of their own keep alike, from one cluster file.

What is host-specific on a shared root is what csync2 must not carry from one host to another, so
both come from one list. The format is that of csync2's manual (doc/csync2.adoc, "The csync2.cfg
file"): of the patterns that begin with a slash the last one that matches a path counts. What the
manual does not say: `include /` means that directory alone (csync2 2.0); all below it is `/*`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence
from typing import Final

from srbuild.config.cluster import Cluster
from srbuild.errors import ConfigError, Origin, SrbuildError, raise_all
from srbuild.frozen import frozen
from srbuild.hostfiles import HostEntry

KEY_ALPHABET: Final = string.ascii_letters + string.digits + "._"
KEY_LENGTH: Final = 64
"""What `csync2 -k` makes: that many characters of that alphabet."""

_OWN: Final = ("dir", "state", "file", "link", "identity", "tmpfs", "readonly", "virtual")
_SAYABLE: Final = re.compile(r"/[A-Za-z0-9_./:@+,=*?\[\]~-]*")


@frozen
class SyncWish:
    """What a site wants of csync2.

    `include` are the paths to be kept alike, `exclude` further ones that are not; `backup` is
    where csync2 keeps `generations` of what it replaces; `key` is the group's key on the hosts.
    Without `tls` the hosts talk in the clear, for networks that are the cluster's own.
    """

    include: tuple[str, ...]
    exclude: tuple[str, ...]
    key: str
    backup: str
    generations: int
    tls: bool = True


@frozen
class Pattern:
    """A line of the group: whether the paths below `path` are carried over, and why not."""

    is_in: bool
    path: str
    why: str = ""


def sync_patterns(
    cluster: Cluster, entries: Iterable[HostEntry], wish: SyncWish
) -> tuple[Pattern, ...]:
    """The patterns, outer paths before inner ones.

    `entries` are the host-specific ones; [local] add and remove of the cluster file, for all
    nodes or one, count like in its boot. Raises ConfigError for a path that csync2.cfg cannot say.
    """
    added, removed = _local(cluster)
    rows: dict[str, Pattern] = {}
    for path in wish.include:
        rows[path] = Pattern(True, path)
    for entry in entries:
        if entry.what == "shared":
            rows[entry.name] = Pattern(True, entry.name, entry.meaning)
        elif entry.what in _OWN and entry.name not in removed:
            rows[entry.name] = Pattern(False, entry.name, entry.meaning)
    for path in added:
        rows[path] = Pattern(False, path, "the cluster file's [local] add")
    rows[wish.backup] = Pattern(False, wish.backup, "what csync2 has replaced")
    for path in (wish.key, *wish.exclude):
        rows[path] = Pattern(False, path)
    raise_all([_unsayable(path) for path in rows if not _SAYABLE.fullmatch(path)])
    return tuple(sorted(rows.values(), key=lambda one: one.path.rstrip("/").split("/")))


def render_csync2(cluster: Cluster, patterns: Sequence[Pattern], wish: SyncWish) -> str:
    """The text of csync2.cfg: one group with all nodes of `cluster`, conflicts left to a person.

    Raises ConfigError for a cluster of less than two nodes.
    """
    if len(cluster.nodes) < 2:
        raise ConfigError(
            f"{len(cluster.nodes)} node: nothing to keep alike",
            "csync2 is for two hosts and more",
            Origin(cluster.origin.source, "node"),
        )
    lines = [
        "# Made by srbuild csync2 of the cluster file and the list of host-specific paths.",
        *([] if wish.tls else ["nossl * *;"]),
        f"group {cluster.name.replace('-', '_')}",
        "{",
    ]
    for node in cluster.nodes:
        address = (node.address or "").partition("/")[0]
        lines.append(f"    host {node.name}{f'@{address}' if address else ''};")
    lines.append(f"    key {wish.key};")
    for one in patterns:
        path = "/*" if one.path == "/" else one.path
        text = f"    {'include' if one.is_in else 'exclude'} {path};"
        lines.append(f"{text:47} # {one.why}" if one.why else text)
    lines += [
        f"    backup-directory {wish.backup};",
        f"    backup-generations {wish.generations};",
        "    auto none;",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _local(cluster: Cluster) -> tuple[list[str], set[str]]:
    """The paths of [local]: what any node keeps apart, and what all of them share."""
    tables = [cluster.values.get("local", {}), *(n.values.get("local", {}) for n in cluster.nodes)]
    added = [word.partition(":")[2] or word for one in tables for word in one.get("add", ())]
    return list(dict.fromkeys(added)), set(tables[0].get("remove", ())) - set(added)


def _unsayable(path: str) -> SrbuildError:
    return ConfigError(f"{path!r} cannot stand in csync2.cfg", "use * or ? for the odd characters")
