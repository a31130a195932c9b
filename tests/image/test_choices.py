"""`--cpu` and `--feature` as they are given: by option, variable or recipe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SRBUILD = Path(sys.executable).with_name("srbuild")


def check(sysroot: Path, *options: object, **environment: str) -> tuple[int, str]:
    argv = [SRBUILD, "check", "--sysroot", sysroot, "--no-cache", *options]
    done = subprocess.run(
        list(map(str, argv)),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def test_levels_of_the_images_processor_are_taken(sysroot: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('modules = ["core"]\ncpu = "x86-64-v2"\n')
    assert check(sysroot, "--image", recipe)[0] == 0
    assert check(sysroot, "--cpu", "x86-64")[0] == 0
    assert check(sysroot, SRBUILD_CPU="x86-64-v4")[0] == 0


@pytest.mark.parametrize(
    ("level", "said"), [("x86-64-v9", "x86-64-v4"), ("power9", "another processor")]
)
def test_other_levels_are_errors(sysroot: Path, level: str, said: str) -> None:
    status, err = check(sysroot, "--cpu", level)
    assert status == 3
    assert f"--cpu: {'unknown' if said.startswith('x') else repr(level)}" in err
    assert said in err


@pytest.mark.parametrize("place", ["option", "variable", "recipe"])
def test_features_that_no_program_has_are_errors(sysroot: Path, tmp_path: Path, place: str) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('modules = ["core"]\nfeatures = ["tpm"]\n')
    if place == "option":
        status, err = check(sysroot, "--feature", "tpm")
    elif place == "variable":
        status, err = check(sysroot, SRBUILD_FEATURES="tpm")
    else:
        status, err = check(sysroot, "--image", recipe)
    assert status == 3
    assert "no program in the image has a feature 'tpm'" in err
    assert {"option": "--feature", "variable": "SRBUILD_FEATURES"}.get(place, "features[0]") in err
