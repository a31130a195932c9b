"""What was booted: when something works, when it is untested and why, and partial runs merged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from srbuild.config.load import load_config
from srbuild.errors import ConfigError
from srbuild.lab.scenario import load_scenarios
from srbuild.pipeline import find_modules, find_spine
from srbuild.plan import make_plan
from srbuild.tested import (
    Records,
    Run,
    from_json,
    load_records,
    merge,
    module_standing,
    note,
    standing,
    to_json,
)
from support.commands import srbuild
from support.rows import rows_page, take_results

NODE = {"kernel": 2.0, "unpacking": 0.9, "mounted": 9.5, "init_to_mounted": 7.5, "points": {}}
GOOD = Run(
    scenario="gfs2-iscsi",
    passed=True,
    modules=("core", "gfs2", "iscsi", "none"),
    combination=("gfs2", "iscsi", "none"),
    date="2026-11-20",
    version="0.1.0",
    inputs="abc",
    kernel="6.1.0-56-amd64",
    suite="bookworm",
    nodes={"n1": NODE},
    seconds={"back": 3.5},
)
BAD = replace(GOOD, passed=False, failure="n1 did not boot\nmore", nodes={}, date="2026-11-22")
NAMES = ("gfs2", "iscsi", "none")


def records(*runs: Run, **reasons: str) -> Records:
    return Records({run.scenario: run for run in runs}, reasons)


def test_what_booted_works() -> None:
    found = standing(records(GOOD), NAMES)
    assert found.works
    assert found.text() == "works (gfs2-iscsi, 2026-11-20, kernel 6.1.0-56-amd64)"
    assert module_standing(records(GOOD), "core").works


@pytest.mark.parametrize(
    "names", [("gfs2", "aoe", "none"), ("gfs2", "iscsi"), ("gfs2", "iscsi", "lvm", "none")]
)
def test_another_combination_is_untested(names: tuple[str, ...]) -> None:
    found = standing(records(GOOD), names)
    assert (found.works, found.text()) == (False, "untested: no run of it is on record")


def test_a_failed_run_never_works() -> None:
    found = standing(records(BAD), NAMES)
    assert not found.works
    assert found.text() == (
        "untested: the last run, gfs2-iscsi on 2026-11-22, failed: n1 did not boot"
    )
    # Not even where an earlier one had passed: the last run of a scenario is the one that counts.
    assert not standing(merge(records(GOOD), [BAD], ["gfs2-iscsi"]), NAMES).works
    # And a failed one that had mounted its root is no boot that worked.
    assert not standing(records(replace(BAD, nodes={"n1": NODE})), NAMES).works


def test_a_refusal_that_passed_is_no_boot() -> None:
    refused = replace(GOOD, scenario="gfs2-iscsi-wrong-secret", nodes={})
    assert standing(records(refused), NAMES).reason == "it was only booted to see it refused"


def test_a_reason_that_is_known_is_told() -> None:
    assert standing(records(gfs="no kernel has it"), ("gfs", "scsi")).text() == (
        "untested: no kernel has it"
    )
    assert module_standing(records(gfs="no kernel has it"), "gfs").reason == "no kernel has it"


def test_a_row_that_is_not_run_again_keeps_its_record() -> None:
    other = replace(GOOD, scenario="nfs", combination=("nfs", "none"), version="0.2.0")
    merged = merge(records(GOOD), [other], ["gfs2-iscsi", "nfs"])
    assert merged.runs == {"gfs2-iscsi": GOOD, "nfs": other}
    # A scenario that is no longer there takes its record with it.
    assert set(merge(merged, [], ["nfs"]).runs) == {"nfs"}


def test_a_run_of_an_unknown_scenario_is_an_error() -> None:
    with pytest.raises(ConfigError, match="'gfs2-iscsi', which is no scenario"):
        merge(records(), [GOOD], ["nfs"])
    with pytest.raises(ConfigError, match="'gfs3', which is no scenario"):
        take_results({"inputs": "abc", "results": {"gfs3": {}}}, records())


def test_records_stay_what_they_are_in_a_file() -> None:
    all_of_it = records(GOOD, replace(BAD, scenario="nfs"), gfs="none")
    assert from_json(to_json(all_of_it)) == all_of_it


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"schema": "other/1", "runs": {}, "reasons": {}}',
        '{"schema": "srbuild.tested/1", "runs": {"a": {"passed": true}}, "reasons": {}}',
        to_json(records(GOOD)).replace('"passed": true', '"passed": false'),
        to_json(records(GOOD)).replace('"version"', '"verzion"'),
    ],
)
def test_a_file_that_holds_no_records(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tested.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="no record of what was booted") as caught:
        load_records(path)
    assert str(path) in str(caught.value.origin)


def test_an_image_of_what_was_not_booted_says_so_once() -> None:
    catalog = find_modules()
    plan = make_plan(
        load_config({"fs": "ext4", "blk": "iscsi"}, {}, catalog), catalog, find_spine()
    )
    assert note(records(GOOD), plan.modules) == (
        "untested: ext4 + iscsi + none: no run of it is on record"
    )
    booted = replace(GOOD, combination=("ext4", "iscsi", "none"))
    assert note(records(booted), plan.modules) is None
    server = [module for module in plan.modules if module.kind != "fs"]
    assert note(records(), server) is None


def test_results_of_a_run_become_records_and_the_page() -> None:
    scenarios = load_scenarios()
    name, scenario = next((n, s) for n, s in scenarios.items() if s.fs == "nfs" and not s.modules)
    node = {**NODE, "points": {"mount": {"seconds": 1.5, "scripts": {}}}}
    row = {
        "scenario": name,
        "passed": True,
        "failure": "",
        "proof": {"seconds": {"back": 4.0, "what": "no number"}},
        "nodes": {"n1": node},
        "kernel": "6.1.0",
        "suite": "bookworm",
        "date": "2026-11-22",
    }
    found = take_results({"inputs": "0123456789abcdef", "results": {name: row}}, records())
    run = found.runs[name]
    assert (run.inputs, run.seconds) == ("0123456789ab", {"back": 4.0})
    assert {"nfs", *scenario.server} <= set(run.modules)
    page = rows_page(found, scenarios)
    line = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
    assert "n1 9.5: 2.0 (0.9) + 7.5 | back 4 |" in line
    assert "| works (2026-11-22, srbuild" in line
    failed = {**row, "passed": False, "failure": "a | b\nmore"}
    page = rows_page(take_results({"inputs": "x", "results": {name: failed}}, found), scenarios)
    line = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
    assert "untested: the last run failed (2026-11-22" in line
    assert "works" not in line
    assert "a \\| b" in line


def test_the_page_says_what_is_on_record(project: Path) -> None:
    page = (project / "docs/rows.md").read_text()
    assert page == rows_page(load_records(), load_scenarios()), "run make docs"


def test_every_scenario_stands_on_the_page(project: Path) -> None:
    page = (project / "docs/rows.md").read_text()
    assert [name for name in load_scenarios() if f"| `{name}` |" not in page] == []


def test_srbuild_modules_lists_all_and_how_they_stand(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = srbuild(capsys, "modules", "--json")
    rows = json.loads(done.out)["modules"]
    assert {row["name"] for row in rows} == set(find_modules().modules)
    for row in rows:
        assert row["works"] is (row["reason"] is None)
        assert row["works"] is (row["scenario"] is not None)
    text = srbuild(capsys, "modules").out
    assert text.count("untested: ") == sum(not row["works"] for row in rows)
