from __future__ import annotations

import contextlib
import gzip
import lzma
from pathlib import Path

import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from srbuild.formats.kmodfile import UnpackError, split_suffix, unpack
from srbuild.formats.modinfo import (
    ModInfo,
    ModinfoError,
    Softdep,
    parse_modinfo,
    read_modinfo,
    split_softdep,
)
from support.kernels import CLASSES, kmod_elf, run

INFO = [
    ("alias", "pci:v00008086d0000100Esv*sd*bc*sc*i*"),
    ("alias", "net-pf-10"),
    ("firmware", "intel/ice.pkg"),
    ("firmware", "intel/other.bin"),
    ("softdep", "pre: crc32c aead2 post: late-one"),
    ("softdep", "gcm ccm"),
    ("weakdep", "maybe perhaps"),
    ("depends", "mii,libphy"),
    ("name", "e1000"),
    ("vermagic", "6.1.0-9-test SMP preempt mod_unload"),
    ("parm", "debug:Levels (0=none,...,16=all) (int)"),
]
EXPECTED = ModInfo(
    name="e1000",
    vermagic="6.1.0-9-test SMP preempt mod_unload",
    depends=("mii", "libphy"),
    aliases=("pci:v00008086d0000100Esv*sd*bc*sc*i*", "net-pf-10"),
    firmware=("intel/ice.pkg", "intel/other.bin"),
    softdeps=("pre: crc32c aead2 post: late-one", "gcm ccm"),
    weakdeps=("maybe perhaps",),
)
KMOD = kmod_elf(INFO)


@pytest.mark.parametrize(("bits", "order"), CLASSES)
@pytest.mark.parametrize("extended", [False, True])
def test_reads_every_class_byte_order_and_section_numbering(
    bits: int, order: str, extended: bool
) -> None:
    assert parse_modinfo(kmod_elf(INFO, bits=bits, order=order, extended=extended)) == EXPECTED


def test_names_of_soft_and_weak_dependencies() -> None:
    assert EXPECTED.softdep_pre == ("crc32c", "aead2")
    assert EXPECTED.softdep_post == ("late-one",)
    assert EXPECTED.softdep_other == ("gcm", "ccm")
    assert EXPECTED.weakdep == ("maybe", "perhaps")


@pytest.mark.parametrize(
    ("text", "softdep"),
    [
        ("", Softdep()),
        ("pre: a", Softdep(pre=("a",))),
        ("post: a pre: b post: c", Softdep(pre=("b",), post=("a", "c"))),
        ("  a\tb  pre:", Softdep(other=("a", "b"))),
        ("pre:a", Softdep(other=("pre:a",))),
        ("pre: platform:idma64", Softdep(pre=("platform:idma64",))),
    ],
)
def test_softdep_text(text: str, softdep: Softdep) -> None:
    assert split_softdep(text) == softdep


WANTED = {
    "alias": EXPECTED.aliases,
    "firmware": EXPECTED.firmware,
    "softdep": EXPECTED.softdeps,
    "weakdep": EXPECTED.weakdeps,
    "depends": (",".join(EXPECTED.depends),),
    "vermagic": (EXPECTED.vermagic,),
}


def told_by_modinfo(path: Path) -> dict[str, list[str]]:
    """Field → values as kmod's modinfo prints them.

    On a busy machine modinfo was seen to print nothing and exit with 0; then it is asked again.
    """
    for _ in range(5):
        told: dict[str, list[str]] = {}
        for line in run("modinfo", str(path)).splitlines():
            key, _, value = line.partition(":")
            told.setdefault(key, []).append(value.strip())
        if len(told) > 1:  # more than the file's name
            return told
    raise AssertionError(f"modinfo says nothing of {path}")


@pytest.mark.parametrize("bits", [32, 64])
def test_agrees_with_modinfo(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "e1000.ko"
    path.write_bytes(kmod_elf(INFO, bits=bits))
    told = told_by_modinfo(path)
    assert {key: tuple(told[key]) for key in told if key in WANTED} == WANTED


def test_agrees_with_modinfo_on_what_gcc_makes(tmp_path: Path) -> None:
    source, path = tmp_path / "real.c", tmp_path / "real.ko"
    strings = [f"{key}={value}" for key, value in INFO]
    source.write_text(
        "".join(
            f'static const char i{n}[] __attribute__((section(".modinfo"), used, aligned(1)))'
            f' = "{string}";\n'
            for n, string in enumerate(strings)
        )
        + "extern int other(void); int init_module(void) { return other(); }\n"
    )
    run("gcc", "-c", "-O1", "-ffunction-sections", "-g", "-o", str(path), str(source))
    info = parse_modinfo(path.read_bytes())
    assert sorted(info.aliases) == sorted(run("modinfo", "-F", "alias", str(path)).splitlines())
    assert sorted(info.aliases) == sorted(EXPECTED.aliases)
    assert info.name == "e1000"
    assert info.depends == EXPECTED.depends


def test_an_appended_signature_does_not_matter() -> None:
    assert parse_modinfo(KMOD + b"\x30\x82" * 300 + b"~Module signature appended~\n") == EXPECTED


def test_a_kmod_may_say_nothing() -> None:
    assert parse_modinfo(kmod_elf([])) == ModInfo()


def test_foreign_bytes_survive() -> None:
    info = parse_modinfo(kmod_elf([("alias", "caf\udce9"), ("firmware", "a=b")]))
    assert info.aliases == ("caf\udce9",)
    assert info.firmware == ("a=b",)


def test_reads_little_of_a_large_file() -> None:
    data = kmod_elf(INFO, padding=8 << 20)
    got: list[int] = []

    def read(offset: int, length: int) -> bytes:
        got.append(length)
        return data[offset : offset + length]

    assert read_modinfo(read, len(data)) == EXPECTED
    assert sum(got) < 4096
    assert len(got) <= 6


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an ELF file"),
        (b"#!/bin/sh\n" * 10, "not an ELF file"),
        (KMOD[:10], "not an ELF file"),
        (KMOD[:40], "cut short"),
        (KMOD[:-1], "cut short"),
        (KMOD.replace(b".modinfo", b".modinfX"), "no .modinfo section"),
        (KMOD[:4] + b"\x03" + KMOD[5:], "unknown ELF class 3"),
        (KMOD[:5] + b"\x00" + KMOD[6:], "byte order 0"),
        (KMOD[:0x28] + b"\0" * 8 + KMOD[0x30:], "no section headers"),
        (KMOD[:0x28] + b"\xff" * 8 + KMOD[0x30:], "cut short"),
        (KMOD[:0x3A] + b"\x01\x00" + KMOD[0x3C:], "of 1 bytes each"),
        (KMOD[:0x3E] + b"\x63\x00" + KMOD[0x40:], "names in section 99"),
    ],
)
def test_what_is_no_kmod_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ModinfoError, match=message):
        parse_modinfo(data)


def test_a_file_that_shrinks_while_it_is_read_is_refused() -> None:
    with pytest.raises(ModinfoError, match="cut short while reading"):
        read_modinfo(lambda offset, length: KMOD[offset : offset + length][:16], len(KMOD))


@given(st.integers(0, len(KMOD)))
def test_cut_at_any_byte_is_refused(length: int) -> None:
    if length == len(KMOD):
        assert parse_modinfo(KMOD[:length]) == EXPECTED
    else:
        with pytest.raises(ModinfoError):
            parse_modinfo(KMOD[:length])


@settings(max_examples=300, deadline=1000)
@given(
    st.sampled_from(
        [kmod_elf(INFO, bits=b, order=o, extended=e) for b, o in CLASSES for e in (0, 1)]
    ),
    st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=8)), min_size=1),
)
@example(KMOD, [(0x3C, b"\0\0")])
def test_damage_is_an_error_or_harmless(data: bytes, changes: list[tuple[int, bytes]]) -> None:
    broken = bytearray(data)
    for place, new in changes:
        at = place % len(broken)
        broken[at : at + len(new)] = new[: len(broken) - at]
    with contextlib.suppress(ModinfoError):
        assert isinstance(parse_modinfo(bytes(broken)), ModInfo)


PACKED = {
    "xz": lzma.compress(KMOD, check=lzma.CHECK_CRC32),
    "gzip": gzip.compress(KMOD),
    "zstd": zstandard.compress(KMOD),
}


@pytest.mark.parametrize("how", PACKED)
def test_unpacks(how: str) -> None:
    assert unpack(PACKED[how], how) == KMOD
    assert unpack(PACKED[how], how, limit=len(KMOD)) == KMOD


def test_unpacks_zstd_without_its_size() -> None:
    packer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    data = packer.compress(KMOD * 500) + packer.flush()
    assert unpack(data, "zstd") == KMOD * 500


@pytest.mark.parametrize("how", PACKED)
def test_a_bomb_is_refused(how: str) -> None:
    zeros = bytes(1 << 20)
    bomb = {"xz": lzma.compress, "gzip": gzip.compress, "zstd": zstandard.compress}[how](zeros)
    with pytest.raises(UnpackError, match="more than 65536 bytes"):
        unpack(bomb, how, limit=1 << 16)


@pytest.mark.parametrize("how", PACKED)
def test_damaged_and_short_data_is_refused(how: str) -> None:
    for cut in (0, 1, 10, len(PACKED[how]) // 2, len(PACKED[how]) - 1):
        with pytest.raises(UnpackError):
            unpack(PACKED[how][:cut], how)
    with pytest.raises(UnpackError, match="damaged"):
        unpack(KMOD, how)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("a.ko", ("a.ko", "")),
        ("a.ko.xz", ("a.ko", "xz")),
        ("a.ko.zst", ("a.ko", "zstd")),
        ("a.ko.gz", ("a.ko", "gzip")),
        ("dir.xz/a", ("dir.xz/a", "")),
        ("plain", ("plain", "")),
    ],
)
def test_suffixes(name: str, split: tuple[str, str]) -> None:
    assert split_suffix(name) == split
