"""Small root trees of real ELF files, compiled on the spot, with the machine's own loader."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

from srbuild.closure.closer import Closure, ElfCloser, Seed
from srbuild.errors import Origin
from srbuild.formats.elf import read_elf
from srbuild.host.sysroot import Sysroot
from srbuild.manifest import Reason
from srbuild.paths import MERGED_DIRS, SysrootPath, to_image

CLONE_NEWUSER = 0x10000000
ASKED = Reason("binary", Origin("test"))


class Tree:
    """A root tree under `root`; libraries and programs hold nothing but their dynamic tags."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._stubs = root.with_name(root.name + ".stubs")
        self._stubs.mkdir(parents=True)
        (self._stubs / "empty.c").write_text("void _start(void) { for (;;) ; }\n")
        self.gcc("-c", "-fPIC", "-o", str(self._stubs / "empty.o"), str(self._stubs / "empty.c"))
        with open("/bin/sh", "rb") as shell:
            info = read_elf(shell)
        assert info is not None
        assert info.interp is not None
        self.interp = info.interp
        real = Path(self.interp).resolve()
        self.file(str(real), real.read_bytes(), 0o755)
        if str(real) != self.interp:
            self.link(self.interp, str(real))
        self.loader = str(real)
        self.libdir = str(real.parent).removeprefix("/usr")

    def gcc(self, *arguments: str) -> None:
        subprocess.run(["gcc", *arguments], check=True, timeout=60)

    def path(self, path: str) -> Path:
        """The host's path of `path`, its folder made."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def file(self, path: str, data: bytes | str = b"", mode: int = 0o644) -> str:
        target = self.path(path)
        target.write_bytes(data.encode() if isinstance(data, str) else data)
        target.chmod(mode)
        return path

    def link(self, path: str, target: str) -> str:
        self.path(path).symlink_to(target)
        return path

    def lib(self, path: str, *needed: str, soname: str | None = None, flags: str = "") -> str:
        """A shared library; its soname is its file name unless given (empty for none)."""
        name = path.rpartition("/")[2] if soname is None else soname
        options = [f"-Wl,-soname,{name}"] if name else []
        return self._build(path, ["-shared", *options, *flags.split()], needed)

    def program(self, path: str, *needed: str, flags: str = "") -> str:
        options = ["-pie", f"-Wl,--dynamic-linker={self.interp}", *flags.split()]
        return self._build(path, options, needed)

    def _build(self, path: str, options: list[str], needed: tuple[str, ...]) -> str:
        stubs = [str(self._stub(name)) for name in needed]
        base = ["-nostdlib", "-Wl,--no-as-needed,--allow-shlib-undefined"]
        self.gcc(*base, *options, "-o", str(self.path(path)), str(self._stubs / "empty.o"), *stubs)
        return path

    def _stub(self, name: str) -> Path:
        """An empty library with `name` (which may hold slashes) as its soname."""
        stub = self._stubs / f"{name.replace('/', '%')}.stub"
        if not stub.exists():
            source = str(self._stubs / "empty.o")
            self.gcc("-nostdlib", "-shared", f"-Wl,-soname,{name}", "-o", str(stub), source)
        return stub

    def patch(self, path: str, offset: int, data: bytes) -> None:
        """Overwrite bytes of a file: e_machine is at 18, EI_CLASS at 4."""
        with open(self.path(path), "r+b") as file:
            file.seek(offset)
            file.write(data)

    def foreign(self, path: str, *needed: str) -> str:
        """A library for another machine (SPARC)."""
        self.lib(path, *needed)
        self.patch(path, 18, struct.pack("<H", 2))
        return path

    @property
    def sysroot(self) -> Sysroot:
        return Sysroot(self.root)

    def close(self, *paths: str) -> Closure:
        return ElfCloser(self.sysroot).close(seeds(*paths))

    def loaded(self, program: str) -> tuple[set[str], set[str]]:
        """(Real paths that the tree's own loader maps, names that it does not find)."""

        def enter() -> None:
            if os.geteuid() != 0 and ctypes.CDLL(None).unshare(CLONE_NEWUSER) != 0:
                raise OSError("no user namespace for chroot; run the tests as root")
            os.chroot(self.root)
            os.chdir("/")

        real = self.sysroot.resolve(SysrootPath(program)).path
        origin = real.rpartition("/")[0]  # in place of /proc/self/exe: there is no /proc
        done = subprocess.run(
            [program],
            env={"LD_TRACE_LOADED_OBJECTS": "1", "LD_ORIGIN_PATH": origin},
            preexec_fn=enter,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        missing = set(re.findall(r"^\t(\S+) => not found", done.stdout, re.MULTILINE))
        paths = re.findall(r"(/\S+) \(0x", done.stdout)
        assert paths or missing or "statically linked" in done.stdout, done.stderr
        return {str(self.sysroot.resolve(SysrootPath(path)).path) for path in paths}, missing

    def image(self, closure: Closure, target: Path) -> Tree:
        """A merged-/usr tree made of nothing but what the closure gave."""
        image = object.__new__(Tree)
        image.root, image.interp = target, self.interp
        for name in MERGED_DIRS:
            image.path(f"/usr/{name}").mkdir(parents=True)
            image.link(f"/{name}", f"usr/{name}")
        for found in closure.new:
            here = to_image(found.path)
            if found.kind == "link":
                image.link(here, found.target)
            elif found.kind == "dir":
                image.path(here).mkdir(exist_ok=True)
            else:
                shutil.copy(self.path(found.path), image.path(here))
        return image


def seeds(*paths: str) -> list[Seed]:
    return [Seed(SysrootPath(path), ASKED) for path in paths]


def files(closure: Closure) -> set[str]:
    return {str(found.path) for found in closure.new if found.kind == "file"}
