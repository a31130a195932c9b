"""What boot modules ask for: one frozen class a kind of wish.

A request names a thing, who asked (`origin`) and, where there is a choice, the image segment
that it goes to. `plan` makes requests, `collect` meets them.
"""

from __future__ import annotations

from typing import TypeAlias

from srbuild.errors import Origin
from srbuild.frozen import frozen
from srbuild.paths import HostPath, ImagePath


@frozen
class Binary:
    """A program by name, or by path when the name holds a slash; closed over."""

    name: str
    origin: Origin
    segment: str


@frozen
class Library:
    """A shared library by soname, for what is dlopened without a note."""

    name: str
    origin: Origin
    segment: str


@frozen
class Plugin:
    """ELF files by path or glob below the library directory (`{libdir}`); closed over."""

    pattern: str
    origin: Origin
    segment: str


@frozen
class Copy:
    """Sysroot files by path or glob, copied as they are; `target` only for a single one."""

    pattern: str
    target: ImagePath | None
    origin: Origin
    segment: str


@frozen
class Kmod:
    """A kernel module by name, alias or `=subtree`; closed over, with its firmware.

    With `narrow`, a subtree stands for those of its drivers that known hardware asks for.
    """

    name: str
    optional: bool
    origin: Origin
    narrow: bool = False


@frozen
class Firmware:
    """Firmware by glob below /lib/firmware, for what no modinfo names."""

    pattern: str
    origin: Origin


@frozen
class Own:
    """One of srbuild's own files: a hook or a boot module's script."""

    source: HostPath
    target: ImagePath
    mode: int
    origin: Origin
    segment: str


@frozen
class Rendered:
    """A jinja2 template; `scope` is image, site or node."""

    module: str
    source: HostPath
    target: ImagePath
    scope: str
    mode: int
    secret: bool
    origin: Origin


@frozen
class Data:
    """A file whose content is known; `how` names its relation to the origin."""

    target: ImagePath
    data: bytes
    origin: Origin
    segment: str
    how: str = "table"


@frozen
class Folder:
    """An empty directory that must exist."""

    target: ImagePath
    origin: Origin
    segment: str


Request: TypeAlias = (
    Binary | Library | Plugin | Copy | Kmod | Firmware | Own | Rendered | Data | Folder
)
