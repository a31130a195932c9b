"""Many images in one run: side by side on the processors there are, everything shared.

Processes, not threads: planning and collecting are Python, of which only one thread runs at a
time. They are forked after the catalog, the facts and the tree of the first image were read, and
share segments through a folder (`stock.py`).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from multiprocessing.util import Finalize
from typing import Any, TypeAlias

from srbuild.catalog import Catalog
from srbuild.config.load import Config
from srbuild.errors import ErrorGroup, SrbuildError
from srbuild.frozen import frozen
from srbuild.host.cache import ContentCache, FactStore
from srbuild.host.remote_cache import SharedCache, open_shared
from srbuild.host.stock import held, open_stock
from srbuild.host.sysroot import Sysroot
from srbuild.image import Image, Sidecar
from srbuild.paths import HostPath
from srbuild.pipeline import Built, Part, Prepared, build, prepare
from srbuild.report import Report
from srbuild.stock import SegmentStock, assemble_image


@frozen
class Job:
    """One image of the run: its number there, and what was asked."""

    number: int
    config: Config
    part: Part


@frozen
class Outcome:
    """How a job ended: what `describe` made of the finished image, or the errors.

    `seconds` of wall time, waiting for segments that others made included.
    """

    number: int
    result: Any
    errors: tuple[SrbuildError, ...]
    seconds: float


Describe: TypeAlias = Callable[[Built, float], Any]
"""Makes something that can be sent between processes of a finished image and its seconds."""


class _LateFacts(FactStore):
    """Facts that are written once, in the end, and not after every image."""

    def save(self) -> str:
        """Keep what was added for `write`."""
        return ""

    def write(self) -> str:
        """Save."""
        return super().save()


class Workshop:
    """What the builds of one process have in common: `pipeline.Tools`."""

    def __init__(self, folder: HostPath) -> None:
        self._folder = folder
        self._facts: dict[HostPath | None, _LateFacts] = {}
        self._sysroots: dict[HostPath, Sysroot] = {}
        self._shared: dict[str, SharedCache] = {}
        self._stocks: dict[object, SegmentStock] = {}

    def facts(self, cache: HostPath | None) -> FactStore:
        """The facts of `cache`, read once."""
        if cache not in self._facts:
            self._facts[cache] = _LateFacts(cache / "facts" if cache else None)
        return self._facts[cache]

    def finish(self) -> None:
        """Save the facts; processes that end at the same time take turns."""
        with held(self._folder / "facts.lock", wait=True):
            for facts in self._facts.values():
                facts.write()  # what can't be kept is read again next time

    def sysroot(self, root: HostPath) -> Sysroot:
        """The tree at `root`, each of its directories listed once."""
        if root not in self._sysroots:
            self._sysroots[root] = Sysroot(root)
        return self._sysroots[root]

    def open_caches(self, config: Config) -> None:
        """Open the shared caches now, so that processes forked later know which don't answer."""
        for place in config.shared_caches:
            self._shared.setdefault(place, open_shared(place))

    def write(self, prepared: Prepared, target: HostPath, sidecar: Sidecar) -> tuple[Image, Report]:
        """Put the image together from segments that are made once in the whole run."""
        config = prepared.config
        self.open_caches(config)
        key = (config.cache, config.shared_caches)
        if key not in self._stocks:
            shared = [self._shared[place] for place in config.shared_caches]
            # Without a cache, segments that others have made go through the run's own folder.
            folder = config.cache or (self._folder / "borrowed" if shared else None)
            cache = ContentCache(folder) if folder else None
            self._stocks[key] = SegmentStock(self._folder, cache, shared, prepared.facts)
        parts = self._stocks[key].gather(prepared.layers)
        return assemble_image(prepared.layers, parts, target, sidecar)


def build_all(
    jobs: Sequence[Job],
    catalog: Catalog,
    describe: Describe,
    *,
    processes: int,
    beside: HostPath,
) -> Iterator[Outcome]:
    """Build every job's image; the outcomes come as they are ready.

    At most `processes` of them at a time; a folder in `beside` holds the segments meanwhile.
    Raises SrbuildError when that can't be made; what goes wrong with an image is in its outcome.
    """
    processes = max(1, min(processes, len(jobs)))
    with open_stock(beside) as folder:
        workshop = Workshop(folder)
        worker = _Worker(jobs, catalog, describe, workshop)
        if processes == 1:
            yield from map(worker.run, range(len(jobs)))
            workshop.finish()
        else:
            worker.prime()
            yield from _run_pool(worker, len(jobs), processes)


class _Worker:
    """A process's part of the run."""

    def __init__(
        self, jobs: Sequence[Job], catalog: Catalog, describe: Describe, workshop: Workshop
    ) -> None:
        self._jobs = jobs
        self._catalog = catalog
        self._describe = describe
        self._workshop = workshop
        self._stop = mmap.mmap(-1, 1)  # shared with the processes that are forked

    def stop(self) -> None:
        """Have no process begin another image."""
        self._stop[0] = 1

    @property
    def is_stopped(self) -> bool:
        """Whether one of them was told to stop."""
        return self._stop[0] != 0

    def prime(self) -> None:
        """Read what all processes need, before they are forked."""
        seen: set[HostPath] = set()
        for job in self._jobs:
            self._workshop.open_caches(job.config)
            if job.config.sysroot not in seen:
                seen.add(job.config.sysroot)
                try:
                    prepare(job.config, self._catalog, job.part, self._workshop)
                except SrbuildError:
                    continue  # which the job's own turn will tell

    def finish(self) -> None:
        """Keep what this process has learnt."""
        self._workshop.finish()

    def number(self, index: int) -> int:
        """The number of the job at `index`."""
        return self._jobs[index].number

    def run(self, index: int) -> Outcome:
        """Build one image; nothing that is wrong with it is raised, bugs excepted."""
        job = self._jobs[index]
        began = time.monotonic()
        try:
            built = build(job.config, self._catalog, job.part, self._workshop)
            result = self._describe(built, time.monotonic() - began)
            return Outcome(job.number, result, (), time.monotonic() - began)
        except ErrorGroup as group:
            return Outcome(job.number, None, group.errors, time.monotonic() - began)
        except SrbuildError as error:
            return Outcome(job.number, None, (error,), time.monotonic() - began)


_WORKER: list[_Worker] = []  # of a forked process; a future's arguments would be copied to it


def _begin(worker: _Worker) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _WORKER[:] = [worker]
    Finalize(None, worker.finish, exitpriority=1)


def _run(index: int) -> Outcome:
    [worker] = _WORKER
    if worker.is_stopped:  # the pool hands out a few more than there are processes
        raise KeyboardInterrupt
    # Ctrl-C ends a build where it stands; a process that only waits for one is ended by its pool.
    signal.signal(signal.SIGINT, _interrupt)
    try:
        return worker.run(index)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupt(_signal: int, _frame: object) -> None:
    """Once: the terminal and the parent may both have said so, and cleaning up takes a moment."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _WORKER[0].stop()
    raise KeyboardInterrupt


def _run_pool(worker: _Worker, count: int, processes: int) -> Iterator[Outcome]:
    context = get_context("fork")
    with ProcessPoolExecutor(processes, context, _begin, (worker,)) as pool:
        try:
            futures: dict[Future[Outcome], int] = {pool.submit(_run, i): i for i in range(count)}
            for future in as_completed(futures):
                yield _outcome(future, worker, futures[future])
        except BaseException:
            worker.stop()
            for child in active_children():
                assert child.pid is not None, "it was started"
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGINT)
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _outcome(future: Future[Outcome], worker: _Worker, index: int) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        error = SrbuildError(
            "a process of the run was killed, so that the rest could not be built",
            "is there enough memory? fewer at a time need less: --jobs 1",
        )
        return Outcome(worker.number(index), None, (error,), 0.0)
