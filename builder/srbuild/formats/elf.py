"""What a loader reads in an ELF file: the few facts that the closure stands on.

Everything comes from segments (PT_DYNAMIC, PT_INTERP, PT_NOTE), as the kernel and ld.so see
the file; sections may be stripped or wrong and are never looked at. Little-endian ELF64 is
read here with a few `pread` calls; every other class goes through pyelftools.

Sources: elf(5), the gABI's chapters 4 and 5, and for `.note.dlopen` the UAPI group's
"ELF dlopen() metadata" specification.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from itertools import islice
from struct import Struct
from typing import BinaryIO, TypeAlias

from srbuild.frozen import frozen

ElfData: TypeAlias = bytes | bytearray | memoryview | mmap.mmap | BinaryIO

ET_EXEC, ET_DYN = 2, 3
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE = 1, 2, 3, 4
DT_NULL, DT_NEEDED, DT_STRTAB, DT_STRSZ, DT_SONAME, DT_RPATH, DT_RUNPATH = 0, 1, 5, 10, 14, 15, 29
DT_FLAGS_1 = 0x6FFFFFFB
DF_1_NODEFLIB = 0x800
DF_1_PIE = 0x08000000
NT_FDO_DLOPEN = 0x407C0C0A
PRIORITIES = ("required", "recommended", "suggested")

# Calls for which glibc opens libgcc_s, and ends of names that tell of them in fewer searches.
UNWINDING = ("pthread_cancel", "pthread_exit", "thrd_exit", "backtrace")
_UNWINDING_ENDS = (b"pthread_cancel\0", b"d_exit\0", b"backtrace\0")

_MAGIC = b"\x7fELF"
_EHDR64 = Struct("<16xHHIQQQIHHHHHH")
_PHDR64 = Struct("<IIQQQQQQ")
_DYN64 = Struct("<QQ")
_HEAD = 4096  # one page holds the headers, PT_INTERP and the notes of nearly every file
_MAX_PART = 1 << 20  # bytes; real dynamic and note segments are a few hundred
_MAX_STRING = 4096  # PATH_MAX: no longer name could be opened
_MAX_STRTAB = 1 << 24  # bytes that are searched for names of calls
_MAX_NEEDED = 1 << 12  # libraries that one file names; Chromium's largest names 60
_WHOLE_STRTAB = 1 << 16  # bytes; a larger string table is read around its strings only


class ElfFormatError(ValueError):
    """An ELF file is truncated or contradicts itself; the text is one clear clause."""


@frozen
class DlopenNote:
    """One optional dependency that a program declares in `.note.dlopen`.

    The first of `sonames` that can be loaded is used. `priority` is one of `PRIORITIES`.
    """

    sonames: tuple[str, ...]
    priority: str = "recommended"
    feature: str = ""


@frozen
class ElfInfo:
    """The loader's facts about one ELF file; plain tuples, strings and numbers.

    `machine`, `type`, `flags` are e_machine, e_type and e_flags, `flags_1` is DT_FLAGS_1.
    `calls` are those of UNWINDING that its dynamic string table holds, which lies in the file
    at `strings` (offset, size).
    Paths are as written, without any substitution; foreign bytes are surrogate escapes.
    """

    bits: int
    endian: str
    machine: int
    type: int
    flags: int = 0
    soname: str | None = None
    needed: tuple[str, ...] = ()
    rpath: str | None = None
    runpath: str | None = None
    interp: str | None = None
    flags_1: int = 0
    is_dynamic: bool = False
    calls: tuple[str, ...] = ()
    strings: tuple[int, int] = (0, 0)
    dlopen: tuple[DlopenNote, ...] = ()

    @property
    def nodeflib(self) -> bool:
        """Whether the default library directories are closed to it (ld -z nodefaultlib)."""
        return bool(self.flags_1 & DF_1_NODEFLIB)

    @property
    def is_static_pie(self) -> bool:
        """Whether it is a position-independent executable that needs no loader."""
        return self.type == ET_DYN and self.interp is None and bool(self.flags_1 & DF_1_PIE)

    @property
    def is_static(self) -> bool:
        """Whether it is an executable that the kernel starts without a loader."""
        return self.is_static_pie or (self.type == ET_EXEC and self.interp is None)


_Reader: TypeAlias = Callable[[int, int], bytes]


@frozen
class _Segment:
    """A program header: its type, where it lies in the file and where in memory."""

    type: int
    offset: int
    vaddr: int
    size: int
    align: int


def read_elf(data: ElfData) -> ElfInfo | None:
    """The facts of the ELF file in `data`; None when it is no ELF file.

    `data` holds the whole file, or is a file open for reading in binary. A file with a
    descriptor is read by `pread`, where needed only; its position does not matter.
    Raises ElfFormatError when the file is truncated or corrupt, OSError when reading fails.
    """
    read = _reader(data)
    head = read(0, 16)
    if head[:4] != _MAGIC:
        return None
    if len(head) < 16:
        raise ElfFormatError("it ends inside its ELF identification")
    if head[4:6] == b"\x02\x01":
        return _read_elf64le(read)
    return _read_any(data, little=head[5] != 2)


def _reader(data: ElfData) -> _Reader:
    """A function (offset, size) → bytes, fewer than `size` past the end."""
    if isinstance(data, bytes | bytearray | memoryview | mmap.mmap):
        buffer = data
        return lambda offset, size: bytes(buffer[offset : offset + size])
    try:
        descriptor = data.fileno()
    except OSError:  # an in-memory file (io.UnsupportedOperation)
        whole = _whole(data)
        return lambda offset, size: whole[offset : offset + size]
    head = os.pread(descriptor, _HEAD, 0)

    def read(offset: int, size: int) -> bytes:
        if offset + size <= len(head) or len(head) < _HEAD:
            return head[offset : offset + size]
        return os.pread(descriptor, size, offset)

    return read


def _whole(data: ElfData) -> bytes:
    if isinstance(data, bytes | bytearray | memoryview | mmap.mmap):
        return bytes(data)
    data.seek(0)
    return data.read()


def _part(read: _Reader, offset: int, size: int, what: str) -> bytes:
    """Exactly `size` bytes; ElfFormatError, naming `what`, when they are not all there."""
    if size > _MAX_PART:
        raise ElfFormatError(f"its {what} claims {size} bytes, more than any real one")
    part = read(offset, size) if offset < 1 << 62 else b""
    if len(part) != size:
        raise ElfFormatError(f"its {what} lies beyond its end: it is truncated or corrupt")
    return part


def _read_elf64le(read: _Reader) -> ElfInfo:
    header = _EHDR64.unpack(_part(read, 0, _EHDR64.size, "ELF header"))
    kind, machine, _, _, phoff, _, flags, _, phentsize, phnum, _, _, _ = header
    if kind not in (ET_EXEC, ET_DYN) or phnum == 0:
        return ElfInfo(64, "little", machine, kind, flags)
    if phentsize != _PHDR64.size:
        raise ElfFormatError(f"its program headers have {phentsize} bytes each instead of 56")
    table = _part(read, phoff, phnum * phentsize, "program header table")
    segments = [
        _Segment(p_type, offset, vaddr, size, align)
        for p_type, _, offset, vaddr, _, size, _, align in _PHDR64.iter_unpack(table)
        if p_type <= PT_NOTE
    ]
    tags: list[tuple[int, int]] = []
    dynamic = next((segment for segment in segments if segment.type == PT_DYNAMIC), None)
    if dynamic:
        raw = _part(read, dynamic.offset, dynamic.size, "dynamic segment")
        tags = list(_DYN64.iter_unpack(raw[: len(raw) & ~15]))
    return _gather(read, segments, tags, ElfInfo(64, "little", machine, kind, flags))


def _read_any(data: ElfData, *, little: bool) -> ElfInfo:
    """Any class and byte order, through pyelftools.

    Its constructor trusts the section headers, so it is given a copy without any.
    """
    from elftools.common.exceptions import ELFError
    from elftools.construct import ConstructError

    image = bytearray(_whole(data))
    e_shoff, e_shnum, end = (slice(40, 48), slice(60, 64), 64)
    if image[4] != 2:
        e_shoff, e_shnum, end = (slice(32, 36), slice(48, 52), 52)
    if len(image) < end:
        raise ElfFormatError("it ends inside its ELF header")
    for field in (e_shoff, e_shnum):
        image[field] = bytes(field.stop - field.start)
    # What pyelftools 0.33 lets through for damaged input, besides its own two errors.
    damaged = (ELFError, ConstructError, ArithmeticError, AssertionError, AttributeError)
    try:
        kind, segments, tags, info = _elftools_facts(bytes(image), little=little)
    except (*damaged, LookupError, TypeError, ValueError) as error:
        raise ElfFormatError(f"its headers are corrupt: {error}") from error
    if kind not in (ET_EXEC, ET_DYN):
        return info
    return _gather(_reader(image), segments, tags, info)


def _elftools_facts(
    image: bytes, *, little: bool
) -> tuple[int, list[_Segment], list[tuple[int, int]], ElfInfo]:
    from elftools.elf import enums
    from elftools.elf.dynamic import DynamicSegment
    from elftools.elf.elffile import ELFFile

    elf = ELFFile(BytesIO(image))
    header = elf.header
    kind = _number(header["e_type"], enums.ENUM_E_TYPE)
    machine = _number(header["e_machine"], enums.ENUM_E_MACHINE)
    endian = "little" if little else "big"
    info = ElfInfo(elf.elfclass, endian, machine, kind, header["e_flags"])
    segments: list[_Segment] = []
    tags: list[tuple[int, int]] = []
    if kind not in (ET_EXEC, ET_DYN):
        return kind, segments, tags, info
    for segment in elf.iter_segments():
        p_type = _number(segment["p_type"], enums.ENUM_P_TYPE_BASE)
        size = segment["p_filesz"]
        where = (segment["p_offset"], segment["p_vaddr"], size, segment["p_align"])
        segments.append(_Segment(p_type, *where))
        if isinstance(segment, DynamicSegment) and not tags:
            if size > _MAX_PART:
                raise ElfFormatError(f"its dynamic segment claims {size} bytes")
            count = size // (elf.elfclass // 4)
            tags = [
                (_number(tag.entry["d_tag"], enums.ENUM_D_TAG), tag.entry["d_val"])
                for tag in islice(segment.iter_tags(), count)
            ]
    return kind, segments, tags, info


def _number(value: int | str, names: Mapping[str, int]) -> int:
    """The number of what pyelftools gives as a name; -1 for one machine's own names."""
    return value if isinstance(value, int) else names.get(value, -1)


def _gather(
    read: _Reader, segments: Sequence[_Segment], tags: Sequence[tuple[int, int]], bare: ElfInfo
) -> ElfInfo:
    """`bare` completed by what the segments and the dynamic tags say."""
    interp: str | None = None
    notes: list[DlopenNote] = []
    is_dynamic = False
    if sum(segment.size for segment in segments if segment.type == PT_NOTE) > _MAX_PART:
        raise ElfFormatError(f"its note segments claim more than {_MAX_PART} bytes")
    for segment in segments:
        if segment.type == PT_INTERP and interp is None:
            raw = _part(read, segment.offset, segment.size, "interpreter's name")
            interp = _string(raw, 0, "interpreter's name")
        elif segment.type == PT_NOTE:
            raw = _part(read, segment.offset, segment.size, "note segment")
            notes.extend(_dlopen_notes(raw, segment.align, bare.endian))
        elif segment.type == PT_DYNAMIC:
            is_dynamic = True
    values = _dynamic_values(tags) if is_dynamic else {}
    if len(values.get(DT_NEEDED, ())) > _MAX_NEEDED:
        raise ElfFormatError(f"it names more than {_MAX_NEEDED} libraries")
    text, calls, place = _strings(read, segments, values)
    return ElfInfo(
        bare.bits,
        bare.endian,
        bare.machine,
        bare.type,
        bare.flags,
        soname=next((text(at) for at in values.get(DT_SONAME, [])[-1:]), None),
        needed=tuple(text(at) for at in values.get(DT_NEEDED, [])),
        rpath=next((text(at) for at in values.get(DT_RPATH, [])[-1:]), None),
        runpath=next((text(at) for at in values.get(DT_RUNPATH, [])[-1:]), None),
        interp=interp,
        flags_1=values.get(DT_FLAGS_1, [0])[-1],
        is_dynamic=is_dynamic,
        calls=calls,
        strings=place,
        dlopen=tuple(notes),
    )


def _dynamic_values(tags: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    """Tag → its values in order, up to the DT_NULL that must end them."""
    values: dict[int, list[int]] = {}
    for tag, value in tags:
        if tag == DT_NULL:
            return values
        values.setdefault(tag, []).append(value)
    raise ElfFormatError("its dynamic segment has no end mark (DT_NULL)")


def _strings(
    read: _Reader, segments: Sequence[_Segment], values: dict[int, list[int]]
) -> tuple[Callable[[int], str], tuple[str, ...], tuple[int, int]]:
    """A function from an offset in the dynamic string table to the string; calls; its place."""
    what = "dynamic string table"
    if not any(tag in values for tag in (DT_NEEDED, DT_SONAME, DT_RPATH, DT_RUNPATH)):
        return lambda _: "", (), (0, 0)
    if DT_STRTAB not in values or DT_STRSZ not in values:
        raise ElfFormatError(f"it names libraries but has no {what}")
    vaddr, size = values[DT_STRTAB][-1], values[DT_STRSZ][-1]
    start = next(
        (
            vaddr - segment.vaddr + segment.offset
            for segment in segments
            if segment.type == PT_LOAD and segment.vaddr <= vaddr < segment.vaddr + segment.size
        ),
        None,
    )
    if start is None:
        raise ElfFormatError(f"its {what} is in no loaded segment")
    whole = _part(read, start, size, what) if size <= _WHOLE_STRTAB else None

    def text(offset: int) -> str:
        if offset >= size:
            raise ElfFormatError(f"it names a string beyond its {what}")
        if whole is not None:
            return _string(whole, offset, what)
        part = _part(read, start + offset, min(_MAX_STRING, size - offset), what)
        return _string(part, 0, what)

    table = read(start, min(size, _MAX_STRTAB)) if whole is None else whole
    return text, _calls(table), (start, len(table))


def _calls(table: bytes) -> tuple[str, ...]:
    """Those of UNWINDING in a string table. Linkers let a name be the end of another one."""
    if not any(end in table for end in _UNWINDING_ENDS):
        return ()
    return tuple(name for name in UNWINDING if f"{name}\0".encode() in table)


def _string(raw: bytes, offset: int, what: str) -> str:
    end = raw.find(b"\0", offset)
    if end < 0 or end - offset >= _MAX_STRING:
        raise ElfFormatError(f"its {what} holds a string without an end")
    return os.fsdecode(raw[offset:end])


def _dlopen_notes(raw: bytes, align: int, endian: str) -> Iterator[DlopenNote]:
    """The dlopen notes of one note segment; fields are padded to 4 bytes, or 8 if it is so."""
    step = 8 if align == 8 else 4
    header = Struct("<III" if endian == "little" else ">III")
    at = 0
    while at + header.size <= len(raw):
        name_size, size, kind = header.unpack_from(raw, at)
        name_end = at + header.size + name_size
        start = (name_end + step - 1) // step * step
        if start + size > len(raw):
            raise ElfFormatError("a note of it lies beyond its note segment")
        if kind == NT_FDO_DLOPEN and raw[at + header.size : name_end] == b"FDO\0":
            yield from _parse_dlopen(raw[start : start + size])
        at = (start + size + step - 1) // step * step


def _parse_dlopen(payload: bytes) -> list[DlopenNote]:
    """The entries of one note's JSON: an array of objects, or a single object."""
    try:
        value = json.loads(payload.rstrip(b"\0").decode())
    except (ValueError, RecursionError) as error:
        raise ElfFormatError(f"its .note.dlopen is no JSON text: {error}") from error
    return [_dlopen_note(item) for item in (value if isinstance(value, list) else [value])]


def _dlopen_note(item: object) -> DlopenNote:
    if not isinstance(item, dict):
        raise ElfFormatError("its .note.dlopen holds something else than objects")
    sonames = item.get("soname")
    priority, feature = item.get("priority", "recommended"), item.get("feature", "")
    named = isinstance(sonames, list) and all(
        isinstance(name, str) and name and "\0" not in name for name in sonames
    )
    if not sonames or not named or priority not in PRIORITIES or not isinstance(feature, str):
        raise ElfFormatError(f"its .note.dlopen has an invalid entry: {item}")
    return DlopenNote(tuple(sonames), priority, feature)
