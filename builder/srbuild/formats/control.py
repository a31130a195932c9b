"""Debian control stanzas: deb-control(5), and dpkg's status file, which is made of them."""

from __future__ import annotations

import re
from functools import cache


def control_field(stanza: str, name: str) -> str:
    """The first line of field `name` of a control stanza; empty when it is not there."""
    found = _line_of(name).search(stanza)
    return found[1].rstrip() if found else ""


@cache
def _line_of(name: str) -> re.Pattern[str]:
    return re.compile(rf"^{re.escape(name)}:[ \t]*(.*)$", re.MULTILINE | re.IGNORECASE)
