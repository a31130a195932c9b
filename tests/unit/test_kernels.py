"""Several kernels in one image."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.config.kernels import read_kernels
from srbuild.errors import ErrorGroup, MissingInputError, SrbuildError
from srbuild.host.sysroot import Sysroot
from srbuild.kernels.tree import open_kernels
from support.kmod_root import make_root

OLD, NEW = "6.1.0-9-test", "6.12.0-1-test"


@pytest.fixture
def sysroot(tmp_path: Path) -> Sysroot:
    make_root(tmp_path / "root", OLD)
    return Sysroot(make_root(tmp_path / "root", NEW))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ([], [NEW]),
        ([OLD], [OLD]),
        (["all"], [NEW, OLD]),
        ([OLD, "all"], [NEW, OLD]),
        ([OLD, NEW, OLD], [NEW, OLD]),
    ],
)
def test_the_newest_comes_first_and_is_the_default(
    sysroot: Sysroot, asked: list[str], found: list[str]
) -> None:
    assert [tree.version for tree in open_kernels(sysroot, asked)] == found


def test_every_kernel_that_is_not_there_is_told(sysroot: Sysroot) -> None:
    with pytest.raises(ErrorGroup) as caught:
        open_kernels(sysroot, ["1.0", OLD, "2.0"])
    assert [error.message.split()[2] for error in caught.value.errors] == ["1.0", "2.0"]
    assert caught.value.exit_code == 4


def test_all_of_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no kernel modules"):
        open_kernels(Sysroot(tmp_path), ["all"])


def test_the_command_line_replaces_the_environment() -> None:
    errors: list[SrbuildError] = []
    environ = {"SRBUILD_KERNEL": "1 2"}
    assert read_kernels(None, environ, errors) == ("1", "2")
    assert read_kernels((), environ, errors) == ("1", "2")
    assert read_kernels(("3", "3"), environ, errors) == ("3",)
    assert read_kernels("3", {}, errors) == ("3",)
    assert errors == []
    read_kernels(("",), {}, errors)
    assert "--kernel: is empty" in str(errors[0])
