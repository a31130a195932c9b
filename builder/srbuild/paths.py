"""Three kinds of path that never mix, and where srbuild's own data lies.

`HostPath` names a file on the machine that builds; `SysrootPath` an absolute path as a
process rooted in the sysroot would name it; `ImagePath` one inside the image. The last two
are plain strings at run time (thousands are handled a second) and distinct types to mypy.
Bytes that are no UTF-8 travel as surrogate escapes, as `os.fsdecode` makes them.
"""

from __future__ import annotations

import posixpath
from functools import cache
from pathlib import Path
from typing import NewType, TypeAlias

HostPath: TypeAlias = Path
SysrootPath = NewType("SysrootPath", str)
ImagePath = NewType("ImagePath", str)

# Images are always merged-/usr, whatever the sysroot is: the kernel unpacks a segment's
# /lib/x through the link that an earlier segment made, but a real /lib would replace it.
MERGED_DIRS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")


def sysroot_path(text: str) -> SysrootPath:
    """Normalise `text` to an absolute path without `.`, `..` or doubled slashes."""
    return SysrootPath(_normalise(text))


def image_path(text: str) -> ImagePath:
    """Normalise `text` to an absolute merged-/usr image path.

    Raises ValueError for a NUL, which no file name can hold.
    """
    path = _normalise(text)
    head = path[1:].split("/", 1)[0]
    return ImagePath(f"/usr{path}" if head in MERGED_DIRS else path)


def to_image(path: SysrootPath) -> ImagePath:
    """Where the file at `path` of the sysroot goes in the image."""
    return image_path(path)


def _normalise(text: str) -> str:
    if "\0" in text:
        raise ValueError(f"NUL in path {text!r}")
    path = posixpath.normpath("/" + text)
    return path[1:] if path.startswith("//") else path


def parents(path: str) -> list[str]:
    """All directories above `path`, outermost first, without `/` itself."""
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[: i + 1]) for i in range(len(parts))]


def shown(text: str, keep: str = "") -> str:
    r"""`text` as it may be shown to a person: no terminal takes anything in it for a command.

    Control characters, bytes that are no UTF-8 and characters that change the direction of
    writing become escapes (`\x1b`, `\u202e`), backslashes `\\` where there are any of these.
    Characters in `keep` stay.
    """
    if all(char.isprintable() or char in keep for char in text):
        return text
    return "".join(
        char
        if char in keep or (char.isprintable() and char != "\\")
        else f"\\x{ord(char) - 0xDC00:02x}"
        if 0xDC80 <= ord(char) <= 0xDCFF
        else char.encode("unicode_escape").decode()
        for char in text
    )


@cache
def data_dir() -> HostPath:
    """The folder that holds modules/, hooks/ and images/: in the wheel or in the checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "data"
    return installed if installed.is_dir() else package.parent.parent
