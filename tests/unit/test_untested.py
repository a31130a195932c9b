"""A build of what was never booted says so: once, in its report and in the sidecar."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from srbuild.pipeline import build, read_sidecar
from srbuild.tested import Records, Run, module_standing, standing
from support.kernels import FakeKmod, make_kernel
from support.plans import Project

NODE = {"mounted": 3.0}
RUN = Run(
    "pool-disk",
    True,
    ("disk", "pool"),
    ("pool", "disk", "none"),
    "2026-11-22",
    "0",
    "a",
    "6.1",
    "x",
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    make_kernel(project.sysroot, [FakeKmod("kernel/drivers/a.ko")])
    project.module("block", "disk", 'requires = ["core"]\nprovides = ["block"]\n')
    project.module("fs", "pool", 'requires = ["core"]\nprovides = ["root"]\n')
    project.module("container", "none", 'requires = ["core"]\nprovides = ["container"]\n')
    project.module("container", "local", 'requires = ["core"]\n')
    (tmp_path / "out").mkdir()
    return project


def notes(
    project: Project, monkeypatch: pytest.MonkeyPatch, *runs: Run, **given: object
) -> list[str]:
    """What a build with these runs on record notes about tests."""
    records = Records({run.scenario: run for run in runs}, {})
    monkeypatch.setattr("srbuild.pipeline.load_records", lambda: records)
    target = project.root / "out/image.img"
    config = project.config(output=str(target), **given)
    built = build(config, project.catalog)
    beside = read_sidecar(target)
    assert beside is not None
    assert beside.notes == built.prepared.manifest.notes
    return [note for note in beside.notes if "untested" in note]


def test_what_was_not_booted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = {"fs": "pool", "blk": "disk"}
    found = notes(project, monkeypatch, **pair)
    assert len(found) == 1
    assert found[0].startswith("untested: pool + disk + none")
    assert "no run of it is on record" in found[0]
    failed = replace(RUN, passed=False, failure="no boot")
    assert "failed: no boot" in notes(project, monkeypatch, failed, **pair)[0]


def test_what_only_adds_to_a_kind_makes_no_other_combination(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = replace(RUN, nodes={"n1": NODE})
    assert notes(project, monkeypatch, ran, fs="pool", blk="disk", modules=("local",)) == []


def test_what_was_booted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = replace(RUN, nodes={"n1": NODE})
    assert notes(project, monkeypatch, ran, fs="pool", blk="disk") == []
    assert len(notes(project, monkeypatch, ran, fs="pool")) == 1


def test_an_image_without_a_root(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert notes(project, monkeypatch, blk="disk") == []


def test_what_a_double_stood_in_for_was_not_booted() -> None:
    ran = replace(RUN, nodes={"n1": NODE})
    records = Records({ran.scenario: ran}, {"none": "only a double of it was booted"})
    for found in (standing(records, ran.combination), module_standing(records, "none")):
        assert found.text() == "untested: only a double of it was booted"
    assert standing(replace(records, reasons={}), ran.combination).works
