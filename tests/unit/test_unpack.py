"""Packed sysroots: unpacked once, found again, refused when they are not what they say."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from srbuild.errors import MissingInputError, SrbuildError, UsageError, VerifyError
from srbuild.host import unpack
from srbuild.host.cache import FactStore
from srbuild.host.distro import host_architecture
from srbuild.host.unpack import open_tree
from support.oci import OCI, Layout, Member, directory, tar

LOWER = tar(directory("usr"), Member("usr/a", b"lower"), Member("usr/b", b"lower"))
UPPER = tar(Member("usr/a", b"upper"), Member("usr/.wh.b"))
OTHER = "arm64" if host_architecture() != "arm64" else "amd64"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def facts() -> FactStore:
    return FactStore(None)


def trees(cache: Path) -> list[str]:
    return sorted(os.listdir(cache / "sysroots"))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A layout with one image of two layers."""
    made = Layout(tmp_path / "layout")
    made.add(made.manifest([LOWER, UPPER]))
    return made


def test_a_directory_is_taken_as_it_is(tmp_path: Path, cache: Path) -> None:
    assert open_tree(tmp_path, cache, facts()) == tmp_path
    assert not cache.exists()


def test_an_archive_is_unpacked_once_and_privately(tmp_path: Path, cache: Path) -> None:
    archive = tmp_path / "root.tar"
    archive.write_bytes(LOWER)
    tree = open_tree(archive, cache, facts())
    assert (tree / "usr/a").read_bytes() == b"lower"
    assert stat.S_IMODE((cache / "sysroots").stat().st_mode) == 0o700
    (tree / "usr/mark").touch()
    copy = tmp_path / "copy.tar"
    copy.write_bytes(LOWER)
    assert open_tree(copy, cache, facts()) == tree, "the content names it, not the file"
    assert (tree / "usr/mark").exists()
    copy.write_bytes(UPPER)
    assert open_tree(copy, cache, facts()) != tree
    assert len(trees(cache)) == 2


def test_a_known_archive_is_not_read_again(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "root.tar"
    archive.write_bytes(LOWER)
    os.utime(archive, (1, 1))
    known = FactStore(tmp_path / "facts", now=lambda: 2**62)
    tree = open_tree(archive, cache, known)
    known.save()
    monkeypatch.delattr(unpack.hashlib, "file_digest")
    assert open_tree(archive, cache, FactStore(tmp_path / "facts")) == tree


def test_layers_lie_over_each_other(layout: Layout, cache: Path) -> None:
    tree = open_tree(layout.root, cache, facts())
    assert {p.name: p.read_bytes() for p in (tree / "usr").iterdir()} == {"a": b"upper"}


@pytest.mark.parametrize("how", ["none", "gzip"])
def test_an_archive_of_a_layout(tmp_path: Path, layout: Layout, cache: Path, how: str) -> None:
    archive = tmp_path / "image.tar"
    options = ["-z"] if how == "gzip" else []
    argv = ["tar", *options, "-C", str(layout.root), "-cf", str(archive), "."]
    subprocess.run(argv, check=True)
    tree = open_tree(archive, cache, facts())
    assert (tree / "usr/a").read_bytes() == b"upper"
    assert sorted(os.listdir(tree)) == ["usr"]


def test_the_architecture_chooses(tmp_path: Path, cache: Path) -> None:
    layout = Layout(tmp_path / "layout")
    own, other = host_architecture(), OTHER
    for architecture in (own, other):
        data = tar(Member("name", architecture.encode()))
        layout.add(layout.manifest([data], architecture), architecture)

    def name(wanted: str | None) -> str:
        return (open_tree(layout.root, cache, facts(), wanted) / "name").read_text()

    assert [name(None), name(own), name(other)] == [own, own, other]
    with pytest.raises(MissingInputError, match="no image for linux/riscv64") as caught:
        open_tree(layout.root, cache, facts(), "riscv64")
    assert caught.value.exit_code == 4


def test_a_platform_that_only_the_configuration_tells(tmp_path: Path, cache: Path) -> None:
    layout = Layout(tmp_path / "layout")
    for architecture in (host_architecture(), OTHER):
        data = tar(Member("name", architecture.encode()))
        layout.add(layout.manifest([data], architecture))
    assert (open_tree(layout.root, cache, facts(), OTHER) / "name").read_text() == OTHER


def test_an_index_in_the_index(tmp_path: Path, cache: Path) -> None:
    layout = Layout(tmp_path / "layout")
    inner = {"manifests": [layout.manifest([LOWER])]}
    layout.add(layout.blob(json.dumps(inner).encode(), f"{OCI}.index.v1+json"))
    assert (open_tree(layout.root, cache, facts()) / "usr/a").exists()


@pytest.mark.parametrize("what", ["layer", "manifest"])
@pytest.mark.parametrize("damage", ["changed", "longer", "absent", "link"])
def test_a_blob_that_is_not_what_its_digest_says(
    layout: Layout, cache: Path, what: str, damage: str
) -> None:
    manifest = layout.images[0]
    fields = json.loads(layout.path(manifest).read_bytes())
    blob = layout.path(manifest if what == "manifest" else fields["layers"][1])
    data = blob.read_bytes()
    blob.unlink()
    if damage == "changed":
        blob.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "longer":
        blob.write_bytes(data + b"\0")
    elif damage == "link":
        blob.symlink_to("/etc/passwd")
    expected = VerifyError if damage in {"changed", "longer"} else MissingInputError
    with pytest.raises(expected, match=blob.name) as caught:
        open_tree(layout.root, cache, facts())
    assert caught.value.exit_code == (7 if expected is VerifyError else 4)
    assert not cache.exists() or trees(cache) == []


def test_a_layer_of_an_unknown_kind(tmp_path: Path, cache: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layout.add(layout.manifest([LOWER], media_type=f"{OCI}.layer.v1.tar+br"))
    with pytest.raises(MissingInputError, match=r"unknown media type .*tar\+br"):
        open_tree(layout.root, cache, facts())


def test_a_damaged_archive_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    archive = tmp_path / "root.tar"
    archive.write_bytes(LOWER[:700])
    with pytest.raises(VerifyError, match="damaged") as caught:
        open_tree(archive, cache, facts())
    assert caught.value.exit_code == 7
    assert trees(cache) == []


def test_an_archive_of_nothing(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "root.tar").write_bytes(tar())
    with pytest.raises(VerifyError):
        open_tree(tmp_path / "root.tar", cache, facts())


def test_dockers_own_form_is_named(tmp_path: Path, cache: Path) -> None:
    archive = tmp_path / "saved.tar"
    archive.write_bytes(tar(Member("manifest.json", b"[]"), Member("abc/layer.tar", LOWER)))
    with pytest.raises(MissingInputError, match="Docker's own form") as caught:
        open_tree(archive, cache, facts())
    assert "skopeo copy" in caught.value.hint


def test_an_architecture_means_nothing_without_a_layout(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "root.tar").write_bytes(LOWER)
    for source in (tmp_path, tmp_path / "root.tar"):
        with pytest.raises(UsageError, match="--arch"):
            open_tree(source, cache, facts(), OTHER)
    with pytest.raises(UsageError, match="unknown architecture 'vax'"):
        open_tree(tmp_path, cache, facts(), "vax")


def test_without_a_cache_there_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(LOWER)
    with pytest.raises(UsageError, match="no cache") as caught:
        open_tree(tmp_path / "root.tar", None, facts())
    assert "--cache" in caught.value.hint


def test_a_cache_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(LOWER)
    (tmp_path / "cache").write_text("")
    with pytest.raises(SrbuildError, match="cannot make"):
        open_tree(tmp_path / "root.tar", tmp_path / "cache", facts())


def test_what_a_killed_run_left_is_cleared(tmp_path: Path, cache: Path) -> None:
    archive = tmp_path / "root.tar"
    archive.write_bytes(LOWER)
    tree = open_tree(archive, cache, facts())
    tree.rename(tree.with_name("away"))
    left = tree.with_name(f".{tree.name}.new") / "tree/usr"
    left.mkdir(parents=True)
    (left / "half").touch()
    assert open_tree(archive, cache, facts()) == tree
    assert not (tree / "usr/half").exists()
    assert trees(cache) == sorted([tree.name, "away"])


def test_several_runs_at_once_share_one_tree(tmp_path: Path, cache: Path) -> None:
    archive = tmp_path / "root.tar"
    archive.write_bytes(tar(*(Member(f"usr/{i}", b"x" * 500) for i in range(3000))))
    program = (
        "import sys, pathlib; from srbuild.host.unpack import open_tree;"
        "from srbuild.host.cache import FactStore; a, b = map(pathlib.Path, sys.argv[1:]);"
        "tree = open_tree(a, b, FactStore(None)); print(tree, len(list(tree.rglob('*'))))"
    )
    argv = [sys.executable, "-c", program, str(archive), str(cache)]
    runs = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = {run.communicate(timeout=60)[0] for run in runs}
    assert [run.returncode for run in runs] == [0] * 4
    assert len(said) == 1
    assert said.pop().endswith(" 3001\n")
    assert len(trees(cache)) == 1


def test_old_trees_make_room(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "KEPT", 2)
    made = []
    for i in range(4):
        archive = tmp_path / f"{i}.tar"
        archive.write_bytes(tar(Member("name", str(i).encode())))
        made.append(open_tree(archive, cache, facts()))
        if i < 2:
            os.utime(made[-1], (i, i))
    assert trees(cache) == sorted(tree.name for tree in made[2:])


def test_root_is_not_needed(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("is the ordinary user already")
    home = tmp_path / "home"
    home.mkdir()
    (home / "root.tar").write_bytes(
        tar(directory("d", 0o555), Member("d/f", b"1", 0o4000, extra={"uid": 0, "gid": 0}))
    )
    for path in [home, *home.iterdir()]:
        os.chown(path, 65534, 65534)
    os.chmod(home, 0o755)
    program = (
        "import os, sys, pathlib; from srbuild.host.unpack import open_tree;"
        "from srbuild.host.cache import FactStore; import libarchive.ffi;"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        "os.chdir(sys.argv[1]); print(open_tree(pathlib.Path('root.tar'), pathlib.Path('c'),"
        " FactStore(None)))"
    )
    for above in home.parents:
        if not above.stat().st_mode & 1:
            above.chmod(above.stat().st_mode | 0o011)
    argv = [sys.executable, "-c", program, str(home)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (Path(done.stdout.strip()) / "d/f").read_bytes() == b"1"
