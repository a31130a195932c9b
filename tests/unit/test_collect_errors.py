"""Collecting: what cannot be met is reported, all of it together, with the way out."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from srbuild.collect import collect_manifest
from srbuild.errors import ConflictError, ErrorGroup, MissingInputError, SrbuildError
from srbuild.host.cache import FactStore, Json
from srbuild.host.sysroot import Identity, Sysroot
from srbuild.image import write_image
from srbuild.layers import split_layers
from srbuild.paths import ImagePath
from srbuild.plan import make_plan
from srbuild.spine import Spine
from support.kernels import VERSION, FakeKmod, make_kernel
from support.plans import POINTS, Project
from support.trees import Tree


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose sysroot has a kernel and nothing else yet."""
    project = Project(tmp_path)
    make_kernel(project.sysroot, [FakeKmod("kernel/drivers/disk.ko")])
    return project


@pytest.fixture
def tree(project: Project) -> Tree:
    return Tree(project.sysroot)


def fails(project: Project, kind: type[SrbuildError], **options: object) -> SrbuildError:
    with pytest.raises(kind) as caught:
        project.collect(**options)
    return caught.value


# --- what is missing --------------------------------------------------------------------------


def errors_of(error: SrbuildError) -> list[SrbuildError]:
    return list(error.errors) if isinstance(error, ErrorGroup) else [error]


def test_everything_missing_is_told_at_once(project: Project, tree: Tree) -> None:
    tree.lib(f"{tree.libdir}/libmid.so.1", "libgone.so.1")
    tree.program("/usr/sbin/diskd", "libmid.so.1", "libabsent.so.2")
    tree.program("/usr/sbin/other", "libmid.so.1")
    project.put("/var/lib/dpkg/status", "")
    wishes = (
        'binaries = ["diskd", "nothere", "other"]\nlibraries = ["libno.so.1"]\n'
        'plugins = ["{libdir}/no/*.so"]\nfiles = ["/etc/no", {source = "/no", target = "/x"}]\n'
        'kmods = ["nokmod"]\nfirmware = ["no/*"]\n'
    )
    packages = '[packages]\ndebian = ["disk-tools"]\nrhel = ["disk-utils"]\n'
    project.module("block", "disk", f"{packages}[install]\n{wishes}")
    error = fails(project, ErrorGroup, blk="disk", kmods=["nokmod2"])
    assert error.exit_code == 4
    errors = errors_of(error)
    assert all(isinstance(one, MissingInputError) for one in errors)
    text = "\n".join(str(one) for one in errors)
    for name in (
        *("libgone.so.1", "libabsent.so.2", "nothere", "libno.so.1", "{libdir}/no/*.so"),
        *("/etc/no", "/no", "nokmod", "nokmod2", "no/*"),
    ):
        assert name in text, name
    assert len(errors) == 10
    [gone] = [one for one in errors if "libgone" in one.message]
    assert (
        f"wanted by /usr{tree.libdir}/libmid.so.1 (DT_NEEDED) ← /usr/sbin/diskd (DT_NEEDED) "
        "← module disk: install.binaries[0] (binary)"
    ) in gone.message
    assert gone.hint == "install disk-tools in the sysroot, with all that it depends on"
    [binary] = [one for one in errors if "nothere" in one.message]
    assert str(binary.origin) == "module disk: install.binaries[1]"
    assert binary.hint == "install disk-tools in the sysroot, with all that it depends on"


@pytest.mark.parametrize(
    ("database", "names"),
    [
        ("var/lib/dpkg/status", "disk-tools"),
        ("usr/lib/sysimage/rpm/rpmdb.sqlite", "disk-utils"),
        ("var/lib/rpm/Packages", "disk-utils"),
        ("etc/nothing", "disk-tools, disk-utils"),
    ],
)
def test_the_hint_names_the_packages_of_the_sysroots_family(
    project: Project, database: str, names: str
) -> None:
    project.put(database, "")
    packages = '[packages]\ndebian = ["disk-tools"]\nrhel = ["disk-utils"]\n'
    project.module("block", "disk", f'{packages}[install]\nbinaries = ["diskd"]\n')
    error = fails(project, MissingInputError, blk="disk")
    assert error.hint == f"install {names} in the sysroot, with all that it depends on"


def test_a_removed_file_is_known_by_its_package(project: Project, tree: Tree) -> None:
    tree.program("/usr/sbin/diskd", "libgone.so.1")
    status = "Package: libgone1\nVersion: 1-1\nArchitecture: amd64\nStatus: install ok installed\n"
    project.put("/var/lib/dpkg/status", f"{status}\n")
    project.put("/var/lib/dpkg/info/libgone1.list", "/.\n/usr/lib/x/libgone.so.1\n")
    project.module("block", "disk", '[install]\nbinaries = ["diskd"]\n')
    error = fails(project, MissingInputError, blk="disk")
    assert error.hint == "install libgone1 in the sysroot again"


def test_without_a_word_from_anybody_the_hint_stays_general(project: Project) -> None:
    project.module("block", "disk", '[install]\nbinaries = ["diskd"]\n')
    error = fails(project, MissingInputError, blk="disk")
    assert error.message == "diskd is not in a program directory of the sysroot"
    assert error.hint == "install the package that has it in the sysroot"


@pytest.mark.parametrize("depmod", [True, False])
def test_a_missing_kernel_does_not_hide_what_else_is_missing(
    project: Project, *, depmod: bool
) -> None:
    base = project.sysroot / "lib/modules" / VERSION
    if depmod:
        shutil.rmtree(base)
    else:
        (base / "modules.dep").unlink()
    project.module("block", "disk", '[install]\nbinaries = ["diskd"]\n')
    binary, kernel = errors_of(fails(project, ErrorGroup, blk="disk"))
    assert "diskd" in binary.message
    assert "kernel" in kernel.message
    assert "--kernel" not in str(kernel.origin)


def test_a_kernel_that_was_asked_for_is_named_with_those_there_are(project: Project) -> None:
    error = fails(project, MissingInputError, kernel="9.9")
    assert str(error.origin) == "--kernel"
    assert "9.9" in error.message
    assert VERSION in error.hint


@pytest.mark.parametrize("target", ["/nowhere", "loop"])
def test_a_link_that_leads_nowhere_is_named(project: Project, target: str) -> None:
    (project.sysroot / "etc").mkdir()
    (project.sysroot / "etc/loop").symlink_to(target)
    project.module("block", "disk", '[install]\nfiles = ["/etc/l*"]\n')
    assert "/etc/loop" in fails(project, MissingInputError, blk="disk").message
    wish = '{source = "/etc/l*", target = "/etc/x"}'
    project.module("block", "disk", f"[install]\nfiles = [{wish}]\n")
    assert "/etc/l*" in fails(project, MissingInputError, blk="disk").message


def test_what_is_no_file_is_refused(project: Project) -> None:
    (project.sysroot / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(project.sysroot / "run/socket"))
        os.mkfifo(project.sysroot / "run/fifo")
        project.module("block", "disk", '[install]\nfiles = ["/run/*"]\n')
        error = fails(project, ErrorGroup, blk="disk")
    text = str(error)
    assert error.exit_code == 4
    assert "/run/socket" in text
    assert "/run/fifo" in text


def test_a_directory_is_no_program(project: Project) -> None:
    (project.sysroot / "usr/sbin/diskd").mkdir(parents=True)
    project.module("block", "disk", '[install]\nbinaries = ["diskd"]\n')
    assert "diskd" in fails(project, MissingInputError, blk="disk").message


class Meddling(FactStore):
    """Does something to a file as soon as the closure has read it."""

    def __init__(self, meddle: Callable[[], None]) -> None:
        super().__init__(None)
        self._meddle = meddle

    def put(self, table: str, identity: Identity, value: Json, *, settled: bool = False) -> None:
        super().put(table, identity, value, settled=settled)
        self._meddle()


def test_a_file_that_vanishes_while_it_is_collected_is_named(project: Project) -> None:
    script = project.put("/etc/data")
    project.module("block", "disk", '[install]\nfiles = ["/etc/data"]\n')
    with pytest.raises(MissingInputError, match=r"cannot read .*/etc/data.*: No such file"):
        project.collect(Meddling(lambda: script.unlink(missing_ok=True)), blk="disk")


@pytest.mark.parametrize("change", ["gone", "other size", "other content"])
def test_a_file_that_changes_before_it_is_written_costs_no_image(
    project: Project, tmp_path: Path, change: str
) -> None:
    path = project.put("/etc/data", "before")
    project.module("block", "disk", '[install]\nfiles = ["/etc/data"]\n')
    layers = split_layers(project.collect(blk="disk"))
    target = tmp_path / "image"
    target.write_bytes(b"previous")
    match change:
        case "gone":
            path.unlink()
        case "other size":
            path.write_text("afterwards")
        case "other content":
            os.utime(path, ns=(0, path.stat().st_mtime_ns))
            path.write_text("behind")
    with pytest.raises(SrbuildError) as caught:
        write_image(layers, target)
    assert caught.value.exit_code == (4 if change == "gone" else 7)
    assert str(path) in caught.value.message
    assert target.read_bytes() == b"previous"


# --- what conflicts ---------------------------------------------------------------------------


def test_two_things_at_one_path_conflict(project: Project) -> None:
    project.put("/etc/one")
    project.put("/etc/two", "y")
    for name in ("one", "two"):
        wish = f'{{source = "/etc/{name}", target = "/etc/same"}}'
        project.module("block", name, f"[install]\nfiles = [{wish}]\n")
    error = fails(project, ConflictError, modules=["one", "two"])
    assert error.exit_code == 5
    assert "/etc/same" in error.message
    for name in ("one", "two"):
        assert f"module {name}: install.files[0]" in error.message


def test_a_template_conflicts_with_the_sysroots_file(project: Project) -> None:
    project.put("/etc/disk.conf", "distribution's")
    text = '[install]\nfiles = ["/etc/disk.conf"]\n'
    text += '[[template]]\nsource = "t.j2"\ntarget = "/etc/disk.conf"\n'
    project.module("block", "disk", text, t__j2="ours\n")
    assert "/etc/disk.conf" in fails(project, ConflictError, blk="disk").message


def test_a_site_template_conflicts_with_one_of_the_image(project: Project) -> None:
    both = "".join(
        f'[[template]]\nsource = "{scope}.j2"\ntarget = "/etc/t"\nscope = "{scope}"\n'
        for scope in ("image", "site")
    )
    project.module("block", "disk", both, image__j2="a\n", site__j2="b\n")
    error = fails(project, ConflictError, blk="disk", cluster=project.cluster())
    assert "/etc/t" in error.message


@pytest.mark.parametrize("first", ["file", "dir"])
def test_a_directory_where_a_file_is_wanted_conflicts(project: Project, first: str) -> None:
    project.put("/etc/thing")
    names = ("a", "b") if first == "file" else ("b", "a")
    project.module("block", names[0], '[install]\nfiles = ["/etc/thing"]\n')
    project.module("block", names[1], '[install]\ndirs = ["/etc/thing"]\n')
    assert "/etc/thing" in fails(project, ConflictError, modules=["a", "b"]).message


def test_a_file_below_a_file_conflicts(project: Project) -> None:
    project.put("/etc/thing")
    project.module("block", "disk", '[install]\nfiles = ["/etc/thing"]\ndirs = ["/etc/thing/in"]\n')
    assert "/etc/thing" in fails(project, ConflictError, blk="disk").message


def test_a_glob_of_many_cannot_become_one_file(project: Project) -> None:
    project.put("/etc/many/a")
    project.put("/etc/many/b")
    wish = '{source = "/etc/many/*", target = "/etc/one"}'
    project.module("block", "disk", f"[install]\nfiles = [{wish}]\n")
    error = fails(project, ConflictError, blk="disk")
    assert error.message == "/etc/many/* matches 2 files, but /etc/one can be one of them only"


def test_a_hook_that_a_module_would_replace_conflicts(project: Project, tmp_path: Path) -> None:
    project.put("/etc/init")
    (tmp_path / "init").write_text("#!/bin/sh\n")
    wish = '{source = "/etc/init", target = "/init"}'
    project.module("block", "disk", f"[install]\nfiles = [{wish}]\n")
    spine = Spine(POINTS, ((tmp_path / "init", ImagePath("/init")),))
    plan = make_plan(project.config(blk="disk"), project.catalog, spine)
    with pytest.raises(ConflictError, match="/init"):
        collect_manifest(plan, Sysroot(plan.config.sysroot), FactStore(None))
