"""The run: everything is set up once, then every round measures every subject once."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .content import Content, Wanted, kmods_in, read_content, read_wanted, unpack
from .measure import BenchError, Command, Memory, Sample, run, run_sampled
from .peers import FOLDER, configure
from .root import kernel_version, link_copy, make_root, mount_virtual
from .subjects import (
    CLUSTER_CHANGED,
    COLD,
    COLD_WITHOUT_CACHE,
    FLOOR,
    IMPORT_CLICK,
    KMOD,
    KMOD_CHANGED,
    PROGRAM,
    PROGRAM_CHANGED,
    REASSEMBLED,
    WARM,
    WRITING,
    Build,
    Subject,
    change_file,
    floor,
    inside,
)


@dataclass(frozen=True, slots=True)
class Results:
    """All that was measured.

    By subject: `samples` of the rounds in order, `memory` of one more run,
    `content` of its image. `phases` are seconds by phase of each round, of a cold and of a
    warm build; `wanted` is what all tools were told to carry.
    """

    samples: dict[str, list[Sample]]
    memory: dict[str, Memory]
    content: dict[str, Content]
    phases: dict[str, list[dict[str, float]]]
    wanted: Wanted

    def walls(self, name: str) -> list[float]:
        """A subject's wall times."""
        return [sample.wall for sample in self.samples[name]]

    def cpus(self, name: str) -> list[float]:
        """A subject's cpu times."""
        return [sample.cpu for sample in self.samples[name]]

    def document(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return asdict(self)


def run_rounds(root: Path, work: Path, count: int) -> Results:
    """Set up and measure `count` rounds in the empty folder `work`, on the sysroot at `root`.

    Raises BenchError when anything can't be made or run.
    """
    make_root(root)
    copy = work / "copy"
    link_copy(root, copy)
    mount_virtual(root)
    cold = Build(work / "cold", root)
    _run(Subject(COLD, cold.command(), cold.forget), work)
    wanted = read_wanted(cold.image.with_name("image.json"))
    unpack(cold.image, work / "tree")
    with _peers(root, work, wanted) as peers:
        subjects = [*_subjects(root, copy, work, cold), *peers]
        memory = {}
        for subject in _progress("warming up", subjects):
            subject.prepare(-1)
            memory[subject.name] = run_sampled(subject.command, work / "log")
        images = [subject for subject in subjects if subject.image]
        content = {one.name: read_content(one.image, wanted) for one in images if one.image}
        _check_alike(content)
        samples: dict[str, list[Sample]] = {subject.name: [] for subject in subjects}
        phases: dict[str, list[dict[str, float]]] = {COLD: [], WARM: []}
        for number in range(count):
            for subject in _progress(f"round {number + 1} of {count}", subjects):
                samples[subject.name].append(_run(subject, work, number))
            for name, seconds in _phases(cold, work):
                phases[name].append(seconds)
    return Results(samples, memory, content, phases, wanted)


def _run(subject: Subject, work: Path, number: int = 0) -> Sample:
    subject.prepare(number)
    os.sync()  # what others left to be written must not be on this one's clock
    sample = run(subject.command, work / "log")
    if subject.inner is None:
        return sample
    seconds = json.loads(subject.inner.read_text())
    return Sample(seconds["wall"], seconds["cpu"])


def _subjects(root: Path, copy: Path, work: Path, cold: Build) -> list[Subject]:
    """srbuild in all its situations, and what it is compared with."""
    builds = {
        name: Build(work / name, tree)
        for name, tree in (
            ("bare", root), ("warm", root), ("gone", root), ("cluster", root),
            ("program", copy), ("kmod", copy),
        )
    }  # fmt: skip
    for build in builds.values():
        _run(Subject("", build.command(), build.forget), work)
    program, kmod = copy / PROGRAM, copy / KMOD.format(kernel=kernel_version(copy))
    bare, warm, gone = builds["bare"], builds["warm"], builds["gone"]
    changed = builds["cluster"]
    writing = work / "writing.json"
    alone = inside(
        "writing", writing, str(root), str(cold.cluster), str(work / "writing.img"), build=cold
    )
    python = Command((sys.executable, "-c", "import click"))
    return [
        Subject(FLOOR, floor(work / "tree", work / "floor.img"), _nothing, work / "floor.img"),
        Subject(COLD, cold.command(), cold.forget, cold.image),
        Subject(COLD_WITHOUT_CACHE, bare.command("--no-cache"), bare.forget),
        Subject(WARM, warm.command(), _nothing),
        Subject(REASSEMBLED, gone.command(), gone.forget_image),
        Subject(CLUSTER_CHANGED, changed.command(), lambda run: changed.set_token(4000 + run)),
        Subject(PROGRAM_CHANGED, builds["program"].command(), partial(change_file, program)),
        Subject(KMOD_CHANGED, builds["kmod"].command(), partial(change_file, kmod)),
        Subject(WRITING, alone, _nothing, inner=writing),
        Subject(IMPORT_CLICK, python, _nothing),
    ]


@contextmanager
def _peers(root: Path, work: Path, wanted: Wanted) -> Iterator[list[Subject]]:
    """The other tools; what they left in `root` is removed in the end."""
    kernel = kernel_version(root)
    try:
        first = configure(root, kernel, wanted.kmods, wanted.programs)
        for peer in first:
            run(peer.command, work / "log")
        unwanted = {name for peer in first for name in kmods_in(peer.image)} - {*wanted.kmods}
        peers = configure(root, kernel, wanted.kmods, wanted.programs, sorted(unwanted))
        yield [Subject(peer.name, peer.command, _nothing, peer.image) for peer in peers]
    finally:
        shutil.rmtree(root / FOLDER)


def _phases(cold: Build, work: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Where the time goes in one cold build and the warm one after it."""
    result = work / "phases.json"
    command = inside("phases", result, *cold.arguments, build=cold)
    for name, prepare in ((COLD, cold.forget), (WARM, _nothing)):
        sample = _run(Subject(name, command, prepare), work)
        seconds: dict[str, float] = json.loads(result.read_text())
        inner = sum(value for phase, value in seconds.items() if not phase.startswith("beside"))
        yield name, {"Python's start and end": sample.wall - inner, **seconds}


def _check_alike(content: dict[str, Content]) -> None:
    """Raise BenchError when the comparison would not be one: something wanted is missing."""
    for name, one in content.items():
        if one.lacks:
            raise BenchError(f"the image of {name} lacks {', '.join(one.lacks[:10])}")


def _progress(what: str, subjects: list[Subject]) -> Iterator[Subject]:
    """Say on a terminal which subject is measured."""
    for subject in subjects:
        if sys.stderr.isatty():
            print(f"\r\033[K{what}: {subject.name}", end="", file=sys.stderr, flush=True)
        yield subject
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _nothing(_run: int) -> None:
    """What has to be done before a run: nothing."""
