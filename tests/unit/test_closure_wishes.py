"""What the closure takes in besides DT_NEEDED: dlopen notes, interpreters; musl's rules."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from srbuild.closure.closer import ElfCloser
from srbuild.formats.elf import UNWINDING, read_elf
from srbuild.formats.ldconf import Include, LibraryDir, parse_ld_so_conf, parse_musl_path
from srbuild.formats.script import Shebang, parse_shebang
from srbuild.host.sysroot import Sysroot
from srbuild.manifest import Reason
from srbuild.paths import ImagePath
from support.trees import ASKED, Tree, files, seeds

MUSL = "/lib/ld-musl-x86_64.so.1"
NEW = "-Wl,--enable-new-dtags,-rpath,"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


def with_notes(tree: Tree, path: str, *entries: str, flags: str = "") -> str:
    """A program that declares `entries` (JSON) in `.note.dlopen`."""
    lines = ['.section .note.dlopen, "a", %note', ".balign 4"]
    for index, entry in enumerate(entries):
        quoted = entry.replace('"', '\\"')
        lines += [f".long 4, .Lend{index} - .Lstart{index}, 0x407c0c0a", '.asciz "FDO"']
        lines += [f'.Lstart{index}: .asciz "{quoted}"', f".Lend{index}: .balign 4"]
    source = tree.root.with_name("notes.s")
    source.write_text("\n".join(lines) + "\n")
    return tree.program(path, flags=f"{source} {flags}")


def test_dlopen_by_priority(tree: Tree) -> None:
    tree.lib("/usr/lib/librec.so.2", "libdep.so")
    tree.lib("/usr/lib/libdep.so")
    tree.lib("/usr/lib/libsug.so.1")
    with_notes(
        tree,
        "/bin/p",
        '[{"soname": ["librec.so.3", "librec.so.2"]}]',
        '{"soname": ["libsug.so.1"], "priority": "suggested", "feature": "extra"}',
        '{"soname": ["libno.so.1"], "priority": "recommended", "feature": "tpm"}',
        '{"soname": ["libmust.so.1", "libmust.so.0"], "priority": "required"}',
    )
    closure = tree.close("/bin/p")
    assert files(closure) - {tree.loader} == {
        "/bin/p",
        "/usr/lib/librec.so.2",
        "/usr/lib/libdep.so",
    }
    assert closure.notes == (
        "/usr/bin/p can use libno.so.1 for tpm, which the sysroot lacks: left out",
    )
    (missing,) = closure.missing
    assert missing.name == "libmust.so.1 or libmust.so.0"
    assert missing.chain == (Reason("dlopen", ImagePath("/usr/bin/p")), ASKED)
    assert "/usr/lib" in missing.searched
    wider = ElfCloser(tree.sysroot, features={"extra"}).close(seeds("/bin/p"))
    assert "/usr/lib/libsug.so.1" in files(wider)


def test_dlopen_uses_the_programs_own_path(tree: Tree) -> None:
    tree.lib("/opt/x/libq.so")
    entry = '{"soname": ["libq.so"], "priority": "required"}'
    with_notes(tree, "/bin/p", entry, flags=NEW + "/opt/x")
    assert "/opt/x/libq.so" in files(tree.close("/bin/p"))


def test_missing_and_notes_are_told_once(tree: Tree) -> None:
    tree.lib("/usr/lib/liba.so", "libgone.so")
    with_notes(tree, "/bin/p", '{"soname": ["libno.so"]}')
    tree.program("/bin/q", "liba.so")
    tree.program("/bin/r", "liba.so")
    closer = ElfCloser(tree.sysroot)
    first, second = closer.close(seeds("/bin/p", "/bin/q")), closer.close(seeds("/bin/r"))
    assert (len(first.missing), len(first.notes)) == (1, 1)
    assert (second.missing, second.notes) == ((), ())


def test_broken_note_is_reported(tree: Tree) -> None:
    with_notes(tree, "/bin/p", "{broken")
    (missing,) = tree.close("/bin/p").missing
    assert "note.dlopen" in missing.problem


def test_script_chain_through_env(tree: Tree) -> None:
    tree.program("/usr/bin/env")
    tree.program("/usr/bin/perl5")
    tree.link("/usr/bin/perl", "perl5")
    tree.file("/usr/sbin/tool", "#!/usr/bin/env -S A=1 perl -w\n", 0o755)
    tree.file("/usr/sbin/outer", "#! /usr/sbin/tool  --x\n", 0o755)
    closure = tree.close("/usr/sbin/outer")
    assert closure.missing == ()
    by_path = {str(found.path): found for found in closure.new}
    assert set(by_path) >= {"/usr/sbin/tool", "/usr/bin/env", "/usr/bin/perl", "/usr/bin/perl5"}
    tool = Reason("shebang", ImagePath("/usr/sbin/tool"))
    assert by_path["/usr/bin/perl"].reasons == (tool,)
    assert by_path["/usr/sbin/tool"].reasons == (Reason("shebang", ImagePath("/usr/sbin/outer")),)


def test_script_interpreters_missing_or_provided(tree: Tree) -> None:
    tree.program("/usr/bin/env")
    tree.file("/bin/a", "#!/bin/sh\n", 0o755)
    tree.file("/bin/b", "#!/usr/bin/env python3\n", 0o755)
    tree.file("/bin/c", "#!sh\n", 0o755)
    tree.file("/etc/data", "#!/bin/none\n", 0o644)
    names = seeds("/bin/a", "/bin/b", "/bin/c", "/etc/data")
    closure = ElfCloser(tree.sysroot).close(names)
    assert [item.name for item in closure.missing] == ["/bin/sh", "python3", "sh"]
    assert "/usr/sbin" in closure.missing[1].searched
    provided = {ImagePath("/usr/bin/sh"), ImagePath("/usr/bin/python3")}
    closure = ElfCloser(tree.sysroot, provided=provided).close(names)
    assert [item.name for item in closure.missing] == ["sh"]


def test_scripts_that_name_each_other_end(tree: Tree) -> None:
    tree.file("/bin/a", "#!/bin/b\n", 0o755)
    tree.file("/bin/b", "#!/bin/a\n", 0o755)
    closure = tree.close("/bin/a")
    assert files(closure) == {"/bin/a", "/bin/b"}


@pytest.mark.parametrize(
    ("head", "want"),
    [
        (b"#!/bin/sh\nrest", Shebang("/bin/sh")),
        (b"#! \t/bin/sh -e -u \n", Shebang("/bin/sh", "-e -u")),
        (b"#!/usr/bin/env\tpython3\n", Shebang("/usr/bin/env", "python3")),
        (b"#!/bin/sh\r\n", Shebang("/bin/sh")),
        (b"#!\n", None),
        (b"#", None),
        (b"\x7fELF", None),
        (b"#!/" + b"x" * 400, Shebang("/" + "x" * 253)),
    ],
)
def test_parse_shebang(head: bytes, want: Shebang | None) -> None:
    assert parse_shebang(head) == want


@pytest.mark.parametrize(
    ("argument", "want"),
    [
        ("python3", "python3"),
        ("-S sh -e", "sh"),
        ("-Ssh", "sh"),
        ("-i A=b /x/y", "/x/y"),
        ("", None),
    ],
)
def test_env_program(argument: str, want: str | None) -> None:
    assert Shebang("/usr/bin/env", argument).env_program == want
    assert Shebang("/bin/sh", argument).env_program is None


def musl_tree(tree: Tree) -> Tree:
    tree.lib(MUSL, soname="libc.so")
    tree.interp = MUSL
    return tree


def test_musl_searches_by_its_own_rules(tree: Tree) -> None:
    musl_tree(tree)
    tree.file("/etc/ld.so.conf", "/opt/conf\n")
    tree.lib("/opt/conf/libconf.so")
    tree.lib("/opt/x/liba.so", "libinherited.so", flags=NEW + "/opt/y")
    tree.lib("/opt/x/libinherited.so")
    tree.lib("/lib/libfirst.so")
    tree.lib("/usr/lib/libfirst.so")
    names = ("liba.so", "libfirst.so", "libconf.so", "libc.so", "libm.so.6")
    tree.program("/bin/p", *names, flags=NEW + "/opt/x")
    closure = tree.close("/bin/p")
    assert [item.name for item in closure.missing] == ["libconf.so"]
    assert closure.missing[0].searched == ("/opt/x", "/lib", "/usr/local/lib", "/usr/lib")
    assert files(closure) == {
        "/bin/p",
        MUSL,
        "/opt/x/liba.so",
        "/opt/x/libinherited.so",
        "/lib/libfirst.so",
    }


def test_musl_path_file_replaces_the_defaults_and_is_shipped(tree: Tree) -> None:
    musl_tree(tree)
    path_file = tree.file("/etc/ld-musl-x86_64.path", "/opt/a:/opt/b\n/opt/c/\n")
    tree.lib("/opt/c/liba.so")
    tree.lib("/usr/lib/libb.so")
    tree.program("/bin/p", "liba.so", "libb.so")
    closure = tree.close("/bin/p")
    assert {"/opt/c/liba.so", path_file} <= files(closure)
    assert [item.searched for item in closure.missing] == [("/opt/a", "/opt/b", "/opt/c")]


def test_musl_refuses_other_tokens(tree: Tree) -> None:
    musl_tree(tree)
    tree.lib("/opt/x/liba.so")
    tree.program("/opt/p", "liba.so", flags=NEW + "$ORIGIN/x")
    tree.program("/opt/q", "liba.so", flags=NEW + "$ORIGIN/x:/opt/$LIB")
    assert tree.close("/opt/p").missing == ()
    assert [item.name for item in tree.close("/opt/q").missing] == ["liba.so"]


def test_plugins_alone_follow_the_libc_that_is_there(tree: Tree) -> None:
    tree.lib("/usr/local/lib/libp.so")
    tree.lib("/usr/lib/plug.so", "libp.so")
    tree.lib(MUSL, soname="libc.so")
    assert [item.name for item in tree.close("/usr/lib/plug.so").missing] == ["libp.so"]
    tree.path(tree.interp).unlink()
    assert tree.close("/usr/lib/plug.so").missing == ()


def test_ld_so_conf_directives() -> None:
    text = "\n".join(
        [
            "# c",
            "/a/b/ # d",
            "include x/*.conf /y.conf",
            "/old=libc5",
            "hwcap 0 n",
            "rel",
            "/with sp",
        ]
    )
    assert parse_ld_so_conf(text, "/etc") == (
        LibraryDir("/a/b"),
        Include("/etc/x/*.conf"),
        Include("/y.conf"),
        LibraryDir("/old"),
        LibraryDir("/with sp"),
    )
    assert parse_musl_path("/a:/b/\n\n:rel:/\n") == ("/a", "/b", "/")


def machine_programs() -> list[Path]:
    found = []
    for path in sorted(Path("/usr/bin").iterdir()) + sorted(Path("/usr/sbin").iterdir()):
        if path.is_file():
            with path.open("rb") as file:
                info = read_elf(file)
            if info and info.interp:
                found.append(path)
    return found


def test_the_machines_own_programs() -> None:
    """On /, with whatever ld.so.conf and cache it has: the same files as its loader maps."""
    programs = machine_programs()
    assert len(programs) > 50
    root = Sysroot(Path("/"))
    for path in programs:
        closure = ElfCloser(root).close(seeds(str(path)))
        with path.open("rb") as file:
            info = read_elf(file)
        assert info is not None
        assert info.interp is not None
        # Started by hand, the loader takes $ORIGIN from the name it is given; the kernel gives it
        # the file behind the link, as the closure has it.
        listed = subprocess.run(
            [info.interp, "--list", path.resolve()],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if listed.returncode != 0:
            assert closure.missing, path
            continue
        real = {str(Path(p).resolve()) for p in re.findall(r"(/\S+) \(0x", listed.stdout)}
        loader = str(Path(info.interp).resolve())
        later = {str(f.path) for f in closure.new if f.reasons[0].how in UNWINDING}
        mapped = {p for p in files(closure) if "glibc-hwcaps" not in p} - (later - real)
        assert mapped - {str(path.resolve()), loader} == real - {loader}, path
        assert closure.missing == (), path
