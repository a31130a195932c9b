"""The library directory lists of glibc (ld.so.conf) and musl (ld-musl-ARCH.path).

Sources: ldconfig(8) and glibc's elf/ldconfig.c (parse_conf); musl's ldso/dynlink.c.
"""

from __future__ import annotations

import posixpath

from srbuild.frozen import frozen


@frozen
class LibraryDir:
    """A directory to search, absolute."""

    path: str


@frozen
class Include:
    """Files to read at this place: an absolute shell pattern."""

    pattern: str


def parse_ld_so_conf(text: str, folder: str = "/etc") -> tuple[LibraryDir | Include, ...]:
    """The directives of an ld.so.conf file that lies in `folder`, in order.

    Comments, `hwcap` lines and directories that are not absolute are passed over, and a
    directory's old `=TYPE` suffix is cut off, as ldconfig does. A NUL ends a line.
    """
    found: list[LibraryDir | Include] = []
    for raw in text.splitlines():
        line = raw.partition("\0")[0].partition("#")[0]
        words = line.split()
        if not words or (words[0].lower() == "hwcap" and len(words) > 1):
            continue
        if words[0] == "include" and len(words) > 1:
            found.extend(Include(posixpath.join(folder, word)) for word in words[1:])
            continue
        path = line.strip().partition("=")[0].rstrip()
        if path.startswith("/"):
            found.append(LibraryDir(path.rstrip("/") or "/"))
    return tuple(found)


def parse_musl_path(text: str) -> tuple[str, ...]:
    """The directories of a musl path file: separated by newlines or colons."""
    # The loader reads one string: a NUL ends it.
    words = (word.strip() for word in text.partition("\0")[0].replace(":", "\n").splitlines())
    return tuple(word.rstrip("/") or "/" for word in words if word.startswith("/"))
