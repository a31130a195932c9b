"""What a command changes, as steps that can be done again, and the journal that holds them.

A command is written down whole before its first step, and struck out after its last. Each step
says how it looks when it is done, so that after a kill all of them are simply done again.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Final, Literal, TypeAlias, get_args

from srbuild.errors import VerifyError
from srbuild.frozen import frozen
from srbuild.host.confined import Shape
from srbuild.local.layout import JOURNAL

Do: TypeAlias = Literal["dir", "text", "copy", "move", "point"]
JOURNAL_LIMIT: Final = 32 << 20
_SCHEMA: Final = "srbuild.local-journal/1"


@frozen
class Step:
    """One change at the path `at`, which has no link in it.

    dir     is a directory of the mode `mode`
    text    holds `text`, of the mode `mode`; what was there is replaced at once
    copy    is a copy of `source`, unless something is there: as much of it as `shape` says,
            links that lead to one of the places in `without` left out
    move    is what was at `source`, unless something is there
    point   is an empty file (`text` "file") or directory ("dir"), in place of a link
    """

    do: Do
    at: str
    source: str = ""
    text: str = ""
    mode: int = 0o644
    shape: Shape = "all"
    without: tuple[str, ...] = ()


@frozen
class Plan:
    """The steps of a `command`, and what to tell a person when they are done."""

    command: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()


def journal_text(plan: Plan) -> str:
    """What `parse_journal` reads."""
    rows = [asdict(step) for step in plan.steps]
    return json.dumps({"schema": _SCHEMA, "command": plan.command, "steps": rows})


def parse_journal(data: bytes) -> Plan:
    """The command that did not come to its end; VerifyError for what no command has written."""
    try:
        document = json.loads(data)
        if document["schema"] != _SCHEMA or not isinstance(document["command"], str):
            raise ValueError("another schema")
        steps = tuple(_step(row) for row in document["steps"])
    except (ValueError, TypeError, KeyError) as error:
        raise VerifyError(
            f"{JOURNAL} is not what srbuild writes: {error}",
            hint="nothing was done by it; look at it, and remove it",
        ) from error
    return Plan(document["command"], steps)


def _step(row: dict[str, Any]) -> Step:
    step = Step(**{**row, "without": tuple(row["without"])})
    paths = [step.at, *step.without, *([step.source] if step.do in ("copy", "move") else [])]
    for path in paths:
        parts = path.split("/")
        if not path.startswith("/") or {"", ".", ".."} & set(parts[1:]) or "\0" in path:
            raise ValueError(f"{path!r} is no path")
    if step.do not in get_args(Do) or step.shape not in get_args(Shape):
        raise ValueError(f"{step.do!r} {step.shape!r} is no step")
    if not isinstance(step.mode, int) or not isinstance(step.text, str):
        raise ValueError("a mode or a text is none")
    return step
