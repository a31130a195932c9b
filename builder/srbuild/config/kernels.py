"""Which kernels were asked for."""

from __future__ import annotations

from collections.abc import Mapping

from srbuild.errors import ConfigError, Origin, SrbuildError

OPTION = "--kernel"
VARIABLE = "SRBUILD_KERNEL"


def read_kernels(
    raw: object, environ: Mapping[str, str], errors: list[SrbuildError]
) -> tuple[str, ...]:
    """The versions (or `all`) that `raw`, the option's value or values, names.

    Without any those of the environment, separated by spaces: the two do not add up. What is
    empty is noted in `errors`, for `--kernel "$VERSION"` with VERSION unset is a slip.
    """
    given = (raw,) if isinstance(raw, str) else raw if isinstance(raw, list | tuple) else ()
    wanted = tuple(map(str, given)) or tuple(environ.get(VARIABLE, "").split())
    if "" in wanted:
        errors.append(ConfigError("is empty", "leave it out or name a version", Origin(OPTION)))
    return tuple(dict.fromkeys(wanted))
