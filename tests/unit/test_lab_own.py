"""A scenario's own image: with which vzctl, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from srbuild.cli.test import test as verb
from srbuild.errors import MissingInputError, SrbuildError, UsageError
from srbuild.lab import own
from srbuild.lab.own import DOUBLE, build_own
from srbuild.lab.scenario import Scenario, find_scenario

OPENVZ = find_scenario("openvz")
ISCSI = find_scenario("gfs2-iscsi")


def with_vzctl(folder: Path) -> Path:
    for name in ("usr/sbin/vzctl", "etc/vz/dists/default", "etc/vz/dists/scripts/functions"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        path.chmod(0o755)
    return folder


def refused(scenario: Scenario, target: Path, vzctl: Path | None) -> SrbuildError:
    with pytest.raises(SrbuildError) as found:
        build_own(scenario, target / "x.img", target, {}, vzctl)
    return found.value


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        ("usr/sbin/vzctl", "it has no usr/sbin/vzctl"),
        ("etc/vz/dists/default", "it has no etc/vz/dists/default"),
    ],
)
def test_a_tree_without_vzctl_is_one_error(tmp_path: Path, lost: str, named: str) -> None:
    tree = with_vzctl(tmp_path / "tree")
    (tree / lost).unlink()
    error = refused(OPENVZ, tmp_path, tree)
    assert isinstance(error, MissingInputError)
    assert named in error.message
    assert str(tree) in error.message
    assert "docs/openvz.md" in error.hint


def test_all_that_a_tree_lacks_is_named_at_once(tmp_path: Path) -> None:
    message = refused(OPENVZ, tmp_path, tmp_path).message
    assert "no usr/sbin/vzctl, no etc/vz/dists/default, no etc/vz/dists/scripts" in message


def test_a_vzctl_that_cannot_be_run_is_an_error(tmp_path: Path) -> None:
    tree = with_vzctl(tmp_path)
    (tree / "usr/sbin/vzctl").chmod(0o644)
    assert "no usr/sbin/vzctl that can be run" in refused(OPENVZ, tmp_path, tree).message


def test_a_scenario_of_another_container_has_no_use_for_it(tmp_path: Path) -> None:
    error = refused(ISCSI, tmp_path, with_vzctl(tmp_path))
    assert isinstance(error, UsageError)
    assert "gfs2-iscsi runs no container of OpenVZ's" in error.message


def test_the_double_lies_as_the_real_one_must(tmp_path: Path) -> None:
    """The same look at both: an empty sysroot is the next thing that is wrong."""
    for tree in (None, with_vzctl(tmp_path / "tree")):
        assert "kernel" in refused(OPENVZ, tmp_path, tree).message
    assert (DOUBLE / "usr/sbin/vzctl").is_file()


def test_an_image_has_its_vzctl_already(tmp_path: Path) -> None:
    image = tmp_path / "openvz.img"
    image.write_bytes(b"")
    result = CliRunner().invoke(verb, [str(image), "--vzctl-root", str(tmp_path)])
    assert isinstance(result.exception, UsageError)
    assert "has its vzctl in it already" in result.exception.message


def test_something_must_be_named() -> None:
    result = CliRunner().invoke(verb, [])
    assert isinstance(result.exception, UsageError)
    assert "neither an image nor a scenario" in result.exception.message


def test_without_an_image_the_scenarios_own_is_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(verb, ["--scenario", "openvz", "--vzctl-root", str(tmp_path)])
    assert isinstance(result.exception, MissingInputError)
    assert f"{tmp_path} is no tree with vzctl in it" in result.exception.message
    assert own.own_image(OPENVZ) == Path("build/ext4-scsi-openvz-lab-lab-openvz.img")
    assert not (tmp_path / "build").exists()
