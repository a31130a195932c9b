"""The first line of scripts, as execve(2) reads it."""

from __future__ import annotations

import os

from srbuild.frozen import frozen

SHEBANG_MAX = 256  # bytes the kernel looks at: BINPRM_BUF_SIZE in include/uapi/linux/binfmts.h


@frozen
class Shebang:
    """An interpreter and its one optional argument (empty for none), as written."""

    interpreter: str
    argument: str = ""

    @property
    def env_program(self) -> str | None:
        """The program that `env` would look up in PATH; None when `env` isn't the interpreter.

        Options (`-S`, `-i`) and assignments before it are passed over.
        """
        if self.interpreter.rsplit("/", 1)[-1] != "env":
            return None
        for word in self.argument.split():
            plain = word.removeprefix("-S") if word.startswith("-S") else word
            if plain and not plain.startswith("-") and "=" not in plain:
                return plain
        return None


def parse_shebang(head: bytes) -> Shebang | None:
    """The shebang in a file's first `SHEBANG_MAX` bytes; None when it has none."""
    if not head.startswith(b"#!"):
        return None
    line = head[2:SHEBANG_MAX].split(b"\n", 1)[0].split(b"\0", 1)[0].strip(b" \t\r")
    if not line:
        return None
    words = os.fsdecode(line).replace("\t", " ").split(" ", 1)
    return Shebang(words[0], words[1].strip() if len(words) > 1 else "")
