"""What the modprobe.d files of an image make modprobe do, and those of the sysroot would have.

An image has no such file unless a boot module asks for it: a file of the sysroot speaks for the
system in it, not for the bootstrap. What is in the image is followed, so that nothing
that modprobe is told to load is absent. Source: modprobe.d(5); busybox's modprobe honours
`alias`, `options` and `blacklist` below /etc/modprobe.d only, kmod's all of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import field
from typing import Final

from srbuild.errors import ConflictError, Origin
from srbuild.formats.modinfo import split_softdep
from srbuild.frozen import frozen
from srbuild.host.sysroot import Sysroot
from srbuild.manifest import Content, File, Inline, Symlink
from srbuild.paths import ImagePath, SysrootPath, to_image

_IN_IMAGE: Final = re.compile(r"/(?:etc|usr/lib|usr/local/lib)/modprobe\.d/[^/]+\.conf$")
_TOP: Final = SysrootPath("")
_OF_ADMINISTRATOR: Final = "/etc/modprobe.d/*.conf"


@frozen
class Line:
    """One command of a modprobe.d file: `command` about the kmod `name`, and the words after."""

    number: int
    command: str
    name: str
    rest: str


@frozen
class Rules:
    """What the image's files say. `leads_to`: kmod → kmods that may be loaded because of it.

    `installs` are the commands to be run instead of loading a kmod: kmod → where they stand.
    """

    leads_to: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    installs: Mapping[str, Origin] = field(default_factory=dict)

    def conflicts(self, kmods: Collection[str]) -> Iterator[ConflictError]:
        """An error for each of the image's `kmods` that a command stands in the way of."""
        for name in sorted(self.installs.keys() & set(kmods)):
            yield ConflictError(
                f"an install line is in place of the kmod {name}, which the image is to load",
                "what such a command does can't be followed: leave the line out; "
                "softdep, options and blacklist lines are understood",
                self.installs[name],
            )


NO_RULES: Final = Rules()


def parse_modprobe_conf(text: str) -> Iterator[Line]:
    """The commands of a modprobe.d file that are about a kmod; names with `_` for `-`.

    Of an alias, `name` is the kmod and `rest` the alias.
    """
    pending, start = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        start = start if pending else number
        if line.endswith("\\"):
            pending += f"{line[:-1]} "
            continue
        words, pending = (pending + line).split(None, 2), ""
        if len(words) < 2 or words[0].startswith("#"):
            continue
        command, name, rest = words[0], words[1], words[2] if len(words) > 2 else ""
        if command == "alias":
            name, rest = rest, name
        yield Line(start, command, name.strip().replace("-", "_"), rest)


def image_rules(contents: Iterable[tuple[ImagePath, Content]], sysroot: Sysroot) -> Rules:
    """What the modprobe.d files among an image's `contents` say."""
    leads_to: dict[str, tuple[str, ...]] = {}
    installs: dict[str, Origin] = {}
    for path, content in contents:
        if not _IN_IMAGE.match(path):
            continue
        for line in parse_modprobe_conf(_text(path, content, sysroot)):
            leads_to[line.name] = leads_to.get(line.name, ()) + _led_to(line)
            if line.command == "install":
                installs.setdefault(line.name, Origin(path, f"line {line.number}"))
    return Rules(leads_to, installs)


def left_out(
    sysroot: Sysroot, contents: Collection[ImagePath], kmods: Collection[str]
) -> Iterator[str]:
    """A sentence for each file of the administrator's that says something of `kmods` in vain.

    The image of these kmods holds `contents`, and the file is not among them.
    """
    for path in sysroot.glob(_OF_ADMINISTRATOR):
        if to_image(path) in contents or not sysroot.is_file(path):
            continue
        lines = parse_modprobe_conf(sysroot.read_text(path))
        if about := sorted({line.name for line in lines} & set(kmods)):
            yield (
                f"{path} of the sysroot is about {', '.join(about)} and is not in the image; "
                "a boot module that names it in its files brings it"
            )


def _led_to(line: Line) -> tuple[str, ...]:
    if line.command == "softdep":
        soft = split_softdep(line.rest)
        return (*soft.pre, *soft.post, *soft.other)
    return tuple(line.rest.split()) if line.command == "weakdep" else ()


def _text(path: ImagePath, content: Content, sysroot: Sysroot) -> str:
    match content:
        case Inline(data=data):
            return data.decode("utf-8", "surrogateescape")
        case File(source=source):
            return sysroot.read_text(SysrootPath(source.removeprefix(sysroot.host(_TOP))))
        case Symlink() if sysroot.is_file(SysrootPath(path)):
            return sysroot.read_text(SysrootPath(path))
    return ""
