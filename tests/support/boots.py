"""What tests of booted machines ask of a scenario's result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, cast

from srbuild.lab.scenario import Result

Boot: TypeAlias = Callable[[str], Result]


def consoles(result: Result) -> str:
    """What all machines said."""
    return "".join(Path(path).read_text(errors="replace") for path in result.logs.values())


def summary(result: Result) -> str:
    """What the boot that had to stop said last."""
    return "\n".join(cast("list[str]", result.proof["summary"]))


def tokens(result: Result) -> dict[str, str]:
    """Who wrote what on the shared root."""
    return cast("dict[str, str]", result.proof["tokens"])


def both_read_each_other(result: Result) -> None:
    """Two nodes shared the root and left it clean."""
    wrote = tokens(result)
    assert result.proof["fsck"] == 0
    assert wrote["n1"] != wrote["n2"]
    assert result.proof["seen"] == {"n1": {"n2": wrote["n2"]}, "n2": {"n1": wrote["n1"]}}
