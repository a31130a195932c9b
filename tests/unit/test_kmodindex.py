from __future__ import annotations

import fnmatch
import string
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from srbuild.formats.kmodindex import (
    Aliases,
    Dep,
    IndexedKmod,
    Indexes,
    kmod_name,
    normalise_alias,
    parse_builtin_aliases,
    parse_dep,
    parse_order,
    parse_softdep,
    parse_symbols,
    parse_weakdep,
    write_indexes,
)
from srbuild.formats.kmodtrie import IndexFormatError, write_index
from srbuild.formats.modinfo import Softdep
from support.kernels import VERSION, FakeKmod, make_kernel

ALIASES = [
    ("net-pf-10", "ipv6-like"),
    ("crypto-crc32c", "crc32c_generic"),
    ("crypto-crc32c", "crc32c-intel"),
    ("crc32c", "crc32c-intel"),
    ("pci:v00008086d0000100Esv*sd*bc*sc*i*", "e1000"),
    ("pci:v00008086d*sv*sd*bc02sc*i*", "any-intel"),
    ("cpu:type:x86,ven*fam*mod*:feature:*00[8-9]B*", "crc32c-intel"),
    ("char-major-10-*", "misc"),
    ("usb:v1[0-2a-c]p-x*", "odd-usb"),
    ("broken[", "misc"),
    ("platform:idma64", "idma64"),
]


def kernel_of(root: Path, aliases: list[tuple[str, str]]) -> Path:
    names = dict.fromkeys(name for _, name in aliases)
    return make_kernel(
        root,
        [
            FakeKmod(f"kernel/{n}.ko", [("alias", alias) for alias, who in aliases if who == n])
            for n in names
        ],
    )


@pytest.mark.parametrize(
    "wanted",
    [
        "net-pf-10",
        "net_pf_10",
        "crypto-crc32c",
        "crypto_crc32c",
        "crc32c",
        "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00",
        "pci:v00008086d0000FFFFsv00001AF4sd00001100bc02sc00i00",
        "pci:v00001234d0000FFFFsv00001AF4sd00001100bc02sc00i00",
        "cpu:type:x86,ven0000fam0006mod003A:feature:,0000,008B,0094",
        "cpu:type:x86,ven0000fam0006mod003A:feature:,0000,007B,0094",
        "char-major-10-99",
        "usb:v1bp-xyz",
        "usb:v1bp_xyz",
        "usb:v13p-xyz",
        "broken[",
        "platform:idma64",
        "platform:idma6",
        "no-such-alias",
    ],
)
def test_alias_lookups_agree_with_modprobe(tmp_path: Path, wanted: str) -> None:
    base = kernel_of(tmp_path, ALIASES)
    aliases = Aliases((base / "modules.alias").read_text())
    command = ("modprobe", "-d", str(tmp_path), "-S", VERSION, "-R", wanted)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 or "not found" in done.stderr or "Invalid" in done.stderr
    assert sorted(aliases.find(wanted)) == sorted(done.stdout.split())


def test_an_alias_of_several_kmods_names_each_once() -> None:
    text = "alias a b\nalias a c\nalias a b\nalias [a] b\nalias a* c\n"
    assert Aliases(text).find("a") == ("b", "c")
    assert Aliases("").find("a") == ()
    assert Aliases("alias a b").find("a") == ("b",)


@pytest.mark.parametrize(
    ("alias", "normal"),
    [
        ("a-b", "a_b"),
        ("a[-x]-[0-9]-", "a[-x]_[0-9]_"),
        ("a[b", None),
        ("a]b", None),
        ("a[b]c]", None),
        ("", ""),
    ],
)
def test_normalised_aliases(alias: str, normal: str | None) -> None:
    assert normalise_alias(alias) == normal


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("kernel/a/snd-hda.ko", "snd_hda"),
        ("kernel/a/x.ko.zst", "x"),
        ("x.ko.xz", "x"),
        ("8250_base.ko", "8250_base"),
    ],
)
def test_names_of_files(path: str, name: str) -> None:
    assert kmod_name(path) == name


def test_modules_dep() -> None:
    text = "# comment\nkernel/a-b.ko.xz: kernel/c.ko.xz kernel/d.ko.xz\n\nkernel/c.ko.xz:\n"
    assert parse_dep(text) == {
        "a_b": Dep("kernel/a-b.ko.xz", ("kernel/c.ko.xz", "kernel/d.ko.xz")),
        "c": Dep("kernel/c.ko.xz", ()),
    }
    assert parse_dep("") == {}


@pytest.mark.parametrize("text", ["kernel/a.ko", "a.ko:\n\x7fELF\n", "what: ever.ko\n"])
def test_what_is_no_modules_dep_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"line \d"):
        parse_dep(text)


def test_modules_softdep_and_weakdep() -> None:
    soft = "# x\nsoftdep a-b pre: c\nsoftdep a_b post: d pre: e\nsoftdep f g\nsoftdep short\n"
    assert parse_softdep(soft) == {
        "a_b": Softdep(pre=("c", "e"), post=("d",)),
        "f": Softdep(other=("g",)),
    }
    weak = "weakdep a-b c d\nweakdep a-b e\nsoftdep x pre: y\n"
    assert parse_weakdep(weak) == {"a_b": ("c", "d", "e")}


def test_modules_symbols_and_order_and_builtin() -> None:
    symbols = "# Aliases\nalias symbol:b two\nalias symbol:a one\nalias symbol:c three\n"
    assert parse_symbols(symbols, {"one", "two"}) == [("symbol:a", "one"), ("symbol:b", "two")]
    assert parse_order("# x\nkernel/a.ko\n\nkernel/b.ko\n") == ["kernel/a.ko", "kernel/b.ko"]
    info = b"a.alias=x-y\0a.license=GPL\0b.parm=x.alias=y\0c.alias=d=e\0"
    assert parse_builtin_aliases(info) == [("x-y", "a"), ("d=e", "c")]


@pytest.mark.parametrize("key", ["", "caf\u00e9", "a\0b", "\udce9"])
def test_keys_that_the_format_cannot_hold_are_refused(key: str) -> None:
    with pytest.raises(IndexFormatError):
        write_index([("fine", "", 0), (key, "", 0)])


def test_values_that_the_format_cannot_hold_are_refused() -> None:
    with pytest.raises(IndexFormatError):
        write_index([("fine", "caf\u00e9", 0)])


def test_an_empty_index_is_readable(tmp_path: Path) -> None:
    base = make_kernel(tmp_path, [FakeKmod("kernel/a.ko")])
    assert (base / "modules.alias.bin").read_bytes() == write_index([])


def test_keys_nested_a_thousand_deep() -> None:
    keys = ["x" * length for length in range(1, 3000)]
    assert len(write_index((key, "v", 0) for key in keys)) > 3000


KEYS = st.text(string.ascii_lowercase[:3] + "-_:*?", min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(KEYS, max_size=12), min_size=1, max_size=5))
def test_indexes_are_depmods_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, aliases: list[list[str]]
) -> None:
    root = tmp_path_factory.mktemp("kernel")
    kmods = [
        FakeKmod(f"kernel/k-{n}.ko", [("alias", alias) for alias in own])
        for n, own in enumerate(aliases)
    ]
    base = make_kernel(root, kmods)
    indexed = [
        IndexedKmod(f"k_{n}", f"kernel/k-{n}.ko", aliases=tuple(own))
        for n, own in enumerate(aliases)
    ]
    made = write_indexes(Indexes(indexed, order=[kmod.path for kmod in kmods]))
    for name, data in made.items():
        assert data == (base / name).read_bytes(), name


@example([":*"], ":")
@given(st.lists(KEYS, max_size=8), KEYS)
def test_lookups_find_what_a_plain_search_finds(aliases: list[str], wanted: str) -> None:
    text = "".join(f"alias {alias} kmod{n}\n" for n, alias in enumerate(aliases))
    name = wanted.replace("-", "_")
    expected = {
        f"kmod{n}"
        for n, alias in enumerate(aliases)
        if fnmatch.fnmatchcase(name, alias.replace("-", "_")) or alias.replace("-", "_") == name
    }
    assert set(Aliases(text).find(wanted)) == expected
