"""Facts about files, kept from one build to the next: typed views of the store's JSON rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, Generic, TypeVar

from srbuild.formats.elf import DlopenNote, ElfInfo
from srbuild.formats.modinfo import ModInfo
from srbuild.host.cache import FactStore, Json
from srbuild.host.sysroot import Identity

Fact = TypeVar("Fact")


class FactTable(MutableMapping[Identity, Fact], Generic[Fact]):
    """One table of the store, as the readers of files want it.

    What a table holds changes with its columns, so its name ends in their version.
    Rows can be looked up and added; they are neither listed nor removed.
    """

    def __init__(
        self,
        store: FactStore,
        name: str,
        encode: Callable[[Fact], Json],
        decode: Callable[[Any], Fact],
    ) -> None:
        self._store = store
        self._name = name
        self._encode = encode
        self._decode = decode

    def __getitem__(self, identity: Identity) -> Fact:
        row = self._store.get(self._name, identity)
        if row is None:
            raise KeyError(identity)
        return self._decode(row)

    def __setitem__(self, identity: Identity, fact: Fact) -> None:
        self._store.put(self._name, identity, self._encode(fact))

    def __delitem__(self, identity: Identity) -> None:
        raise TypeError("facts are not removed one by one")

    def __iter__(self) -> Iterator[Identity]:
        raise TypeError("facts are not listed")

    def __len__(self) -> int:
        raise TypeError("facts are not counted")


def elf_facts(store: FactStore) -> FactTable[ElfInfo | None]:
    """What the closure read of each file; None for a file that is no ELF file."""
    return FactTable(store, "elf/2", _encode_elf, _decode_elf)


def kmod_facts(store: FactStore) -> FactTable[ModInfo]:
    """What was read of each kernel module's .modinfo."""
    return FactTable(store, "modinfo/2", _encode, _decode_modinfo)


def _encode(info: ElfInfo | ModInfo) -> list[Json]:
    """The fields in order; `astuple` would copy every name in them."""
    row = (getattr(info, name) for name in info.__match_args__)
    return [[*item] if isinstance(item, tuple) else item for item in row]


def _encode_elf(info: ElfInfo | None) -> Json:
    if info is None:
        return []
    notes: list[Json] = [[[*note.sonames], note.priority, note.feature] for note in info.dlopen]
    return [*_encode(info)[:-1], notes]


def _decode_elf(row: list[Any]) -> ElfInfo | None:
    if not row:
        return None
    fields = _tuples(row)
    fields[-1] = tuple(DlopenNote(tuple(names), *rest) for names, *rest in fields[-1])
    return ElfInfo(*fields)


def _decode_modinfo(row: list[Any]) -> ModInfo:
    return ModInfo(*_tuples(row))


def _tuples(row: list[Any]) -> list[Any]:
    return [tuple(item) if isinstance(item, list) else item for item in row]
