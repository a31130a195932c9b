"""depmod's data about the kmods of one kernel: reading the text files, writing all of them.

The files are described in modules.dep(5), depmod(8) and modprobe.d(5); what is written is
byte for byte what `depmod -b` (kmod 30) writes for the same kmods, but for the order of
modules.symbols, which is arbitrary there and sorted here.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from srbuild.formats.kmodtrie import write_index
from srbuild.formats.modinfo import Softdep, split_softdep
from srbuild.frozen import frozen

ALIAS_HEADER = "# Aliases extracted from modules themselves.\n"
SOFTDEP_HEADER = "# Soft dependencies extracted from modules themselves.\n"
WEAKDEP_HEADER = "# Weak dependencies extracted from modules themselves.\n"
SYMBOLS_HEADER = "# Aliases for symbols, used by symbol_request().\n"
DEVNAME_HEADER = "# Device nodes to trigger on-demand module loading.\n"

_WILDCARDS = re.compile(r"[*?\[]")
_BRACKETS = re.compile(r"(\[[^\]]*\])")
_NO_FAMILY = r"(?::|[^:*?\[\n]*[*?\[])"
_DEVICE_NUMBER = re.compile(r"(char|block)-major-([0-9]+)-([0-9]+)")


@frozen
class Dep:
    """A line of modules.dep: paths relative to the kernel's modules directory."""

    path: str
    needs: tuple[str, ...]


@frozen
class IndexedKmod:
    """A kmod that indexes are written for, with the paths it will have (uncompressed)."""

    name: str
    path: str
    needs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    softdeps: tuple[str, ...] = ()
    weakdeps: tuple[str, ...] = ()


@frozen
class Indexes:
    """Everything that depmod's files of one kernel are made from.

    `kmods` are in the order of modules.dep, which is also that of alias priorities;
    `symbols` are the (`symbol:NAME`, kmod's name) of these kmods; the rest is the unchanged
    content of the files of that name, None when the kernel has none.
    """

    kmods: Sequence[IndexedKmod]
    symbols: Sequence[tuple[str, str]] = ()
    order: Sequence[str] = ()
    builtin: str = ""
    builtin_modinfo: bytes | None = None
    with_weakdep: bool = False


class Aliases:
    """The lines of a modules.alias; look-ups treat `-` and `_` alike, as kmod does.

    A kernel has 26,000 aliases and an image asks for ten, so the text is searched as it is.
    """

    def __init__(self, text: str) -> None:
        """Take the content of modules.alias: lines `alias ALIAS KMOD`."""
        self._text = f"\n{text}\n"
        self._plain = self._text.replace("-", "_")
        self._patterns: dict[str, list[tuple[str, str]]] = {}

    def find(self, wanted: str) -> tuple[str, ...]:
        """The kmods that `wanted` (an alias, or a device's modalias) stands for, each once."""
        name = normalise_alias(wanted)
        if name is None:
            return ()
        family, colon, _ = name.partition(":")
        found = self._exact(name)
        for key in ("", family) if colon else ("",):
            for alias, kmod in self._of_family(key):
                if _matches(name, alias):
                    found.append(kmod)
        return tuple(dict.fromkeys(found))

    def _exact(self, name: str) -> list[str]:
        start, found = f"\nalias {name} ", []
        at = self._plain.find(start)
        while at >= 0:
            end = self._plain.index("\n", at + len(start))
            found.append(self._plain[at + len(start) : end])
            at = self._plain.find(start, end)
        return found

    def _of_family(self, family: str) -> list[tuple[str, str]]:
        """The aliases that begin with `family:`; for "", those with a wildcard before any colon."""
        known = self._patterns.get(family)
        if known is None:
            start = rf"{re.escape(family).replace('_', '[-_]')}:" if family else _NO_FAMILY
            # A pattern that begins with plain characters is searched five times as fast as `^`.
            lines = re.compile(rf"\nalias ({start}.*) (\S+)$", re.MULTILINE)
            known = self._patterns[family] = lines.findall(self._text)
        return known


def _matches(name: str, alias: str) -> bool:
    wildcard = _WILDCARDS.search(alias)
    if wildcard is None or not name.startswith(alias[: wildcard.start()].replace("-", "_")):
        return False
    pattern = normalise_alias(alias)
    return pattern is not None and fnmatch.fnmatchcase(name, pattern)


def kmod_name(path: str) -> str:
    """The name of the kmod whose file is `path`: its base name up to `.ko`, `-` as `_`."""
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def normalise_alias(alias: str) -> str | None:
    """`alias` with `-` as `_` outside brackets; None when a bracket has no partner."""
    if "[" not in alias and "]" not in alias:
        return alias.replace("-", "_")
    parts = _BRACKETS.split(alias)
    plain = [part.replace("-", "_") for part in parts[::2]]
    if any("[" in part or "]" in part for part in plain):
        return None
    parts[::2] = plain
    return "".join(parts)


def parse_dep(text: str) -> dict[str, Dep]:
    """modules.dep: kmod name → its file and all files that it needs, in the file's order.

    Raises ValueError with the number of the first line that is none of modules.dep's.
    """
    found: dict[str, Dep] = {}
    for number, line in enumerate(text.splitlines(), 1):
        path, colon, needs = line.partition(":")
        if not line or line[0] == "#":
            continue
        if not colon or ".ko" not in path:
            raise ValueError(f"line {number} is no `path: paths`")
        found[kmod_name(path)] = Dep(path, tuple(needs.split()))
    return found


def parse_softdep(text: str) -> dict[str, Softdep]:
    """modules.softdep: kmod name → its soft dependencies, those of several lines joined."""
    found: dict[str, Softdep] = {}
    for name, value in _owned_lines(text, "softdep"):
        old, new = found.get(name, Softdep()), split_softdep(value)
        found[name] = Softdep(old.pre + new.pre, old.post + new.post, old.other + new.other)
    return found


def parse_weakdep(text: str) -> dict[str, tuple[str, ...]]:
    """modules.weakdep (kmod ≥ 33): kmod name → what it may ask for while it runs."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in _owned_lines(text, "weakdep"):
        found[name] = found.get(name, ()) + tuple(value.split())
    return found


def _owned_lines(text: str, keyword: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        words = line.split(None, 2)
        if len(words) == 3 and words[0] == keyword:
            yield words[1].replace("-", "_"), words[2]


def parse_symbols(text: str, kmods: Container[str]) -> list[tuple[str, str]]:
    """modules.symbols: the sorted (`symbol:NAME`, kmod name) of these `kmods`."""
    lines = [line.split() for line in text.splitlines() if line.rpartition(" ")[2] in kmods]
    return sorted((words[1], words[2]) for words in lines if len(words) == 3)


def parse_order(text: str) -> list[str]:
    """modules.order or modules.builtin: paths of kmods, in the order they were linked."""
    return [line for line in text.splitlines() if line and line[0] != "#"]


def parse_builtin_aliases(data: bytes) -> list[tuple[str, str]]:
    """The (alias, kmod name) of modules.builtin.modinfo, `name.key=value` ended by NUL."""
    strings = data.decode("utf-8", "surrogateescape").split("\0")
    parts = [string.partition(".alias=") for string in strings]
    return [(alias, name) for name, key, alias in parts if key and "." not in name]


def write_indexes(indexes: Indexes) -> dict[str, bytes]:
    """All files that depmod would write for these kmods, and those that it reads, by name.

    Raises IndexFormatError (a ValueError) for names that the binary format cannot hold.
    """
    kmods = indexes.kmods
    rank = {kmod.name: place for place, kmod in enumerate(kmods)}
    deps = [(kmod.name, _dep_line(kmod)) for kmod in kmods]
    aliases = [(alias, kmod.name) for kmod in kmods for alias in kmod.aliases]
    softdeps = [f"softdep {kmod.name} {value}\n" for kmod in kmods for value in kmod.softdeps]
    builtins = [(kmod_name(path), "") for path in parse_order(indexes.builtin)]
    files = {
        "modules.dep": _encode(f"{line}\n" for _, line in deps),
        "modules.dep.bin": _ranked(deps, rank),
        "modules.alias": _encode([ALIAS_HEADER, *_alias_lines(aliases)]),
        "modules.alias.bin": _aliases_bin(aliases, rank),
        "modules.softdep": _encode([SOFTDEP_HEADER, *softdeps]),
        "modules.symbols": _encode([SYMBOLS_HEADER, *_alias_lines(indexes.symbols)]),
        "modules.symbols.bin": write_index(
            (key, kmod, rank[kmod]) for key, kmod in indexes.symbols
        ),
        "modules.builtin": _encode([indexes.builtin]),
        "modules.builtin.bin": _ranked(builtins, {}),
        "modules.devname": _encode(_devname_lines(kmods)),
        "modules.order": _encode(f"{path}\n" for path in indexes.order),
    }
    if indexes.builtin_modinfo is not None:
        pairs = parse_builtin_aliases(indexes.builtin_modinfo)
        files["modules.builtin.modinfo"] = indexes.builtin_modinfo
        files["modules.builtin.alias.bin"] = _aliases_bin(pairs, {})
    if indexes.with_weakdep:
        weakdeps = [f"weakdep {kmod.name} {value}\n" for kmod in kmods for value in kmod.weakdeps]
        files["modules.weakdep"] = _encode([WEAKDEP_HEADER, *weakdeps])
    return files


def _encode(parts: Iterable[str]) -> bytes:
    return "".join(parts).encode("utf-8", "surrogateescape")


def _alias_lines(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    return (f"alias {alias} {kmod}\n" for alias, kmod in pairs)


def _dep_line(kmod: IndexedKmod) -> str:
    return " ".join([f"{kmod.path}:", *kmod.needs])


def _ranked(pairs: Sequence[tuple[str, str]], rank: Mapping[str, int]) -> bytes:
    return write_index((key, value, rank.get(key, 0)) for key, value in pairs)


def _aliases_bin(pairs: Sequence[tuple[str, str]], rank: Mapping[str, int]) -> bytes:
    keys = ((normalise_alias(alias), kmod) for alias, kmod in pairs)
    return write_index((key, kmod, rank.get(kmod, 0)) for key, kmod in keys if key)


def _devname_lines(kmods: Sequence[IndexedKmod]) -> list[str]:
    """modules.devname: `kmod node cMAJOR:MINOR` for the kmods that name a node."""
    nodes = [(kmod.name, _device_node(kmod.aliases)) for kmod in kmods]
    lines = [f"{name} {node}\n" for name, node in nodes if node]
    return [DEVNAME_HEADER, *lines] if lines else []


def _device_node(aliases: Sequence[str]) -> str:
    node = device = ""
    for alias in aliases:
        found = _DEVICE_NUMBER.match(alias)
        if alias.startswith("devname:"):
            node = alias.removeprefix("devname:")
        elif found:
            device = f"{found[1][0]}{int(found[2])}:{int(found[3])}"
        if node and device:
            return f"{node} {device}"
    return ""
