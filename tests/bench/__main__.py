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
from .root import SUITES, Tree, enter_namespace
from .rounds import Results, run_rounds

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
        help="the sysroot of all tools, made when it is not there (build/bench-root); "
        "the newest tools' stands beside it",
    )
    parser.add_argument(
        "--only",
        choices=SUITES,
        help="measure on this suite of Debian's alone (both)",
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
            trees = _trees(options.root.resolve(), options.only)
            results = run_rounds(trees, Path(work).resolve(), options.n)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    measured = {suite: one for suite, one in results.items() if isinstance(one, Results)}
    document = {suite: one.document() for suite, one in measured.items()}
    options.save.write_text(json.dumps(document, indent=1))
    for suite, one in results.items():
        print(f"{render_report(suite, one)}\n")
    print(f"{options.n} rounds in {time.monotonic() - began:.0f} s; all values: {options.save}")
    return 0


def _trees(root: Path, only: str | None) -> list[Tree]:
    """The trees to measure on: the first at `root`, one of another suite beside it."""
    roots = (root, *(root.with_name(f"{root.name}-{suite}") for suite in SUITES[1:]))
    pairs = zip(SUITES, roots, strict=True)
    return [Tree(suite, path) for suite, path in pairs if only in (None, suite)]


def _rounds(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return count


if __name__ == "__main__":
    sys.exit(main())
