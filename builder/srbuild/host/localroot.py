"""Doing what `srbuild local` has planned, on the shared root: under its lock, by its journal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from srbuild.errors import MissingInputError
from srbuild.host.confined import Tree
from srbuild.host.treelock import held
from srbuild.local.layout import BASE, JOURNAL, NEW, check_base
from srbuild.local.steps import JOURNAL_LIMIT, Plan, Step, journal_text, parse_journal

_DRAFT = f"{NEW}/draft"


def run(
    tree: Tree,
    command: str,
    planned: Callable[[], Plan],
    *,
    take_over: bool = False,
    makes_base: bool = False,
) -> tuple[Plan, str]:
    """Do what `planned` makes of the tree as it is under the lock.

    Gives the plan, and the command that was found unfinished and was finished first (empty if
    there was none). Raises what the lock, the plan and the tree raise.
    """
    if makes_base:
        tree.make_dirs(BASE)
    check_base(tree)
    with held(tree, command, take_over=take_over):
        finished = _finish(tree)
        plan = planned()
        if plan.steps:
            _replace(tree, JOURNAL, journal_text(plan).encode(), 0o600)
            _execute(tree, plan)
        tree.remove(NEW)
    return plan, finished


def unfinished(tree: Tree) -> str:
    """The command that a kill has left in the middle; empty when there is none."""
    data = tree.read(JOURNAL, JOURNAL_LIMIT)
    return parse_journal(data).command if data is not None else ""


def _finish(tree: Tree) -> str:
    data = tree.read(JOURNAL, JOURNAL_LIMIT)
    tree.remove(_DRAFT)
    if data is None:
        tree.remove(NEW)
        return ""
    plan = parse_journal(data)
    _execute(tree, plan)
    tree.remove(NEW)
    return plan.command


def _execute(tree: Tree, plan: Plan) -> None:
    for step in plan.steps:
        _DOING[step.do](tree, step)
    tree.unlink(JOURNAL)


def _dir(tree: Tree, step: Step) -> None:
    tree.make_dirs(step.at, step.mode)


def _text(tree: Tree, step: Step) -> None:
    _replace(tree, step.at, step.text.encode(), step.mode)


def _copy(tree: Tree, step: Step) -> None:
    if tree.look(step.at):
        return

    def is_left_out(path: str) -> bool:
        found = tree.look(path)
        if not step.without or found is None or found.kind != "link":
            return False
        return path in step.without

    with _drafted(tree, step.at) as draft:
        tree.copy(step.source, draft, step.shape, is_left_out)


def _move(tree: Tree, step: Step) -> None:
    found = tree.look(step.source)
    there = tree.look(step.at)
    if there and found and found.kind == "file" and found.inode == there.inode:
        tree.unlink(step.source)  # a kill between the two names
        return
    if there:
        return
    if found is None:
        raise MissingInputError(f"{step.source} is not there any more", "give the command again")
    _make_parent(tree, step.at)
    if _name(tree, step.source, step.at):
        tree.unlink(step.source)


def _point(tree: Tree, step: Step) -> None:
    """The link is replaced at once where it becomes a file; a directory can't replace one."""
    found = tree.look(step.at)
    if found and found.kind != "link":
        return
    with _drafted(tree, step.at, replaces=True) as draft:
        if step.text == "file":
            tree.write_new(draft, b"", step.mode)
        else:
            tree.make_dirs(draft, step.mode)


@contextlib.contextmanager
def _drafted(tree: Tree, at: str, *, replaces: bool = False) -> Iterator[str]:
    """A name to make something under, which is `at` in the end."""
    tree.make_dirs(NEW, 0o700)
    tree.remove(_DRAFT)
    _make_parent(tree, at)
    yield _DRAFT
    found = tree.look(_DRAFT)
    if not replaces:
        _name(tree, _DRAFT, at)
        tree.remove(_DRAFT)
        return
    if found and found.kind == "dir":
        tree.unlink(at)
    tree.rename(_DRAFT, at)


def _replace(tree: Tree, at: str, data: bytes, mode: int) -> None:
    with _drafted(tree, at, replaces=True) as draft:
        tree.write_new(draft, data, mode)


def _name(tree: Tree, source: str, at: str) -> bool:
    """Give `source` the name `at`, unless something has it: who was first stays.

    rename(2) refuses a directory that has something in it; of a file link(2) tells. Gives whether
    the file's first name can go.
    """
    found = tree.look(source)
    if not found or found.kind != "file":
        tree.rename(source, at)
        return False
    try:
        tree.link(source, at)
    except FileExistsError:
        return False
    return True


def _make_parent(tree: Tree, at: str) -> None:
    parent = at.rpartition("/")[0]
    if parent:
        tree.make_dirs(parent)


_DOING: dict[str, Callable[[Tree, Step], None]] = {
    "dir": _dir,
    "text": _text,
    "copy": _copy,
    "move": _move,
    "point": _point,
}
