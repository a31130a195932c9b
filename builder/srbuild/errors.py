"""The errors that srbuild reports, and the exit code of each.

Every error names the thing, the place and the way out: `message` the first,
`origin` the second, `hint` the third. Whatever is not an `SrbuildError` is a bug
and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence

from srbuild.frozen import frozen


@frozen
class Origin:
    """Where a wish or a value was written down.

    `source` is a file, an option or an environment variable as the user knows it;
    `key` the place inside it (`install.binaries[2]`, `line 7`), empty when the whole is meant;
    `line` counts from 1, 0 where it is not known.
    """

    source: str
    key: str = ""
    line: int = 0

    def __str__(self) -> str:
        source = f"{self.source}:{self.line}" if self.line else self.source
        return f"{source}: {self.key}" if self.key else source


class SrbuildError(Exception):
    """A failure that the user can act on."""

    exit_code: int = 1

    def __init__(self, message: str, hint: str = "", origin: Origin | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.origin = origin

    def __str__(self) -> str:
        where = f"{self.origin}: " if self.origin else ""
        hint = f"\n  hint: {self.hint}" if self.hint else ""
        return f"{where}{self.message}{hint}"


class UsageError(SrbuildError):
    """The command was called in a way that cannot mean anything."""

    exit_code = 2


class ConfigError(SrbuildError):
    """A recipe, cluster file, boot module or setting is wrong."""

    exit_code = 3


class MissingInputError(SrbuildError):
    """Something that the image needs is not in the sysroot."""

    exit_code = 4


class ConflictError(SrbuildError):
    """Two wishes that cannot both be met."""

    exit_code = 5


class ToolError(SrbuildError):
    """A program that srbuild ran is missing or failed."""

    exit_code = 6


class VerifyError(SrbuildError):
    """What was written, cached or booted is not what was meant."""

    exit_code = 7


class BudgetError(SrbuildError):
    """The image is larger than its size budget."""

    exit_code = 8


class ErrorGroup(SrbuildError):
    """Several errors of one kind, found together and reported together.

    Its exit code is that of the first. Raised by `raise_all` only.
    """

    def __init__(self, errors: Sequence[SrbuildError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = tuple(errors)
        self.exit_code = errors[0].exit_code


def raise_all(errors: Sequence[SrbuildError]) -> None:
    """Raise `errors`: nothing for none, itself for one, an `ErrorGroup` for more."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ErrorGroup(errors)
