"""Files of a root tree that are made to hurt: bounded work and clear errors."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from srbuild.closure.search import Abi, find_loader
from srbuild.errors import ConflictError, MissingInputError
from srbuild.formats import deb
from srbuild.formats.deb import DebError, read_deb
from srbuild.formats.elf import ElfFormatError, read_elf
from srbuild.host.sysroot import Sysroot
from srbuild.kernels.indexes import index_files
from srbuild.kernels.kmods import Wish, close_kmods
from srbuild.paths import SysrootPath, shown
from support.kernels import FakeKmod, make_kernel
from support.kmod_root import RECIPE, kernel
from support.trees import Tree


def elf_with_notes(count: int, note: bytes) -> bytes:
    """A library of `count` note segments that are all the same bytes."""
    at = 64 + 56 * count
    header = struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 4, 4, at, 0, 0, len(note), len(note), 4)
    return b"\x7fELF\x02\x01\x01" + bytes(9) + header + segment * count + note


@pytest.mark.timeout(10)
def test_thousands_of_overlapping_notes_are_not_read() -> None:
    with pytest.raises(ElfFormatError, match="note segments claim"):
        read_elf(elf_with_notes(15_000, bytes(1 << 20)))


def test_a_library_named_with_a_nul_is_refused() -> None:
    text = json.dumps({"soname": ["libz.so\0evil"]}).encode()
    note = struct.pack("<III", 4, len(text), 0x407C0C0A) + b"FDO\0" + text
    with pytest.raises(ElfFormatError, match="invalid entry"):
        read_elf(elf_with_notes(1, note + bytes(-len(note) % 4)))


@pytest.mark.parametrize("length", [5, 6])
def test_interpreters_that_are_scripts_as_far_as_the_kernel_goes(
    tmp_path: Path, length: int
) -> None:
    """The chain's end is busybox, so that the kernel itself can be asked."""
    busybox = shutil.which("busybox")
    assert busybox
    tree = Tree(tmp_path / "root")
    folder = tree.path("/bin/x").parent
    last = folder / "busybox"
    shutil.copy(busybox, last)
    previous = f"{last} true"
    inside = "/bin/busybox true"
    for index in range(length):
        (folder / f"real{index}").write_text(f"#!{previous}\n")
        (folder / f"real{index}").chmod(0o755)
        tree.file(f"/bin/s{index}", f"#!{inside}\n", 0o755)
        previous, inside = str(folder / f"real{index}"), f"/bin/s{index}"
    try:
        subprocess.run([previous], check=True, timeout=60)
        runs = True
    except OSError:  # ELOOP
        runs = False
    missing = tree.close(inside).missing
    assert (not missing) == runs == (length == 5)
    assert all("chain of more than 5 scripts" in one.problem for one in missing)


def test_ld_so_conf_includes_of_any_depth(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/ld.so.conf").write_text("include 0.conf\n")
    for index in range(1500):
        text = f"/lib/{index}\ninclude {index + 1}.conf\n/after/{index}\n"
        (tmp_path / f"etc/{index}.conf").write_text(text)
    dirs = find_loader(Sysroot(tmp_path), "/lib/none", Abi(64, "little", 62)).conf_dirs
    assert dirs[:2] == ("/lib/0", "/lib/1")
    assert dirs[-1] == "/after/0"
    assert len(dirs) == 3000


def test_an_alias_that_no_index_can_hold_is_an_error(tmp_path: Path) -> None:
    make_kernel(tmp_path, [FakeKmod("kernel/a.ko", [("alias", "tést")])])
    tree = kernel(tmp_path)
    closure = close_kmods(tree, [Wish("a", RECIPE)], [], {})
    with pytest.raises(ConflictError, match=r"kernel 6\.1\.0-9-test"):
        index_files(tree, closure)


def test_a_deb_that_claims_more_than_any_memory(tmp_path: Path) -> None:
    head = f"{'control.tar':16}{0:<12}{0:<6}{0:<6}{100644:<8}{9_999_999_999:<10}`\n"
    (tmp_path / "a.deb").write_bytes(deb.AR_MAGIC + head.encode())
    with pytest.raises(DebError, match="a member of 9999999999 bytes"):
        read_deb(tmp_path / "a.deb")


@pytest.mark.parametrize("call", ["lstat", "open", "readlink", "scandir"])
def test_a_tree_that_vanishes_at_any_moment_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Each call in turn is the first that finds the tree gone."""
    real = getattr(os, call)
    for moment in range(100):
        root = tmp_path / str(moment)
        tree = Tree(root)
        tree.lib("/usr/lib/libreal.so")
        tree.link("/usr/lib/liba.so", "libreal.so")
        tree.program("/bin/p", "liba.so")
        left = [moment]

        def vanish(*arguments: object, root: Path = root, left: list[int] = left) -> object:
            if str(arguments[0]).startswith(str(root)):
                left[0] -= 1
                if left[0] == -1:
                    root.rename(root.with_name(f"gone{root.name}"))
            return real(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, vanish)
            try:
                closure = tree.close("/bin/p")
                outcome = bool(closure.missing)
            except MissingInputError:
                outcome = True
        if left[0] >= 0:
            assert moment > 0
            assert not outcome
            return
    raise AssertionError("the closure never ends")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("/a b/é", "/a b/é"),
        ("a\\b", "a\\b"),
        ("\x1b[2J\\", r"\x1b[2J\\"),
        ("\udcff\x9b", r"\xff\x9b"),
        ("a\nb", r"a\nb"),
        ("\u202eabc", r"\u202eabc"),
    ],
)
def test_names_as_they_are_shown(text: str, seen: str) -> None:
    assert shown(text) == seen
    assert shown("two\nlines \\", keep="\n") == "two\nlines \\"


def test_nothing_lies_above_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert Sysroot(tmp_path).find(SysrootPath("/file/..")) is None  # ENOTDIR, says the kernel
