"""Boot tests: one image a session, scenarios run on it by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from srbuild.lab.build import LabRequest, image_kernel, make_inputs
from srbuild.lab.own import build_own
from srbuild.lab.scenario import Result, Scenario, find_scenario, load_scenarios, run_scenario
from support.resume import RESULT, sysroot_suite


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let `make matrix ROW=gfs2-iscsi` choose the tests of test_gfs2_iscsi.py."""
    row = item.path.stem.removeprefix("test_").replace("_", "-")
    item.extra_keyword_matches.add(row)


@pytest.fixture(scope="session")
def image_for(project: Path, sysroot: Path) -> Callable[[Scenario], Path]:
    """build/FS-BLK.img for a scenario, without a cluster's part; made unless it is up to date."""

    def make(scenario: Scenario) -> Path:
        target = project / "build" / f"{scenario.image_name}.img"
        build_own(scenario, target, sysroot, {})
        return target

    return make


@pytest.fixture
def node(request: pytest.FixtureRequest) -> pytest.Item:
    """The test that runs."""
    assert isinstance(request.node, pytest.Item)
    return request.node


@pytest.fixture
def run(
    node: pytest.Item,
    project: Path,
    sysroot: Path,
    image_for: Callable[[Scenario], Path],
) -> Callable[[Scenario], Result]:
    """Run a scenario on its image, the consoles' logs kept in build/lab/SCENARIO."""

    def run_it(scenario: Scenario) -> Result:
        folder = project / "build" / "lab" / scenario.name
        request = LabRequest(image_for(scenario), sysroot, None, folder, seconds=500)
        environ = {**os.environ, "SRBUILD_CACHE": str(project / "build" / "cache")}
        result = run_scenario(scenario, make_inputs(request, scenario, environ), print)
        print(f"{scenario.name}: {result.seconds:.1f} s", *result.logs.values(), sep="\n  ")
        if load_scenarios().get(scenario.name) is not scenario:
            return result  # a test's own, of which no record is kept
        facts = {"kernel": image_kernel(request.image), "suite": sysroot_suite(sysroot)}
        node.user_properties.append((RESULT, {**result.as_json(), **facts}))
        return result

    return run_it


@pytest.fixture
def boot(run: Callable[[Scenario], Result]) -> Callable[[str], Result]:
    """Run the scenario of that name; it must pass."""

    def boot_it(name: str) -> Result:
        result = run(find_scenario(name))
        assert result.passed, result.failure
        return result

    return boot_it
