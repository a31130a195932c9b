"""Collecting: what a plan asks for is met from a real little root tree."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from srbuild.errors import MissingInputError
from srbuild.image import write_image
from srbuild.layers import split_layers
from srbuild.manifest import Dir, File, Inline, Manifest, Node, Symlink, chain
from srbuild.paths import ImagePath
from srbuild.report import verify_image
from support.kernels import VERSION, FakeKmod, make_kernel
from support.plans import NODES, Project, segments
from support.trees import Tree

KMODS = [
    FakeKmod("kernel/drivers/disk.ko", [("firmware", "disk/a.bin")], imports=["bus_find"]),
    FakeKmod("kernel/drivers/bus.ko", exports=["bus_find"]),
]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose sysroot has a kernel and nothing else yet."""
    project = Project(tmp_path)
    make_kernel(project.sysroot, KMODS)
    (project.sysroot / "lib/firmware/disk").mkdir(parents=True)
    (project.sysroot / "lib/firmware/disk/a.bin").write_bytes(b"firmware")
    return project


@pytest.fixture
def tree(project: Project) -> Tree:
    return Tree(project.sysroot)


def links(manifest: Manifest) -> dict[str, str]:
    found = manifest.entries.items()
    return {str(p): e.content.target for p, e in found if isinstance(e.content, Symlink)}


def origins(manifest: Manifest, path: str) -> list[str]:
    return [f"{r.how} {r.by}" for r in manifest.entries[ImagePath(path)].reasons]


def test_the_ground_of_every_image(project: Project) -> None:
    manifest = project.collect()
    content = {str(path): entry.content for path, entry in manifest.entries.items()}
    assert content["/dev/console"] == Node("c", 5, 1, 0o600)
    assert content["/root"] == Dir(0o700)
    assert content["/tmp"] == Dir(0o1777)
    for name in ("bin", "lib", "lib64", "sbin"):
        assert content[f"/{name}"] == Symlink(f"usr/{name}")
        assert content[f"/usr/{name}"] == Dir()
    assert manifest.kernel == VERSION
    assert list(manifest.entries) == sorted(manifest.entries, key=os.fsencode)


def test_a_program_comes_with_its_libraries_and_loader(project: Project, tree: Tree) -> None:
    tree.lib(f"{tree.libdir}/libdeep.so.1")
    tree.lib(f"{tree.libdir}/libdisk.so.1", "libdeep.so.1")
    tree.program("/usr/sbin/diskd", "libdisk.so.1")
    project.module("block", "disk", '[install]\nbinaries = ["diskd"]\n')
    manifest = project.collect(blk="disk")
    deep = ImagePath(f"/usr{tree.libdir}/libdeep.so.1")
    assert [f"{r.how} {r.by}" for r in chain(manifest, deep)] == [
        f"DT_NEEDED /usr{tree.libdir}/libdisk.so.1",
        "DT_NEEDED /usr/sbin/diskd",
        "binary module disk: install.binaries[0]",
    ]
    program = manifest.entries[ImagePath("/usr/sbin/diskd")]
    assert program.segment == "block"
    assert isinstance(program.content, File)
    assert program.content.source == str(project.sysroot / "usr/sbin/diskd")


def test_a_program_may_be_named_by_its_path(project: Project, tree: Tree) -> None:
    tree.program("/opt/disk/bin/diskctl")
    project.module("block", "disk", '[install]\nbinaries = ["/opt/disk/bin/diskctl"]\n')
    assert "/opt/disk/bin/diskctl" in project.collect(blk="disk").entries


def test_a_directory_of_ld_so_conf_makes_a_loader_cache(project: Project, tree: Tree) -> None:
    project.put("/etc/ld.so.conf", "/opt/disk/lib\n")
    tree.lib("/opt/disk/lib/libdisk.so.1")
    tree.program("/usr/sbin/diskd", "libdisk.so.1")
    project.module("block", "disk", '[install]\nbinaries = ["diskd"]\n')
    found = segments(project.collect(blk="disk"))
    assert (found["/opt/disk/lib/libdisk.so.1"], found["/etc/ld.so.cache"]) == ("block", "tables")


def test_what_two_segments_want_stands_in_the_first(project: Project, tree: Tree) -> None:
    tree.lib(f"{tree.libdir}/libboth.so.1")
    for name in ("netd", "diskd"):
        tree.program(f"/usr/sbin/{name}", "libboth.so.1")
    project.module("block", "disk", '[install]\nbinaries = ["diskd"]\n')
    project.module("net", "network", '[install]\nbinaries = ["netd"]\n')
    manifest = project.collect(modules=["disk", "network"])
    found = segments(manifest)
    assert (found["/usr/sbin/netd"], found["/usr/sbin/diskd"]) == ("net", "block")
    assert found[f"/usr{tree.libdir}/libboth.so.1"] == "net"
    reasons = origins(manifest, f"/usr{tree.libdir}/libboth.so.1")
    assert {"DT_NEEDED /usr/sbin/netd", "DT_NEEDED /usr/sbin/diskd"} <= set(reasons)


def test_the_real_file_is_found_through_a_chain_of_links(project: Project, tree: Tree) -> None:
    tree.program("/opt/v2/bin/diskd")
    tree.link("/usr/sbin/diskd", "/etc/alternatives/diskd")
    tree.link("/etc/alternatives/diskd", "../../opt/current/bin/diskd")
    tree.link("/opt/current", "v2")
    project.module("block", "disk", '[install]\nbinaries = ["diskd"]\n')
    manifest = project.collect(blk="disk")
    assert {
        "/usr/sbin/diskd": "/etc/alternatives/diskd",
        "/etc/alternatives/diskd": "../../opt/current/bin/diskd",
        "/opt/current": "v2",
    }.items() <= links(manifest).items()
    assert isinstance(manifest.entries[ImagePath("/opt/v2/bin/diskd")].content, File)


def test_setuid_bits_and_modes_are_kept(project: Project) -> None:
    project.put("/opt/su", mode=0o4755)
    project.put("/opt/wall", mode=0o2711)
    project.put("/opt/plain", mode=0o640)
    project.module("block", "disk", '[install]\nfiles = ["/opt/*"]\n')
    manifest = project.collect(blk="disk")
    modes = {
        path: entry.content.mode
        for path, entry in manifest.entries.items()
        if isinstance(entry.content, File)
    }
    assert (modes["/opt/su"], modes["/opt/wall"], modes["/opt/plain"]) == (0o4755, 0o2711, 0o640)


def test_globs_take_files_below_directories_with_their_modes(project: Project) -> None:
    project.put("/etc/disk/a.conf")
    project.put("/etc/disk/more/b.conf")
    project.put("/etc/disk/more/c.other")
    (project.sysroot / "etc/disk/more").chmod(0o750)
    project.module("block", "disk", '[install]\nfiles = ["/etc/disk/**/*.conf", "/etc/disk/*"]\n')
    manifest = project.collect(blk="disk")
    below = {p for p in manifest.entries if p.startswith("/etc/disk/")}
    assert below == {"/etc/disk/a.conf", "/etc/disk/more", "/etc/disk/more/b.conf"}
    assert manifest.entries[ImagePath("/etc/disk/more")].content == Dir(0o750)


def test_libdir_is_every_library_directory(project: Project, tree: Tree) -> None:
    tree.lib(f"{tree.libdir}/disk/one.so")
    tree.lib("/usr/lib64/disk/two.so")
    text = '[install]\nplugins = ["{libdir}/disk/*.so"]\n'
    project.module("block", "disk", text)
    manifest = project.collect(blk="disk")
    assert {f"/usr{tree.libdir}/disk/one.so", "/usr/lib64/disk/two.so"} <= set(manifest.entries)


def small_lib(tree: Tree, path: str) -> None:
    """A real library for 32 bits, which needs nothing."""
    source = tree.root.with_name("small.s")
    source.write_text(".globl f\nf: ret\n")
    argv = ["gcc", "-m32", "-nostdlib", "-shared", "-o", tree.path(path), source]
    subprocess.run(argv, check=True, timeout=60)


def test_of_a_biarch_tree_plugins_come_for_the_programs_architecture(
    project: Project, tree: Tree
) -> None:
    tree.program("/usr/bin/tool")
    tree.lib("/usr/lib64/disk/one.so")
    small_lib(tree, "/usr/lib/disk/one.so")
    small_lib(tree, "/usr/lib/i386-linux-gnu/disk/one.so")
    plugins = '[install]\nbinaries = ["tool"]\nplugins = ["{libdir}/disk/*.so"]\n'
    project.module("block", "disk", plugins)
    found = {path for path in project.collect(blk="disk").entries if path.endswith("/disk/one.so")}
    assert found == {"/usr/lib64/disk/one.so"}
    tree.path("/usr/lib64/disk/one.so").unlink()
    with pytest.raises(MissingInputError, match=r"disk/\*\.so is not in the sysroot"):
        project.collect(blk="disk")


def test_a_file_can_go_to_another_place_by_a_glob_with_libdir(project: Project) -> None:
    project.put("/usr/lib/x86_64-linux-gnu/disk/table-2.5", "table")
    wish = '{source = "{libdir}/disk/table-*", target = "/lib/disk.table"}'
    project.module("block", "disk", f"[install]\nfiles = [{wish}]\n")
    entry = project.collect(blk="disk").entries[ImagePath("/usr/lib/disk.table")]
    assert isinstance(entry.content, File)
    assert entry.content.source.endswith("/disk/table-2.5")
    assert entry.segment == "block"


def test_a_library_by_its_soname(project: Project, tree: Tree) -> None:
    tree.lib(f"{tree.libdir}/libplug.so.1.2", soname="libplug.so.1")
    tree.link(f"{tree.libdir}/libplug.so.1", "libplug.so.1.2")
    project.module("block", "disk", '[install]\nlibraries = ["libplug.so.1"]\n')
    manifest = project.collect(blk="disk")
    assert links(manifest)[f"/usr{tree.libdir}/libplug.so.1"] == "libplug.so.1.2"
    assert f"/usr{tree.libdir}/libplug.so.1.2" in manifest.entries


def test_kmods_come_with_what_they_need_and_with_their_firmware(project: Project) -> None:
    project.module("block", "disk", '[install]\nkmods = ["disk"]\n')
    found = segments(project.collect(blk="disk"))
    base = f"/usr/lib/modules/{VERSION}"
    kmods = {p for p, s in found.items() if s == "kmods-block" and p.endswith((".ko", "/a.bin"))}
    assert kmods == {
        f"{base}/kernel/drivers/disk.ko",
        f"{base}/kernel/drivers/bus.ko",
        "/usr/lib/firmware/disk/a.bin",
    }
    assert found[f"{base}/modules.dep"] == "tables"
    assert found["/usr/lib/srbuild/kmods/disk"] == "block"


def test_a_kmod_stands_with_the_first_that_want_it(project: Project) -> None:
    """So that what images of other block devices share is the same in all of them."""
    project.module("block", "disk", '[install]\nkmods = ["disk"]\n')
    project.module("net", "network", '[install]\nkmods = ["bus"]\n')
    base = f"/usr/lib/modules/{VERSION}/kernel/drivers"
    found = segments(project.collect(blk="disk", modules=["network"]))
    assert (found[f"{base}/bus.ko"], found[f"{base}/disk.ko"]) == ("kmods", "kmods-block")
    asked = segments(project.collect(kmods=["disk"]))
    assert (asked[f"{base}/bus.ko"], asked[f"{base}/disk.ko"]) == ("kmods-more", "kmods-more")


def test_one_file_that_two_wish_for_is_one_entry_with_both_reasons(project: Project) -> None:
    project.put("/etc/shared")
    project.module("block", "disk", '[install]\nfiles = ["/etc/shared"]\n')
    project.module("net", "network", '[install]\nfiles = ["/etc/sha*"]\n')
    manifest = project.collect(modules=["disk", "network"])
    assert set(origins(manifest, "/etc/shared")) == {
        "file module network: install.files[0]",
        "file module disk: install.files[0]",
    }


def test_scripts_directories_and_templates_are_in_place(project: Project) -> None:
    text = (
        '[install]\ndirs = ["/var/lib/disk"]\n[run]\nstorage = "attach.sh"\n'
        '[[template]]\nsource = "t.j2"\ntarget = "/etc/t"\nmode = "0600"\n'
    )
    project.module("block", "disk", text, attach__sh="#!/bin/sh\n", t__j2="x\n")
    manifest = project.collect(blk="disk")
    script = manifest.entries[ImagePath("/usr/lib/srbuild/modules/disk/attach.sh")].content
    assert isinstance(script, File)
    assert script.mode == 0o755
    assert manifest.entries[ImagePath("/var/lib/disk")].content == Dir()
    assert manifest.entries[ImagePath("/etc/t")].content == Inline(b"x\n", 0o600)


def test_the_site_part_needs_no_sysroot(project: Project) -> None:
    shutil.rmtree(project.sysroot)
    text = '[[template]]\nsource = "t.j2"\ntarget = "/root/t"\nscope = "site"\n'
    project.module("block", "disk", text, t__j2="{{ cluster.name }}\n")
    manifest = project.collect_site(blk="disk", cluster=project.cluster())
    assert {e.segment for e in manifest.entries.values()} == {"site"}
    assert "/etc/srbuild/nodes.d/n1.cpio" in manifest.entries
    # The kernel gives a directory that is there already the mode of the later archive.
    assert manifest.entries[ImagePath("/root")].content == Dir(0o700)


def test_merged_and_unmerged_trees_give_the_same_image(tmp_path: Path) -> None:
    images = []
    for layout in ("unmerged", "merged"):
        project = Project(tmp_path / layout)
        root = project.sysroot
        if layout == "merged":
            for name in ("bin", "lib", "lib64", "sbin"):
                (root / "usr" / name).mkdir(parents=True)
                (root / name).symlink_to(f"usr/{name}")
        make_kernel(root, KMODS)
        tree = Tree(root)
        tree.lib("/lib/libone.so.1")
        tree.lib("/usr/lib/libtwo.so.1", "libone.so.1")
        tree.program("/sbin/diskd", "libtwo.so.1")
        tree.link("/usr/sbin/diskctl", "../../sbin/diskd")
        tree.file("/lib/disk/table", "table")
        wishes = 'binaries = ["diskd", "diskctl"]\nkmods = ["disk"]\nfiles = ["/lib/disk/*"]\n'
        project.module("block", "disk", f"[install]\n{wishes}")
        target = tmp_path / f"{layout}.img"
        # Stubs and firmware apart, the trees hold the same files.
        write_image(split_layers(project.collect(blk="disk")), target)
        images.append(target)
    trees = [verify_image(image).tree() for image in images]
    assert trees[0] == trees[1]
    assert images[0].read_bytes() == images[1].read_bytes()


def test_secrets_stay_secret_entries(project: Project) -> None:
    text = (
        '[options.key]\ntype = "string"\nhelp = "k"\nsecret = true\n'
        '[[template]]\nsource = "k.j2"\ntarget = "/etc/key"\nscope = "site"\nsecret = true\n'
    )
    project.module("block", "disk", text, k__j2="{{ options.disk.key }}\n")
    plain = project.collect(blk="disk", cluster=project.cluster())
    assert not plain.has_secret
    given = NODES.replace("[[node]]", '[disk]\nkey = "hunter2"\n[[node]]', 1)
    manifest = project.collect(blk="disk", cluster=project.cluster(given))
    assert [p for p, e in manifest.entries.items() if e.secret] == ["/etc/key"]
    assert manifest.entries[ImagePath("/etc/key")].content == Inline(b"hunter2\n", 0o600)
