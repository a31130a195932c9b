"""What a machine said on its console, for people and for scenarios."""

from __future__ import annotations

import re

from srbuild.lab.qemu import Vm

_ESCAPES = re.compile(r"\x1b[\[c][0-9;?]*[A-Za-z]?")
_SUMMARY = re.compile(r"^={20,}\n(srbuild: the boot stopped .*?)^={20,}$", re.MULTILINE | re.DOTALL)


def console_text(vm: Vm) -> str:
    """All that `vm` said on its console, as text without carriage returns."""
    return vm.text().decode("utf-8", "replace").replace("\r", "")


def last_words(vm: Vm, lines: int = 30) -> str:
    """What a person should read of `vm`'s console: the spine's summary block, else its end.

    Indented, without the escape sequences of firmware and shells.
    """
    text = _ESCAPES.sub("", console_text(vm))
    blocks = _SUMMARY.findall(text)
    chosen = blocks[-1].splitlines() if blocks else text.splitlines()[-lines:]
    return "\n".join(f"  {line}" for line in chosen if line.strip())
