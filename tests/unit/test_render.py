"""Rendering: what is the same everywhere, what the site shares, what is one node's alone."""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from srbuild.errors import ConfigError, ConflictError, MissingInputError, SrbuildError
from srbuild.plan import Plan
from srbuild.render import RenderedFile, render_image, render_site
from support.plans import NODES, Project

DISK = """
requires = ["core"]
[options.portal]
type = "endpoint"
help = "where"
many = true
default = ["10.0.0.1"]
[options.label]
type = "string"
help = "any text"
default = ""
[options.name]
type = "string"
help = "the node's own name"
scope = "node"
[options.password]
type = "string"
help = "a secret of the node or of all"
secret = true
scope = "node"
[[template]]
source = "disk.conf.j2"
target = "/etc/disk.conf"
[[template]]
source = "site.conf.j2"
target = "/etc/disk/site.conf"
scope = "site"
[[template]]
source = "node.conf.j2"
target = "/etc/disk/node.conf"
scope = "node"
[[template]]
source = "password.j2"
target = "/etc/disk/password"
scope = "node"
secret = true
"""
TEMPLATES = {
    "disk__conf__j2": "portals {% for it in options.disk.portal %}<{{ it }}>{% endfor %}.\n",
    "site__conf__j2": "{% for n in cluster.nodes %}\n{{ n.id }} {{ n.name }} {{ n.ip }}\n"
    "{% endfor %}\n{{ options.disk.portal | join(',') }}\n",
    "node__conf__j2": "{{ node.name }} {{ node.address }} {{ options.disk.name }} of "
    "{{ cluster.name }}\n",
    "password__j2": "{% if options.disk.password %}\n{{ options.disk.password | sh }}\n{% endif %}",
}
SECRET = "hunter2 is the secret"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.module("block", "disk", DISK, **TEMPLATES)
    return project


def plan_of(project: Project, text: str = NODES, **options: object) -> Plan:
    return project.plan(blk="disk", cluster=project.cluster(text), **options)


def by_target(files: list[RenderedFile]) -> dict[str, RenderedFile]:
    found = {str(file.target): file for file in files}
    assert len(found) == len(files)
    return found


def unpack(archive: bytes, folder: Path, *tool: str) -> dict[str, tuple[int, bytes]]:
    """Path → mode and content of the files that `tool` unpacks."""
    folder.mkdir(parents=True)
    subprocess.run(tool, input=archive, cwd=folder, check=True, capture_output=True, timeout=60)
    return {
        f"/{path.relative_to(folder)}": (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


CPIO = ("cpio", "--extract", "--make-directories", "--quiet")
BUSYBOX = ("busybox", "cpio", "-i", "-d")


def node_files(file: RenderedFile, folder: Path) -> dict[str, tuple[int, bytes]]:
    """A node's archive, as GNU cpio and busybox's alike unpack it."""
    gnu = unpack(file.data, folder / "gnu", *CPIO)
    assert unpack(file.data, folder / "busybox", *BUSYBOX) == gnu
    return gnu


def test_the_image_scope_knows_options_and_nothing_of_the_site(project: Project) -> None:
    [file] = render_image(project.plan(blk="disk", set=["disk.portal=10.0.0.2:99"]))
    assert (file.target, file.mode, file.secret) == ("/etc/disk.conf", 0o644, False)
    assert file.data == b"portals <10.0.0.2:99>.\n"
    assert str(file.origin) == "module disk: template[0]"


def test_without_a_cluster_file_there_is_no_site(project: Project) -> None:
    assert render_site(project.plan(blk="disk")) == []


def test_the_site_scope_sees_all_nodes_and_the_shared_values(project: Project) -> None:
    text = NODES.replace("[[node]]", '[disk]\nportal = ["10.9.0.1"]\n[[node]]', 1)
    files = by_target(render_site(plan_of(project, text)))
    assert files["/etc/disk/site.conf"].data == b"1 n1 10.9.0.21\n2 n2 10.9.0.22\n10.9.0.1\n"
    assert files["/etc/srbuild/site.values"].data == b"SR_DISK_PORTAL=10.9.0.1\n"
    assert files["/etc/srbuild/nodes"].data == b"n1 1 52:54:00:00:00:01\nn2 2 -\n"
    assert set(files) == {
        "/etc/disk/site.conf",
        "/etc/srbuild/site.values",
        "/etc/srbuild/nodes",
        "/etc/srbuild/machines",
        "/etc/srbuild/nodes.d/n1.cpio",
        "/etc/srbuild/nodes.d/n2.cpio",
    }
    assert not any(file.secret for file in files.values())


def test_a_nodes_archive_holds_its_files_and_values(project: Project, tmp_path: Path) -> None:
    text = NODES + '[node.disk]\nname = "its own name"\n'
    files = by_target(render_site(plan_of(project, text)))
    second = node_files(files["/etc/srbuild/nodes.d/n2.cpio"], tmp_path / "n2")
    assert second == {
        "/etc/disk/node.conf": (0o644, b"n2 10.9.0.22/24 its own name of lab\n"),
        "/etc/srbuild/node.values": (0o644, b"SR_DISK_NAME=its own name\n"),
    }
    first = node_files(files["/etc/srbuild/nodes.d/n1.cpio"], tmp_path / "n1")
    assert first["/etc/disk/node.conf"] == (0o644, b"n1 10.9.0.21/24  of lab\n")
    assert first["/etc/srbuild/node.values"] == (0o644, b"")


def test_a_node_without_address_has_none(project: Project, tmp_path: Path) -> None:
    text = NODES.replace('address = "10.9.0.22/24"\n', "")
    files = by_target(render_site(plan_of(project, text)))
    assert b"2 n2 None\n" in files["/etc/disk/site.conf"].data
    second = node_files(files["/etc/srbuild/nodes.d/n2.cpio"], tmp_path / "n2")
    assert second["/etc/disk/node.conf"][1].startswith(b"n2 None ")


@pytest.mark.parametrize(("mtime", "year"), [(0, "1970"), (40 * 86400 * 365, "2009")])
def test_archives_are_reproducible_and_carry_the_source_date(
    project: Project, mtime: int, year: str
) -> None:
    plan = plan_of(project)
    plan = replace(plan, config=replace(plan.config, mtime=mtime))
    assert render_site(plan) == render_site(plan)
    archive = by_target(render_site(plan))["/etc/srbuild/nodes.d/n1.cpio"].data
    listed = subprocess.run(
        ["cpio", "-tv", "--quiet"],
        input=archive,
        check=True,
        capture_output=True,
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
        timeout=60,
    )
    lines = listed.stdout.decode().splitlines()
    assert [line.split()[-1] for line in lines] == [
        "etc",
        "etc/disk",
        "etc/disk/node.conf",
        "etc/srbuild",
        "etc/srbuild/node.values",
    ]
    assert all("root     root" in line and year in line for line in lines)


def test_an_empty_result_makes_no_file(project: Project, tmp_path: Path) -> None:
    project.module("block", "disk", DISK, **TEMPLATES | {"disk__conf__j2": " \n{# nothing #}\n"})
    assert render_image(project.plan(blk="disk")) == []
    files = by_target(render_site(plan_of(project)))
    first = node_files(files["/etc/srbuild/nodes.d/n1.cpio"], tmp_path / "n1")
    assert "/etc/disk/password" not in first


# --- secrets ----------------------------------------------------------------------------------


def test_one_nodes_secret_is_in_its_archive_alone(project: Project, tmp_path: Path) -> None:
    text = NODES + f'[node.disk]\npassword = "{SECRET}"\n'
    files = by_target(render_site(plan_of(project, text)))
    holder = files.pop("/etc/srbuild/nodes.d/n2.cpio")
    assert (holder.mode, holder.secret) == (0o600, True)
    second = node_files(holder, tmp_path / "n2")
    assert second["/etc/disk/password"] == (0o600, f"'{SECRET}'\n".encode())
    assert second["/etc/srbuild/node.values"] == (0o644, b"")
    assert not any(file.secret or SECRET.encode() in file.data for file in files.values())


def test_a_shared_secret_makes_every_archive_secret(project: Project, tmp_path: Path) -> None:
    text = NODES.replace("[[node]]", f'[disk]\npassword = "{SECRET}"\n[[node]]', 1)
    files = by_target(render_site(plan_of(project, text)))
    assert SECRET.encode() not in files["/etc/srbuild/site.values"].data
    for name in ("n1", "n2"):
        archive = files[f"/etc/srbuild/nodes.d/{name}.cpio"]
        assert (archive.mode, archive.secret) == (0o600, True)
        assert node_files(archive, tmp_path / name)["/etc/disk/password"][0] == 0o600


def test_secrets_of_several_nodes_are_refused(project: Project) -> None:
    text = "".join(
        f'{node}[node.disk]\npassword = "{SECRET} {i}"\n'
        for i, node in enumerate(NODES.split("[[node]]")[1:])
    )
    text = 'name = "lab"\n' + text.replace("\nname", "[[node]]\nname")
    with pytest.raises(ConflictError) as caught:
        render_site(plan_of(project, text))
    error = caught.value
    assert error.exit_code == 5
    assert "n1, n2" in error.message
    assert "--node NAME" in error.hint
    assert SECRET not in str(error)
    files = by_target(render_site(plan_of(project, text, only_node="n2")))
    assert [path for path in files if "nodes.d" in path] == ["/etc/srbuild/nodes.d/n2.cpio"]
    assert f"{SECRET} 1".encode() in files["/etc/srbuild/nodes.d/n2.cpio"].data
    assert not any(f"{SECRET} 0".encode() in file.data for file in files.values())
    assert files["/etc/srbuild/nodes"].data.count(b"\n") == 2


def test_a_secret_that_is_not_set_makes_nothing_secret(project: Project) -> None:
    always = TEMPLATES | {"password__j2": "# no password: {{ options.disk.password }}\n"}
    project.module("block", "disk", DISK, **always)
    files = by_target(render_site(plan_of(project)))
    assert not any(file.secret for file in files.values())


def test_nothing_of_a_node_stands_in_the_common_files(project: Project) -> None:
    own = TEMPLATES | {"site__conf__j2": "{{ cluster.name }}\n"}
    project.module("block", "disk", DISK, **own)
    text = NODES + '[node.disk]\nname = "iqn.2026-01.lab:n2"\n'
    common = [
        file for file in render_site(plan_of(project, text)) if not file.target.endswith(".cpio")
    ]
    assert len(common) == 4
    for trace in (b"10.9.0.22", b"iqn.2026"):
        assert not any(trace in file.data for file in common)


# --- templates that fail ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "line", "words"),
    [
        ("ok\n{{ options.disk.portl }}\n", 2, "portl"),
        ("ok\n\n{{ options.nothing.at_all }}\n", 3, "nothing"),
        ("{{ node.name }}\n", 1, "node"),
        ("a\nb\n{% if %}\n", 3, "Expected an expression"),
        ("{% for x in y %}\n", 1, "endfor"),
        ("a\n{{ 1 / 0 }}\n", 2, "ZeroDivisionError"),
        ("a\nb\n{{ options.disk.label + 1 }}\n", 3, "TypeError"),
        ("{% include 'other' %}\n", 1, "TypeError"),
        ("{{ options.disk.label | nofilter }}\n", 1, "nofilter"),
    ],
)
def test_a_failing_template_is_named_with_its_line(
    project: Project, template: str, line: int, words: str
) -> None:
    folder = project.module("block", "disk", DISK, **TEMPLATES | {"disk__conf__j2": template})
    with pytest.raises(ConfigError) as caught:
        render_image(project.plan(blk="disk"))
    assert str(caught.value.origin) == f"{folder / 'disk.conf.j2'}: line {line}"
    assert caught.value.message.startswith("template for /etc/disk.conf: ")
    assert words in caught.value.message


def test_a_failing_template_does_not_tell_the_secret(project: Project) -> None:
    bad = TEMPLATES | {"password__j2": "{{ '{:d}'.format(options.disk.password) }}\n"}
    project.module("block", "disk", DISK, **bad)
    text = NODES + f'[node.disk]\npassword = "{SECRET}"\n'
    with pytest.raises(ConfigError) as caught:
        render_site(plan_of(project, text))
    assert "ValueError" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("damage", ["gone", "no text"])
def test_a_template_that_cannot_be_read_is_named(project: Project, damage: str) -> None:
    plan = project.plan(blk="disk")
    path = project.modules / "block/disk/disk.conf.j2"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"\xff\xfe")
    with pytest.raises(SrbuildError) as caught:
        render_image(plan)
    assert isinstance(caught.value, MissingInputError if damage == "gone" else ConfigError)
    assert str(path) in str(caught.value)


def test_values_are_not_markup_and_can_be_quoted(project: Project) -> None:
    quoted = {"disk__conf__j2": "{{ options.disk.label }}|{{ options.disk.label | sh }}\n"}
    project.module("block", "disk", DISK, **TEMPLATES | quoted)
    [file] = render_image(project.plan(blk="disk", set=["disk.label=<a> & 'b' {{ c }}"]))
    plain, _, shell = file.data.decode().rstrip("\n").partition("|")
    assert plain == "<a> & 'b' {{ c }}"
    done = subprocess.run(
        ["dash", "-c", f"printf %s {shell}"], check=True, capture_output=True, timeout=60
    )
    assert done.stdout.decode() == plain


def test_a_module_with_a_limit_that_an_option_lifts(project: Project) -> None:
    text = (
        '[options.overlay]\ntype = "bool"\nhelp = "h"\ndefault = false\n'
        '[limits]\nnodes = 1\nunless = "overlay"\nreason = "r"\n'
    )
    project.module("fs", "single", text)
    project.module("container", "none")
    one_node = 'name = "lab"\n[[node]]\nname = "n1"\nid = 1\nmac = ["52:54:00:00:00:01"]\n'
    files = by_target(render_site(plan_of(project, one_node, fs="single")))
    assert "/etc/srbuild/nodes.d/n1.cpio" in files
