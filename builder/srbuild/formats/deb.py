"""Reading Debian binary packages: deb(5), deb-control(5), ar(5), tar(5).

Only what provenance needs: the control file and the names of the files inside. Nothing is
unpacked and no program is run.
"""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zlib
from os import PathLike
from typing import IO, cast

from srbuild.formats.control import control_field
from srbuild.frozen import frozen

AR_MAGIC = b"!<arch>\n"
AR_HEADER = 60  # bytes: name 16, times and owner 32, size 10, "`\n"
BLOCK = 1 << 20  # bytes decompressed at a time
MAX_MEMBER = 2 << 30  # bytes; the largest packages of Debian have some 1.5 GB
MAX_CONTROL = 1 << 20  # bytes of a control file; real ones have a few thousand


class DebError(ValueError):
    """The file is no binary package, or a damaged one."""


# What the standard library's readers raise for damaged content.
DAMAGE = (DebError, EOFError, gzip.BadGzipFile, lzma.LZMAError, tarfile.TarError, zlib.error)


@frozen
class Deb:
    """A binary package: its control file's text and the absolute paths of all it ships.

    `control` ends in one newline and holds no empty line. Names that are no UTF-8 carry
    surrogate escapes.
    """

    control: str
    paths: tuple[str, ...]

    def field(self, name: str) -> str:
        """The first line of the control field `name`; empty when it is not there."""
        return control_field(self.control, name)


def read_deb(path: str | PathLike[str]) -> Deb:
    """Read the package at `path`; DebError when it is none, OSError when unreadable."""
    try:
        with open(path, "rb") as file:
            members = _read_members(file)
        control = _read_control(*_pick(members, "control.tar"))
        paths = _list_paths(*_pick(members, "data.tar"))
    except DAMAGE as error:
        raise DebError(f"{path}: {error}") from error
    return Deb(control, paths)


def _read_members(file: IO[bytes]) -> dict[str, bytes]:
    if file.read(len(AR_MAGIC)) != AR_MAGIC:
        raise DebError("not a Debian package")
    members = {}
    while header := file.read(AR_HEADER):
        if len(header) < AR_HEADER or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
            raise DebError("damaged ar header")
        size = int(header[48:58])
        if size > MAX_MEMBER:
            raise DebError(f"a member of {size} bytes")
        data = file.read(size + size % 2)
        if len(data) < size:
            raise DebError("cut short")
        members[header[:16].decode("ascii", "replace").strip().rstrip("/")] = data[:size]
    return members


def _pick(members: dict[str, bytes], stem: str) -> tuple[str, bytes]:
    """The compression's suffix and the bytes of the member `stem`.*."""
    for name, data in members.items():
        if name == stem or name.startswith(stem + "."):
            return name[len(stem) + 1 :], data
    raise DebError(f"no {stem} inside")


def _open_tar(suffix: str, data: bytes) -> tarfile.TarFile:
    stream = _decompress(suffix, io.BytesIO(data))
    return tarfile.open(fileobj=stream, mode="r|", bufsize=BLOCK, errors="surrogateescape")


def _decompress(suffix: str, stream: IO[bytes]) -> IO[bytes]:
    match suffix:
        case "":
            return stream
        case "xz":
            return cast("IO[bytes]", lzma.open(stream))
        case "gz":
            return cast("IO[bytes]", gzip.open(stream))
        case "zst":
            return cast("IO[bytes]", _ZstdFile(stream))
        case _:
            raise DebError(f"unknown compression {suffix}")


class _ZstdFile:
    """What tarfile uses of a file: `read`, with DebError for damaged data."""

    def __init__(self, stream: IO[bytes]) -> None:
        import zstandard

        self._damage = zstandard.ZstdError
        self._reader = zstandard.ZstdDecompressor().stream_reader(stream)

    def read(self, size: int) -> bytes:
        try:
            return self._reader.read(size)
        except self._damage as error:
            raise DebError(str(error)) from error


def _read_control(suffix: str, data: bytes) -> str:
    with _open_tar(suffix, data) as archive:
        for member in archive:
            if member.name.removeprefix("./") == "control":
                content = archive.extractfile(member)
                if content is None:
                    break
                if member.size > MAX_CONTROL:
                    raise DebError(f"a control file of {member.size} bytes")
                text = content.read().decode("utf-8", "surrogateescape")
                return "".join(f"{line}\n" for line in text.splitlines() if line.strip())
    raise DebError("no control file inside")


def _list_paths(suffix: str, data: bytes) -> tuple[str, ...]:
    with _open_tar(suffix, data) as archive:
        names = (member.name.removeprefix(".").strip("/") for member in archive)
        return tuple(f"/{name}" for name in names if name)
