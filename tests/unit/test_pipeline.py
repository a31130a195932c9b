"""The pipeline from a configuration to a file: made, left alone, refused."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from srbuild.config.load import Config, load_config
from srbuild.errors import MissingInputError, SrbuildError, UsageError, VerifyError
from srbuild.paths import ImagePath
from srbuild.pipeline import (
    Built,
    Part,
    build,
    find_modules,
    find_spine,
    input_key,
    prepare,
    read_sidecar,
    sidecar_path,
)
from srbuild.report import verify_image
from support.kernels import FakeKmod, make_kernel
from support.plans import NODES, Project

SETTLE = 0.15  # seconds after which facts about a new file are kept
DISK = """
requires = ["core"]
[options.label]
type = "word"
help = "any"
scope = "node"
[install]
files = ["/etc/disk.conf"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    make_kernel(project.sysroot, [FakeKmod("kernel/drivers/a.ko")])
    (project.sysroot / "etc").mkdir()
    (project.sysroot / "etc/disk.conf").write_text("disk = 1\n")
    project.module("block", "disk", DISK)
    (tmp_path / "out").mkdir()
    return project


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out/disk.img"


def configure(project: Project, target: Path, **options: object) -> Config:
    cache = str(project.root / "cache")
    return project.config(**{"blk": "disk", "output": str(target), "cache": cache, **options})


def make(project: Project, target: Path, part: Part = "all", **options: object) -> Built:
    return build(configure(project, target, **options), project.catalog, part)


def state(path: Path) -> tuple[int, int, bytes]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, path.read_bytes()


def test_a_build_leaves_a_verified_image_and_its_sidecar(project: Project, target: Path) -> None:
    built = make(project, target)
    assert built.image
    assert built.report
    assert built.report.ok
    sidecar = read_sidecar(target)
    assert sidecar
    assert sidecar.sha256 == built.image.sha256
    assert verify_image(target, sidecar.expected()).ok
    assert sorted(path.name for path in target.parent.iterdir()) == ["disk.img", "disk.img.json"]


def test_preparing_writes_nothing(project: Project, target: Path) -> None:
    before = sorted(project.root.rglob("*"))
    prepared = prepare(configure(project, target), project.catalog)
    assert [segment.name for segment in prepared.layers.segments]
    assert sorted(project.root.rglob("*")) == before


def test_a_build_that_changes_nothing_leaves_the_files_alone(
    project: Project, target: Path
) -> None:
    time.sleep(SETTLE)
    make(project, target)
    before = state(target), state(sidecar_path(target))
    again = make(project, target)
    assert (again.image, again.report) == (None, None)
    assert (state(target), state(sidecar_path(target))) == before


@pytest.mark.parametrize(
    "damage", ["image", "image gone", "sidecar", "sidecar gone", "image times", "another image"]
)
def test_what_happened_to_the_output_is_put_right(
    project: Project, target: Path, damage: str
) -> None:
    make(project, target)
    good = target.read_bytes(), sidecar_path(target).read_bytes()
    match damage:
        case "image":
            target.write_bytes(good[0][:-1] + b"x")
        case "image gone":
            target.unlink()
        case "sidecar":
            sidecar_path(target).write_bytes(b"{")
        case "sidecar gone":
            sidecar_path(target).unlink()
        case "image times":
            os.utime(target, (1, 1))
        case "another image":
            target.unlink()
            target.write_bytes(b"another")
    assert make(project, target).image
    assert (target.read_bytes(), sidecar_path(target).read_bytes()) == good


def test_the_sidecar_of_an_output_left_alone_is_the_one_of_a_new_build(
    project: Project, target: Path
) -> None:
    """The same files for other reasons: the image could stay, what is said of it could not."""
    make(project, target, modules=["disk"])
    project.module("net", "network", '[install]\nfiles = ["/etc/d*.conf"]\n')
    text = (project.modules / "net/network/module.toml").read_text()
    make(project, target, modules=["disk", "network"])
    (project.modules / "net/network/module.toml").write_text(text.replace("/d*.conf", "/di*.conf"))
    make(project, target, modules=["disk", "network"])
    project.module("net", "network", '[install]\nfiles = ["/etc/disk.conf", "/etc/disk.*"]\n')
    make(project, target, modules=["disk", "network"])
    other = target.with_name("other.img")
    make(project, other, modules=["disk", "network"], cache="none")
    assert sidecar_path(target).read_bytes() == sidecar_path(other).read_bytes()


KEYS = {
    "a file": lambda p: (p.sysroot / "etc/disk.conf").write_text("changed\n"),
    "a file's mode": lambda p: (p.sysroot / "etc/disk.conf").chmod(0o600),
    "a module": lambda p: p.module("block", "disk", DISK + '[run]\nmount = "m"\n', m="x"),
    "an option": lambda p: p.module("block", "disk", DISK.replace("word", "string")),
}


@pytest.mark.parametrize("change", KEYS)
def test_every_change_of_an_input_changes_the_key(
    project: Project, target: Path, change: str
) -> None:
    config = configure(project, target)
    before = input_key(prepare(config, project.catalog))
    assert input_key(prepare(config, project.catalog)) == before
    KEYS[change](project)
    assert input_key(prepare(config, project.catalog)) != before


@pytest.mark.parametrize("change", [{"mtime": 1}, {"compression": ("zstd", 4)}])
def test_every_change_of_how_it_is_written_changes_the_key(
    project: Project, target: Path, change: dict[str, object]
) -> None:
    config = configure(project, target)
    other = replace(config, **change)  # type: ignore[arg-type]
    assert input_key(prepare(config, project.catalog)) != input_key(prepare(other, project.catalog))


def test_where_the_output_goes_is_no_input(project: Project, target: Path) -> None:
    here = configure(project, target)
    there = configure(project, target.with_name("elsewhere"), cache="none")
    keys = {input_key(prepare(config, project.catalog)) for config in (here, there)}
    assert len(keys) == 1


def test_the_source_date_is_every_files_time(project: Project, target: Path) -> None:
    options = {"blk": "disk", "output": str(target), "cache": "none", "sysroot": project.sysroot}
    environ = {"SOURCE_DATE_EPOCH": "1700000000"}
    build(load_config(options, environ, project.catalog), project.catalog)
    early = target.read_bytes()
    build(load_config(options, {}, project.catalog), project.catalog)
    assert target.read_bytes() != early


# --- parts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", range(4))
def test_base_and_site_parts_together_are_the_whole(
    project: Project, target: Path, extra: int
) -> None:
    """However long the base part's last frame is: the kernel wants raw archives 4-aligned."""
    (project.sysroot / "etc/disk.conf").write_bytes(bytes(range(100 + extra)))
    text = NODES + '[node.disk]\nlabel = "mine"\n'
    cluster = str(project.cluster(text))
    data = {}
    for part in ("all", "base", "site"):
        make(project, target, part, cluster=cluster)
        data[part] = target.read_bytes()
    joined = target.with_name("joined")
    joined.write_bytes(data["base"] + data["site"])
    target.write_bytes(data["all"])
    assert verify_image(joined).ok
    assert verify_image(joined).tree() == verify_image(target).tree()
    target.write_bytes(data["base"])
    assert not any("nodes" in path for path in verify_image(target).tree())


def test_a_base_part_is_the_image_without_a_cluster_file(project: Project, target: Path) -> None:
    make(project, target, "base", cluster=str(project.cluster()))
    with_cluster = target.read_bytes()
    make(project, target, cache="none")
    assert target.read_bytes() == with_cluster


def test_a_site_part_without_a_cluster_file_is_a_slip(project: Project, target: Path) -> None:
    with pytest.raises(UsageError) as caught:
        make(project, target, "site")
    assert "--cluster" in caught.value.hint
    assert not target.exists()


def test_a_site_part_needs_no_sysroot(project: Project, target: Path) -> None:
    nowhere = project.root / "nowhere"
    make(project, target, "site", sysroot=nowhere, cluster=str(project.cluster()))
    assert "/etc/srbuild/nodes" in verify_image(target).tree()
    with pytest.raises(MissingInputError, match="no sysroot"):
        make(project, target, "base", sysroot=nowhere)


def test_one_nodes_part_alone(project: Project, target: Path) -> None:
    make(project, target, "site", cluster=str(project.cluster()), only_node="n2")
    tree = verify_image(target).tree()
    assert [path for path in tree if path.endswith(".cpio")] == ["/etc/srbuild/nodes.d/n2.cpio"]


@pytest.mark.parametrize("secret", [True, False])
def test_only_an_image_with_a_secret_is_private(
    project: Project, target: Path, *, secret: bool
) -> None:
    text = DISK + '[options.key]\ntype = "string"\nhelp = "k"\nsecret = true\nscope = "node"\n'
    text += '[[template]]\nsource = "k.j2"\ntarget = "/etc/k"\nscope = "node"\nsecret = true\n'
    project.module("block", "disk", text, k__j2="{{ options.disk.key }}\n")
    given = NODES + ('[node.disk]\nkey = "hunter2hunter2"\n' if secret else "")
    umask = os.umask(0o022)
    try:
        make(project, target, cluster=str(project.cluster(given)))
    finally:
        os.umask(umask)
    assert target.stat().st_mode & 0o777 == (0o600 if secret else 0o644)
    assert (b"hunter2" in target.read_bytes()) is secret  # the site part is not compressed
    kept = [path for path in project.root.rglob("*") if path.is_file() and path != target]
    holders = [path.name for path in kept if b"hunter2" in path.read_bytes()]
    assert holders == (["cluster.toml"] if secret else [])


def test_an_image_made_readable_is_made_private_again(project: Project, target: Path) -> None:
    text = DISK + '[options.key]\ntype = "string"\nhelp = "k"\nsecret = true\nscope = "node"\n'
    text += '[[template]]\nsource = "k.j2"\ntarget = "/etc/k"\nscope = "node"\nsecret = true\n'
    project.module("block", "disk", text, k__j2="{{ options.disk.key }}\n")
    cluster = str(project.cluster(NODES + '[node.disk]\nkey = "hunter2hunter2"\n'))
    make(project, target, cluster=cluster)
    target.chmod(0o644)
    assert make(project, target, cluster=cluster).image
    assert target.stat().st_mode & 0o777 == 0o600


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["cluster", "file", "link", "module's script", "sidecar"])
def test_an_output_that_is_an_input_is_refused(project: Project, target: Path, which: str) -> None:
    project.module("block", "disk", DISK + '[run]\nmount = "m.sh"\n', m__sh="#!/bin/sh\n")
    cluster = project.cluster()
    output = {
        "cluster": cluster,
        "file": project.sysroot / "etc/disk.conf",
        "link": target,
        "module's script": project.modules / "block/disk/m.sh",
        "sidecar": target,
    }[which]
    if which == "link":
        target.hardlink_to(cluster)
    if which == "sidecar":
        sidecar_path(target).hardlink_to(cluster)
    text = cluster.read_text()
    with pytest.raises(UsageError) as caught:
        make(project, output, cluster=str(cluster))
    assert caught.value.exit_code == 2
    assert caught.value.message.endswith("is one of the image's inputs")
    assert cluster.read_text() == text


@pytest.mark.parametrize("output", ["/", ".", "..", "/dev/null"])
def test_what_no_file_can_replace_is_refused(project: Project, output: str) -> None:
    with pytest.raises(UsageError, match="is no regular file"):
        make(project, Path(output))


@pytest.mark.parametrize("blocked", ["folder", "sidecar", "file for folder"])
def test_an_output_that_cannot_be_written_leaves_the_previous_image(
    project: Project, target: Path, blocked: str
) -> None:
    target.write_bytes(b"previous")
    output = target
    match blocked:
        case "folder":
            output = target.parent / "missing" / "disk.img"
        case "sidecar":
            sidecar_path(target).mkdir()
        case "file for folder":
            output = target / "disk.img"
    with pytest.raises(SrbuildError) as caught:
        make(project, output)
    assert str(output) in str(caught.value)
    assert target.read_bytes() == b"previous"
    assert not list(target.parent.glob(".*draft"))


def test_a_failed_build_leaves_the_previous_image(project: Project, target: Path) -> None:
    make(project, target)
    before = state(target), state(sidecar_path(target))
    (project.sysroot / "etc/disk.conf").unlink()
    with pytest.raises(MissingInputError):
        make(project, target)
    assert (state(target), state(sidecar_path(target))) == before


def test_a_cache_that_cannot_be_kept_is_told_and_no_more(project: Project, target: Path) -> None:
    (project.root / "cache").write_text("a file\n")
    time.sleep(SETTLE)
    built = make(project, target)
    assert built.report
    assert built.report.ok
    assert any("not kept" in note for note in built.notes)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"schema": 99}', None])
def test_a_damaged_sidecar_is_named(project: Project, target: Path, data: bytes | None) -> None:
    make(project, target)
    path = sidecar_path(target)
    if data is None:
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(data)
    with pytest.raises(VerifyError) as caught:
        read_sidecar(target)
    assert str(path) in str(caught.value)


def test_an_image_without_sidecar_has_none(tmp_path: Path) -> None:
    assert read_sidecar(tmp_path / "image") is None


# --- what srbuild ships -----------------------------------------------------------------------


def test_the_modules_and_the_spine_that_srbuild_ships() -> None:
    catalog = find_modules()
    assert {"core", "network", "iscsi", "corosync", "dlm", "fence", "gfs2", "none"} <= set(
        catalog.modules
    )
    places = dict(map(reversed, find_spine().files))  # type: ignore[arg-type]
    assert places[ImagePath("/init")].is_file()


def test_modules_of_ones_own_join_them(project: Project) -> None:
    (project.modules / "base/core").rename(project.root / "core")
    catalog = find_modules((project.modules,))
    assert "disk" in catalog.modules
    assert "iscsi" in catalog.modules
