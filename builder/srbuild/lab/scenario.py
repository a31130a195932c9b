"""Scenarios: named runs of the lab, found in the files of `scenarios/`.

A `Scenario` is a name, a sentence and a function over a `Lab`; whatever stands in one of these
files is known by name. A scenario starts machines, waits with deadlines, and calls
`Lab.expect` for what must hold; a VerifyError out of it is a scenario not passed, any other
error is trouble with the lab.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path

from srbuild.errors import UsageError, VerifyError
from srbuild.frozen import frozen
from srbuild.lab.lab import Inputs, Lab, Step
from srbuild.lab.times import BootTimes, read_times
from srbuild.plan import NONE


@frozen
class Result:
    """How a scenario went.

    `failure` is empty when it passed; `logs` maps machine to file, `boots` each machine that
    came as far as its handover to where its seconds went.
    """

    scenario: str
    failure: str
    seconds: float
    steps: tuple[Step, ...]
    logs: Mapping[str, str]
    proof: Mapping[str, object]
    boots: Mapping[str, BootTimes] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether everything that the scenario expects was so."""
        return not self.failure

    def as_json(self) -> dict[str, object]:
        """The result as `srbuild test --json` gives it."""
        return {
            "schema": "srbuild.test/1",
            "scenario": self.scenario,
            "passed": self.passed,
            "failure": self.failure,
            "seconds": round(self.seconds, 1),
            "steps": [{"what": s.what, "seconds": round(s.seconds, 1)} for s in self.steps],
            "logs": dict(self.logs),
            "proof": dict(self.proof),
            "nodes": {name: times.as_json() for name, times in self.boots.items()},
        }


@frozen
class Scenario:
    """A named run.

    `fs`, `blk` (empty for none), `container` and `modules` say which images it is for; `server`
    names the boot modules that the storage server's image has besides the recipe's own
    (images/lab-server.toml).
    """

    name: str
    summary: str
    fs: str
    blk: str
    server: tuple[str, ...]
    run: Callable[[Lab], None] = field(repr=False)
    modules: tuple[str, ...] = ()
    container: str = NONE

    @property
    def options(self) -> dict[str, object]:
        """What an image for it is built with, as `load_config` takes it."""
        named = {"fs": self.fs or None, "blk": self.blk or None, "container": self.container}
        return {**named, "modules": self.modules}

    @property
    def image_name(self) -> str:
        """The file name of such an image, without `.img`: all that was chosen for it."""
        container = "" if self.container == NONE else self.container
        return "-".join(filter(None, (self.fs, self.blk, container, *self.modules)))


def run_scenario(scenario: Scenario, inputs: Inputs, tell: Callable[[str], None]) -> Result:
    """Run `scenario` and say how it went; `tell` hears of its progress, line by line.

    A scenario that does not pass is a Result, not an error. Raises ToolError when QEMU can't be
    run, and whatever building the cluster's archive raises.
    """
    failure = ""
    with Lab(inputs, tell) as lab:
        try:
            scenario.run(lab)
        except VerifyError as error:
            failure = str(error)
    return Result(
        scenario.name,
        failure,
        lab.seconds,
        tuple(lab.steps),
        dict(lab.logs),
        dict(lab.proof),
        _boots(lab.logs),
    )


def _boots(logs: Mapping[str, str]) -> Mapping[str, BootTimes]:
    texts = {name: Path(log).read_text(errors="replace") for name, log in logs.items()}
    found = {name: read_times(text) for name, text in texts.items()}
    return {name: times for name, times in found.items() if times is not None}


def load_scenarios() -> Mapping[str, Scenario]:
    """Every scenario by name: the `SCENARIOS` of each file in lab/scenarios/."""
    package = importlib.import_module("srbuild.lab.scenarios")
    found: dict[str, Scenario] = {}
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for scenario in importlib.import_module(info.name).SCENARIOS:
            found[scenario.name] = scenario
    return dict(sorted(found.items()))


def find_scenario(name: str) -> Scenario:
    """The scenario called `name`; UsageError that lists them all when there is none."""
    scenarios = load_scenarios()
    if name not in scenarios:
        known = "".join(f"\n    {s.name:32} {s.summary}" for s in scenarios.values())
        raise UsageError(f"no scenario {name!r}", hint=f"one of:{known}")
    return scenarios[name]
