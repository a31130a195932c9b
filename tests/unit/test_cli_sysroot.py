"""`srbuild sysroot create` from outside, with the stand-in for mmdebstrap."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.debs import make_deb, make_mmdebstrap


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    where = tmp_path / "archive"
    make_mmdebstrap(where)
    make_deb(where, "linux-image-test", {"/lib/modules/9.9.9/modules.order": ""})
    return where


def create(archive: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "srbuild", "sysroot", "create", "root", *words],
        cwd=archive.parent,
        env={**os.environ, "PATH": f"{archive}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def asked_for(archive: Path) -> set[str]:
    (include,) = (
        word for word in (archive / "calls").read_text().split() if word.startswith("--include=")
    )
    return set(include.partition("=")[2].split(","))


def test_the_modules_and_what_they_require_name_the_packages(archive: Path) -> None:
    done = create(archive, "--fs", "gfs2", "--blk", "iscsi", "--arch", "amd64", "--package", "vim")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "root is ready: bookworm/amd64, 9.9.9\n"
    assert {
        "busybox-static",
        "corosync",
        "dlm-controld",
        "gfs2-utils",
        "kmod",
        "linux-image-amd64",
        "open-iscsi",
        "vim",
    } <= asked_for(archive)


def test_without_a_block_device_its_packages_are_left_out(archive: Path) -> None:
    assert create(archive).returncode == 0
    assert not {"open-iscsi", "corosync"} & asked_for(archive)


def test_json_names_kernels_and_packages(archive: Path) -> None:
    for cached in (False, True):
        done = create(archive, "--json", "--arch", "arm64", "--suite", "trixie")
        document = json.loads(done.stdout)
        assert document == {
            "schema": "srbuild.sysroot/1",
            "sysroot": "root",
            "cached": cached,
            "suite": "trixie",
            "architecture": "arm64",
            "kernels": ["9.9.9"],
            "packages": [{"name": "linux-image-test", "version": "1.0-1", "architecture": "amd64"}],
        }


def test_a_second_run_says_so(archive: Path) -> None:
    create(archive)
    assert create(archive).stdout.startswith("root is up to date: ")


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["--fs", "gsf2"], 3, "did you mean 'gfs2'?"),
        (["--module", "nothing"], 3, "no boot module 'nothing'"),
        (["--package", "A b"], 2, "'A b' is no name of a Debian package"),
        (["--suite", "Bookworm"], 2, "'Bookworm' is no name of a suite"),
        (["--wrong"], 2, "No such option"),
    ],
)
def test_what_cannot_be_is_refused(archive: Path, words: list[str], status: int, told: str) -> None:
    done = create(archive, *words)
    assert done.returncode == status
    assert told in done.stderr
    assert not (archive / "calls").exists()


def test_a_foreign_directory_is_refused(archive: Path) -> None:
    (archive.parent / "root").mkdir()
    (archive.parent / "root/mine").touch()
    done = create(archive, "--json")
    assert done.returncode == 5
    assert "was not made by srbuild" in json.loads(done.stdout)["errors"][0]["message"]


def test_every_module_brings_what_each_of_them_needs(archive: Path) -> None:
    assert create(archive, "--every-module").returncode == 0
    assert {"open-iscsi", "gfs2-utils", "corosync", "busybox-static"} <= asked_for(archive)
