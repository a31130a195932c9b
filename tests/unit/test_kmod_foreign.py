"""Kmods from elsewhere: updates and DKMS in place of the kernel's own, and for other kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.kernels import VERSION, FakeKmod, depmod, make_kernel, run
from support.kmod_root import close, install, names, write

MAGIC = "SMP preempt mod_unload modversions "
OWN = ("vermagic", f"{VERSION} {MAGIC}")
OTHER = ("vermagic", f"6.0.0-1-test {MAGIC}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    kmods = [
        FakeKmod("kernel/drivers/bus.ko", [OWN], exports=["bus_find"]),
        FakeKmod("kernel/drivers/nic.ko", [OWN], imports=["bus_find"]),
        FakeKmod("kernel/drivers/disk.ko", [OWN]),
    ]
    make_kernel(tmp_path / "root", kmods)
    return tmp_path / "root"


def add(root: Path, path: str, *info: tuple[str, str]) -> Path:
    """Put a kmod there, as DKMS or a vendor's package does, and run depmod."""
    target = root / "lib/modules" / VERSION / path
    write(target, FakeKmod("", info, imports=["bus_find"]).elf())
    depmod(root)
    return target


def shown(root: Path, wish: str) -> list[str]:
    """The files that modprobe would load, relative to the modules directory."""
    out = run("modprobe", "-d", str(root), "-S", VERSION, "--show-depends", wish)
    return [line.split(f"/{VERSION}/")[1].strip() for line in out.splitlines()]


@pytest.mark.parametrize("folder", ["updates/dkms", "updates", "extra", "kernel/extra"])
def test_modprobe_and_modinfo_choose_the_same_file_in_tree_and_image(
    root: Path, tmp_path: Path, folder: str
) -> None:
    add(root, f"{folder}/nic.ko", OWN, ("version", "vendor"))
    closure = close(root, "nic")
    assert closure.missing == ()
    install(root, closure, tmp_path / "image")
    expected = shown(root, "nic")
    assert shown(tmp_path / "image", "nic") == expected
    if folder.startswith("updates"):  # depmod's own order; in which it meets others is its affair
        assert f"{folder}/nic.ko" in expected
    (taken,) = [kmod for kmod in closure.kmods if kmod.name == "nic"]
    told = run("modinfo", "-b", str(root), "-k", VERSION, "-n", "nic").strip()
    assert told.endswith(f"/{VERSION}/{taken.source.split(f'/{VERSION}/')[1]}")


@pytest.mark.parametrize("folder", ["updates/dkms", "updates", "extra", "kernel/drivers"])
def test_a_kmod_of_another_kernel_is_refused(root: Path, folder: str) -> None:
    add(root, f"{folder}/vendor.ko", OTHER)
    closure = close(root, "vendor", "nic")
    (missing,) = closure.missing
    assert missing.name == "vendor"
    assert missing.detail == (
        f"{folder}/vendor.ko was built for kernel 6.0.0-1-test, not for {VERSION}"
    )
    assert missing.hint == f"build it for {VERSION}, or remove it and run depmod again"


def test_a_kmod_of_another_kernel_does_no_harm_where_nobody_wants_it(root: Path) -> None:
    add(root, "updates/vendor.ko", OTHER)
    closure = close(root, "nic")
    assert closure.missing == ()
    assert names(closure) == {"nic", "bus"}


def test_one_that_others_need_is_refused_too(root: Path) -> None:
    write(
        root / "lib/modules" / VERSION / "updates/bus.ko",
        FakeKmod("", [OTHER], exports=["bus_find"]).elf(),
    )
    depmod(root)
    (missing,) = close(root, "nic").missing
    assert missing.name == "bus"
    assert missing.reason.how == "depends"


@pytest.mark.parametrize("path", ["updates/vendor.ko", "kernel/drivers/vendor.ko"])
def test_a_kmod_of_another_configuration_is_refused(root: Path, path: str) -> None:
    add(root, path, ("vermagic", f"{VERSION} SMP mod_unload "))
    (missing,) = close(root, "vendor", "nic", "disk").missing
    assert f"{path} was built for a kernel configured otherwise than {VERSION}" in missing.detail
    assert "'SMP mod_unload', not 'SMP preempt mod_unload modversions'" in missing.detail


@pytest.mark.parametrize(("flags", "refused"), [(MAGIC, 0), ("SMP preempt mod_unload ", 1)])
def test_weak_updates_go_by_their_symbols_checksums(root: Path, flags: str, refused: int) -> None:
    """As the RHEL family's weak-modules links them."""
    target = root / "lib/modules/6.0.0-1-test/extra/vendor.ko"
    write(target, FakeKmod("", [("vermagic", f"6.0.0-1-test {flags}")]).elf())
    link = root / "lib/modules" / VERSION / "weak-updates/vendor.ko"
    link.parent.mkdir()
    link.symlink_to("/lib/modules/6.0.0-1-test/extra/vendor.ko")
    with (root / "lib/modules" / VERSION / "modules.dep").open("a") as file:
        file.write("weak-updates/vendor.ko:\n")
    assert len(close(root, "vendor", "nic").missing) == refused


@pytest.mark.parametrize("path", ["updates/vendor.ko", "kernel/drivers/vendor.ko"])
def test_a_kmod_without_a_vermagic_is_not_judged(root: Path, path: str) -> None:
    """Whether it loads is the kernel's affair: with CONFIG_MODULE_FORCE_LOAD it does."""
    add(root, path)
    closure = close(root, "vendor")
    assert closure.missing == ()
    assert names(closure) == {"vendor", "bus"}


def test_kmods_that_all_lack_a_vermagic_tell_nothing_of_the_kernel(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make_kernel(root, [FakeKmod("kernel/drivers/bus.ko", [], exports=["bus_find"])])
    add(root, "updates/own.ko", OWN)
    add(root, "updates/other.ko", OTHER)
    assert close(root, "bus", "own").missing == ()
    assert [one.name for one in close(root, "other").missing] == ["other"]


def test_a_real_kernels_kmods_are_all_its_own(sysroot: Path) -> None:
    assert close(sysroot, "*").missing == ()
