"""The plan: which boot modules, in which order, and what they ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.errors import ConfigError, ConflictError, ErrorGroup, Origin, SrbuildError
from srbuild.plan import Plan
from srbuild.requests import (
    Binary,
    Copy,
    Data,
    Firmware,
    Folder,
    Kmod,
    Library,
    Own,
    Plugin,
    Rendered,
)
from srbuild.spine import Spine
from support.plans import NODES, POINTS, Project, table

NETWORK = """
requires = ["core"]
provides = ["net"]
[options.mtu]
type = "int"
help = "largest packet"
scope = "node"
[options.nameserver]
type = "ip"
help = "name servers"
many = true
cmdline = ["nameserver", "rd.dns"]
[options.carrier_timeout]
type = "seconds"
help = "how long to wait"
default = "1m"
[run]
net = {script = "up.sh", timeout = 900}
cleanup = "down.sh"
"""
DISK = """
requires = ["net"]
provides = ["block"]
[packages]
debian = ["disk-tools"]
[options.secret]
type = "string"
help = "password"
secret = true
scope = "node"
[install]
binaries = ["diskd", "/opt/disk/bin/diskctl"]
libraries = ["libdisk.so.1"]
plugins = ["{libdir}/disk/*.so"]
files = ["/etc/disk/*", {source = "/etc/disk.conf", target = "/etc/disk/main.conf"}]
kmods = ["disk_tcp", "=drivers/disk"]
optional_kmods = ["disk_fast"]
firmware = ["disk/*.bin"]
dirs = ["/lib/disk"]
[[template]]
source = "name.j2"
target = "/etc/disk/name"
scope = "node"
[run]
storage = "attach.sh"
cleanup = "detach.sh"
[survive]
processes = ["diskd", "diskmon"]
"""
LOCKS = """
requires = ["core"]
[options.method]
type = "enum"
help = "how to fence"
choices = ["power", "unsafe-none"]
required = "several-nodes"
"""
ROOT = """
requires = ["block", "locks"]
[run]
mount = "mount.sh"
cleanup = "unmount.sh"
[survive]
processes = ["rootd"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, core='[run]\nidentity = "who.sh"\n')
    (tmp_path / "modules/base/core/who.sh").write_text("")
    project.module("net", "network", NETWORK, up__sh="", down__sh="")
    project.module("block", "disk", DISK, attach__sh="", detach__sh="", name__j2="{{ node.name }}")
    project.module("cluster", "locks", LOCKS)
    project.module("fs", "root", ROOT, mount__sh="", unmount__sh="")
    project.module("container", "none", 'requires = ["core"]\n')
    return project


def main_job(project: Project, **options: object) -> Plan:
    return project.plan(fs="root", blk="disk", **options)


def fails(project: Project, kind: type[SrbuildError], **options: object) -> SrbuildError:
    with pytest.raises(kind) as caught:
        project.plan(**options)
    return caught.value


def test_modules_come_after_what_they_require(project: Project) -> None:
    names = [module.name for module in main_job(project).modules]
    assert names == ["core", "network", "disk", "locks", "root", "none"]


def test_nothing_asked_for_is_the_base_alone(project: Project) -> None:
    assert [module.name for module in project.plan().modules] == ["core"]


def test_a_module_is_in_the_plan_once_however_often_it_is_named(project: Project) -> None:
    plan = main_job(project, modules=["disk", "network", "disk"])
    assert [m.name for m in plan.modules].count("disk") == 1
    assert plan.requests == main_job(project).requests


def test_the_same_wishes_make_the_same_plan_in_any_order(project: Project) -> None:
    one = project.plan(modules=["root", "network", "disk"])
    other = project.plan(modules=["network", "disk", "root"])
    assert (one.modules, one.requests) == (other.modules, other.requests)


def test_every_kind_of_wish_becomes_a_request(project: Project, tmp_path: Path) -> None:
    requests = project.plan(modules=["disk"], kmods=["tg3"]).requests

    def at(key: str) -> Origin:
        return Origin("module disk", key)

    folder = tmp_path / "modules/block/disk"
    assert [r for r in requests if str(r.origin).startswith("module disk: ")] == [
        Data("/usr/lib/srbuild/kmods/disk", b"disk_tcp\n", at("install.kmods"), "block"),
        Binary("diskd", at("install.binaries[0]"), "block"),
        Binary("/opt/disk/bin/diskctl", at("install.binaries[1]"), "block"),
        Library("libdisk.so.1", at("install.libraries[0]"), "block"),
        Plugin("{libdir}/disk/*.so", at("install.plugins[0]"), "block"),
        Copy("/etc/disk/*", None, at("install.files[0]"), "block"),
        Copy("/etc/disk.conf", "/etc/disk/main.conf", at("install.files[1]"), "block"),
        Kmod("disk_tcp", False, at("install.kmods[0]")),
        Kmod("=drivers/disk", False, at("install.kmods[1]")),
        Kmod("disk_fast", True, at("install.optional_kmods[0]")),
        Firmware("disk/*.bin", at("install.firmware[0]")),
        Folder("/usr/lib/disk", at("install.dirs[0]"), "block"),
        Rendered(
            "disk", folder / "name.j2", "/etc/disk/name", "node", 0o644, False, at("template[0]")
        ),
        Own(
            folder / "attach.sh",
            "/usr/lib/srbuild/modules/disk/attach.sh",
            0o755,
            at("run"),
            "block",
        ),
        Own(
            folder / "detach.sh",
            "/usr/lib/srbuild/modules/disk/detach.sh",
            0o755,
            at("run"),
            "block",
        ),
    ]
    assert requests[-1] == Kmod("tg3", False, Origin("recipe or --kmod", "tg3"))


def test_the_spine_is_in_every_image(project: Project, tmp_path: Path) -> None:
    files = (
        (tmp_path / "init", "/init"),
        (tmp_path / "base.sh", "/usr/lib/srbuild/lib/base.sh"),
    )
    plan = project.plan(spine=Spine(POINTS, files))  # type: ignore[arg-type]
    own = [r for r in plan.requests if isinstance(r, Own) and r.origin.source == "hooks"]
    assert [(r.source.name, r.target, r.mode, r.segment) for r in own] == [
        ("init", "/init", 0o755, "base"),
        ("base.sh", "/usr/lib/srbuild/lib/base.sh", 0o644, "base"),
    ]


def test_scripts_run_in_boot_order_and_clean_up_in_reverse(project: Project) -> None:
    assert table(main_job(project), "/usr/lib/srbuild/runs").splitlines() == [
        "identity core /usr/lib/srbuild/modules/core/who.sh 120",
        "net network /usr/lib/srbuild/modules/network/up.sh 900",
        "storage disk /usr/lib/srbuild/modules/disk/attach.sh 120",
        "mount root /usr/lib/srbuild/modules/root/mount.sh 120",
        "cleanup root /usr/lib/srbuild/modules/root/unmount.sh 120",
        "cleanup disk /usr/lib/srbuild/modules/disk/detach.sh 120",
        "cleanup network /usr/lib/srbuild/modules/network/down.sh 120",
    ]


def test_the_tables_that_the_spine_reads(project: Project) -> None:
    plan = main_job(project)
    assert table(plan, "/usr/lib/srbuild/points").split() == list(POINTS)
    assert table(plan, "/usr/lib/srbuild/survive").splitlines() == ["diskd", "diskmon", "rootd"]
    assert table(plan, "/usr/lib/srbuild/options").splitlines() == [
        "SR_NETWORK_MTU\tint\t0\t0\t",
        "SR_NETWORK_NAMESERVER\tip\t1\t0\tnameserver,rd.dns",
        "SR_NETWORK_CARRIER_TIMEOUT\tseconds\t0\t0\t",
        "SR_DISK_SECRET\tstring\t0\t1\t",
        "SR_LOCKS_METHOD\tenum\t0\t0\t",
    ]


def test_values_are_defaults_under_what_was_set(project: Project) -> None:
    values = "/etc/srbuild/values"
    assert table(main_job(project), values) == "SR_NETWORK_CARRIER_TIMEOUT=60\n"
    several = ["network.nameserver=10.0.0.2", "network.nameserver=10.0.0.1", "network.mtu=9000"]
    plan = main_job(project, set=[*several, "network.carrier_timeout=2m"])
    assert table(plan, values).splitlines() == [
        "SR_NETWORK_MTU=9000",
        "SR_NETWORK_NAMESERVER=10.0.0.2 10.0.0.1",
        "SR_NETWORK_CARRIER_TIMEOUT=120",
    ]


def test_values_of_the_cluster_file_stay_out_of_the_common_table(project: Project) -> None:
    cluster = project.cluster(
        'name = "lab"\n[network]\nmtu = 9000\n[[node]]\nname = "n1"\nid = 1\n'
    )
    plan = main_job(project, cluster=cluster)
    assert "MTU" not in table(plan, "/etc/srbuild/values")


def test_a_table_of_no_module_is_empty_but_there(tmp_path: Path) -> None:
    plan = Project(tmp_path).plan()
    for name in ("runs", "options", "survive"):
        assert table(plan, f"/usr/lib/srbuild/{name}") == ""
    assert not any("/kmods/" in r.target for r in plan.requests if isinstance(r, Data))


@pytest.mark.parametrize(
    ("option", "name", "near"), [("fs", "rooot", "root"), ("blk", "dsk", "disk")]
)
def test_an_unknown_module_gets_a_suggestion(
    project: Project, option: str, name: str, near: str
) -> None:
    error = fails(project, ConfigError, **{option: name})
    assert (error.exit_code, str(error.origin)) == (3, f"--{option}")
    assert repr(name) in error.message
    assert repr(near) in error.hint


def test_a_module_of_another_kind_is_told_apart(project: Project) -> None:
    error = fails(project, ConfigError, fs="disk")
    assert error.hint == "disk is a block device module"


def test_a_requirement_that_nothing_meets_names_who_requires_it(project: Project) -> None:
    project.module("fs", "odd", 'requires = ["teleport"]\n')
    error = fails(project, ConfigError, fs="odd")
    assert "teleport" in str(error)
    assert "odd" in str(error)


def test_modules_that_exclude_each_other_conflict(project: Project) -> None:
    project.module("block", "rival", 'conflicts = {disk = "only one fits"}\n')
    error = fails(project, ConflictError, blk="disk", modules=["rival"])
    assert error.exit_code == 5
    assert "rival" in str(error)
    assert "disk" in str(error)


def test_values_of_a_module_outside_of_the_image_are_a_slip(project: Project) -> None:
    error = fails(project, ConfigError, set=["network.mtu=9000"])
    assert "'network'" in error.message
    assert error.hint == "drop them or add it with --module network"
    plan = project.plan(set=["network.mtu=9000"], modules=["network"])
    assert "SR_NETWORK_MTU=9000\n" in table(plan, "/etc/srbuild/values")


def test_tables_of_modules_outside_of_the_image_are_named_at_once(project: Project) -> None:
    text = (
        'name = "lab"\n[network]\nmtu = 1\n[locks]\nmethod = "power"\n'
        '[[node]]\nname = "n1"\nid = 1\n[node.disk]\nsecret = "hunter2hunter2"\n'
    )
    error = fails(project, ErrorGroup, cluster=project.cluster(text))
    assert isinstance(error, ErrorGroup)
    assert [str(one.origin).rpartition(": ")[2] for one in error.errors] == [
        "disk",
        "locks",
        "network",
    ]
    assert "hunter2" not in str(error)


def test_several_nodes_need_fencing_and_are_told_the_way_out(project: Project) -> None:
    error = fails(project, ConfigError, fs="root", cluster=project.cluster())
    assert error.exit_code == 3
    assert error.message.startswith("2 nodes need [locks] method: how to fence")
    assert error.hint == "set method in [locks] to one of: power, unsafe-none"


@pytest.mark.parametrize("where", ["cluster", "set", "one node"])
def test_fencing_that_is_set_or_not_needed(project: Project, where: str) -> None:
    text, assignments = NODES, []
    match where:
        case "cluster":
            text += '[locks]\nmethod = "power"\n'
        case "set":
            assignments = ["locks.method=unsafe-none"]
        case "one node":
            text = 'name = "lab"\n[[node]]\nname = "n1"\nid = 1\n'
    plan = main_job(project, cluster=project.cluster(text), set=assignments)
    assert plan.config.cluster


def test_without_a_lock_manager_in_the_image_no_fencing_is_asked_for(project: Project) -> None:
    plan = project.plan(blk="disk", cluster=project.cluster())
    assert "locks" not in [module.name for module in plan.modules]
