"""The tree that `make test` made with the real mmdebstrap."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from srbuild.cli.sysroot import module_packages
from srbuild.host.distro import SysrootRequest, create_sysroot, read_stamp
from srbuild.host.packages import load_packages
from srbuild.host.sysroot import Sysroot
from srbuild.paths import SysrootPath


def test_it_holds_the_packages_of_the_modules(sysroot: Path) -> None:
    installed = {package.name for package in load_packages(Sysroot(sysroot)).installed}
    wanted = set(module_packages(["gfs2", "iscsi", "none"]))
    assert wanted
    assert wanted <= installed


def test_dpkg_knows_every_file_that_is_there(sysroot: Path) -> None:
    argv = ["dpkg-query", f"--admindir={sysroot}/var/lib/dpkg", "--listfiles", "corosync"]
    listed = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()
    assert "/usr/sbin/corosync" in listed
    assert [path for path in listed if not (sysroot / path.lstrip("/")).exists()] == []


def test_what_the_kernel_ships_belongs_to_its_package(sysroot: Path) -> None:
    tree = Sysroot(sysroot)
    (kmod,) = tree.glob("/lib/modules/*/kernel/fs/gfs2/gfs2.ko*")
    owner = load_packages(tree).owner(kmod)
    assert owner
    assert owner.name.startswith("linux-image-")


def test_depmod_ran_for_every_kernel(sysroot: Path) -> None:
    stamp = read_stamp(sysroot)
    assert stamp
    for kernel in stamp.kernels:
        dependencies = Sysroot(sysroot).read_text(SysrootPath(f"/lib/modules/{kernel}/modules.dep"))
        assert any(line.startswith("kernel/fs/gfs2/gfs2.ko") for line in dependencies.splitlines())


def test_nothing_of_the_download_is_left(sysroot: Path) -> None:
    assert not (sysroot / "var/cache/apt").exists()
    assert list(sysroot.glob("var/lib/apt/lists/*_Packages*")) == []


def test_asking_again_is_instant(sysroot: Path) -> None:
    stamp = read_stamp(sysroot)
    assert stamp
    request = SysrootRequest(
        module_packages(["gfs2", "iscsi", "none"]), stamp.suite, stamp.architecture, stamp.mirror
    )
    begin = time.monotonic()
    assert create_sysroot(sysroot, request).cached
    assert time.monotonic() - begin < 0.5
