"""A bootstrap for a local disk: what real readers find in it, and what is refused."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from srbuild import bootstrap as subject
from srbuild.bootstrap import Bootstrap, guess_shape, join_layers, write_bootstrap
from srbuild.errors import ConflictError, SrbuildError, ToolError, UsageError, VerifyError
from srbuild.host import tree
from srbuild.host.tree import MARK
from srbuild.manifest import Dir, Entry, Inline, Node, Symlink
from srbuild.paths import ImagePath
from srbuild.pipeline import prepare
from support.kernels import FakeKmod, make_kernel
from support.plans import Project

MTIME = 1_000_000_000
LONG = "/etc/" + "n" * 150 + "/" + "m" * 120
CONTENTS = {
    "/etc": Dir(),
    LONG.rpartition("/")[0]: Dir(0o700),
    LONG: Inline(b"long\n"),
    "/etc/secret": Inline(b"key\n", 0o600),
    "/etc/link": Symlink("../etc/secret"),
    "/null": Node("c", 1, 3, 0o666),
    "/sbin": Dir(),
    "/sbin/su": Inline(b"#!/bin/sh\n", 0o4755),
}
FILES = {f".{p}": c.data for p, c in CONTENTS.items() if isinstance(c, Inline)}


def bootstrap(secret: bool = False, **more: Inline) -> Bootstrap:
    named = {**CONTENTS, **{f"/{name}": content for name, content in more.items()}}
    rows = [(ImagePath(p), Entry(c, "base", (), secret)) for p, c in sorted(named.items())]
    return Bootstrap(tuple(rows), MTIME, ("gzip", 6))


def out(*command: str | Path) -> str:
    done = subprocess.run(command, check=True, capture_output=True, env={**os.environ, "TZ": "UTC"})
    return done.stdout.decode()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="owners and device nodes want root")


@pytest.mark.parametrize("reader", ["tar", "bsdtar"])
def test_tar_is_read_by_others(tmp_path: Path, reader: str) -> None:
    target = tmp_path / "b.tar"
    assert write_bootstrap(bootstrap(), target, "tar") == ()
    assert {n.rstrip("/") for n in out(reader, "-tf", target).splitlines()} == {
        f".{path}" for path in CONTENTS
    }
    for name, data in FILES.items():
        assert out(reader, "-xOf", target, name).encode() == data
    listed = out(reader, "--numeric-owner", "-tvf", target)
    assert "-rwsr-xr-x" in listed
    assert "1,3" in listed.replace(", ", ",").replace(" 3", "3")
    assert "link -> ../etc/secret" in listed


def test_squashfs_is_read_by_unsquashfs(tmp_path: Path) -> None:
    target = tmp_path / "b.squashfs"
    write_bootstrap(bootstrap(), target, "squashfs")
    listed = out("unsquashfs", "-lln", target)
    lines = {
        line.split("squashfs-root", 1)[1]: line for line in listed.splitlines() if "sq" in line
    }
    assert {name.partition(" -> ")[0] for name in lines if name} == set(CONTENTS)
    assert all(" 0/0 " in line for line in lines.values())
    assert lines[""].startswith("drwxr-xr-x")
    assert lines["/sbin/su"].startswith("-rwsr-xr-x")
    assert lines["/null"].startswith("crw-rw-rw-")
    assert out("unsquashfs", "-cat", target, "etc/secret") == "key\n"


@needs_root
def test_a_tree_is_what_the_entries_say(tmp_path: Path) -> None:
    target = tmp_path / "root"
    write_bootstrap(bootstrap(), target, "tree")
    for path, content in CONTENTS.items():
        status = (target / path[1:]).lstat()
        assert (status.st_uid, status.st_gid, status.st_mtime) == (0, 0, MTIME), path
        if not isinstance(content, Symlink):
            assert status.st_mode & 0o7777 == content.mode, path
    assert os.readlink(target / "etc/link") == "../etc/secret"
    assert (target / "null").stat().st_rdev == os.makedev(1, 3)
    assert (target / LONG[1:]).read_bytes() == b"long\n"
    assert os.listdir(tmp_path) == ["root"]


@pytest.mark.parametrize("shape", ["tar", "squashfs"])
def test_the_same_bytes_twice(tmp_path: Path, shape: subject.Shape) -> None:
    written = []
    for name in ("a", "b"):
        write_bootstrap(bootstrap(), tmp_path / name, shape)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("shape", ["tar", "squashfs"])
def test_a_file_with_secrets_is_its_owners(tmp_path: Path, shape: subject.Shape) -> None:
    write_bootstrap(bootstrap(secret=True), tmp_path / "b", shape)
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600


def test_it_holds_what_the_image_does(tmp_path: Path) -> None:
    project = Project(tmp_path)
    make_kernel(project.sysroot, [FakeKmod("kernel/drivers/a.ko")])
    project.module("block", "disk", 'requires = ["core"]\n[install]\nfiles = ["/etc/disk.conf"]\n')
    source = project.put("/etc/disk.conf", "disk = 1\n")
    config = project.config(blk="disk")
    prepared = prepare(config, project.catalog)
    whole = join_layers(prepared.layers, config.mtime, config.compression)
    assert set(prepared.manifest.entries) <= {path for path, _ in whole.entries}
    write_bootstrap(whole, tmp_path / "b.tar", "tar")
    assert out("tar", "-xOf", tmp_path / "b.tar", "./etc/disk.conf") == "disk = 1\n"
    old = (tmp_path / "b.tar").read_bytes()
    source.write_text("disk = 22\n")
    with pytest.raises(VerifyError, match="changed while"):
        write_bootstrap(whole, tmp_path / "b.tar", "tar")
    assert (tmp_path / "b.tar").read_bytes() == old


@needs_root
def test_a_tree_replaces_its_own_whole(tmp_path: Path) -> None:
    target = tmp_path / "root"
    target.mkdir()  # an empty folder is nobody's
    write_bootstrap(bootstrap(old=Inline(b"")), target, "tree")
    debris = tmp_path / ".root.0123456789ab.srbuild-tree"
    (debris / "half").mkdir(parents=True)
    write_bootstrap(bootstrap(), target, "tree")
    assert not (target / "old").exists()
    assert os.listdir(tmp_path) == ["root"]


@needs_root
def test_a_tree_is_replaced_where_names_cannot_be_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bootstrap(bootstrap(old=Inline(b"")), tmp_path / "root", "tree")
    monkeypatch.setattr(tree, "_RENAME_EXCHANGE", 1 << 20)  # EINVAL, as NFS has it
    write_bootstrap(bootstrap(), tmp_path / "root", "tree")
    assert not (tmp_path / "root/old").exists()
    assert os.listdir(tmp_path) == ["root"]


@pytest.mark.parametrize("what", ["full", "file", "link"])
def test_what_is_somebody_elses_stays(tmp_path: Path, what: str) -> None:
    target = tmp_path / "root"
    if what == "full":
        target.mkdir()
        (target / "mine").write_text("precious")
    elif what == "file":
        target.write_text("precious")
    else:
        (tmp_path / "else").mkdir()
        target.symlink_to("else")
    with pytest.raises(UsageError, match=r"root is (not empty|no folder)"):
        tree.write_tree(target, (), MTIME)
    assert target.is_symlink() or "precious" in (
        target.read_text() if what == "file" else (target / "mine").read_text()
    )


def test_a_failure_leaves_the_earlier_tree(tmp_path: Path) -> None:
    target = tmp_path / "root"
    tree.write_tree(target, (), MTIME)

    def fails() -> list[tree.Row]:
        raise VerifyError("changed")

    with pytest.raises(VerifyError):
        tree.write_tree(target, (row for row in [0] for row in fails()), MTIME)
    assert os.listdir(target) == [MARK]
    assert os.listdir(tmp_path) == ["root"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    # Who is not root is told of set-user-id programs before.
    shapes = [shape for shape in get_args(subject.Root) if shape != "tree" or not os.geteuid()]
    for shape in shapes:
        with pytest.raises(SrbuildError, match="cannot write"):
            write_bootstrap(bootstrap(), tmp_path / "no/b", shape)


def test_without_root_a_tree_has_no_set_user_id_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ConflictError, match="/sbin/su is set-user-id"):
        write_bootstrap(bootstrap(), tmp_path / "root", "tree")
    assert os.listdir(tmp_path) == []
    plain = [row for row in bootstrap().entries if row[0] != "/sbin/su"]
    notes = write_bootstrap(Bootstrap(tuple(plain), 0, ("none", 0)), tmp_path / "root", "tree")
    assert "belongs to you" in notes[0]
    assert not (tmp_path / "root/null").exists()


def test_a_missing_mksquashfs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "b.squashfs"
    target.write_text("old")
    monkeypatch.setattr(subject, "MKSQUASHFS", "mksquashfs-that-nobody-has")
    with pytest.raises(ToolError, match="no program"):
        write_bootstrap(bootstrap(), target, "squashfs")
    assert target.read_text() == "old"


def test_a_failing_mksquashfs_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "b.squashfs"
    target.write_text("old")
    odd = Bootstrap(bootstrap().entries, MTIME, ("brotli", 1))
    with pytest.raises(ToolError, match="mksquashfs failed"):
        write_bootstrap(odd, target, "squashfs")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["b.squashfs"]


def test_the_ending_says_the_shape(tmp_path: Path) -> None:
    named = {"b.tar": "tar", "b.squashfs": "squashfs", "b.sqfs": "squashfs", "b": "tree"}
    named |= {"b.img": "disk", "b.raw": "disk"}
    assert {name: guess_shape(tmp_path / name, None) for name in named} == named
    assert guess_shape(tmp_path / "b.img", "tar") == "tar"
    with pytest.raises(UsageError, match="does not say what"):
        guess_shape(tmp_path / "b.iso", None)
