"""What the user may choose of a closure: the processor's level, features that are only suggested.

Whether a choice means anything is known only when the closure is: a level belongs to the
image's machine, a feature to a dlopen note of some program.
"""

from __future__ import annotations

from collections.abc import Collection

from srbuild.closure.closer import ElfCloser
from srbuild.closure.hwcaps import LEVELS
from srbuild.closure.search import Abi
from srbuild.config.convert import suggest
from srbuild.config.load import Wish
from srbuild.errors import ConfigError, SrbuildError


def check_cpu(wish: Wish, machine: Abi | None) -> list[SrbuildError]:
    """ConfigErrors for a level that glibc does not know, or not for the image's `machine`."""
    hint = f"known: {', '.join(LEVELS)}"
    if wish.value not in LEVELS:
        return [ConfigError(f"unknown processor level {wish.value!r}", hint, wish.origin)]
    if machine and LEVELS[wish.value] != machine.machine:
        message = f"{wish.value!r} is a level of another processor than the image's, {machine}"
        return [ConfigError(message, "leave it out", wish.origin)]
    return []


def check_features(wishes: Collection[Wish], known: Collection[str]) -> list[SrbuildError]:
    """A ConfigError for each feature that no program in the image has."""
    return [
        ConfigError(
            f"no program in the image has a feature {wish.value!r}",
            suggest(wish.value, known),
            wish.origin,
        )
        for wish in wishes
        if wish.value not in known
    ]


def note_left_out(closer: ElfCloser) -> list[str]:
    """A note on the features that `--feature` would bring in; none when there are none."""
    rows = [f"{name} ({' '.join(libs)})" for name, libs in closer.left_out.items() if name]
    if not rows:
        return []
    return [f"left out, since programs only suggest it (--feature NAME): {', '.join(rows)}"]
