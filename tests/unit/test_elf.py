"""ELF facts against real files, with pyelftools as the oracle."""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment, NoteSegment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srbuild.formats import elf
from srbuild.formats.elf import DlopenNote, ElfFormatError, ElfInfo, read_elf

NOTE = """
__asm__(".pushsection .note.dlopen, \\"a\\", %note; .balign 4;"
        ".long 4; .long 2f - 1f; .long 0x407c0c0a; .asciz \\"FDO\\"; .balign 4;"
        "1: .ascii \\"{json}\\"; .byte 0; 2: .balign 4; .popsection");
"""


def compile_c(target: Path, *flags: str, source: str = "int main(void) {{ return 0; }}") -> Path:
    subprocess.run(
        ["gcc", "-x", "c", "-", "-o", str(target), *flags],
        input=source.replace("{{", "{").replace("}}", "}").encode(),
        check=True,
        timeout=60,
    )
    return target


def info_of(path: Path) -> ElfInfo:
    with path.open("rb") as file:
        info = read_elf(file)
    assert info is not None
    return info


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elf")
    return compile_c(
        folder / "libx.so",
        "-shared",
        "-fPIC",
        "-Wl,--no-as-needed,-soname,libx.so.1",
        "-Wl,--enable-new-dtags,-rpath,/opt/x:$ORIGIN",
        source=NOTE.replace("{json}", '[{\\\\\\"soname\\\\\\": [\\\\\\"liby.so.2\\\\\\"]}]')
        + "int x;",
    )


def machine_files() -> list[Path]:
    folders = [Path(p) for p in ("/bin", "/sbin", "/lib/x86_64-linux-gnu", "/usr/lib/gcc")]
    files = (p for d in folders for p in sorted(d.rglob("*")) if p.is_file())
    return [p for p in files if p.open("rb").read(4) == b"\x7fELF"]


def by_pyelftools(path: Path) -> tuple[object, ...]:
    """The same facts read by pyelftools alone, with its own names and note reader."""
    with path.open("rb") as file:
        oracle = ELFFile(file)
        found: dict[str, list[str]] = {}
        interp, notes = None, 0
        if oracle["e_type"] in ("ET_EXEC", "ET_DYN"):
            for segment in oracle.iter_segments():
                if isinstance(segment, DynamicSegment):
                    for tag in segment.iter_tags():
                        name = {"DT_RPATH": "rpath", "DT_RUNPATH": "runpath"}.get(
                            tag.entry.d_tag, tag.entry.d_tag[3:].lower()
                        )
                        if hasattr(tag, name):
                            found.setdefault(tag.entry.d_tag, []).append(getattr(tag, name))
                elif isinstance(segment, InterpSegment):
                    interp = segment.get_interp_name()
                elif isinstance(segment, NoteSegment):
                    notes += sum(n["n_type"] == 0x407C0C0A for n in segment.iter_notes())
        one = {tag: values[-1] for tag, values in found.items()}
        return (
            oracle.elfclass,
            oracle.little_endian,
            tuple(found.get("DT_NEEDED", ())),
            one.get("DT_SONAME"),
            one.get("DT_RPATH"),
            one.get("DT_RUNPATH"),
            interp,
            notes > 0,
        )


def as_oracle(info: ElfInfo) -> tuple[object, ...]:
    return (
        info.bits,
        info.endian == "little",
        info.needed,
        info.soname,
        info.rpath,
        info.runpath,
        info.interp,
        bool(info.dlopen),
    )


def test_real_files_agree_with_pyelftools() -> None:
    files = machine_files()
    assert len(files) > 100
    for path in files[:: max(1, len(files) // 150)]:
        assert as_oracle(info_of(path)) == by_pyelftools(path), path


def test_both_readers_give_the_same() -> None:
    files = machine_files()
    for path in files[:: max(1, len(files) // 60)]:
        with path.open("rb") as file:
            assert elf._read_any(file, little=True) == info_of(path), path


def test_library_facts(library: Path) -> None:
    info = info_of(library)
    assert (info.soname, info.runpath, info.rpath) == ("libx.so.1", "/opt/x:$ORIGIN", None)
    assert info.needed == ("libc.so.6",)
    assert info.is_dynamic
    assert not info.is_static
    assert info.dlopen == (DlopenNote(("liby.so.2",), "recommended", ""),)
    assert as_oracle(info) == by_pyelftools(library)


def test_every_kind_of_input_reads_the_same(library: Path) -> None:
    data = library.read_bytes()
    want = info_of(library)
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        file.seek(77)
        assert read_elf(file) == want
        assert file.tell() == 77
        assert read_elf(view) == want
    for same in (data, bytearray(data), memoryview(data), BytesIO(data)):
        assert read_elf(same) == want


def test_rpath_tag_and_nodeflib(tmp_path: Path) -> None:
    flags = ["-Wl,--disable-new-dtags,-rpath,/r", "-Wl,-z,nodefaultlib"]
    info = info_of(compile_c(tmp_path / "a", *flags))
    assert (info.rpath, info.runpath, info.nodeflib) == ("/r", None, True)
    assert info.interp
    assert not info.is_static


def test_static_and_static_pie(tmp_path: Path) -> None:
    start = "void _start(void) {{ for (;;); }}"
    flags = ["-nostdlib", "-ffreestanding"]
    static = info_of(compile_c(tmp_path / "s", "-static", "-no-pie", *flags, source=start))
    pie = info_of(compile_c(tmp_path / "p", "-static-pie", *flags, source=start))
    assert (static.is_static, static.is_static_pie) == (True, False)
    assert (pie.is_static, pie.is_static_pie) == (True, True)
    assert static.needed == pie.needed == ()


def test_sections_are_not_needed(library: Path, tmp_path: Path) -> None:
    data = bytearray(library.read_bytes())
    for wrong in (bytes(8), b"\xff" * 8):
        data[40:48] = wrong
        assert read_elf(bytes(data)) == info_of(library)
        assert elf._read_any(bytes(data), little=True) == info_of(library)


def test_relocatable_objects_have_no_loader_facts(tmp_path: Path) -> None:
    info = info_of(compile_c(tmp_path / "a.o", "-c"))
    assert (info.type, info.needed, info.is_static) == (1, (), False)


@pytest.mark.parametrize("data", [b"", b"\x7fEL", b"#!/bin/sh\n", b"MZ" + bytes(99)])
def test_other_files_are_none(data: bytes) -> None:
    assert read_elf(data) is None


def with_note(library: Path, payload: bytes) -> bytes:
    """The library with its note's JSON replaced by as many bytes."""
    data = library.read_bytes()
    old = b'[{"soname": ["liby.so.2"]}]'
    assert data.count(old) == 1
    return data.replace(old, payload.ljust(len(old)))


@pytest.mark.parametrize(
    ("payload", "notes"),
    [
        (b'{"soname":["a","b"]}', [DlopenNote(("a", "b"))]),
        (b'[{"soname":["a"]}]', [DlopenNote(("a",))]),
        (b"[]", []),
    ],
)
def test_note_payloads(library: Path, payload: bytes, notes: list[DlopenNote]) -> None:
    data = with_note(library, payload)
    for info in (read_elf(data), elf._read_any(data, little=True)):
        assert info is not None
        assert list(info.dlopen) == notes


def test_note_priority_and_feature(tmp_path: Path) -> None:
    entries = [
        '{"soname": ["libq.so.1"], "priority": "required", "feature": "q"}',
        '{"soname": ["libs.so.1"], "priority": "suggested"}',
    ]
    quoted = [entry.replace('"', '\\\\\\"') for entry in entries]
    source = "".join(NOTE.replace("{json}", text) for text in quoted) + "int x;"
    info = info_of(compile_c(tmp_path / "n.so", "-shared", "-fPIC", source=source))
    assert info.dlopen == (
        DlopenNote(("libq.so.1",), "required", "q"),
        DlopenNote(("libs.so.1",), "suggested"),
    )


@pytest.mark.parametrize(
    "payload",
    [b"{", b"7", b"[7]", b'{"soname":"a"}', b'{"soname":[]}', b"{}", b'{"soname":[1]}', b"\xff"],
)
def test_bad_notes_are_errors(library: Path, payload: bytes) -> None:
    with pytest.raises(ElfFormatError, match=r"note\.dlopen"):
        read_elf(with_note(library, payload))


def read_or_refuse(data: bytes) -> ElfInfo | None:
    try:
        return read_elf(data)
    except ElfFormatError:
        return None


def test_truncated_anywhere(library: Path) -> None:
    data = library.read_bytes()
    whole = read_elf(data)
    for size in range(64, len(data), 64):
        cut = data[:size]
        assert read_or_refuse(cut) in (None, whole)
        read_or_refuse(as_elf32(cut))
    for size in range(4, 64):
        with pytest.raises(ElfFormatError):
            read_elf(data[:size])


def as_elf32(data: bytes) -> bytes:
    return data[:4] + b"\x01" + data[5:]


@given(data=st.data())
@settings(
    max_examples=600, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_headers(library: Path, data: st.DataObject) -> None:
    image = bytearray(library.read_bytes())
    dynamic = next(iter(dynamic_offsets(bytes(image))))
    for _ in range(data.draw(st.integers(1, 6))):
        start, size = data.draw(st.sampled_from([(4, 60), (64, 56 * 9), (dynamic, 400)]))
        image[start + data.draw(st.integers(0, size - 1))] = data.draw(st.integers(0, 255))
    read_or_refuse(bytes(image))


@given(st.binary(max_size=400), st.sampled_from([b"\1\1", b"\1\2", b"\2\1", b"\2\2", b"\3\3"]))
@settings(max_examples=300, deadline=2000)
def test_random_bytes(body: bytes, ident: bytes) -> None:
    read_or_refuse(b"\x7fELF" + ident + b"\1" + bytes(9) + body)


def dynamic_offsets(data: bytes) -> Iterator[int]:
    for segment in ELFFile(BytesIO(data)).iter_segments("PT_DYNAMIC"):
        yield segment["p_offset"]


def small_elf(byte_order: str, bits: int) -> bytes:
    """A big- or little-endian shared object of either class with one needed library."""
    word = "Q" if bits == 64 else "I"
    strings = b"\0liba.so.1\0libself.so\0"
    header_size, ph_size = (64, 56) if bits == 64 else (52, 32)
    dyn_at = header_size + 2 * ph_size
    dyn = struct.pack(
        f"{byte_order}10{word}", 1, 1, 14, 11, 5, dyn_at + bits // 8 * 10, 10, len(strings), 0, 0
    )
    size = dyn_at + len(dyn) + len(strings)
    ident = b"\x7fELF" + bytes([bits // 32, 1 if byte_order == "<" else 2, 1]) + bytes(9)
    fixed = (3, 8, 1, 0, header_size, 0, 0x70, header_size, ph_size, 2, 0, 0, 0)
    header = struct.pack(f"{byte_order}HHI{word}{word}{word}IHHHHHH", *fixed)
    loads = b""
    for kind, at, length in ((1, 0, size), (2, dyn_at, len(dyn))):
        if bits == 64:
            loads += struct.pack(f"{byte_order}IIQQQQQQ", kind, 4, at, at, at, length, length, 8)
        else:
            loads += struct.pack(f"{byte_order}IIIIIIII", kind, at, at, at, length, length, 4, 4)
    return ident + header + loads + dyn + strings


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("bits", [32, 64])
def test_every_class_and_byte_order(byte_order: str, bits: int, tmp_path: Path) -> None:
    data = small_elf(byte_order, bits)
    path = tmp_path / "lib.so"
    path.write_bytes(data)
    want = ElfInfo(
        bits,
        "little" if byte_order == "<" else "big",
        8,
        3,
        0x70,
        soname="libself.so",
        needed=("liba.so.1",),
        is_dynamic=True,
        strings=(data.index(b"\0liba.so.1\0"), len(b"\0liba.so.1\0libself.so\0")),
    )
    assert read_elf(data) == want
    assert info_of(path) == want
    dump = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True)
    assert "[liba.so.1]" in dump.stdout
    for size in range(16, len(data)):
        assert read_or_refuse(data[:size]) is None


@given(
    byte_order=st.sampled_from("<>"),
    bits=st.sampled_from([32, 64]),
    changes=st.lists(st.tuples(st.integers(4, 280), st.integers(0, 255)), min_size=1, max_size=5),
)
@settings(max_examples=500, deadline=2000)
def test_damaged_small_files(byte_order: str, bits: int, changes: list[tuple[int, int]]) -> None:
    image = bytearray(small_elf(byte_order, bits))
    for at, value in changes:
        image[at % len(image)] = value
    read_or_refuse(bytes(image))


def test_foreign_bytes_survive(library: Path) -> None:
    data = library.read_bytes().replace(b"/opt/x", b"/o\xfft/x")
    info = read_elf(data)
    assert info is not None
    assert os.fsencode(info.runpath or "") == b"/o\xfft/x:$ORIGIN"
