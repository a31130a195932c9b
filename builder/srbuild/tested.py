"""What has been booted: the record of the laboratory's last runs that is shipped with srbuild.

A combination is the file system, the block device, the volume modules and the container that an
image has. It works when a run of the laboratory booted exactly these, mounted the root and passed;
everything else is untested, with a reason. `tested.json` beside this file holds one record a
scenario, the last one; `make matrix` puts new ones in their place (tests/support/rows.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import Any

from srbuild.bootmodule import Module
from srbuild.errors import ConfigError, Origin
from srbuild.frozen import frozen
from srbuild.host.looks import look
from srbuild.paths import HostPath

SCHEMA = "srbuild.tested/1"
RECORDS = Path(__file__).with_name("tested.json")
# The kinds that make a combination, in its order, each with what such a module provides.
KINDS = {"fs": "root", "block": "block", "volume": "", "container": "container"}


@frozen
class Run:
    """The last run of one scenario.

    `modules` are all boot modules of the nodes' image and of the server's, and `combination`
    those that make its combination, by name. `date` (YYYY-MM-DD), `version` of srbuild and
    `inputs`, a digest of all that was booted, say what ran; `kernel` and `suite` on what. `nodes`
    maps a machine to its boot's seconds as `srbuild test --json` gives them, `seconds` what else
    was timed.
    """

    scenario: str
    passed: bool
    modules: tuple[str, ...]
    combination: tuple[str, ...]
    date: str
    version: str
    inputs: str
    kernel: str
    suite: str
    failure: str = ""
    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def booted(self) -> bool:
        """Whether it passed and a node of it mounted the shared root."""
        return self.passed and any(node.get("mounted") for node in self.nodes.values())


@frozen
class Records:
    """All runs by scenario, and `reasons`: why images with a module cannot be booted here."""

    runs: Mapping[str, Run]
    reasons: Mapping[str, str]


@frozen
class Standing:
    """Whether something works, by which run; else the reason why it is untested."""

    run: Run | None
    reason: str = ""

    @property
    def works(self) -> bool:
        """Whether a run booted it."""
        return self.run is not None

    def text(self) -> str:
        """For people: `works` or `untested: REASON`."""
        if self.run is None:
            return f"untested: {self.reason}"
        return f"works ({self.run.scenario}, {self.run.date}, kernel {self.run.kernel})"

    def as_json(self) -> dict[str, Any]:
        """For documents: `works`, and `run` or `reason`."""
        return {
            "works": self.works,
            "scenario": self.run.scenario if self.run else None,
            "kernel": self.run.kernel if self.run else None,
            "suite": self.run.suite if self.run else None,
            "date": self.run.date if self.run else None,
            "reason": self.reason or None,
        }


def combination_of(modules: Iterable[Module]) -> tuple[str, ...]:
    """The names that make the combination of an image with these boot modules."""
    chosen = sorted(([*KINDS].index(m.kind), m.name) for m in modules if _counts(m))
    return tuple(name for _, name in chosen)


def is_root(module: Module) -> bool:
    """Whether it mounts the shared root."""
    return module.kind == "fs" and _counts(module)


def _counts(module: Module) -> bool:
    """Whether it does what its kind is for; others of the kind only add to that."""
    return module.kind in KINDS and KINDS[module.kind] in ("", *module.provides)


def load_records(path: HostPath = RECORDS) -> Records:
    """Read the records at `path`; ConfigError for a file that holds none."""
    look(path)
    try:
        return from_json(path.read_text())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"no record of what was booted: {error}",
            hint="reinstall srbuild",
            origin=Origin(str(path)),
        ) from error


def from_json(text: str) -> Records:
    """Records of a document as `to_json` writes it; ValueError, KeyError, TypeError else."""
    document = json.loads(text)
    if document["schema"] != SCHEMA:
        raise ValueError(f"not of the schema {SCHEMA}: {document['schema']!r}")
    runs = {name: _run(name, row) for name, row in document["runs"].items()}
    return Records(runs, dict(document["reasons"]))


def _run(name: str, row: Mapping[str, Any]) -> Run:
    known = {one.name for one in fields(Run)} - {"scenario"}
    if unknown := set(row) - known:
        raise ValueError(f"run {name}: unknown field {min(unknown)!r}")
    run = Run(
        name, **{**row, "modules": tuple(row["modules"]), "combination": tuple(row["combination"])}
    )
    if not isinstance(run.passed, bool) or run.passed != (not run.failure):
        raise ValueError(f"run {name}: passed and failure contradict each other")
    return run


def to_json(records: Records) -> str:
    """The document of all records: sorted, so that one run changes its own lines only."""
    runs = {}
    for name, run in sorted(records.runs.items()):
        runs[name] = {key: value for key, value in asdict(run).items() if key != "scenario"}
    document = {"schema": SCHEMA, "reasons": dict(sorted(records.reasons.items())), "runs": runs}
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def merge(records: Records, found: Iterable[Run], known: Iterable[str]) -> Records:
    """The records with the runs `found` in the place of earlier ones of the same scenarios.

    What was not run again keeps its record; a record of a scenario that is no longer `known` is
    dropped. Raises ConfigError for a run of a scenario that nobody knows.
    """
    names = set(known)
    kept = {name: run for name, run in records.runs.items() if name in names}
    for run in found:
        if run.scenario not in names:
            raise ConfigError(
                f"a run of {run.scenario!r}, which is no scenario",
                hint="srbuild test --list names them; if it was renamed, remove build/matrix.json",
            )
        kept[run.scenario] = run
    return Records(kept, records.reasons)


def standing(records: Records, names: Iterable[str]) -> Standing:
    """How an image whose combination is made of the modules `names` stands."""
    wanted = tuple(names)
    runs = [run for run in records.runs.values() if set(run.combination) == set(wanted)]
    return _stand(runs, wanted, records.reasons)


def module_standing(records: Records, name: str) -> Standing:
    """How the boot module `name` stands: works in any image that was booted with it."""
    runs = [run for run in records.runs.values() if name in run.modules]
    return _stand(runs, (name,), records.reasons)


def _stand(runs: list[Run], names: tuple[str, ...], reasons: Mapping[str, str]) -> Standing:
    # First: what cannot be had here was not booted, whatever stood in for it.
    if given := [reasons[name] for name in names if name in reasons]:
        return Standing(None, given[0])
    if booted := [run for run in runs if run.booted]:
        return Standing(max(booted, key=lambda run: (run.date, _fewest(run))))
    if failed := [run for run in runs if not run.passed]:
        last = max(failed, key=lambda run: run.date)
        first = last.failure.splitlines()[0]
        return Standing(None, f"the last run, {last.scenario} on {last.date}, failed: {first}")
    if runs:
        return Standing(None, "it was only booted to see it refused")
    return Standing(None, "no run of it is on record")


def _fewest(run: Run) -> tuple[int, str]:
    return -len(run.scenario), run.scenario


def note(records: Records, modules: Iterable[Module]) -> str | None:
    """A sentence for who builds an image with `modules`; None when it works or has no root."""
    chosen = tuple(modules)
    if not any(is_root(module) for module in chosen):
        return None
    names = combination_of(chosen)
    found = standing(records, names)
    return None if found.works else f"untested: {' + '.join(names)}: {found.reason}"
