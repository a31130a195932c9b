"""The pipelines that `srbuild matrix` writes are YAML, and say what they should."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from srbuild.ci import Pipeline, github_workflow, gitlab_pipeline

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
PIPELINE = Pipeline("ci/matrix.toml", 2, ("build/gfs2-iscsi.img", "build/gfs2 aoe.img"))
WRITERS = {"github": github_workflow, "gitlab": gitlab_pipeline}


@pytest.mark.parametrize("forge", WRITERS)
def test_golden(forge: str, request: pytest.FixtureRequest) -> None:
    path = GOLDEN / f"matrix-{forge}.yml"
    text = WRITERS[forge](PIPELINE)
    if request.config.getoption("--update-golden"):
        path.write_text(text)
    assert text == path.read_text(), "write it anew with --update-golden once it is right"


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=9))
def test_whatever_the_names_it_is_yaml(name: str) -> None:
    pipeline = Pipeline(name, 3, (f"{name}.img",), setup=f"install {name}")
    github = yaml.safe_load(github_workflow(pipeline))
    steps = github["jobs"]["build"]["steps"]
    assert steps[1]["run"] == f"install {name}"
    assert f"{name}.img.json" in steps[-1]["with"]["path"].splitlines()
    gitlab = yaml.safe_load(gitlab_pipeline(pipeline))
    assert gitlab["build"]["script"][0] == f"install {name}"
    assert gitlab["build"]["artifacts"]["paths"][-1] == f"{name}.img.json"


def test_every_job_is_kept_and_none_stops_another() -> None:
    github = yaml.safe_load(github_workflow(PIPELINE))["jobs"]
    assert github["build"]["strategy"]["fail-fast"] is False
    assert github["build"]["strategy"]["matrix"]["shard"] == [1, 2]
    assert github["collect"]["needs"] == ["build"]
    assert github["collect"]["if"] == "always()"
    gitlab = yaml.safe_load(gitlab_pipeline(PIPELINE))
    assert gitlab["build"]["parallel"] == 2
    assert gitlab["build"]["artifacts"]["when"] == "always"
    assert gitlab["collect"]["when"] == "always"


def test_one_shard_needs_no_parallel_jobs() -> None:
    gitlab = yaml.safe_load(gitlab_pipeline(Pipeline("m.toml", 1, ("a.img",))))
    assert "parallel" not in gitlab["build"]
    assert gitlab["build"]["variables"]["CI_NODE_INDEX"] == "1"
