"""Writing /etc/ld.so.cache, so that libraries outside the default directories are found.

glibc's loader never reads ld.so.conf: only what ldconfig wrote into this file. The format is
the newer one alone ("glibc-ld.so.cache1.1", glibc ≥ 2.2), with the extension that names
glibc-hwcaps levels (glibc ≥ 2.33; older loaders pass over the entries that use it).

Source: glibc's sysdeps/generic/dl-cache.h, elf/cache.c (sort order) and ldconfig.h (flags).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from struct import Struct

from srbuild.formats.elf import ElfInfo
from srbuild.frozen import frozen

_MAGIC = b"glibc-ld.so.cache1.1"
_HEADERS = {"little": Struct("<20sIIB3xI12x"), "big": Struct(">20sIIB3xI12x")}
_ENTRIES = {"little": Struct("<iIIIQ"), "big": Struct(">iIIIQ")}
_ENDIAN_MARK = {"little": 2, "big": 3}  # cache_file_new_flags_endian_*

_EXTENSION_MAGIC = 0xEAA42174  # cache_extension_magic
_TAG_HWCAPS = 1  # cache_extension_tag_glibc_hwcaps: offsets of the levels' names, sorted
_BY_LEVEL = 1 << 62  # DL_CACHE_HWCAP_EXTENSION: the low half of hwcap is a level's index

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


@frozen
class CacheEntry:
    """A library: the name that programs ask for, its absolute path, its FLAG_* bits.

    `level` is the glibc-hwcaps level that it is for, empty for every processor.
    """

    name: str
    path: str
    flags: int
    level: str = ""

    def __lt__(self, other: CacheEntry) -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple[str, str, int, str]:
        return self.name, self.path, self.flags, self.level


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
    written sorted by path, so a caller that needs an order gives one of them only. Those with
    a level come first: the loader stops at the first entry without one.
    """
    ordered = sorted(set(entries), key=lambda entry: (not entry.level, entry))
    levels = sorted({entry.level for entry in ordered if entry.level}, key=os.fsencode)
    ordered.sort(key=lambda entry: _version_key(entry.name), reverse=True)
    strings = bytearray()
    header, record = _HEADERS[endian], _ENTRIES[endian]
    base = header.size + record.size * len(ordered)
    places: dict[str, int] = {}
    records = bytearray()
    for text in (*levels, *(text for entry in ordered for text in (entry.name, entry.path))):
        if text not in places:
            places[text] = base + len(strings)
            strings += os.fsencode(text) + b"\0"
    for entry in ordered:
        hwcap = _BY_LEVEL | levels.index(entry.level) if entry.level else 0
        records += record.pack(entry.flags, places[entry.name], places[entry.path], 0, hwcap)
    at = 0
    extension = b""
    if levels:
        strings += bytes(-(base + len(strings)) % 4)
        at = base + len(strings)
        words = [_EXTENSION_MAGIC, 1, _TAG_HWCAPS, 0, at + 24, 4 * len(levels)]
        words += [places[level] for level in levels]
        extension = Struct(f"{'<' if endian == 'little' else '>'}{len(words)}I").pack(*words)
    head = header.pack(_MAGIC, len(ordered), len(strings), _ENDIAN_MARK[endian], at)
    return head + bytes(records) + bytes(strings) + extension


def _version_key(name: str) -> tuple[tuple[int, int], ...]:
    """Sorts as _dl_cache_libcmp compares: runs of digits by value, and after any other byte."""
    runs = re.findall(rb"[0-9]+|[^0-9]", os.fsencode(name), re.DOTALL)
    return tuple((1, int(run)) if run.isdigit() else (0, run[0]) for run in runs)
