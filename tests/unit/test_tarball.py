"""Unpacking tar archives: right, and safe whatever they hold."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from srbuild.errors import VerifyError
from srbuild.host.tarball import unpack_tar
from support.oci import Member, directory, hardlink, symlink, tar

PACK: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda data: data,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zstd": zstandard.compress,
}


@pytest.fixture
def unpack(tmp_path: Path) -> Callable[..., Path]:
    """Unpack layers over each other into a tree, with a folder beside it to be kept safe."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").write_text("kept")

    def unpack_them(*layers: bytes, whiteouts: bool = False) -> Path:
        for layer in layers:
            (tmp_path / "archive").write_bytes(layer)
            unpack_tar(tmp_path / "archive", tree, whiteouts=whiteouts)
        return tree

    return unpack_them


def names(tree: Path) -> list[str]:
    return sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))


@pytest.mark.parametrize("how", PACK)
def test_every_compression_is_read(tmp_path: Path, unpack, how: str) -> None:
    tree = unpack(PACK[how](tar(directory("./usr"), Member("./usr/a", b"x" * 99999))))
    assert (tree / "usr/a").read_bytes() == b"x" * 99999


def test_modes_links_and_holes_are_kept(unpack) -> None:
    tree = unpack(
        tar(
            directory("dir", 0o1777),
            Member("dir/program", b"p", 0o755),
            Member("secret", b"s", 0o000),
            hardlink("dir/same", "dir/program"),
            symlink("link", "dir/program"),
            symlink("away", "/etc/passwd"),
        )
    )
    assert stat.S_IMODE((tree / "dir").stat().st_mode) == 0o1777
    assert stat.S_IMODE((tree / "dir/program").stat().st_mode) == 0o755
    assert stat.S_IMODE((tree / "secret").stat().st_mode) == 0o400
    assert (tree / "dir/same").samefile(tree / "dir/program")
    assert os.readlink(tree / "link") == "dir/program"
    assert os.readlink(tree / "away") == "/etc/passwd"


def test_sparse_files_of_gnu_tar(tmp_path: Path, unpack) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
        file.truncate(3 << 20)
    archive = tmp_path / "sparse.tar"
    argv = ["tar", "-S", "-C", str(tmp_path), "-cf", str(archive), "sparse"]
    subprocess.run(argv, check=True)
    assert archive.stat().st_size < 1 << 20
    tree = unpack(archive.read_bytes())
    assert (tree / "sparse").read_bytes() == (tmp_path / "sparse").read_bytes()


def test_odd_names_whatever_the_locale(tmp_path: Path) -> None:
    odd = ["a b", "new\nline", "gr\u00fc\u00df", os.fsdecode(b"\xff\xfe"), "x" * 200, "-rf"]
    (tmp_path / "odd.tar").write_bytes(tar(*(Member(name, b"1") for name in odd)))
    program = (
        "import sys, pathlib; from srbuild.host.tarball import unpack_tar;"
        "unpack_tar(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))"
    )
    for locale in ("C", "C.UTF-8"):
        tree = tmp_path / locale
        tree.mkdir()
        argv = [sys.executable, "-c", program, str(tmp_path / "odd.tar"), str(tree)]
        subprocess.run(argv, env={**os.environ, "LC_ALL": locale}, check=True)
        assert sorted(os.listdir(os.fsencode(tree))) == sorted(map(os.fsencode, odd))


def test_setuid_devices_and_fifos_are_left_out(unpack) -> None:
    node = {"devmajor": 1, "devminor": 3}
    tree = unpack(
        tar(
            Member("su", b"s", 0o6755),
            directory("d", 0o2755),
            Member("null", b"", 0o666, tarfile.CHRTYPE, node),
            Member("disk", b"", 0o666, tarfile.BLKTYPE, node),
            Member("pipe", b"", 0o666, tarfile.FIFOTYPE),
        )
    )
    assert names(tree) == ["d", "su"]
    assert stat.S_IMODE((tree / "su").stat().st_mode) == 0o755
    assert stat.S_IMODE((tree / "d").stat().st_mode) == 0o755


@pytest.mark.parametrize("name", ["../outside/new", "a/../../outside/new", "..", "/../outside/new"])
def test_names_that_lead_out_are_refused(tmp_path: Path, unpack, name: str) -> None:
    with pytest.raises(VerifyError, match="outside of the tree"):
        unpack(tar(Member("good", b"1"), Member(name, b"evil")))
    assert os.listdir(tmp_path / "outside") == ["kept"]


def test_absolute_names_count_from_the_trees_root(tmp_path: Path, unpack) -> None:
    tree = unpack(tar(Member(f"{tmp_path}/outside/kept", b"inside")))
    assert (tmp_path / "outside/kept").read_text() == "kept"
    assert (tree / str(tmp_path)[1:] / "outside/kept").read_bytes() == b"inside"


@pytest.mark.parametrize("target", ["/", "../outside", "../../../../../..", "{outside}"])
def test_links_that_lead_out_end_at_the_trees_root(tmp_path: Path, unpack, target: str) -> None:
    before = sorted(os.listdir("/"))
    target = target.replace("{outside}", str(tmp_path / "outside"))
    tree = unpack(tar(symlink("way", target), Member("way/kept", b"evil"), directory("way/new")))
    assert (tmp_path / "outside/kept").read_text() == "kept"
    assert os.listdir(tmp_path / "outside") == ["kept"]
    assert sorted(os.listdir("/")) == before
    assert os.readlink(tree / "way") == target
    assert [path.read_bytes() for path in tree.rglob("kept") if path.is_file()] == [b"evil"]


def test_a_file_is_not_written_through_a_link(tmp_path: Path, unpack) -> None:
    outside = str(tmp_path / "outside/kept")
    tree = unpack(tar(symlink("file", outside)), tar(Member("file", b"evil")))
    assert (tmp_path / "outside/kept").read_text() == "kept"
    assert (tree / "file").read_bytes() == b"evil"
    assert not (tree / "file").is_symlink()


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("../outside/kept", "outside of the tree"),
        ("way/kept", "no file"),
        ("absent", "no file"),
        ("folder", "no file"),
        ("", "no file"),
    ],
)
def test_hard_links_lead_to_files_of_the_tree_only(
    tmp_path: Path, unpack, target: str, reason: str
) -> None:
    way = symlink("way", str(tmp_path / "outside"))
    with pytest.raises(VerifyError, match=reason):
        unpack(tar(way, directory("folder"), hardlink("stolen", target)))
    assert (tmp_path / "outside/kept").stat().st_nlink == 1


def test_a_hard_link_does_not_carry_a_later_file_into_its_target(unpack) -> None:
    tree = unpack(tar(Member("a", b"old"), hardlink("b", "a")), tar(Member("b", b"new")))
    assert ((tree / "a").read_bytes(), (tree / "b").read_bytes()) == (b"old", b"new")


def test_links_in_circles_are_refused(unpack) -> None:
    with pytest.raises(VerifyError, match="too many links"):
        unpack(tar(symlink("a", "b"), symlink("b", "a"), Member("a/file", b"1")))


def test_a_directory_link_of_a_lower_layer_is_followed(unpack) -> None:
    lower = tar(directory("usr"), directory("usr/lib"), symlink("lib", "usr/lib"))
    tree = unpack(lower, tar(Member("lib/new.so", b"1")))
    assert (tree / "usr/lib/new.so").read_bytes() == b"1"
    assert (tree / "lib").is_symlink()


def test_kinds_replace_each_other(unpack) -> None:
    tree = unpack(
        tar(directory("a"), Member("a/in", b"1"), Member("b", b"1"), symlink("c", "b")),
        tar(Member("a", b"2"), directory("b"), directory("c")),
    )
    assert names(tree) == ["a", "b", "c"]
    assert (tree / "a").is_file()
    assert (tree / "b").is_dir()
    assert not (tree / "c").is_symlink()


def test_directories_that_nobody_can_enter_are_filled(unpack) -> None:
    tree = unpack(tar(directory("d", 0o000), Member("d/file", b"1")), tar(Member("d/more", b"2")))
    assert names(tree) == ["d", "d/file", "d/more"]
    assert stat.S_IMODE((tree / "d").stat().st_mode) == 0o700


def test_whiteouts_remove_what_lies_below(unpack) -> None:
    lower = tar(
        *(Member(name, b"1") for name in ("gone", "dir/a", "dir/b", "whole/a", "full/old")),
        directory("full/sub"),
    )
    upper = tar(
        Member(".wh.gone"),
        Member("dir/.wh.a"),
        Member(".wh.whole"),
        Member("full/new", b"2"),
        Member("full/.wh..wh..opq"),
        Member(".wh..wh.plnk", b"aufs"),
        Member("absent/.wh.nothing"),
    )
    assert names(unpack(lower, upper, whiteouts=True)) == ["dir", "dir/b", "full", "full/new"]


def test_a_whiteout_leaves_what_its_own_layer_put(unpack) -> None:
    lower = tar(Member("a/old", b"1"))
    upper = tar(directory("a"), Member("a/new", b"2"), Member(".wh.a"))
    assert names(unpack(lower, upper, whiteouts=True)) == ["a", "a/new"]


def test_a_plain_archive_has_no_whiteouts(unpack) -> None:
    assert names(unpack(tar(Member("a", b"1"), Member(".wh.a", b"2")))) == [".wh.a", "a"]


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh..."])
def test_a_whiteout_of_nothing_or_of_its_parent_is_refused(tmp_path: Path, unpack, name) -> None:
    with pytest.raises(VerifyError, match="names nothing"):
        unpack(tar(Member("d/a", b"1"), Member(name)), whiteouts=True)
    assert (tmp_path / "outside/kept").is_file()


def test_a_whiteout_through_a_link_stays_inside(tmp_path: Path, unpack) -> None:
    outside = str(tmp_path / "outside")
    unpack(
        tar(symlink("way", outside)),
        tar(Member("way/.wh.kept"), Member("way/.wh..wh..opq")),
        whiteouts=True,
    )
    assert (tmp_path / "outside/kept").read_text() == "kept"


@pytest.mark.parametrize("how", PACK)
def test_cut_short_is_an_error(unpack, how: str) -> None:
    data = PACK[how](tar(Member("a", os.urandom(300000)), Member("b", b"1")))
    with pytest.raises(VerifyError, match="damaged"):
        unpack(data[: len(data) // 2])


@pytest.mark.parametrize(
    "data", [b"no archive" * 1000, b"PK\3\4" + bytes(2000), b"070701" + b"0" * 200]
)
def test_what_is_no_tar_archive_is_an_error(unpack, data: bytes) -> None:
    with pytest.raises(VerifyError, match="damaged, or no tar archive"):
        unpack(data)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damage_is_an_error_or_harmless(tmp_path_factory: pytest.TempPathFactory, data) -> None:
    """Any bytes changed: a tree inside its folder or a VerifyError, nothing else."""
    members = (directory("d"), Member("d/a", b"1" * 700), symlink("l", "d"), hardlink("h", "d/a"))
    raw = bytearray(tar(*members, form=tarfile.GNU_FORMAT))
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, 4000))] = data.draw(st.integers(0, 255))
    base = tmp_path_factory.mktemp("damage")
    (base / "archive").write_bytes(raw)
    (base / "tree").mkdir()
    with contextlib.suppress(VerifyError):
        unpack_tar(base / "archive", base / "tree")
    assert sorted(os.listdir(base)) == ["archive", "tree"]
