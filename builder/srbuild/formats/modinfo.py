"""What a kernel module says of itself: the `.modinfo` section of its ELF file.

The section holds `key=value` strings, each ended by NUL (include/linux/moduleparam.h,
`__MODULE_INFO`). It is found through the section headers (ELF gABI, "Sections"), for both
classes and both byte orders; only the headers, the section names and the section are read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeAlias

from srbuild.frozen import frozen

MAX_MODINFO = 16 << 20  # bytes; the largest of Linux 6.1 (amdgpu) has 40 KiB
MAX_SECTIONS = 1 << 20

Read: TypeAlias = Callable[[int, int], bytes]
"""Reads (offset, length) of a file; fewer bytes at its end, as pread(2) does."""

_SHT_NOBITS = 8
_SHN_XINDEX = 0xFFFF


class ModinfoError(ValueError):
    """The bytes are no kernel module, or a damaged one."""


@frozen
class Softdep:
    """One soft dependency: kmods to load before (`pre`) and after (`post`).

    `other` are words before any `pre:` or `post:`: modprobe ignores them, but their authors
    wanted these kmods at hand (cifs of Linux 6.1 names its ciphers so).
    """

    pre: tuple[str, ...] = ()
    post: tuple[str, ...] = ()
    other: tuple[str, ...] = ()


@frozen
class ModInfo:
    """The fields of `.modinfo` that matter to an image, in the order they are written.

    `softdeps` and `weakdeps` are unchanged values (`pre: a b post: c`, `a b`); `softdep_pre`,
    `weakdep` and so on are the names in them.
    Names and aliases are as written, not normalised.
    """

    name: str = ""
    vermagic: str = ""
    depends: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()
    softdeps: tuple[str, ...] = ()
    weakdeps: tuple[str, ...] = ()

    @property
    def softdep_pre(self) -> tuple[str, ...]:
        """The names of all `pre:` soft dependencies."""
        return tuple(name for text in self.softdeps for name in split_softdep(text).pre)

    @property
    def softdep_post(self) -> tuple[str, ...]:
        """The names of all `post:` soft dependencies."""
        return tuple(name for text in self.softdeps for name in split_softdep(text).post)

    @property
    def softdep_other(self) -> tuple[str, ...]:
        """The names of soft dependencies that are neither `pre:` nor `post:`."""
        return tuple(name for text in self.softdeps for name in split_softdep(text).other)

    @property
    def weakdep(self) -> tuple[str, ...]:
        """The names of all weak dependencies."""
        return tuple(name for text in self.weakdeps for name in text.split())


@frozen
class _Section:
    name: int  # offset in the section name table
    kind: int
    offset: int
    size: int
    link: int


@frozen
class _Layout:
    """Where an ELF class keeps the fields that lead to a section; offsets in bytes."""

    header: str  # e_shoff, e_shentsize, e_shnum, e_shstrndx
    section: str  # sh_name, sh_type, sh_offset, sh_size, sh_link


_LAYOUTS = {
    1: _Layout("32xI10xHHH", "II8xIII12x"),
    2: _Layout("40xQ10xHHH", "II16xQQI20x"),
}
_ORDERS = {1: "<", 2: ">"}


def split_softdep(text: str) -> Softdep:
    """Split the value of a `softdep` (modprobe.d(5)) into its names."""
    words: dict[str, list[str]] = {"pre:": [], "post:": [], "": []}
    kind = ""
    for word in text.split():
        if word in words:
            kind = word
        else:
            words[kind].append(word)
    return Softdep(tuple(words["pre:"]), tuple(words["post:"]), tuple(words[""]))


def parse_modinfo(data: bytes) -> ModInfo:
    """Read the `.modinfo` of the uncompressed kernel module `data`.

    Raises ModinfoError when it is no ELF file, is cut short or has no such section.
    """
    return read_modinfo(lambda offset, length: data[offset : offset + length], len(data))


def read_modinfo(read: Read, size: int) -> ModInfo:
    """Like `parse_modinfo`, for a file of `size` bytes of which `read` returns parts."""
    section = _find_section(read, size, b".modinfo")
    if section.size > MAX_MODINFO:
        raise ModinfoError(f".modinfo of {section.size} bytes is larger than {MAX_MODINFO}")
    return _parse_strings(_take(read, size, section.offset, section.size))


def _parse_strings(data: bytes) -> ModInfo:
    values: dict[str, list[str]] = {}
    for string in data.decode("utf-8", "surrogateescape").split("\0"):
        key, _, value = string.partition("=")
        values.setdefault(key, []).append(value)
    return ModInfo(
        name=values.get("name", [""])[0],
        vermagic=values.get("vermagic", [""])[0],
        depends=tuple(name for text in values.get("depends", []) for name in _names(text)),
        aliases=tuple(values.get("alias", [])),
        firmware=tuple(values.get("firmware", [])),
        softdeps=tuple(values.get("softdep", [])),
        weakdeps=tuple(values.get("weakdep", [])),
    )


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _find_section(read: Read, size: int, name: bytes) -> _Section:
    ident = read(0, 16)
    if ident[:4] != b"\x7fELF" or len(ident) < 16:
        raise ModinfoError("not an ELF file")
    layout, order = _LAYOUTS.get(ident[4]), _ORDERS.get(ident[5])
    if layout is None or order is None:
        raise ModinfoError(f"unknown ELF class {ident[4]} or byte order {ident[5]}")
    header = struct.Struct(order + layout.header)
    offset, entry_size, count, names_index = header.unpack(_take(read, size, 0, header.size))
    entry = struct.Struct(order + layout.section)
    if entry_size != entry.size or not offset:
        raise ModinfoError(f"no section headers, or of {entry_size} bytes each")
    if count == 0:
        # More than 0xff00 sections: the first header holds the real numbers.
        first = _Section(*entry.unpack(_take(read, size, offset, entry.size)))
        count = first.size
        names_index = first.link if names_index == _SHN_XINDEX else names_index
    if count > MAX_SECTIONS or names_index >= count:
        raise ModinfoError(f"{count} sections with their names in section {names_index}")
    table = _take(read, size, offset, count * entry.size)
    at = _Section(*entry.unpack_from(table, names_index * entry.size))
    names = _take(read, size, at.offset, at.size)
    for values in entry.iter_unpack(table):
        start, kind = values[:2]
        if kind != _SHT_NOBITS and names[start : start + len(name) + 1] == name + b"\0":
            return _Section(*values)
    raise ModinfoError(f"no {name.decode()} section")


def _take(read: Read, size: int, offset: int, length: int) -> bytes:
    """Exactly `length` bytes at `offset` of a file of `size` bytes."""
    if offset + length > size:
        raise ModinfoError(
            f"cut short: {length} bytes wanted at offset {offset}, the file has {size}"
        )
    data = read(offset, length)
    if len(data) != length:
        raise ModinfoError(f"cut short while reading: {length} bytes at offset {offset}")
    return data
