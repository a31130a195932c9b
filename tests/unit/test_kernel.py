from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from srbuild.errors import MissingInputError, Origin
from srbuild.host.sysroot import Sysroot
from srbuild.kernels.kmods import kernel_versions, open_kernel
from support.kernels import VERSION
from support.kmod_root import NIC_CLOSURE, close, kernel, make_root, names


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path / "root")


def test_versions_and_the_default(root: Path) -> None:
    order = ["5.10.0-1", "6.1.0-rc2", "6.1.0", "6.1.0-9-test", "6.1.0-56-amd64", "6.12.0", "6.12.5"]
    for version in order:
        (root / "lib/modules" / version / "kernel").mkdir(parents=True, exist_ok=True)
    (root / "lib/modules/99-left-over/updates").mkdir(parents=True)
    assert kernel_versions(Sysroot(root)) == order
    shutil.copy(root / f"lib/modules/{VERSION}/modules.dep", root / "lib/modules/6.12.5")
    assert kernel(root).version == "6.12.5"
    assert kernel(root, VERSION).version == VERSION


def test_an_unknown_kernel_is_refused_naming_those_there_are(root: Path) -> None:
    (root / "lib/modules/6.12.0/kernel").mkdir(parents=True)
    with pytest.raises(MissingInputError) as caught:
        open_kernel(Sysroot(root), "7.0", Origin("--kernel"))
    assert caught.value.hint == f"it has: {VERSION}, 6.12.0"
    assert str(caught.value).startswith("--kernel: no kernel 7.0 in ")


def test_a_sysroot_without_a_kernel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no kernel modules"):
        kernel(tmp_path)


@pytest.mark.parametrize("merged", [True, False])
def test_kernels_below_usr(root: Path, merged: bool) -> None:
    (root / "usr").mkdir()
    (root / "lib").rename(root / "usr/lib")
    if merged:
        (root / "lib").symlink_to("usr/lib")
    closure = close(root, "acme-nic")
    assert names(closure) == NIC_CLOSURE
    assert closure.kmods[0].source.startswith("/usr/lib/modules/")
    assert [file.image for file in closure.firmware] == ["/usr/lib/firmware/acme/nic.bin"]
    assert closure.links == ()
