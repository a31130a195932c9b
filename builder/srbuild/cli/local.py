"""`srbuild local`: the host-specific files of a shared root that is mounted here."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from srbuild.cli.output import print_json
from srbuild.paths import shown

if TYPE_CHECKING:
    from srbuild.host.confined import Tree
    from srbuild.local.plans import Wish
    from srbuild.local.steps import Plan

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def local() -> None:
    r"""Keep each node's own files apart on a shared root.

    Works on a shared root that is mounted, at / or at --root, while nodes run from it: what is
    changed holds from each node's next boot on. No link in it is followed out of it. A command
    that was killed is finished by the next one, or by `check`.

    \b
      srbuild local init --root /mnt        make /.srbuild
      srbuild local add --root /mnt /srv/x  each node gets its own
      srbuild local check --root /mnt       what would hosts fight over?

    What one cluster or node of it keeps apart stands in the cluster file ([local] add, remove),
    which comes first; what belongs to the root, for whoever boots it, is kept on the root itself,
    in /.srbuild/list, by these commands. See docs/host-files.md.
    """


def _root(command: F) -> F:
    return click.option(
        "--root",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("/"),
        show_default=True,
        help="Where the shared root is mounted.",
    )(command)


def _breaks(command: F) -> F:
    return click.option(
        "--break-lock",
        "take_over",
        is_flag=True,
        help="Whoever holds the lock is gone for good: take it.",
    )(command)


def _as_json(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(
        command
    )


@contextmanager
def _tree(root: Path) -> Iterator[Tree]:
    from srbuild.host.confined import Tree

    tree = Tree(root)
    try:
        yield tree
    finally:
        tree.close()


def _wish() -> Wish:
    from srbuild.hostfiles import default_entries
    from srbuild.local.plans import Wish

    stamp = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(4).hex()}"
    return Wish(default_entries(), stamp, lambda: str(uuid.uuid4()))


def _run(root: Path, command: str, planned: Callable[[Tree], Plan], *, take_over: bool) -> None:
    from srbuild.host.localroot import run

    with _tree(root) as tree:
        plan, finished = run(
            tree,
            command,
            lambda: planned(tree),
            take_over=take_over,
            makes_base=command == "init",
        )
    if finished:
        click.echo(f"srbuild: note: finished what a kill had left of: local {finished}", err=True)
    for note in plan.notes:
        click.echo(shown(note))


@local.command()
@_root
@click.option("--links", is_flag=True, help="Also /.srbuild/local, for links to a node's own.")
@_breaks
def init(root: Path, links: bool, take_over: bool) -> None:
    """Make /.srbuild on a shared root. What is there already stays."""
    from srbuild.local.plans import plan_init

    _run(root, "init", lambda tree: plan_init(tree, links=links), take_over=take_over)
    click.echo("the shared root is ready: srbuild local list shows what is kept apart")


@local.command("list")
@_root
@_as_json
def list_paths(root: Path, as_json: bool) -> None:
    """List what is each node's own, why, and which nodes have it already."""
    from srbuild.hostfiles import default_entries
    from srbuild.local.layout import NODES, check_base, held, nodes, rules

    with _tree(root) as tree:
        check_base(tree)
        names = nodes(tree)
        rows = [
            {
                "path": row.name,
                "what": row.rule.entry.what,
                "from": "root" if row.rule.site else "default",
                "leads": row.place.leads,
                "real": row.place.path,
                "nodes": [one for one in names if tree.look(f"{NODES}/{one}{row.place.path}")],
                "meaning": row.rule.entry.meaning,
            }
            for row in held(tree, rules(tree, default_entries()))
        ]
    if as_json:
        print_json({"schema": "srbuild.local-list/1", "nodes": names, "paths": rows})
        return
    for one in rows:
        if one["leads"] in ("found", "own") or one["from"] == "root":
            owners = ",".join(one["nodes"]) or "-"
            text = f"{one['path']:40} {one['what']:9} {one['from']:8} {owners:12} {one['meaning']}"
            click.echo(shown(text))
    click.echo(f"nodes: {', '.join(names) or 'none has files here yet'}")


@local.command()
@_root
@click.argument("path")
@click.option(
    "--kind",
    type=click.Choice(["dir", "state", "file", "tmpfs", "readonly"]),
    help="What it is; what is there by default. A node begins with a copy, of state with the "
    "directories alone.",
)
@click.option("--meaning", default="", help="What it is for, for who reads the list.")
@_breaks
def add(root: Path, path: str, kind: str | None, meaning: str, take_over: bool) -> None:
    """Make PATH each node's own, from its next boot on.

    The shared root's stays as it is: it is what new nodes begin with.
    """
    from srbuild.local.plans import plan_add

    wish = _wish()
    _run(root, "add", lambda t: plan_add(t, wish, path, kind or "", meaning), take_over=take_over)


@local.command()
@_root
@click.argument("path")
@click.option("--put-aside", is_flag=True, help="Move the nodes' own to /.srbuild/kept. Only once "
              "no node runs with them.")  # fmt: skip
@_breaks
def remove(root: Path, path: str, put_aside: bool, take_over: bool) -> None:
    """Have all nodes share PATH again, each from its next boot on.

    They see the shared root's. What they had of their own is never deleted: it stays where it is.
    """
    from srbuild.local.plans import plan_remove

    wish = _wish()
    _run(
        root, "remove", lambda t: plan_remove(t, wish, path, put_aside=put_aside),
        take_over=take_over,
    )  # fmt: skip


@local.command()
@_root
@click.argument("path")
@click.option("--from", "origin", default="", metavar="NODE", help="Begin with what NODE has.")
@click.option("--meaning", default="", help="What it is for, for who reads the list.")
@_breaks
def share(root: Path, path: str, origin: str, meaning: str, take_over: bool) -> None:
    """Have all nodes share PATH, though it is below a directory of each node's own.

    One audit log below /var/log, say. It begins with what the shared root has there.
    """
    from srbuild.local.plans import plan_share

    wish = _wish()
    _run(root, "share", lambda t: plan_share(t, wish, path, origin, meaning), take_over=take_over)


@local.command()
@_root
@click.argument("node")
@_breaks
def add_node(root: Path, node: str, take_over: bool) -> None:
    """Make NODE's own files, as its first boot would, so that they can be edited before it."""
    from srbuild.local.plans import plan_add_node

    wish = _wish()
    _run(root, "add-node", lambda tree: plan_add_node(tree, wish, node), take_over=take_over)


@local.command()
@_root
@click.argument("node")
@_breaks
def remove_node(root: Path, node: str, take_over: bool) -> None:
    """Put NODE's own files aside, in /.srbuild/kept; it must not run."""
    from srbuild.local.plans import plan_remove_node

    wish = _wish()
    _run(root, "remove-node", lambda t: plan_remove_node(t, wish, node), take_over=take_over)


@local.command()
@_root
@_as_json
@click.option("--look-only", is_flag=True, help="Change nothing, not even finish what was killed.")
@_breaks
def check(root: Path, as_json: bool, look_only: bool, take_over: bool) -> None:
    """Find what hosts would fight over, and what would stop a boot.

    An error stops a boot; a fight is a file that two hosts write; a note is for you to judge.
    Exit code 7 when there are errors or fights.
    """
    from srbuild.errors import VerifyError
    from srbuild.host.localroot import run, unfinished
    from srbuild.hostfiles import default_entries
    from srbuild.local.findings import Finding, check
    from srbuild.local.steps import Plan

    with _tree(root) as tree:
        pending = unfinished(tree)
        if pending and not look_only:
            run(tree, "check", lambda: Plan("check", ()), take_over=take_over)
            click.echo(
                f"srbuild: note: finished what a kill had left of: local {pending}", err=True
            )
        found = check(tree, default_entries())
    if pending and look_only:
        way = "srbuild local check, without --look-only, finishes it"
        found.insert(0, Finding("error", "/.srbuild/journal", f"{pending} was killed", way))
    bad = sum(one.weight != "note" for one in found)
    if as_json:
        names = ("weight", "path", "text", "hint")
        rows = [{name: getattr(one, name) for name in names} for one in found]
        print_json({"schema": "srbuild.local-check/1", "ok": not bad, "findings": rows})
        if bad:
            raise click.exceptions.Exit(VerifyError.exit_code)
        return
    for one in found:
        click.echo(shown(f"{one.weight:6} {one.path}: {one.text}"))
        click.echo(shown(f"       {one.hint}"))
    if bad:
        raise VerifyError(f"{bad} errors and fights on this shared root", "each has its way out")
    click.echo("nothing to fight over")


@local.command()
@_root
@click.argument("node")
@click.argument("other")
@_as_json
def diff(root: Path, node: str, other: str, as_json: bool) -> None:
    """Say what the own files of NODE and of OTHER differ in."""
    from srbuild.errors import MissingInputError
    from srbuild.local.findings import diff as differences
    from srbuild.local.layout import nodes

    with _tree(root) as tree:
        for name in (node, other):
            if name not in nodes(tree):
                have = ", ".join(nodes(tree)) or "none yet"
                raise MissingInputError(
                    f"no node {name} has files here", f"those that have: {have}"
                )
        found = differences(tree, node, other)
    if as_json:
        rows = [{"path": one.path, "only": one.only, "how": list(one.how)} for one in found]
        print_json({"schema": "srbuild.local-diff/1", "nodes": [node, other], "paths": rows})
        return
    for one in found:
        click.echo(shown(f"{one.path}: {f'only {one.only}' if one.only else ', '.join(one.how)}"))


@local.command()
@_root
@click.option(
    "--node", "given", multiple=True, metavar="ID=NAME", help="What OSR's node ID is called."
)
@click.option("--yes", "is_sure", is_flag=True, help="All nodes are down: do it.")
@_breaks
def convert(root: Path, given: tuple[str, ...], is_sure: bool, take_over: bool) -> None:
    r"""Bring OSR's tree of CDSLs, by its inventory, into this layout.

    \b
      srbuild local convert --root /mnt --node 1=n1 --node 2=n2        what would be done
      srbuild local convert --root /mnt --node 1=n1 --node 2=n2 --yes  do it

    While it copies, OSR's tree stays as it is, and in the end it is kept in /.srbuild/kept.
    """
    from srbuild.errors import UsageError
    from srbuild.local.osr import plan_convert

    pairs = [word.partition("=") for word in given]
    names = {number: name for number, _, name in pairs}
    if len(names) < len(pairs) or not all(n.isdigit() and name for n, name in names.items()):
        raise UsageError("--node takes a number and a name, each number once", "--node 1=n1")
    wish = _wish()
    if is_sure:
        _run(root, "convert", lambda t: plan_convert(t, wish, names), take_over=take_over)
        return
    with _tree(root) as tree:
        plan = plan_convert(tree, wish, names)
    for step in plan.steps:
        source = f"{step.source} to " if step.source else ""
        click.echo(shown(f"{step.do:5} {source}{step.at}"))
    click.echo("nothing was changed: add --yes once all nodes are down")
