"""What runs the shared root where nobody says: OpenVZ on its kernels, else LXC, else nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.catalog import Catalog
from srbuild.config.load import Config, load_config
from srbuild.host.sysroot import Sysroot
from srbuild.pipeline import find_modules, find_spine
from srbuild.plan import make_plan
from srbuild.runtime import with_runtime

CATALOG = find_modules()
MAINLINE = "6.1.0-56-amd64"
VZ7 = "3.10.0-1160.90.1.vz7.200.7"
LXC = tuple(f"/usr/bin/{name}" for name in CATALOG.modules["lxc"].install.binaries)
VZ = tuple(f"/usr/sbin/{name}" for name in CATALOG.modules["openvz"].install.binaries)
CLUSTER = 'name = "lab"\n[fs]\ntype = "nfs"\nserver = ["10.9.0.1"]\npath = "/srv"\n'
NODE = '[[node]]\nname = "n1"\nid = 1\nmac = ["52:54:00:00:00:01"]\n'


def sysroot(folder: Path, programs: tuple[str, ...], *kernels: str) -> Sysroot:
    """A tree with these programs and kernels."""
    for name in (*programs, *(f"/lib/modules/{kernel}/modules.dep" for kernel in kernels)):
        path = folder / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    folder.mkdir(exist_ok=True)
    return Sysroot(folder)


def config(catalog: Catalog = CATALOG, **options: object) -> Config:
    return load_config({"cache": "none", "fs": "nfs", **options}, {}, catalog)


@pytest.mark.parametrize(
    ("programs", "kernels", "asked", "chosen", "part"),
    [
        ((), (MAINLINE,), (), "none", "the sysroot has no lxc-start"),
        (LXC[1:], (MAINLINE,), (), "none", "the sysroot has no lxc-start"),
        (LXC, (MAINLINE,), (), "lxc", "which the sysroot has"),
        ((*LXC, *VZ), (MAINLINE,), (), "lxc", "which the sysroot has"),
        ((*LXC, *VZ), (VZ7,), (), "openvz", f"the kernel {VZ7} is OpenVZ's"),
        (VZ, ("2.6.32-042stab145.3",), (), "openvz", "is OpenVZ's"),
        (VZ, (MAINLINE,), (), "none", "no lxc-start"),
        (LXC, (VZ7,), (), "lxc", "which the sysroot has"),
        ((*LXC, *VZ), (VZ7, MAINLINE), (), "lxc", ""),
        ((*LXC, *VZ), (VZ7, MAINLINE), (VZ7,), "openvz", ""),
        ((*LXC, *VZ), (VZ7, MAINLINE), ("all",), "lxc", ""),
        ((*LXC, *VZ), (), (), "lxc", ""),
    ],
)
def test_the_best_that_the_sysroot_has(
    tmp_path: Path,
    programs: tuple[str, ...],
    kernels: tuple[str, ...],
    asked: tuple[str, ...],
    chosen: str,
    part: str,
) -> None:
    tree = sysroot(tmp_path / "root", programs, *kernels)
    found, said = with_runtime(config(kernel=asked), CATALOG, tree)
    assert found.container == chosen
    assert said.startswith(f"container: {chosen}, ")
    assert part in said


@pytest.mark.parametrize("named", ["none", "lxc", "openvz"])
def test_what_was_asked_for_stays_and_is_not_talked_of(tmp_path: Path, named: str) -> None:
    tree = sysroot(tmp_path / "root", LXC, MAINLINE)
    found, said = with_runtime(config(container=named), CATALOG, tree)
    assert (found.container, said) == (named, "")


def test_the_cluster_file_says_it(tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text(f'{CLUSTER}[container]\ntype = "none"\n{NODE}')
    tree = sysroot(tmp_path / "root", LXC, MAINLINE)
    assert with_runtime(config(cluster=path), CATALOG, tree)[0].container == "none"


def test_a_runtime_with_settings_is_meant(tmp_path: Path) -> None:
    tree = sysroot(tmp_path / "root", LXC, MAINLINE)
    found, said = with_runtime(config(set=("none.init=/sbin/other",)), CATALOG, tree)
    assert (found.container, said) == ("none", "")


def test_an_image_without_a_root_has_no_container(tmp_path: Path) -> None:
    tree = sysroot(tmp_path / "root", LXC, MAINLINE)
    assert with_runtime(config(fs=None, blk="iscsi"), CATALOG, tree)[0].container is None


def test_a_site_part_takes_the_tables_of_a_container(tmp_path: Path) -> None:
    assert with_runtime(config(), CATALOG, None)[0].container == "lxc"


@pytest.mark.parametrize(
    ("kernels", "asked", "generation", "brought"),
    [
        (("2.6.32-042stab145.3",), (), "4", "openvz-4"),
        ((VZ7,), (), "7", "openvz-7"),
        (("4.18.0-193.6.3.vz8.4.13",), (), "8", "openvz-7"),
        (("5.14.0-427.22.1.vz9.80.6",), (), "9", "openvz-7"),
        (("6.8.0-ovz",), (), "9", "openvz-7"),
        ((MAINLINE,), (), "upstream", "openvz-upstream"),
        ((VZ7, MAINLINE), (), "upstream", "openvz-upstream"),
        ((VZ7, MAINLINE), (VZ7,), "7", "openvz-7"),
        ((VZ7, MAINLINE), ("all",), "auto", "openvz-upstream"),
    ],
)
def test_openvz_brings_what_the_generation_of_the_kernel_needs(
    tmp_path: Path, kernels: tuple[str, ...], asked: tuple[str, ...], generation: str, brought: str
) -> None:
    tree = sysroot(tmp_path / "root", VZ, *kernels)
    found, _ = with_runtime(config(kernel=asked, container="openvz"), CATALOG, tree)
    assert found.values["openvz"] == {"generation": (generation,)}
    names = {module.name for module in make_plan(found, CATALOG, find_spine()).modules}
    assert {name for name in names if name.startswith("openvz-")} == {brought}


def test_a_generation_that_is_given_stays(tmp_path: Path) -> None:
    tree = sysroot(tmp_path / "root", VZ, VZ7)
    given = config(container="openvz", set=("openvz.generation=8",))
    assert with_runtime(given, CATALOG, tree)[0].values["openvz"]["generation"] == ("8",)
    path = tmp_path / "cluster.toml"
    path.write_text(f'{CLUSTER}[container]\ntype = "openvz"\ngeneration = "auto"\n{NODE}')
    found, _ = with_runtime(config(cluster=path), CATALOG, tree)
    assert "generation" not in found.values.get("openvz", {})
