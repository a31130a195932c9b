"""Facts about files, kept from one build to the next: typed views of the store's JSON rows.

A row that is not of the shape that is written now (another version's, say) counts as absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import fields
from typing import Any, Generic, TypeVar

from srbuild.formats.elf import DlopenNote, ElfInfo
from srbuild.formats.modinfo import ModInfo
from srbuild.host.cache import FactStore, Json
from srbuild.host.sysroot import Identity

Fact = TypeVar("Fact")


class WrongShape(ValueError):
    """A row that nobody who writes this table would have written."""


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
        try:
            return self._decode(row)
        except WrongShape:
            raise KeyError(identity) from None

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


def _decode_elf(row: Any) -> ElfInfo | None:
    if row == []:
        return None
    *values, notes = _checked(row, _ELF_FIELDS)
    dlopen = tuple(DlopenNote(tuple(names), *rest) for names, *rest in notes)
    return ElfInfo(*[*values, dlopen])


def _decode_modinfo(row: Any) -> ModInfo:
    return ModInfo(*_checked(row, _MODINFO_FIELDS))


def _checked(row: Any, checks: list[_Check]) -> list[Any]:
    """The row's values, lists as tuples; WrongShape when one is not what its field holds."""
    if not isinstance(row, list) or len(row) != len(checks):
        raise WrongShape
    if not all(check(value) for check, value in zip(checks, row, strict=True)):
        raise WrongShape
    return [tuple(value) if isinstance(value, list) else value for value in row]


_Check = Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63  # no field of an ELF file used has more


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_note(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and _is_texts(value[0])
        and (_is_text(value[1]) and _is_text(value[2]))
    )


# By what the fields are declared to be: a field of another type must be added here.
_CHECKS: Mapping[str, _Check] = {
    "int": _is_number,
    "bool": lambda value: isinstance(value, bool),
    "str": _is_text,
    "str | None": lambda value: value is None or _is_text(value),
    "tuple[str, ...]": _is_texts,
    "tuple[int, int]": lambda value: (
        isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
    ),
    "tuple[DlopenNote, ...]": lambda value: isinstance(value, list) and all(map(_is_note, value)),
}
_ELF_FIELDS = [_CHECKS[str(field.type)] for field in fields(ElfInfo)]
_MODINFO_FIELDS = [_CHECKS[str(field.type)] for field in fields(ModInfo)]
