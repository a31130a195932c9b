"""`python -m tests.bench`: measure, and print tables and bars."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from .measure import BenchError
from .report import render_report
from .root import enter_namespace
from .rounds import run_rounds

PROJECT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Measure; the status is 0 whether the bars are met or not, 1 when nothing was measured."""
    parser = argparse.ArgumentParser(
        prog="make bench", description="Measure srbuild beside other builders of initrds."
    )
    parser.add_argument(
        "-n", type=_rounds, default=10, metavar="N", help="rounds; medians are of so many (10)"
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=PROJECT / "build/bench-root",
        metavar="DIR",
        help="the sysroot of all tools, made when it is not there (build/bench-root)",
    )
    parser.add_argument(
        "--save",
        type=Path,
        default=PROJECT / "build/bench.json",
        metavar="FILE",
        help="every single measurement as JSON (build/bench.json)",
    )
    options = parser.parse_args()
    began = time.monotonic()
    try:
        enter_namespace()
        options.root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".bench-", dir=options.root.parent) as work:
            results = run_rounds(options.root.resolve(), Path(work).resolve(), options.n)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    options.save.write_text(json.dumps(results.document(), indent=1))
    print(render_report(results))
    print(f"\n{options.n} rounds in {time.monotonic() - began:.0f} s; all values: {options.save}")
    return 0


def _rounds(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return count


if __name__ == "__main__":
    sys.exit(main())
