"""The main job from other sysroots: Debian's later suites, and another architecture."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from srbuild import pipeline
from srbuild.cli.sysroot import module_packages
from srbuild.config.load import load_config
from srbuild.host.distro import SysrootRequest, create_sysroot
from srbuild.lab.build import LabRequest, make_inputs
from srbuild.lab.scenario import find_scenario, run_scenario

pytestmark = [pytest.mark.boot, pytest.mark.matrix, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    ("suite", "architecture"), [("trixie", "amd64"), ("sid", "amd64"), ("bookworm", "arm64")]
)
def test_two_nodes_share_one_root(project: Path, suite: str, architecture: str) -> None:
    """Sysroot, image and server are of the suite; nothing of a foreign one runs but in QEMU."""
    name = f"{suite}-{architecture}"
    sysroot = project / "build/sysroots" / name
    packages = module_packages(["gfs2", "iscsi", "none"])
    made = create_sysroot(sysroot, SysrootRequest(packages, suite, architecture))
    image = project / "build" / f"{name}.img"
    catalog = pipeline.find_modules()
    wanted = {"fs": "gfs2", "blk": "iscsi", "sysroot": sysroot, "output": image}
    built = pipeline.build(load_config(wanted, {}, catalog), catalog)
    assert built.prepared.manifest.kernel in made.kernels
    scenario = find_scenario("gfs2-iscsi")
    folder = project / "build/lab" / name
    environ = {**os.environ, "SRBUILD_CACHE": str(project / "build/cache")}
    request = LabRequest(image, sysroot, None, folder, seconds=500)
    result = run_scenario(scenario, make_inputs(request, scenario, environ), print)
    assert result.passed, result.failure
    assert result.proof["fsck"] == 0
