"""The time that all of an image's files get."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from srbuild.errors import ConfigError, Origin

MTIME_MAX: Final = 2**32 - 1  # eight hexadecimal digits in newc


def read_mtime(environ: Mapping[str, str]) -> int:
    """The time that all files get: SOURCE_DATE_EPOCH (reproducible-builds.org), 0 if not set.

    Raises ConfigError when it is not a whole number of seconds that newc can hold.
    """
    text = environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return 0
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > MTIME_MAX:
        raise ConfigError(
            f"{text!r} is not a whole number of seconds from 0 to {MTIME_MAX}",
            "unset it, or: export SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)",
            Origin("SOURCE_DATE_EPOCH"),
        )
    return int(text)
