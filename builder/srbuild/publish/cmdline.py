"""The kernel command line that something bootable is given."""

from __future__ import annotations

from pathlib import Path

from srbuild.errors import ConfigError, MissingInputError, Origin

MAX_CMDLINE = 2047  # bytes: COMMAND_LINE_SIZE of x86 and arm64, without the NUL


def read_cmdline(text: str) -> str:
    """The kernel command line that `text` gives: itself, or with @ the content of that file.

    White space becomes single spaces. Raises MissingInputError for a file that can't be read,
    ConfigError for characters that no command line has and for too long a one.
    """
    origin = Origin("--cmdline")
    if text.startswith("@"):
        origin = Origin("--cmdline", text[1:])
        try:
            text = Path(text[1:]).read_bytes().decode("utf-8", "surrogateescape")
        except OSError as error:
            problem = f"cannot read the command line: {error.strerror}"
            raise MissingInputError(problem, "--cmdline @FILE names a file", origin) from error
    words = " ".join(text.split())
    if not words.isascii() or not words.isprintable():
        raise ConfigError("holds characters that are no printable ASCII", "", origin)
    if len(words) > MAX_CMDLINE:
        hint = f"the kernel takes {MAX_CMDLINE}"
        raise ConfigError(f"{len(words)} characters are too long", hint, origin)
    return words
