"""Where a dynamic loader looks for libraries: the rules of glibc's ld.so and of musl's.

A `Loader` is found once for each PT_INTERP and holds what does not depend on the program;
`library_dirs` adds what the requesting object and its own loaders say (RPATH, RUNPATH).
Sources: ld.so(8); glibc's elf/dl-load.c; musl's ldso/dynlink.c (load_library).
"""

from __future__ import annotations

import os
import re

from srbuild.formats.elf import ElfInfo
from srbuild.formats.ldconf import Include, LibraryDir, parse_ld_so_conf, parse_musl_path
from srbuild.frozen import frozen, mutable
from srbuild.host.sysroot import Sysroot
from srbuild.paths import SysrootPath, sysroot_path


@frozen
class Abi:
    """What must be equal in all objects of one process: class, byte order, e_machine."""

    bits: int
    endian: str
    machine: int

    def __str__(self) -> str:
        return f"{_MACHINES.get(self.machine, f'machine {self.machine}')}, {self.bits} bit"


@frozen
class Loader:
    """One dynamic loader's rules in one sysroot.

    `conf_dirs` come from ld.so.conf and are reached through /etc/ld.so.cache only; they may
    name default ones too, which then come in this order. `default_dirs` are built in (for
    musl: from its path file, if there is one).
    `lib` and `platform` stand for $LIB and $PLATFORM. `config` are files that the loader
    itself reads when a program starts.
    """

    abi: Abi
    is_musl: bool
    conf_dirs: tuple[str, ...]
    default_dirs: tuple[str, ...]
    lib: str
    platform: str
    config: tuple[SysrootPath, ...] = ()


_MACHINES = {
    3: "i386",
    8: "MIPS",
    20: "PowerPC",
    21: "PowerPC64",
    22: "S/390",
    40: "ARM",
    62: "x86-64",
    183: "AArch64",
    243: "RISC-V",
    258: "LoongArch",
}
# Machines whose programs one kernel can run side by side.
_FAMILIES = {62: 3, 183: 40, 21: 20}
# AT_PLATFORM as the kernel gives it, where it does not depend on the processor's model.
_PLATFORMS = {62: "x86_64", 3: "i686", 183: "aarch64", 243: "riscv64"}
_TRIPLETS = {
    (3, 32): "i386-linux-gnu",
    (62, 64): "x86_64-linux-gnu",
    (62, 32): "x86_64-linux-gnux32",
    (183, 64): "aarch64-linux-gnu",
    (40, 32): "arm-linux-gnueabihf",
    (21, 64): "powerpc64le-linux-gnu",
    (22, 64): "s390x-linux-gnu",
    (243, 64): "riscv64-linux-gnu",
    (258, 64): "loongarch64-linux-gnu",
}
_MUSL_NAME = re.compile(r"ld-musl-([^/]+)\.so\.1$")
# The loader keeps its directories as one run of strings: "/lib/x\0/usr/lib/x\0/lib/\0…".
_BUILT_IN = re.compile(rb"/lib[\w.+-]*/(?:[\w.+-]+/)?\0")
_TOKEN = re.compile(r"\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)(?![A-Za-z0-9_]))")


def abi_of(info: ElfInfo) -> Abi:
    """The ABI of an ELF file."""
    return Abi(info.bits, info.endian, info.machine)


def runs_beside(one: Abi, other: Abi) -> bool:
    """Whether one kernel can run programs of both ABIs (i386 on x86-64, say)."""
    families = {_FAMILIES.get(abi.machine, abi.machine) for abi in (one, other)}
    return len(families) == 1 and one.endian == other.endian


def find_loader(sysroot: Sysroot, interp: str | None, abi: Abi) -> Loader:
    """The rules of the loader at `interp`; of the sysroot's usual one for None."""
    name = _MUSL_NAME.search(interp or "") or _musl_of(sysroot, interp)
    if name:
        return _musl_loader(sysroot, name[0] if interp is None else interp, name[1], abi)
    dirs = _built_in_dirs(sysroot, interp) if interp else ()
    if not dirs:
        dirs = _usual_dirs(sysroot, abi)
    platform = _PLATFORMS.get(abi.machine, "")
    return Loader(abi, False, _conf_dirs(sysroot), dirs, dirs[0].lstrip("/"), platform)


def _musl_of(sysroot: Sysroot, interp: str | None) -> re.Match[str] | None:
    """The sysroot's musl loader, when no program has named one and glibc isn't there."""
    if interp is not None or sysroot.glob("/lib*/ld-linux*.so.*"):
        return None
    if not (found := sysroot.glob("/lib/ld-musl-*.so.1")):
        return None
    return _MUSL_NAME.search(found[0])


def _musl_loader(sysroot: Sysroot, interp: str, arch: str, abi: Abi) -> Loader:
    prefix = interp.rpartition("/")[0].rpartition("/")[0]
    path = sysroot_path(f"{prefix}/etc/ld-musl-{arch}.path")
    if sysroot.is_file(path):
        return Loader(abi, True, (), parse_musl_path(sysroot.read_text(path)), "", "", (path,))
    return Loader(abi, True, (), ("/lib", "/usr/local/lib", "/usr/lib"), "", "")


def _built_in_dirs(sysroot: Sysroot, interp: str) -> tuple[str, ...]:
    """The default directories as the loader's own file lists them; empty when it has none."""
    path = sysroot_path(interp)
    if not sysroot.is_file(path):
        return ()
    data = sysroot.read(path)
    runs: list[list[bytes]] = [[]]
    end = -1
    for match in _BUILT_IN.finditer(data):
        start = data.rfind(b"\0", 0, match.start()) + 1
        if start != end:
            runs.append([])
        end = match.end()
        runs[-1].append(data[start : end - 1])
    texts = [os.fsdecode(text) for text in max(runs, key=len)]
    return tuple(dict.fromkeys(text.rstrip("/") for text in texts if text.startswith("/")))


def _usual_dirs(sysroot: Sysroot, abi: Abi) -> tuple[str, ...]:
    triplet = _TRIPLETS.get((abi.machine, abi.bits))
    multiarch = (f"/lib/{triplet}", f"/usr/lib/{triplet}") if triplet else ()
    if not any(sysroot.exists(SysrootPath(path)) for path in multiarch):
        multiarch = ()
    wide = ("/lib64", "/usr/lib64") if abi.bits == 64 else ()
    return (*multiarch, *wide, "/lib", "/usr/lib")


def _conf_dirs(sysroot: Sysroot) -> tuple[str, ...]:
    """The directories of /etc/ld.so.conf and of what it includes, in order, each once."""
    found: dict[str, None] = {}
    seen: set[SysrootPath] = set()
    todo: list[LibraryDir | SysrootPath] = [SysrootPath("/etc/ld.so.conf")]
    while todo:
        item = todo.pop()
        if isinstance(item, LibraryDir):
            found[item.path] = None
        elif item not in seen and sysroot.is_file(item):
            seen.add(item)
            below: list[LibraryDir | SysrootPath] = []
            for line in parse_ld_so_conf(sysroot.read_text(item), item.rpartition("/")[0] or "/"):
                below += sysroot.glob(line.pattern) if isinstance(line, Include) else [line]
            todo += reversed(below)
    return tuple(found)


def expand(text: str, origin: str, loader: Loader) -> str | None:
    """`text` with $ORIGIN, $LIB and $PLATFORM replaced; None when the loader refuses it.

    musl knows $ORIGIN alone and ignores a path that holds any other token.
    """
    if "$" not in text:
        return text
    values = {"ORIGIN": origin, "LIB": loader.lib, "PLATFORM": loader.platform}
    if loader.is_musl:
        expanded = re.sub(r"\$(?:ORIGIN|\{ORIGIN\})", lambda _: origin, text)
        return None if "$" in expanded.replace(origin, "") else expanded
    return _TOKEN.sub(lambda match: values[match[1] or match[2]], text)


def path_list(text: str | None, origin: str, loader: Loader) -> tuple[str, ...]:
    """The directories of an RPATH or RUNPATH.

    Elements that depend on the working directory (empty or relative ones) are left out:
    what they lead to cannot be known when the image is made.
    """
    if not text:
        return ()
    expanded = expand(text, origin, loader) if loader.is_musl else text
    if expanded is None:
        return ()
    parts = (expand(part, origin, loader) or "" for part in expanded.split(":"))
    return tuple(part.rstrip("/") or "/" for part in parts if part.startswith("/"))


@mutable
class Mapped:
    """An object in the link map of one program, and who loaded it.

    `origin` is its $ORIGIN: the directory of the path that it was opened by. `inherited`
    are the RPATH directories that it passes on to what it loads: its own, its loader's, …
    """

    path: SysrootPath
    info: ElfInfo
    origin: str
    own: tuple[str, ...]
    inherited: tuple[str, ...]


def mapped(
    path: SysrootPath, asked: str, info: ElfInfo, parent: Mapped | None, loader: Loader
) -> Mapped:
    """The object at `path`, opened by the name `asked` on the wish of `parent`."""
    origin = asked.rpartition("/")[0] or "/"
    above = parent.inherited if parent else ()
    runpath = path_list(info.runpath, origin, loader)
    if loader.is_musl:
        own = runpath if info.runpath is not None else path_list(info.rpath, origin, loader)
        return Mapped(path, info, origin, (*own, *above), (*own, *above))
    # "If both RUNPATH and RPATH are given, the latter is ignored", and an object with a
    # RUNPATH uses no inherited RPATH either, but still passes its loaders' on.
    if info.runpath is not None:
        return Mapped(path, info, origin, runpath, above)
    rpath = path_list(info.rpath, origin, loader)
    return Mapped(path, info, origin, (*rpath, *above), (*rpath, *above))


def library_dirs(name: str, wanted_by: Mapped, loader: Loader) -> tuple[tuple[str, ...], ...]:
    """The directories to search for `name`: (RPATH or RUNPATH, ld.so.conf, defaults)."""
    # ldconfig takes up such names only (_dl_is_dso in glibc's elf/dl-is_dso.h).
    cached = name.startswith(("lib", "ld-")) and ".so" in name
    conf = loader.conf_dirs if cached else ()
    if wanted_by.info.nodeflib and not loader.is_musl:
        return (wanted_by.own, tuple(d for d in conf if d not in loader.default_dirs), ())
    return (wanted_by.own, conf, loader.default_dirs)
