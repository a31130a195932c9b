"""The driver: `python -m fuzz [--seconds N] [TARGET…]`, run by `make fuzz`.

The time is shared among the targets, as many at once as there are processors. What was learnt is
kept in build/fuzz/corpus, what broke in build/fuzz/found; exit status 1 when anything did.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fuzz.targets import TARGETS

PROJECT = Path(__file__).resolve().parents[2]
PLACE = PROJECT / "build/fuzz"
REGRESSIONS = Path(__file__).with_name("regressions")
INPUT_TIMEOUT = 10  # seconds for one input: more is a hang
MEMORY = 2048  # MiB for one target's process
SLACK = 300  # seconds beyond its time until a process is ended: on a busy machine it starts slowly
_EXECUTIONS = re.compile(r"stat::number_of_executed_units: (\d+)")
_BROKEN = re.compile(r"^ *=== Uncaught Python exception: ===\n(.*)$|^SUMMARY: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """What fuzzing one target gave: its executions and, when it broke, how and on what."""

    name: str
    executions: int
    problem: str
    inputs: tuple[Path, ...]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz srbuild's parsers.")
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}")
    asked = parser.parse_args()
    names = asked.targets or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}")
    at_once = len(os.sched_getaffinity(0))
    each = max(1, asked.seconds * at_once // len(names))
    broken = []
    with ThreadPoolExecutor(at_once) as pool:
        for outcome in pool.map(lambda name: fuzz(name, each), names):
            line = f"{outcome.name:10} {outcome.executions:9} executions {outcome.problem}"
            print(line.rstrip(), flush=True)
            broken += outcome.inputs if outcome.problem else ()
    for path in broken:
        print(f"broke it: {path.relative_to(PROJECT)}")
    if broken:
        print("keep such an input in tests/fuzz/regressions/TARGET/ once the bug is fixed")
    sys.exit(1 if broken else 0)


def fuzz(name: str, seconds: int) -> Outcome:
    corpus, found = PLACE / "corpus" / name, PLACE / "found" / name
    corpus.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir(parents=True)
    for data in TARGETS[name].seeds():
        (corpus / hashlib.sha1(data).hexdigest()).write_bytes(data)
    known = REGRESSIONS / name
    options = [f"-max_total_time={seconds}", f"-timeout={INPUT_TIMEOUT}", "-print_final_stats=1",
               f"-rss_limit_mb={MEMORY}", f"-artifact_prefix={found}/"]  # fmt: skip
    folders = [str(corpus), *([str(known)] if known.is_dir() else [])]
    command = [sys.executable, "-m", "fuzz.one", name, *options, *folders]
    log = PLACE / f"{name}.log"
    with log.open("wb") as output:
        try:
            done = subprocess.run(
                command,
                cwd=PROJECT / "tests",
                stdout=output,
                stderr=output,
                timeout=seconds + INPUT_TIMEOUT + SLACK,
                check=False,
            )
            status = done.returncode
        except subprocess.TimeoutExpired:
            status = -1
    text = log.read_text(errors="replace")
    executions = sum(map(int, _EXECUTIONS.findall(text)))
    inputs = tuple(sorted(found.iterdir()))
    problem = ""
    if status:
        match = _BROKEN.search(text)
        problem = (match[1] or match[2]) if match else f"status {status}, see {log}"
    return Outcome(name, executions, problem, inputs or (log,))


if __name__ == "__main__":
    main()
