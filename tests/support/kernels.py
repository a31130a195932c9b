"""Small kernels for tests: kernel modules made from nothing, and trees that depmod has seen.

The modules are ELF relocatables with just what depmod and modinfo look at: `.modinfo`, the
names of exported symbols in `__ksymtab_strings`, and undefined symbols for the imported ones.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

VERSION = "6.1.0-9-test"

# The classes (in bits) and byte orders (as struct has them) of ELF.
CLASSES = [(64, "<"), (64, ">"), (32, "<"), (32, ">")]


@dataclass(frozen=True)
class FakeKmod:
    path: str
    info: Sequence[tuple[str, str]] = ()
    exports: Sequence[str] = ()
    imports: Sequence[str] = ()

    def elf(self) -> bytes:
        return kmod_elf(self.info, self.exports, self.imports)


def kmod_elf(
    info: Sequence[tuple[str, str]],
    exports: Sequence[str] = (),
    imports: Sequence[str] = (),
    bits: int = 64,
    order: str = "<",
    *,
    padding: int = 0,
    extended: bool = False,
) -> bytes:
    """A relocatable with these `.modinfo` pairs.

    `padding` bytes of text come first; `extended` numbers the sections as files with more
    than 65,279 do.
    """
    strings = b"".join(
        f"{key}={value}".encode(errors="surrogateescape") + b"\0" for key, value in info
    )
    names, offsets = b"\0", []
    for name in imports:
        offsets.append(len(names))
        names += name.encode() + b"\0"
    symbols = b"".join(_symbol(bits, order, at) for at in [0, *offsets])
    sections = [
        (b"", 0, b"", 0, 0),
        (b".text", 1, b"\x90" * padding, 0, 0),
        (b".modinfo", 1, strings, 0, 0),
        (b"__ksymtab_strings", 1, b"".join(n.encode() + b"\0" for n in exports), 0, 0),
        (b".symtab", 2, symbols, 5, len(_symbol(bits, order, 0))),
        (b".strtab", 3, names, 0, 0),
        (b".shstrtab", 3, b"", 0, 0),
    ]
    if not exports:
        sections[3] = (b".empty", 1, b"", 0, 0)
    return _link(sections, bits, order, extended=extended)


def _symbol(bits: int, order: str, name: int) -> bytes:
    info = 0x10 if name else 0  # STB_GLOBAL, undefined section
    if bits == 64:
        return struct.pack(order + "IBBHQQ", name, info, 0, 0, 0, 0)
    return struct.pack(order + "IIIBBH", name, 0, 0, info, 0, 0)


def _link(
    sections: list[tuple[bytes, int, bytes, int, int]], bits: int, order: str, *, extended: bool
) -> bytes:
    table = b"".join(name + b"\0" for name, *_ in sections)
    sections[-1] = (b".shstrtab", 3, table, 0, 0)
    wide = bits == 64
    header_size, entry_size = (64, 64) if wide else (52, 40)
    body, headers, at = b"", b"", header_size
    name_at, last = 0, len(sections) - 1
    for index, (name, kind, data, link, entsize) in enumerate(sections):
        size, section_link = len(data), link
        if extended and index == 0:
            size, section_link = len(sections), last
        layout = order + ("IIQQQQIIQQ" if wide else "10I")
        headers += struct.pack(
            layout, name_at, kind, 0, 0, at if index else 0, size, section_link, 1, 1, entsize
        )
        name_at += len(name) + 1
        body += data
        at += len(data)
    pad = b"\0" * (-at % 8)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + b"\0" * 9
    count, names = (0, 0xFFFF) if extended else (len(sections), last)
    layout = order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH")
    head = struct.pack(
        layout, 1, 62 if wide else 3, 1, 0, 0, at + len(pad), 0, header_size, 0, 0, entry_size,
        count, names,
    )  # fmt: skip
    return ident + head + body + pad + headers


def make_kernel(
    root: Path,
    kmods: Sequence[FakeKmod],
    version: str = VERSION,
    builtin: Sequence[str] = (),
    builtin_info: Sequence[str] = (),
) -> Path:
    """Write a kernel's modules directory below `root` and run depmod; returns the directory."""
    base = root / "lib/modules" / version
    for kmod in kmods:
        path = base / kmod.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(kmod.elf())
    own = [kmod.path for kmod in kmods if kmod.path.startswith("kernel/")]
    (base / "modules.order").write_text("".join(f"{path}\n" for path in own))
    (base / "modules.builtin").write_text("".join(f"{path}\n" for path in builtin))
    info = "".join(f"{line}\0" for line in builtin_info)
    (base / "modules.builtin.modinfo").write_bytes(info.encode())
    depmod(root, version)
    return base


def depmod(root: Path, version: str = VERSION) -> None:
    run("depmod", "-b", str(root), version)


def run(*command: str) -> str:
    """The output of a required tool; a failing or missing one fails the test."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
    return done.stdout
