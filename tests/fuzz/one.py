"""One target under atheris, in a process of its own: `python -m fuzz.one TARGET OPTIONS…`.

What follows the target's name is libFuzzer's: options (`-max_total_time=3`) and corpus folders.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["srbuild"]):
    from fuzz.targets import TARGETS


def main() -> None:
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
