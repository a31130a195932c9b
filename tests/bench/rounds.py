"""The run: everything is set up once, then every round measures every subject once."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .content import Content, Wanted, read_content
from .measure import BenchError, Memory, Sample, count_processes, run_sampled
from .mkosi import NAME as MKOSI
from .root import Tree
from .stage import Stage, nothing, run_once, set_up
from .subjects import COLD, WARM, Subject, inside


@dataclass(frozen=True, slots=True)
class Results:
    """All that was measured on one tree.

    By subject: `samples` of the rounds in order (of a slow one of the first rounds only),
    `memory` of one more run, `processes` that it started, `content` of its image. `phases` are
    seconds by phase of each round, of a cold and of a warm build; `wanted` is what all tools
    were told to carry. `versions` of the tools and, for what is `absent`, the reason.
    """

    samples: dict[str, list[Sample]]
    memory: dict[str, Memory]
    content: dict[str, Content]
    phases: dict[str, list[dict[str, float]]]
    wanted: Wanted
    processes: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def walls(self, name: str) -> list[float]:
        """A subject's wall times."""
        return [sample.wall for sample in self.samples[name]]

    def cpus(self, name: str) -> list[float]:
        """A subject's cpu times."""
        return [sample.cpu for sample in self.samples[name]]

    def document(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return asdict(self)


def run_rounds(trees: Sequence[Tree], work: Path, count: int) -> dict[str, Results | str]:
    """Set up and measure `count` rounds in the empty folder `work`; the results by suite.

    For a tree that can't be used the reason stands in place of the results. Raises BenchError
    when the first one can't be.
    """
    with ExitStack() as stack:
        stages: dict[str, Stage | str] = {}
        for tree in trees:
            stage = set_up(tree, work / tree.suite)
            try:
                stages[tree.suite] = stack.enter_context(stage)
            except BenchError as error:
                if not stages:
                    raise
                stages[tree.suite] = str(error)
        usable = {suite: stage for suite, stage in stages.items() if isinstance(stage, Stage)}
        results = {suite: _warm_up(stage) for suite, stage in usable.items()}
        for number in range(count):
            for suite, stage in usable.items():
                _measure(stage, results[suite], number, f"{suite}, round {number + 1} of {count}")
    return {suite: results.get(suite, str(stage)) for suite, stage in stages.items()}


def check_alike(content: dict[str, Content], wanted: Wanted) -> None:
    """Raise BenchError when the comparison would not be one: something wanted is missing.

    What the report tells only: a tool that does not read what programs say of libraries they
    load while running, and mkosi-initrd, which can't be told programs.
    """
    for name, one in content.items():
        missing = [thing for thing in one.lacks if thing not in wanted.dlopened]
        if missing and name != MKOSI:
            raise BenchError(f"the image of {name} lacks {', '.join(missing[:10])}")


def _warm_up(stage: Stage) -> Results:
    """Everything but times, in two runs of each subject; of the images what they hold."""
    memory, processes, content = {}, {}, {}
    for subject in _progress(f"{stage.tree.suite}, warming up", stage.subjects):
        subject.prepare(-1)
        memory[subject.name] = run_sampled(subject.command, stage.work / "log")
        subject.prepare(-2)
        processes[subject.name] = count_processes(subject.command, stage.work / "log")
        if subject.image:
            content[subject.name] = read_content(subject.image, stage.wanted)
    check_alike(content, stage.wanted)
    samples: dict[str, list[Sample]] = {subject.name: [] for subject in stage.subjects}
    return Results(
        *(samples, memory, content, {COLD: [], WARM: []}, stage.wanted),
        *(processes, stage.versions, stage.absent),
    )


def _measure(stage: Stage, results: Results, number: int, what: str) -> None:
    """One round."""
    due = [subject for subject in stage.subjects if number < subject.rounds]
    for subject in _progress(what, due):
        results.samples[subject.name].append(run_once(subject, stage.work, number))
    for name, seconds in _phases(stage):
        results.phases[name].append(seconds)


def _phases(stage: Stage) -> Iterator[tuple[str, dict[str, float]]]:
    """Where the time goes in one cold build and the warm one after it."""
    result = stage.work / "phases.json"
    command = inside("phases", result, *stage.cold.arguments, build=stage.cold)
    for name, prepare in ((COLD, stage.cold.forget), (WARM, nothing)):
        sample = run_once(Subject(name, command, prepare), stage.work)
        seconds: dict[str, float] = json.loads(result.read_text())
        inner = sum(value for phase, value in seconds.items() if not phase.startswith("beside"))
        yield name, {"Python's start and end": sample.wall - inner, **seconds}


def _progress(what: str, subjects: Sequence[Subject]) -> Iterator[Subject]:
    """Say on a terminal which subject is measured."""
    for subject in subjects:
        if sys.stderr.isatty():
            print(f"\r\033[K{what}: {subject.name}", end="", file=sys.stderr, flush=True)
        yield subject
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
