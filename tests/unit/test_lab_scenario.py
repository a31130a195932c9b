"""Scenarios as the engine sees them: found by name, judged by what is on the disk."""

from __future__ import annotations

import io
from pathlib import Path
from typing import cast

import pytest

from srbuild.errors import ToolError, UsageError, VerifyError
from srbuild.formats.cpio import CpioReader
from srbuild.lab.disk import write_lab_archive
from srbuild.lab.proof import check_shared_root, read_shared_root
from srbuild.lab.scenario import (
    Inputs,
    Lab,
    Scenario,
    find_scenario,
    load_scenarios,
    run_scenario,
)
from srbuild.lab.server import Agent

CLEAN = (
    "fsck.gfs2 complete",
    "fsck 0",
    "token n1 aa",
    "token n2 bb",
    "seen n1 n2=bb",
    "seen n2 n1=aa",
)
PEERS = {"n1": ("n2",), "n2": ("n1",)}


class Disk:
    """A server whose check job says `lines`."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        self.lines = lines

    def require(self, job: str, *, seconds: float) -> tuple[str, ...]:
        assert job == "check-gfs2"
        assert seconds > 0
        return self.lines


def inputs(tmp_path: Path) -> Inputs:
    nothing = Path("/nonexistent")
    return Inputs(
        nothing, nothing, nothing, lambda _: b"", lambda _: b"", tmp_path / "logs", tmp_path
    )


def check(tmp_path: Path, lines: tuple[str, ...]) -> Lab:
    with Lab(inputs(tmp_path), lambda _: None) as lab:
        lab.tokens.update(n1="aa", n2="bb")
        check_shared_root(lab, cast("Agent", Disk(lines)), "check-gfs2", PEERS)
    return lab


def test_tokens_written_and_read_on_a_clean_disk_are_proof(tmp_path: Path) -> None:
    lab = check(tmp_path, CLEAN)
    assert lab.proof["tokens"] == {"n1": "aa", "n2": "bb"}
    assert lab.proof["fsck"] == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("fsck 0", "fsck 4", "clean file system"),
        ("fsck 0", "", "clean file system"),
        ("token n2 bb", "token n2 aa", "token of n2"),
        ("token n2 bb", "", "token of n2"),
        ("seen n1 n2=bb", "seen n1 n2=aa", "n1 has read"),
        ("seen n1 n2=bb", "seen n1", "n1 has read"),
        ("seen n2 n1=aa", "", "n2 has read"),
    ],
)
def test_anything_else_on_the_disk_is_none(old: str, new: str, says: str, tmp_path: Path) -> None:
    lines = tuple(new if line == old else line for line in CLEAN)
    with pytest.raises(VerifyError, match=says):
        check(tmp_path, lines)


def test_the_checkers_own_words_are_not_taken_for_facts() -> None:
    root = read_shared_root(("fsck.gfs2: fsck 0 done", "fsck zero", "token n1", "seen n1 junk"))
    assert root.fsck == -1
    assert not root.tokens
    assert not root.seen


def scenario(run: object) -> Scenario:
    return Scenario("x", "x", "gfs2", "iscsi", (), run)  # type: ignore[arg-type]


def test_a_scenario_that_holds_passes_and_tells_its_steps(tmp_path: Path) -> None:
    told: list[str] = []

    def run(lab: Lab) -> None:
        with lab.step("something"):
            lab.expect(True, "never seen")

    result = run_scenario(scenario(run), inputs(tmp_path), told.append)
    assert result.passed
    assert [step.what for step in result.steps] == ["something"]
    assert told[0].endswith("something")
    assert result.as_json()["schema"] == "srbuild.test/1"


def test_a_scenario_that_does_not_hold_is_a_result_with_the_reason(tmp_path: Path) -> None:
    def run(lab: Lab) -> None:
        with lab.step("something"):
            lab.expect(False, "the sun at night")

    result = run_scenario(scenario(run), inputs(tmp_path), lambda _: None)
    assert not result.passed
    assert "the sun at night" in result.failure
    assert len(result.steps) == 1


def test_trouble_with_the_lab_is_no_result(tmp_path: Path) -> None:
    def run(_: Lab) -> None:
        raise ToolError("no QEMU")

    with pytest.raises(ToolError):
        run_scenario(scenario(run), inputs(tmp_path), lambda _: None)


def test_the_main_job_and_the_failures_that_must_be_shown_are_scenarios() -> None:
    assert set(load_scenarios()) >= {
        "gfs2-iscsi",
        "gfs2-iscsi-target-late",
        "gfs2-iscsi-wrong-secret",
        "gfs2-iscsi-peer-absent",
        "gfs2-iscsi-peer-absent-go-on",
        "gfs2-iscsi-unknown-mac",
    }


def test_an_unknown_scenario_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        find_scenario("gfs3")
    assert "gfs2-iscsi-wrong-secret" in caught.value.hint


def test_the_lab_archive_holds_jobs_and_root_and_is_reproducible(tmp_path: Path) -> None:
    data = write_lab_archive(tmp_path / "a").read_bytes()
    assert data == write_lab_archive(tmp_path / "b").read_bytes()
    names = [header.name.decode() for header in CpioReader(io.BytesIO(data))]
    assert names[0] == "lab"
    assert {"lab/jobs/check-gfs2.sh", "lab/jobs/fill-root.sh", "lab/root/init"} <= set(names)
