"""Facts about files survive a build unchanged, typed as the readers want them."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbuild.facts import elf_facts, kmod_facts
from srbuild.formats.elf import DlopenNote, ElfInfo, read_elf
from srbuild.formats.modinfo import ModInfo, parse_modinfo
from srbuild.host.cache import FactStore
from srbuild.host.sysroot import Identity
from support.kernels import kmod_elf

WHO = Identity(1, 2, 3, 4, 5)
names = st.lists(st.text(max_size=8), max_size=3).map(tuple)
notes = st.builds(
    DlopenNote,
    names,
    st.sampled_from(["required", "recommended", "suggested"]),
    st.text(max_size=5),
)


def shell() -> ElfInfo:
    with open("/bin/sh", "rb") as file:
        info = read_elf(file)
    assert info is not None
    return info


def reopened(folder: Path, store: FactStore) -> FactStore:
    assert store.save() == ""
    return FactStore(folder / "facts")


def test_an_elf_file_is_remembered(tmp_path: Path) -> None:
    store = FactStore(tmp_path / "facts")
    note = DlopenNote(("liba.so.1", "liba.so.0"), "required", "a feature")
    info = replace(shell(), dlopen=(note,))
    elf_facts(store)[WHO] = info
    assert elf_facts(reopened(tmp_path, store))[WHO] == info


def test_a_file_that_is_no_elf_file_is_remembered_as_such(tmp_path: Path) -> None:
    store = FactStore(tmp_path / "facts")
    elf_facts(store)[WHO] = None
    table = elf_facts(reopened(tmp_path, store))
    assert WHO in table
    assert table[WHO] is None


@given(notes=st.lists(notes, max_size=3).map(tuple), needed=names, rpath=st.none() | st.text())
def test_any_elf_facts_come_back(
    notes: tuple[DlopenNote, ...], needed: tuple[str, ...], rpath: str | None
) -> None:
    info = replace(shell(), dlopen=notes, needed=needed, rpath=rpath)
    table = elf_facts(FactStore(None))
    table[WHO] = info
    assert table[WHO] == info
    assert all(
        type(getattr(table[WHO], f.name)) is type(getattr(info, f.name)) for f in fields(info)
    )


@given(
    st.builds(ModInfo, st.text(), st.text(), names, names, names, softdeps=names, weakdeps=names)
)
def test_any_kmod_facts_come_back(info: ModInfo) -> None:
    table = kmod_facts(FactStore(None))
    table[WHO] = info
    assert table[WHO] == info


def test_a_kmod_is_remembered(tmp_path: Path) -> None:
    pairs = [("name", "x"), ("alias", "pci:*"), ("firmware", "x.bin"), ("softdep", "pre: a")]
    info = parse_modinfo(kmod_elf(pairs))
    assert info.softdep_pre == ("a",)
    store = FactStore(tmp_path / "facts")
    kmod_facts(store)[WHO] = info
    assert kmod_facts(reopened(tmp_path, store))[WHO] == info


def test_another_version_of_a_file_is_not_known() -> None:
    store = FactStore(None)
    elf_facts(store)[WHO] = None
    for field in ("dev", "ino", "size", "mtime", "ctime"):
        assert replace(WHO, **{field: 99}) not in elf_facts(store)


def test_tables_do_not_mix() -> None:
    store = FactStore(None)
    elf_facts(store)[WHO] = None
    with pytest.raises(KeyError):
        kmod_facts(store)[WHO]


def test_facts_are_only_looked_up_and_added() -> None:
    table = elf_facts(FactStore(None))
    for act in (lambda: len(table), lambda: list(table), lambda: table.pop(WHO)):
        with pytest.raises((TypeError, KeyError)):
            act()
    table[WHO] = None
    with pytest.raises(TypeError, match="not removed"):
        del table[WHO]
