"""The closure of programs compiled against the real musl, with musl's own loader as oracle."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from srbuild.closure.closer import ElfCloser
from srbuild.host.sysroot import Sysroot
from support.trees import CLONE_NEWUSER, files, seeds

INTERP = "/lib/ld-musl-x86_64.so.1"
PATH_FILE = "/etc/ld-musl-x86_64.path"
OLD = "-Wl,--disable-new-dtags,-rpath,"
NEW = "-Wl,--enable-new-dtags,-rpath,"


class MuslTree:
    """A root tree of musl's loader, which is its libc, and of what is compiled against it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._stubs = root.with_name("stubs")
        self._stubs.mkdir()
        shutil.copy(Path(INTERP).resolve(), self.path(INTERP))
        self.path(INTERP).chmod(0o755)

    def path(self, path: str) -> Path:
        """The host's path of `path`, its folder made."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def build(self, path: str, source: str, *needed: str, flags: str = "") -> str:
        """Compile `source`, linked with empty libraries of the names `needed`."""
        stubs = [self._stub(name) for name in needed]
        self._compile(self.path(path), source, *flags.split(), "-Wl,--no-as-needed", *stubs)
        return path

    def lib(self, path: str, *needed: str, flags: str = "") -> str:
        soname = f"-Wl,-soname,{path.rpartition('/')[2]}"
        return self.build(path, "", *needed, flags=f"-shared -fPIC {soname} {flags}")

    def program(self, path: str, *needed: str, flags: str = "") -> str:
        source = '#include <stdio.h>\nint main(void) { puts("ran"); return 0; }\n'
        return self.build(path, source, *needed, flags=flags)

    def _stub(self, name: str) -> str:
        stub = self._stubs / name
        if not stub.exists():
            self._compile(stub, "", "-shared", "-fPIC", f"-Wl,-soname,{name}")
        return str(stub)

    def _compile(self, target: Path, source: str, *options: str) -> None:
        (self._stubs / "source.c").write_text(source)
        command = ["musl-gcc", "-o", str(target), str(self._stubs / "source.c"), *options]
        subprocess.run([*command, "-Wl,--allow-shlib-undefined"], check=True, timeout=60)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the tree inside of it."""

        def enter() -> None:
            if os.geteuid() != 0 and ctypes.CDLL(None).unshare(CLONE_NEWUSER) != 0:
                raise OSError("no user namespace for chroot; run the tests as root")
            os.chroot(self.root)
            os.chdir("/")

        return subprocess.run(
            command, preexec_fn=enter, capture_output=True, text=True, timeout=60, check=False
        )

    def agree(self, program: str = "/bin/p") -> tuple[set[str], set[str]]:
        """(Files, missing names) of the closure, after checking that the loader says the same."""
        done = self.run(INTERP, "--list", program)
        loaded = set(re.findall(r"=> (/\S+) \(0x", done.stdout)) - {INTERP, program}
        missing = set(
            re.findall(r"^Error loading shared library (\S+):", done.stderr, re.MULTILINE)
        )
        assert done.returncode == (127 if missing else 0), done.stderr
        sysroot = Sysroot(self.root)
        closure = ElfCloser(sysroot).close(seeds(program))
        assert {item.name for item in closure.missing} == missing
        found = files(closure) - {INTERP, PATH_FILE, program}
        # Several names of one file are one library to the loader, told by the first.
        assert found == {
            os.path.realpath(self.path(p)).removeprefix(str(self.root)) for p in loaded
        }
        assert INTERP in files(closure)
        return found, missing


@pytest.fixture
def tree(tmp_path: Path) -> MuslTree:
    return MuslTree(tmp_path / "tree")


def test_libc_is_the_loader_itself(tree: MuslTree) -> None:
    tree.program("/bin/p")
    assert tree.agree() == (set(), set())
    assert tree.run("/bin/p").stdout == "ran\n"


def test_defaults_in_their_order(tree: MuslTree) -> None:
    for folder in ("/lib", "/usr/local/lib", "/usr/lib"):
        tree.lib(f"{folder}/liba.so")
    for folder in ("/usr/local/lib", "/usr/lib"):
        tree.lib(f"{folder}/libb.so")
    tree.lib("/usr/lib/libc1.so")
    tree.lib("/lib64/libd.so")
    tree.program("/bin/p", "liba.so", "libb.so", "libc1.so", "libd.so")
    found, missing = tree.agree()
    assert found == {"/lib/liba.so", "/usr/local/lib/libb.so", "/usr/lib/libc1.so"}
    assert missing == {"libd.so"}


@pytest.mark.parametrize("flag", [OLD, NEW])
def test_either_path_is_inherited_and_comes_first(tree: MuslTree, flag: str) -> None:
    tree.lib("/opt/x/liba.so", "libb.so")
    tree.lib("/opt/x/libb.so")
    tree.lib("/usr/lib/liba.so")
    tree.program("/bin/p", "liba.so", flags=f"{flag}/nowhere:/opt/x")
    assert tree.agree()[0] == {"/opt/x/liba.so", "/opt/x/libb.so"}


@pytest.mark.parametrize("flag", [OLD, NEW])
def test_a_librarys_own_path_comes_before_its_loaders(tree: MuslTree, flag: str) -> None:
    tree.lib("/opt/x/liba.so", "libb.so", flags=flag + "/opt/y")
    tree.lib("/opt/x/libb.so")
    tree.lib("/opt/y/libb.so")
    tree.program("/bin/p", "liba.so", flags=flag + "/opt/x")
    assert tree.agree()[0] == {"/opt/x/liba.so", "/opt/y/libb.so"}


def test_a_path_is_not_inherited_sideways(tree: MuslTree) -> None:
    tree.lib("/opt/x/liba.so", flags=NEW + "/opt/y")
    tree.lib("/opt/y/libb.so")
    tree.program("/bin/p", "liba.so", "libb.so", flags=NEW + "/opt/x")
    assert tree.agree()[1] == {"libb.so"}


def test_the_path_file_replaces_the_defaults(tree: MuslTree) -> None:
    tree.path(PATH_FILE).write_text("/opt/a:/opt/b\n/opt/c\n")
    tree.lib("/opt/c/liba.so")
    tree.lib("/usr/lib/libb.so")
    tree.program("/bin/p", "liba.so", "libb.so")
    assert tree.agree() == ({"/opt/c/liba.so"}, {"libb.so"})


@pytest.mark.parametrize("text", ["", "\n", "\n\n/opt/a\n", ":/opt/a", "/opt/a/", "/opt/a\n\n"])
def test_odd_path_files(tree: MuslTree, text: str) -> None:
    tree.path(PATH_FILE).write_text(text)
    tree.lib("/opt/a/liba.so")
    tree.lib("/lib/libb.so")
    tree.program("/bin/p", "liba.so", "libb.so")
    tree.agree()


def test_what_is_missing_is_missing_deep_down(tree: MuslTree) -> None:
    tree.lib("/lib/liba.so", "libb.so")
    tree.lib("/lib/libb.so", "libgone.so", "libaway.so")
    tree.program("/bin/p", "liba.so")
    assert tree.agree() == ({"/lib/liba.so", "/lib/libb.so"}, {"libgone.so", "libaway.so"})


def test_links_and_names_that_libc_serves(tree: MuslTree) -> None:
    tree.lib("/opt/real/liba.so.1.2")
    tree.path("/usr/lib/liba.so.1").symlink_to("../../opt/real/liba.so.1.2")
    tree.program("/bin/p", "liba.so.1", "libpthread.so.0", "libdl.so.2", "librt.so.1")
    assert tree.agree() == ({"/opt/real/liba.so.1.2"}, set())
    assert tree.run("/bin/p").stdout == "ran\n"


@pytest.mark.parametrize(
    "path", ["$ORIGIN/../x", "${ORIGIN}/../x", "/nowhere:$ORIGIN/../x", "/opt/$LIB:/opt/x"]
)
def test_tokens(tree: MuslTree, path: str) -> None:
    tree.lib("/opt/x/liba.so")
    tree.program("/opt/bin/p", "liba.so", flags=NEW + path)
    missing = {"liba.so"} if "$LIB" in path else set()
    assert tree.agree("/opt/bin/p")[1] == missing


def test_a_static_program_needs_nothing(tree: MuslTree) -> None:
    tree.program("/bin/p", flags="-static")
    closure = ElfCloser(Sysroot(tree.root)).close(seeds("/bin/p"))
    assert (files(closure), closure.missing) == ({"/bin/p"}, ())
    assert tree.run("/bin/p").stdout == "ran\n"
