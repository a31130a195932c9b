"""Looking inside srbuild: where a build's time goes, and the writing alone.

    python -m tests.bench.inside phases RESULT.json SRBUILD'S ARGUMENTS…
    python -m tests.bench.inside writing RESULT.json SYSROOT CLUSTER IMAGE

Runs in a fresh process, as `srbuild` does, and leaves seconds by name in RESULT.json.
"""

from __future__ import annotations

import builtins
import importlib
import json
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# Phase → the functions that it is spent in, where they are defined. What one of them spends in
# another one counts for that one only; imports count as "imports" wherever they happen.
PHASES = {
    "catalog": ("srbuild.catalog:load_catalog", "srbuild.spine:load_spine"),
    "configuration": ("srbuild.config.load:load_config",),
    "plan": ("srbuild.plan:make_plan",),
    "closure": ("srbuild.closure.closer:ElfCloser.close",),
    "kmods": ("srbuild.kernels.kmods:close_kmods", "srbuild.kernels.tree:open_kernel"),
    "render": ("srbuild.render:render_image", "srbuild.render:render_site"),
    "manifest": ("srbuild.collect:collect_manifest",),
    "layers": ("srbuild.layers:split_layers",),
    "up to date?": (
        "srbuild.witness:recall",
        "srbuild.pipeline:input_key",
        "srbuild.outputs:is_current",
    ),
    "write": ("srbuild.archiver:write_archive", "srbuild.host.sources:check_sources"),
    "verify": ("srbuild.image:write_image",),  # what is left of it: waiting for the reader
    "cache": (
        "srbuild.host.cache:ContentCache.store",
        "srbuild.host.cache:FactStore.save",
        "srbuild.witness:keep",
    ),
    "head start": (
        "srbuild.headstart:HeadStart.begin",
        "srbuild.headstart:HeadStart._learn",
        "srbuild.headstart:HeadStart.find",
    ),
    "packages": ("srbuild.host.packages:Packages.owners",),
    "put together": ("srbuild.assembly:assemble",),
    "sync": ("srbuild.image:_ImageWriter.wait_for_disk", "srbuild.host.files:Draft.commit"),
    "sidecar": ("srbuild.sidecar:to_json",),
}
IMPORTS = "imports"
BESIDE = "srbuild.report:read_segment"  # verifies in a second thread while the first one writes


class Stopwatch:
    """Seconds of wall time by phase, of the main thread; nested phases are not counted twice."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stack: list[str] = []
        self._since = time.perf_counter()

    def wrap(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, timed; other threads than the main one run it untimed."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return function(*args, **kwargs)
            self._lap()
            self._stack.append(phase)
            try:
                return function(*args, **kwargs)
            finally:
                self._lap()
                self._stack.pop()

        return timed

    def _lap(self) -> None:
        now = time.perf_counter()
        phase = self._stack[-1] if self._stack else "command line"
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._since
        self._since = now

    def stop(self) -> dict[str, float]:
        """End the last phase and return the seconds."""
        self._lap()
        return self.seconds


def replace(place: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Put `make(function)` in the place of the function at `place`, "module:name.name"."""
    module, _, name = place.partition(":")
    owner: Any = sys.modules[module]
    *above, last = name.split(".")
    for part in above:
        owner = getattr(owner, part)
    setattr(owner, last, make(getattr(owner, last)))


def is_complete(module: str) -> bool:
    """Whether `module` was imported to its end."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return spec is not None and not getattr(spec, "_initializing", False)


class Hooks:
    """Wraps functions as soon as their module is there, before another one takes them from it."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self._waiting = {place: phase for phase, places in PHASES.items() for place in places}
        self._waiting[BESIDE] = ""
        self.beside = {"wall": 0.0, "cpu": 0.0}

    def watch(self, owner: Any, name: str) -> None:
        """Replace the importing function `name` of `owner`."""
        imported = self._watch.wrap(IMPORTS, getattr(owner, name))

        def importing(module: str, *args: Any, **kwargs: Any) -> Any:
            result = imported(module, *args, **kwargs)
            if module.startswith("srbuild"):
                self._look()
            return result

        setattr(owner, name, importing)

    def _look(self) -> None:
        for place, phase in list(self._waiting.items()):
            if is_complete(place.partition(":")[0]):
                del self._waiting[place]
                replace(place, partial(self._watch.wrap, phase) if phase else self._wrap_beside)

    def _wrap_beside(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.beside["wall"] += time.perf_counter() - wall
                self.beside["cpu"] += time.thread_time() - cpu

        return timed


def measure_phases(args: list[str]) -> dict[str, float]:
    """Build as `srbuild ARGS` does; seconds by phase."""
    watch = Stopwatch()
    hooks = Hooks(watch)
    hooks.watch(builtins, "__import__")
    hooks.watch(importlib, "import_module")
    from srbuild.cli.main import main

    try:
        main(args)
    except SystemExit as end:
        if end.code:
            raise
    return watch.stop() | {f"beside {what}": value for what, value in hooks.beside.items()}


def measure_writing(sysroot: str, cluster: str, image: str) -> dict[str, float]:
    """Write all segments to `image` without reading anything back: wall and cpu seconds.

    Start-up, planning and imports are not on the clock.
    """
    import hashlib

    import zstandard  # noqa: F401 - off the clock

    from srbuild import pipeline
    from srbuild.archiver import write_archive
    from srbuild.config.load import load_config

    from .root import BLK, FS

    options = {"fs": FS, "blk": BLK, "sysroot": sysroot, "cluster": cluster, "cache": "none"}
    catalog = pipeline.find_modules()
    prepared = pipeline.prepare(load_config(options, {}, catalog), catalog)
    wall, cpu = time.perf_counter(), time.process_time()
    with Path(image).open("wb", buffering=0) as file:
        digest = hashlib.sha256()

        def sink(chunk: bytes | memoryview) -> None:
            file.write(chunk)
            digest.update(chunk)

        for segment in prepared.layers.segments:
            write_archive(segment, sink)
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    what, result, *rest = sys.argv[1:]
    seconds = measure_phases(rest) if what == "phases" else measure_writing(*rest)
    Path(result).write_text(json.dumps(seconds))
