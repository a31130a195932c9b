"""What was booted: merges the results of `make matrix` into the record, and prints docs/rows.md.

`python rows.py FILE` takes the results in FILE (see resume.py) into builder/srbuild/tested.json
first; without FILE only the page is printed.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from srbuild.config.load import load_config
from srbuild.errors import SrbuildError
from srbuild.lab.scenario import Scenario, load_scenarios
from srbuild.pipeline import find_modules, find_spine
from srbuild.plan import make_plan
from srbuild.tested import (
    RECORDS,
    Records,
    Run,
    combination_of,
    is_root,
    load_records,
    merge,
    standing,
    to_json,
)

HEAD = """\
# What was booted

Made by `make matrix` of the runs on record, the last one of each scenario; a row that was not run
again keeps the result, date and version of its last run. *works*: the nodes booted, and all that
the scenario expects was so; `srbuild test IMAGE --scenario NAME` runs it again. Everything else is
*untested*, with the reason, here, in `srbuild modules` and in a note when such an image is built.

Seconds are of one virtual machine with one processor of QEMU's own (TCG: some ten times slower
than hardware), on a busy machine: for comparison within a row, not for planning. *root after* is
from the kernel's start to the mounted root; of that, *kernel* is the kernel's own part with the
unpacking of the image, in parentheses, and *init* all the rest.
"""


def run_of(result: Mapping[str, Any], scenario: Scenario, inputs: str) -> Run:
    """The record of a result as build/matrix.json keeps it."""
    catalog = find_modules()
    plan = make_plan(load_config(scenario.options, {}, catalog), catalog, find_spine())
    timed = result["proof"].get("seconds", {})
    seconds = (
        {k: v for k, v in timed.items() if isinstance(v, (int, float))}
        if isinstance(timed, dict)
        else {}
    )
    keys = ("kernel", "unpacking", "mounted", "init_to_mounted")
    return Run(
        scenario=scenario.name,
        passed=result["passed"],
        modules=tuple(sorted({*(module.name for module in plan.modules), *scenario.server})),
        combination=combination_of(plan.modules),
        date=result["date"],
        version=importlib.metadata.version("srbuild"),
        inputs=inputs[:12],
        kernel=result["kernel"],
        suite=result["suite"],
        failure=result["failure"],
        nodes={
            name: {key: node[key] for key in keys} | {"points": _points(node)}
            for name, node in result["nodes"].items()
        },
        seconds=seconds,
    )


def _points(node: Mapping[str, Any]) -> dict[str, float]:
    return {name: point["seconds"] for name, point in node["points"].items()}


def take_results(document: Mapping[str, Any], records: Records) -> Records:
    """The records with the results of a `build/matrix.json` in them; ConfigError as `merge`."""
    scenarios = load_scenarios()
    results = document.get("results", {})
    # Refused before anything is planned for it.
    merge(records, (_stranger(name) for name in results if name not in scenarios), scenarios)
    runs = [run_of(row, scenarios[name], document["inputs"]) for name, row in results.items()]
    return merge(records, runs, scenarios)


def _stranger(name: str) -> Run:
    return Run(name, False, (), (), "", "", "", "", "", "unknown")


def rows_page(records: Records, scenarios: Mapping[str, Scenario]) -> str:
    """The text of docs/rows.md."""
    return "\n".join(
        [HEAD, *_combinations(records, scenarios.values()), *_runs(records, scenarios)]
    )


def _combinations(records: Records, scenarios: Iterable[Scenario]) -> Iterator[str]:
    catalog = find_modules()
    spine = find_spine()
    found: dict[tuple[str, ...], None] = {}
    for scenario in scenarios:
        plan = make_plan(load_config(scenario.options, {}, catalog), catalog, spine)
        found[combination_of(plan.modules)] = None
    covered = {name for names in found for name in names}
    for fs in catalog.of_kind("fs"):
        if is_root(fs) and fs.name not in covered:
            found[(fs.name,)] = None
    yield "## Combinations\n"
    yield "| file system, block device, volumes, container | stands |"
    yield "|---|---|"
    for names in sorted(found):
        yield f"| {' + '.join(names)} | {standing(records, names).text()} |"


def _runs(records: Records, scenarios: Mapping[str, Scenario]) -> Iterator[str]:
    by_fs: dict[str, list[Scenario]] = {}
    for scenario in scenarios.values():
        by_fs.setdefault(scenario.fs, []).append(scenario)
    for fs, rows in sorted(by_fs.items()):
        yield f"\n## {fs}\n"
        yield "| scenario | what | result | root after: kernel (unpacking) + init | other seconds |"
        yield "|---|---|---|---|---|"
        for scenario in rows:
            cells = _cells(records.runs.get(scenario.name))
            yield f"| `{scenario.name}` | {scenario.summary} | {' | '.join(cells)} |"
    yield ""


def _cells(run: Run | None) -> tuple[str, str, str]:
    if run is None:
        return "untested: no run of it is on record", "", ""
    when = f"{run.date}, srbuild {run.version}, {run.suite}, {run.kernel}"
    if not run.passed:
        first = run.failure.splitlines()[0].replace("|", "\\|")
        return f"untested: the last run failed ({when}): {first}", "", ""
    boots = "; ".join(
        _boot(name, node) for name, node in sorted(run.nodes.items()) if node["mounted"]
    )
    seconds = "; ".join(f"{what} {value:g}" for what, value in run.seconds.items())
    return f"works ({when})", boots, seconds


def _boot(name: str, node: Mapping[str, Any]) -> str:
    unpacking = f" ({node['unpacking']:.1f})" if node["unpacking"] is not None else ""
    parts = f"{node['kernel']:.1f}{unpacking} + {node['init_to_mounted']:.1f}"
    return f"{name} {node['mounted']:.1f}: {parts}"


def main(arguments: list[str]) -> int:
    """Merge and print; 1 with one clear sentence when the results are of no known scenario."""
    try:
        records = load_records()
        if arguments:
            records = take_results(json.loads(Path(arguments[0]).read_text()), records)
            draft = RECORDS.with_suffix(".new")
            draft.write_text(to_json(records))
            draft.replace(RECORDS)
        sys.stdout.write(rows_page(records, load_scenarios()))
    except SrbuildError as error:
        print(f"rows: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
