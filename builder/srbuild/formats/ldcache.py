"""Writing /etc/ld.so.cache, so that libraries outside the default directories are found.

glibc's loader never reads ld.so.conf: only what ldconfig wrote into this file. The format is
the newer one alone ("glibc-ld.so.cache1.1", glibc ≥ 2.2), without the hwcaps extension.

Source: glibc's sysdeps/generic/dl-cache.h, elf/cache.c (sort order) and ldconfig.h (flags).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct

from srbuild.formats.elf import ElfInfo

_MAGIC = b"glibc-ld.so.cache1.1"
_HEADERS = {"little": Struct("<20sIIB3xI12x"), "big": Struct(">20sIIB3xI12x")}
_ENTRIES = {"little": Struct("<iIIIQ"), "big": Struct(">iIIIQ")}
_ENDIAN_MARK = {"little": 2, "big": 3}  # cache_file_new_flags_endian_*

_LIBC6 = 0x0003  # FLAG_ELF_LIBC6
# (e_machine, bits) → the FLAG_* bits that the machine's loader asks for.
_ABI_FLAGS = {
    (3, 32): 0x0000,  # EM_386
    (62, 64): 0x0300,  # EM_X86_64: FLAG_X8664_LIB64
    (62, 32): 0x0800,  # EM_X86_64: FLAG_X8664_LIBX32
    (22, 64): 0x0400,  # EM_S390: FLAG_S390_LIB64
    (22, 32): 0x0000,
    (21, 64): 0x0500,  # EM_PPC64: FLAG_POWERPC_LIB64
    (20, 32): 0x0000,  # EM_PPC
    (183, 64): 0x0A00,  # EM_AARCH64: FLAG_AARCH64_LIB64
}
_EM_ARM, _EM_RISCV = 40, 243
_ARM_HARD_FLOAT = 0x400  # EF_ARM_ABI_FLOAT_HARD
_RISCV_FLOAT_ABI = {0x0: 0x0F00, 0x4: 0x1000}  # EF_RISCV_FLOAT_ABI soft, double


@dataclass(frozen=True, slots=True, order=True)
class CacheEntry:
    """A library: the name that programs ask for, its absolute path, its FLAG_* bits."""

    name: str
    path: str
    flags: int


def cache_flags(info: ElfInfo) -> int:
    """The cache's FLAG_* bits for a library; ValueError for an ABI not known here."""
    if info.machine == _EM_ARM:
        return _LIBC6 | (0x0900 if info.flags & _ARM_HARD_FLOAT else 0x0B00)
    if info.machine == _EM_RISCV and info.bits == 64:
        abi = _RISCV_FLOAT_ABI.get(info.flags & 0x6)
    else:
        abi = _ABI_FLAGS.get((info.machine, info.bits))
    if abi is None:
        raise ValueError(f"no ld.so.cache flags known for machine {info.machine}, {info.bits} bit")
    return _LIBC6 | abi


def build_ldcache(entries: Iterable[CacheEntry], endian: str = "little") -> bytes:
    """The bytes of an /etc/ld.so.cache with `entries`, the same for the same set of them.

    The loader takes the first of several entries with the same name and flags; they are
    written sorted by path, so a caller that needs an order gives one of them only.
    """
    ordered = sorted(set(entries))
    ordered.sort(key=lambda entry: _version_key(entry.name), reverse=True)
    strings = bytearray()
    header, record = _HEADERS[endian], _ENTRIES[endian]
    base = header.size + record.size * len(ordered)
    places: dict[str, int] = {}
    records = bytearray()
    for entry in ordered:
        for text in (entry.name, entry.path):
            if text not in places:
                places[text] = base + len(strings)
                strings += os.fsencode(text) + b"\0"
        records += record.pack(entry.flags, places[entry.name], places[entry.path], 0, 0)
    head = header.pack(_MAGIC, len(ordered), len(strings), _ENDIAN_MARK[endian], 0)
    return head + bytes(records) + bytes(strings)


def _version_key(name: str) -> tuple[tuple[int, int], ...]:
    """Sorts as _dl_cache_libcmp compares: runs of digits by value, and after any other byte."""
    runs = re.findall(rb"[0-9]+|[^0-9]", os.fsencode(name), re.DOTALL)
    return tuple((1, int(run)) if run.isdigit() else (0, run[0]) for run in runs)
