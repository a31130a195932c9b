"""OSR's list files (files, packages, filters) → a boot module; nothing in them is executed.

A line of a files list is a program's name or a path, `@map&FROM&TO`, or `@include`; one of an rpms
list is a package with patterns for what of it is wanted and what is not; one of a filters list is
a pattern of what is left out. What a shell would have evaluated is told, never run.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Final

from srbuild.frozen import frozen, mutable
from srbuild.paths import shown

_OPTIONAL: Final = frozenset({"optional", "ignoremissing"})
_SHELL: Final = frozenset("$`\"'\\;|<>&(){}!")
_PATTERN_MAX: Final = 200  # characters
_REPEATS_MAX: Final = 3  # with more, a pattern may take for ever
_KMOD = re.compile(r"(?:/usr)?/lib/modules/.*/([A-Za-z0-9_-]+)\.ko(?:\.(?:gz|xz|zst))?")
_HOMES: Final = ("/etc/comoonics/bootimage/", "/etc/comoonics/bootimage-chroot/", "./")
# What grep's basic expressions and Python's have in common; and awk's, whose groups are not
# repeated, since that may take for ever.
_CLASS: Final = r"\[\^?[^][\\^]+\]"
_BASIC = re.compile(rf"\^?(?:(?:[^][\\*+?|(){{}}^$]|\\[][.*^$/\\-]|{_CLASS})\*?)*\$?")
_EXTENDED = re.compile(
    rf"(?:(?:[^][\\*+?|(){{}}]|\\[][.*+?|(){{}}^$/\\-]|{_CLASS})[*+?]?|[(|]|\)(?![*+?]))*"
)
# size mtime digest mode owner group isconfig isdoc rdev symlink, as rpm(8) has them for --dump
_DUMP = re.compile(r"(/.*?) \d+ \d+ \w+ ([0-7]+) \S+ \S+ [01] ([01]) \d+ \S.*")


@frozen
class Note:
    """What of a list could not come along, where it stands, and why."""

    source: str
    line: int
    what: str
    why: str

    def __str__(self) -> str:
        return f"{shown(self.source)}:{self.line}: {shown(self.what)}: {shown(self.why)}"


@mutable
class Wishes:
    """What all lists together ask for; dicts for their order, without anything twice.

    `maps` are places in the image by the file that goes there; `unsure` what the image may do
    without.
    """

    binaries: dict[str, None] = field(default_factory=dict)
    files: dict[str, None] = field(default_factory=dict)
    maps: dict[str, str] = field(default_factory=dict)
    dirs: dict[str, None] = field(default_factory=dict)
    kmods: dict[str, None] = field(default_factory=dict)
    packages: dict[str, None] = field(default_factory=dict)
    unsure: dict[str, None] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


IsThere = Callable[[str], bool]


def read_lists(
    lists: Mapping[str, bytes], dumps: Mapping[str, bytes], is_there: IsThere | None = None
) -> Wishes:
    """Read `lists` by their names below OSR's folder.

    `dumps` are what `rpm -q --dump` says of packages, by their names; `is_there` tells of a path
    or a program's name whether the sysroot has it, None where there is none to look into.
    """
    reader = _Reader(lists, dumps, is_there)
    for kind, read in (("filters", reader.read_filter), ("files", reader.read_file)):
        for name, number, line in _lines(lists, kind):
            reader.place = (name, number)
            read(line)
    for name, number, line in _lines(lists, "rpms"):
        reader.place = (name, number)
        reader.read_package(line)
    return reader.wishes


def _kind(name: str) -> str:
    """Of which kind the list `name` is, by its folder or its own name."""
    for part in name.split("/"):
        for kind in ("rpms", "filters"):
            if part.startswith(kind):
                return kind
    return "files"


def _lines(lists: Mapping[str, bytes], kind: str) -> Iterator[tuple[str, int, str]]:
    """List, number and text of each line of the lists of one kind, without comments."""
    for name in sorted(lists):
        if _kind(name) != kind:
            continue
        for number, line in enumerate(lists[name].decode("utf-8", "replace").splitlines(), 1):
            text = re.sub(r"(^|\s)#.*", "", line).strip()
            if text:
                yield name, number, text


class _Reader:
    """Sorts lines into `wishes`; `place` is the list and line that is being read."""

    def __init__(
        self, lists: Mapping[str, bytes], dumps: Mapping[str, bytes], is_there: IsThere | None
    ) -> None:
        self.wishes = Wishes()
        self.place = ("", 0)
        self._lists = lists
        self._dumps = dumps
        self._is_there = is_there
        self._filters: list[re.Pattern[str]] = []

    def _note(self, what: str, why: str) -> None:
        self.wishes.notes.append(Note(*self.place, what, why))

    def read_filter(self, line: str) -> None:
        """Take a pattern of what is left out."""
        if "lib/modules" in line or "kernel" in self.place[0]:
            self._note(line, "boot modules name the kernel's modules one by one")
        elif found := self._pattern(line, _BASIC):
            self._filters.append(found)

    def _pattern(self, text: str, form: re.Pattern[str]) -> re.Pattern[str] | None:
        """`text` compiled; None, and a note, for what is not safe or not the same here."""
        if len(text) > _PATTERN_MAX or len(re.findall(r"[*+{]", text)) > _REPEATS_MAX:
            why = "the pattern is too long, or repeats too often, to be tried on every file"
        elif not form.fullmatch(text):
            why = "OSR and srbuild would not read this pattern alike"
        else:
            try:
                return re.compile(text)
            except (re.error, OverflowError) as error:
                why = f"it is no pattern: {error}"
        self._note(text, why)
        return None

    def read_file(self, line: str) -> None:
        """Take a line of a files list."""
        first, *rest = line.split()
        if first == "@include":
            self._include(line.removeprefix("@include").strip())
        elif line.startswith("@map&"):
            self._map(line)
        elif first.startswith("@"):
            self._note(line, "srbuild has nothing of the kind")
        elif set(line) & _SHELL or "\ufffd" in line or not line.isprintable():
            self._note(line, "a shell would have evaluated it: write the name itself")
        elif set(rest) - _OPTIONAL:
            self._note(line, "a name and `optional` is all that a line holds: it has more")
        else:
            self._wish(first, optional=bool(rest))

    def _include(self, what: str) -> None:
        if not what or set(what) & _SHELL:
            self._note(
                f"@include {what}", "no command is run; all *.list files here are read anyway"
            )
            return
        name = what
        for home in _HOMES:
            name = name.removeprefix(home)
        name = name.rstrip("/")
        if not any(one == name or one.startswith(f"{name}/") for one in self._lists):
            self._note(f"@include {what}", "it is not below the folder: copy it there")

    def _map(self, line: str) -> None:
        source, _, target = line.removeprefix("@map&").partition("&")
        paths = (source, target)
        if not all(_is_path(path) for path in paths) or set(source) & set("*?["):
            self._note(line, "FROM and TO must be paths of files")
        else:
            self.wishes.maps[source] = target

    def _wish(self, name: str, *, optional: bool) -> None:
        """A program by its name, or a path."""
        if name.startswith(("/dev/", "/proc/", "/sys/")):
            self._note(name, "the kernel makes it")
        elif name.startswith(("/lib/modules/", "/usr/lib/modules/")):
            self._note(name, "kernel modules go by their names: [install] kmods")
        elif "/" in name and not _is_path(name.rstrip("/")):
            self._note(name, "it is no absolute path")
        elif any(one.search(name) for one in self._filters):
            return
        elif optional and self._is_there is None:
            self.wishes.unsure[name] = None
            self._note(name, "optional, and whether it is there only a --sysroot tells")
        elif optional and self._is_there and not self._is_there(name):
            self._note(name, "optional, and the sysroot has it not")
        elif name.endswith("/"):
            self.wishes.dirs[name.rstrip("/")] = None
        else:
            (self.wishes.files if "/" in name else self.wishes.binaries)[name] = None

    def read_package(self, line: str) -> None:
        """Take a line of an rpms list: PACKAGE [WANTED [UNWANTED|-]] [optional]."""
        first, *rest = line.split()
        if first == "@include":
            self._include(line.removeprefix("@include").strip())
            return
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", first):
            self._note(line, "it is no package's name")
            return
        optional = bool(_OPTIONAL & set(rest[-1:]))
        words = rest[:-1] if optional else rest
        patterns = [None if word == "-" else self._pattern(word, _EXTENDED) for word in words[:2]]
        if len(words) > 2 or any(
            p is None and w != "-" for p, w in zip(patterns, words, strict=False)
        ):
            self._note(line, "its files are not taken: its patterns cannot be applied")
            return
        dump = self._dumps.get(first)
        if dump is None and not optional:
            self.wishes.packages[first] = None
        if dump is None:
            why = "its files are not known: put what rpm -q --dump says of it into --rpm-dumps"
            self._note(first, why)
            return
        wanted, unwanted = [*patterns, None, None][:2]
        for path in self._shipped(first, dump):
            if wanted and not wanted.search(path):
                continue
            if unwanted and unwanted.search(path):
                continue
            self._ship(path)

    def _shipped(self, package: str, dump: bytes) -> Iterator[str]:
        """The files of `package` but its documentation."""
        for line in dump.decode("utf-8", "replace").splitlines():
            found = _DUMP.fullmatch(line)
            if not found or not _is_path(found[1]):
                if line.strip():
                    self._note(f"{package}: {line}", "it is no line of rpm -q --dump")
            elif found[3] == "0" and not stat.S_ISDIR(int(found[2], 8)):
                yield found[1]

    def _ship(self, path: str) -> None:
        """A file of a package."""
        kmod = _KMOD.fullmatch(path)
        if kmod:
            self.wishes.kmods[kmod[1]] = None
        elif path.startswith(("/lib/modules/", "/usr/lib/modules/", "/dev/")):
            self._note(path, "the kernel's own")
        elif any(one.search(path) for one in self._filters):
            return
        elif set(path) & set("*?["):
            self._note(path, "its name would be taken for a pattern")
        elif self._is_there and not self._is_there(path):
            self._note(path, "the sysroot has it not")
        else:
            self.wishes.files[path] = None


def _is_path(text: str) -> bool:
    return (
        text.startswith("/")
        and text.isprintable()
        and "\ufffd" not in text
        and not {"..", "."} & set(text.split("/"))
    )
