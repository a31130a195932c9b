"""Debian control stanzas: deb-control(5), and dpkg's status file, which is made of them."""

from __future__ import annotations

import re


def control_field(stanza: str, name: str) -> str:
    """The first line of field `name` of a control stanza; empty when it is not there."""
    found = re.search(rf"^{re.escape(name)}:[ \t]*(.*)$", stanza, re.MULTILINE | re.IGNORECASE)
    return found[1].rstrip() if found else ""
