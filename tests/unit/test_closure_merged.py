"""Unmerged trees, odd class and link situations: the loader in the image finds the same."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest

from srbuild.closure.closer import ElfCloser
from srbuild.formats.elf import read_elf
from srbuild.paths import SysrootPath, to_image
from support.trees import Tree, files, seeds

OLD = "-Wl,--disable-new-dtags,-rpath,"
NEW = "-Wl,--enable-new-dtags,-rpath,"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


def same_in_image(tree: Tree, target: Path, program: str = "/bin/p") -> set[str]:
    """What the loader maps in an image of the closure, which is what it maps in the tree."""
    closure = tree.close(program)
    assert closure.missing == ()
    loaded, missing = tree.loaded(program)
    assert missing == set()
    image = tree.image(closure, target)
    found, missing = image.loaded(program)
    assert missing == set()
    assert found == {to_image(SysrootPath(path)) for path in loaded}
    return found


@pytest.mark.parametrize("folder", ["/usr/lib/x", "/opt/x", "/lib/x"])
@pytest.mark.parametrize("flag", [OLD, NEW])
def test_origin_above_a_merged_directory(
    tree: Tree, tmp_path: Path, folder: str, flag: str
) -> None:
    tree.lib(f"{folder}/liba.so", "libb.so", flags=f"{flag}$ORIGIN/y")
    tree.lib(f"{folder}/y/libb.so")
    tree.program("/bin/p", "liba.so", flags=f"{flag}$ORIGIN/..{folder}")
    found = same_in_image(tree, tmp_path / "image")
    assert str(to_image(SysrootPath(f"{folder}/y/libb.so"))) in found


def test_a_path_that_the_merge_makes_another_is_refused(tree: Tree) -> None:
    tree.lib("/opt/x/liba.so")
    tree.path("/usr/opt/x/other")
    tree.program("/bin/p", "liba.so", flags=NEW + "$ORIGIN/../opt/x")
    (missing,) = tree.close("/bin/p").missing
    assert missing.name == "liba.so"
    assert "/bin/../opt/x/liba.so" in missing.problem


def test_origin_of_a_program_is_where_its_links_end(tree: Tree, tmp_path: Path) -> None:
    tree.program("/opt/real/bin/prog", "liba.so", flags=NEW + "$ORIGIN/../lib")
    tree.lib("/opt/real/lib/liba.so")
    tree.link("/opt/alias", "real/bin")
    tree.link("/bin/p", "/opt/alias/prog")
    assert "/opt/real/lib/liba.so" in same_in_image(tree, tmp_path / "image")


def test_origin_of_a_library_opened_through_linked_directories(tree: Tree, tmp_path: Path) -> None:
    tree.lib("/opt/v2/liba.so", "libb.so", flags=NEW + "$ORIGIN/../sub")
    tree.link("/opt/now", "v2")
    tree.lib("/opt/sub/libb.so")
    tree.program("/bin/p", "liba.so", flags=NEW + "/opt/now")
    assert "/opt/sub/libb.so" in same_in_image(tree, tmp_path / "image")


def test_a_real_32_bit_library_in_the_way(tree: Tree, tmp_path: Path) -> None:
    source = tree.root.with_name("empty32.s")
    source.write_text(".globl f\nf: ret\n")
    way = str(tree.path("/opt/x/liba.so"))
    subprocess.run(
        ["gcc", "-m32", "-nostdlib", "-shared", "-o", way, source], check=True, timeout=60
    )
    tree.lib("/usr/lib/liba.so")
    tree.program("/bin/p", "liba.so", flags=NEW + "/opt/x")
    assert "/usr/lib/liba.so" in same_in_image(tree, tmp_path / "image")


def strip_sections(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[40:48], data[58:64] = bytes(8), bytes(6)  # e_shoff; e_shentsize, e_shnum, e_shstrndx
    path.write_bytes(data)


def test_stripped_section_headers(tree: Tree, tmp_path: Path) -> None:
    tree.lib("/opt/x/liba.so", "libb.so")
    tree.lib("/usr/lib/libb.so")
    tree.program("/bin/p", "liba.so", flags=NEW + "/opt/x")
    for path in ("/opt/x/liba.so", "/usr/lib/libb.so", "/bin/p"):
        strip_sections(tree.path(path))
    assert {"/opt/x/liba.so", "/usr/lib/libb.so"} <= same_in_image(tree, tmp_path / "image")


def test_static_pie_needs_nothing(tree: Tree) -> None:
    tree.program("/bin/p", flags="-static-pie -Wl,--no-dynamic-linker")
    with tree.path("/bin/p").open("rb") as file:
        info = read_elf(file)
    assert info
    assert info.is_static_pie
    closure = tree.close("/bin/p")
    assert files(closure) == {"/bin/p"}
    assert closure.missing == ()


def test_missing_interpreter(tree: Tree) -> None:
    tree.interp = "/lib/ld-none.so.2"
    tree.lib("/usr/lib/liba.so")
    tree.program("/bin/p", "liba.so")
    (missing,) = tree.close("/bin/p").missing
    assert missing.name == "/lib/ld-none.so.2"
    assert missing.chain[0].how == "PT_INTERP"


def test_nodeflib_shuts_the_defaults_in_the_cache_too(tree: Tree) -> None:
    tree.file("/etc/ld.so.conf", "/usr/lib\n/opt/c\n")
    tree.lib("/usr/lib/liba.so.1")
    tree.lib("/opt/c/libb.so.1")
    tree.program("/bin/p", "liba.so.1", "libb.so.1", flags="-Wl,-z,nodefaultlib")
    subprocess.run(["ldconfig", "-r", tree.root, "-X"], check=True, timeout=60)
    closure = tree.close("/bin/p")
    loaded, missing = tree.loaded("/bin/p")
    assert {item.name for item in closure.missing} == missing == {"liba.so.1"}
    assert "/opt/c/libb.so.1" in files(closure) & loaded


@pytest.mark.parametrize("size", [3, 40, 70, 300])
def test_truncated_programs_are_named(tree: Tree, size: int) -> None:
    tree.program("/bin/p")
    os.truncate(tree.path("/bin/p"), size)
    closure = tree.close("/bin/p")
    problems = [item.problem for item in closure.missing]
    assert (problems == []) == (size < 4)  # too short to be ELF at all: a file like any other
    assert all("/bin/p" in problem for problem in problems)


@pytest.mark.parametrize("call", ["pthread_cancel", "pthread_exit", "backtrace"])
def test_unwinding_brings_libgcc(tree: Tree, call: str) -> None:
    calling(tree, "/usr/lib/libuser.so", call)
    tree.lib("/usr/lib/libc.so.6")
    tree.lib("/usr/lib/libgcc_s.so.1")
    tree.program("/bin/p", "libuser.so", "libc.so.6")
    tree.program("/bin/q", "libc.so.6")
    assert "/usr/lib/libgcc_s.so.1" in files(tree.close("/bin/p"))
    assert "/usr/lib/libgcc_s.so.1" not in files(tree.close("/bin/q"))
    tree.path("/usr/lib/libgcc_s.so.1").unlink()
    (missing,) = tree.close("/bin/p").missing
    assert missing.name == "libgcc_s.so.1"
    assert [reason.how for reason in missing.chain] == [call, "DT_NEEDED", "binary"]


@pytest.mark.parametrize(
    ("call", "libc", "want"),
    [
        ("getpwnam_r", "libc-2.31.so", {"files"}),
        ("getaddrinfo", "libc-2.33.so", {"files", "dns"}),
        ("getaddrinfo", "libc-2.34.so", set()),
        ("getaddrinfo", "", set()),
        ("puts", "libc-2.31.so", set()),
    ],
)
def test_names_bring_their_services_where_libc_has_none(
    tree: Tree, call: str, libc: str, want: set[str]
) -> None:
    tree.lib(f"/usr/lib/{libc or 'libc.so.6'}", soname="libc.so.6")
    if libc:
        tree.link("/usr/lib/libc.so.6", libc)
    for service in ("files", "dns", "compat"):
        tree.lib(f"/usr/lib/libnss_{service}.so.2")
    calling(tree, "/usr/lib/libuser.so", call)
    tree.program("/bin/p", "libuser.so", "libc.so.6")
    found = files(tree.close("/bin/p"))
    assert {path for path in found if "nss" in path} == {
        f"/usr/lib/libnss_{service}.so.2" for service in want
    }


def calling(tree: Tree, path: str, call: str) -> None:
    """A library that calls a function of libc."""
    source = tree.root.with_name("call.c")
    source.write_text(f"void {call}(void); void use(void) {{ {call}(); }}\n")
    tree.lib(path, flags=f"-fPIC -fno-builtin {source}")


def test_link_loops_in_directories(tree: Tree) -> None:
    tree.link("/opt/a", "b")
    tree.link("/opt/b", "a")
    tree.lib("/usr/lib/liba.so")
    tree.program("/bin/p", "liba.so", flags=NEW + "/opt/a")
    assert "/usr/lib/liba.so" in files(tree.close("/bin/p"))
    assert [item.name for item in tree.close("/opt/a/p").missing] == ["/opt/a/p"]


def test_a_file_that_claims_to_be_32_bit_big_endian_is_no_program_here(tree: Tree) -> None:
    tree.program("/bin/p")
    data = b"\x7fELF\1\2\1" + bytes(9) + struct.pack(">HHI", 2, 8, 1) + bytes(28)
    tree.file("/bin/q", data, 0o755)
    closure = ElfCloser(tree.sysroot).close(seeds("/bin/p", "/bin/q"))
    assert [item.name for item in closure.missing] == ["/bin/q"]
