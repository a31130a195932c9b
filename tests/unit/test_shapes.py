"""What a cache holds in a shape that this srbuild does not write is as good as absent."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbuild.digests import KnownDigests
from srbuild.facts import elf_facts, kmod_facts
from srbuild.formats.elf import DlopenNote, ElfInfo
from srbuild.formats.modinfo import ModInfo
from srbuild.host.cache import SEGMENT_SCHEMA, CachedSegment, FactStore, parse_header
from srbuild.host.distro import STAMP, read_stamp
from srbuild.host.looks import Looks
from srbuild.host.sysroot import Identity
from srbuild.manifest import File
from srbuild.witness import FOLDER, Witness, keep, recall

WHO = Identity(1, 2, 3, 4, 5)
SHA = "ab" * 32
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
SHAPES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)
ELF = ElfInfo(64, "little", 62, 3, needed=("a", "b"), dlopen=(DlopenNote(("n",), "required", "f"),))
KMOD = ModInfo("name", "6.1", ("a",), softdeps=("pre: b",))


def rows(table: str, value: object) -> list[Any]:
    """The row that is written for `value`."""
    store = FactStore(None)
    (elf_facts if table == "elf/2" else kmod_facts)(store)[WHO] = value
    row = store.get(table, WHO)
    assert isinstance(row, list)
    return row


def places(value: object) -> list[tuple[Any, ...]]:
    """The way to each value in a JSON value, itself included."""
    found: list[tuple[Any, ...]] = [()]
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, below in inner:
        found += [(key, *way) for way in places(below)]
    return found


def changed(value: Any, way: tuple[Any, ...], new: object) -> Any:
    """A copy of a JSON value with `new` in one place."""
    if not way:
        return new
    copy = value.copy()
    copy[way[0]] = changed(value[way[0]], way[1:], new)
    return copy


@given(SHAPES)
def test_any_row_is_a_fact_or_absent(row: Any) -> None:
    for open_table, name, kind in (
        (elf_facts, "elf/2", ElfInfo),
        (kmod_facts, "modinfo/2", ModInfo),
    ):
        store = FactStore(None)
        store.put(name, WHO, row)
        found = open_table(store).get(WHO)
        assert found is None or isinstance(found, kind)


@pytest.mark.parametrize(("table", "fact"), [("elf/2", ELF), ("modinfo/2", KMOD)])
@given(data=st.data())
def test_a_row_with_one_value_of_another_type_is_absent(
    table: str, fact: object, data: st.DataObject
) -> None:
    row = rows(table, fact)
    way = data.draw(st.sampled_from([one for one in places(row) if one]))
    old = row
    for key in way:
        old = old[key]
    new = data.draw(SHAPES.filter(lambda value: value is not None and type(value) is not type(old)))
    if isinstance(new, str) and way[0] in (5, 7, 8, 9) and table == "elf/2":
        return  # these may be text
    store = FactStore(None)
    store.put(table, WHO, changed(row, way, new))
    assert WHO not in (elf_facts if table == "elf/2" else kmod_facts)(store)


@pytest.mark.parametrize(("table", "fact"), [("elf/2", ELF), ("modinfo/2", KMOD)])
def test_rows_of_other_lengths_are_absent(table: str, fact: object) -> None:
    row = rows(table, fact)
    for other in (row[:-1], [*row, []], row[1:], {}, "", 0, False):
        store = FactStore(None)
        store.put(table, WHO, other)
        assert WHO not in (elf_facts if table == "elf/2" else kmod_facts)(store)


@given(SHAPES | st.lists(st.integers() | st.booleans() | st.text() | st.just(SHA), max_size=3))
def test_a_digest_is_one_or_absent(row: Any) -> None:
    store = FactStore(None)
    file = File("/x", 3, 0o644, WHO)
    store.put("content-1", WHO, row)
    found = KnownDigests(store).find(file)
    assert found is None or (type(found.size) is int and found.size >= 0 and found.sha256 == SHA)


@given(SHAPES, st.sampled_from(["length", "sha256", "cpio_size", "schema"]))
def test_a_header_with_a_value_of_another_shape_is_none(value: Any, name: str) -> None:
    fields = {"schema": SEGMENT_SCHEMA, "length": 4, "sha256": SHA, "cpio_size": 9}
    line = json.dumps(fields).encode()
    assert isinstance(parse_header(Path("x"), line), CachedSegment)
    found = parse_header(Path("x"), json.dumps({**fields, name: value}).encode())
    right = type(value) is int and (value == SEGMENT_SCHEMA if name == "schema" else value >= 0)
    assert found is None or (right and "sha256" not in name) or value == SEGMENT_SCHEMA


DOCUMENT: dict[str, Any] = {
    "image": "/x", "sha256": SHA, "changed": False, "notes": ["a"], "size": 9, "entries": 1,
    "uki": None, "segments": [{"name": "base", "from_cache": True, "sha256": SHA, "offset": 0,
                              "length": 9}],
}  # fmt: skip


def witness_row(folder: Path) -> tuple[Path, dict[str, Any]]:
    """A witness on the disk, and what stands in it."""
    witness = Witness("inputs", DOCUMENT, False, ("k",), b"sidecar")
    looks = Looks(now=lambda: 1 << 62)
    assert keep(folder, "question", looks, witness) == ""
    [path] = (folder / FOLDER).iterdir()
    head = path.read_bytes().split(b"\n", 1)[1].removesuffix(b"sidecar")
    return path, json.loads(head)


def rewrite(path: Path, text: str) -> None:
    head = text.encode()
    line = f"srbuild.witness/1 {len(head)} {zlib.crc32(head):08x}\n".encode()
    path.write_bytes(line + head + b"sidecar")


def test_a_witness_with_one_value_of_another_type_is_none(tmp_path: Path) -> None:
    path, row = witness_row(tmp_path)
    row |= {"followed": {}, "plain": {}, "variables": {}}
    rewrite(path, json.dumps(row))
    assert recall(tmp_path, "question", os.environ) is not None
    checked = 0
    for way in places(row):
        old = row
        for key in way:
            old = old[key]
        for new in (None, True, 7, -1, 1.5, "text", [], [[]], {}, {"a": 1}):
            if type(new) is type(old) and new != -1:
                continue
            rewrite(path, json.dumps(changed(row, way, new)))
            assert recall(tmp_path, "question", os.environ) is None or way == ("sidecar",), way
            checked += 1
    assert checked > 100
    for offset, length in ((-1, 10), (0, 10), (1 << 40, 9), (5, 9)):
        segment = DOCUMENT["segments"][0] | {"offset": offset, "length": length}
        rewrite(path, json.dumps(row | {"document": DOCUMENT | {"segments": [segment]}}))
        assert recall(tmp_path, "question", os.environ) is None
    rewrite(path, "[" * 100_000)
    assert recall(tmp_path, "question", os.environ) is None


@given(
    SHAPES, st.sampled_from(["format", "suite", "architecture", "mirror", "packages", "kernels"])
)
def test_a_sysroots_stamp_of_another_shape_is_none(
    tmp_path_factory: pytest.TempPathFactory, value: Any, name: str
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    path = folder / STAMP
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"format": 1, "suite": "s", "architecture": "a", "mirror": "m", "packages": ["p"],
             "kernels": ["k"]}  # fmt: skip
    path.write_text(json.dumps({**facts, name: value}))
    found = read_stamp(folder)
    if found is not None:
        words = (found.suite, found.architecture, found.mirror, *found.packages, *found.kernels)
        assert all(isinstance(word, str) for word in words)
    path.write_bytes(b"\xff" + b"[" * 100_000)
    assert read_stamp(folder) is None
    path.write_text("[" * 100_000)
    assert read_stamp(folder) is None
