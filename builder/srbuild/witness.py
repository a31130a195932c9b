"""What an earlier build saw and came to: whether a build would come to the same, by stat alone.

A witness is kept in the cache for each way in which srbuild was called. It holds every path and
variable that the build looked at, srbuild's own files among them, and what the build told. As
long as looking again would show the same, the inputs are the same, and whether the image is
current is a question about the image alone (`outputs.is_current`).

Imports little: this is most of what a build runs that changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from srbuild.frozen import frozen
from srbuild.host.looks import Looks, is_unchanged
from srbuild.paths import HostPath

FOLDER = "witnesses"  # in the cache
KEPT = 200  # of them; the least recently written go first
_TEXTS = ("name", "sha256")  # of a segment
_MOST_PADDING = 4096  # bytes of zeros; every compressor needs far fewer
_MAGIC = "srbuild.witness/1"
# Options that have no part in what is built; a cache's address may hold a password.
_NO_QUESTION = ("as_json", "cache", "no_cache")


@frozen
class Witness:
    """What an earlier build came to, and still holds.

    `inputs` is its key of all inputs, `document` the JSON document of a build that finds nothing
    to do. `keys` find the image's segments in the cache, and `sidecar` is what belongs beside
    the image; both are empty when it can't be put together from there.
    """

    inputs: str
    document: dict[str, Any]
    is_unsafe: bool
    keys: tuple[str, ...]
    sidecar: bytes


def question(options: Mapping[str, object]) -> str:
    """What was asked of whom: options, current folder, program, machine; as one text."""
    asked = {name: value for name, value in options.items() if name not in _NO_QUESTION}
    whom = [os.getcwd(), os.path.dirname(__file__), os.uname().machine, sys.version, sys.path]
    return json.dumps([whom, asked], default=str, sort_keys=True)


def recall(folder: HostPath, asked: str, environ: Mapping[str, str]) -> Witness | None:
    """The witness in the cache `folder` for this question, if all is as it saw it.

    None for any doubt: damage, another user's file, a variable or path that has changed.
    """
    try:
        head, rest = _read(_place(folder, asked))
        row = json.loads(head)
        if row["question"] != asked:
            return None
        if any(environ.get(name) != value for name, value in row["variables"].items()):
            return None
        if not is_unchanged(row["followed"], row["plain"]):
            return None
        sidecar = rest if zlib.crc32(rest) == row["sidecar"] else b""
        if not _has_shape(row):
            return None
        keys = tuple(row["keys"]) if sidecar else ()
        return Witness(row["inputs"], row["document"], row["is_unsafe"], keys, sidecar)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _has_shape(row: dict[str, Any]) -> bool:
    """Whether all that is read of a witness later is what `keep` was given."""
    document, keys = row["document"], row["keys"]
    segments = document["segments"]
    return (
        _all(str, row["inputs"], document["image"], document["sha256"], *keys)
        and _all(bool, row["is_unsafe"], document["changed"])
        and _all(list, keys, document["notes"], segments)
        and _all(str, *document["notes"], *(one[it] for one in segments for it in _TEXTS))
        and _all(bool, *(one["from_cache"] for one in segments))
        and _all(int, document["size"], document["entries"])
        and _all(int, *(one[name] for one in segments for name in ("offset", "length")))
        and document["entries"] >= 0
        and document["uki"] is None
        and all(0 <= gap <= _MOST_PADDING for gap in _gaps(document))
    )


def _gaps(document: dict[str, Any]) -> Iterator[int]:
    """The bytes between the segments and after the last one."""
    end = 0
    for one in document["segments"]:
        yield one["offset"] - end
        end = one["offset"] + one["length"]
        yield min(one["length"], 0)  # no length is below zero
    yield document["size"] - end


def _all(kind: type, *values: object) -> bool:
    """Whether each value is of exactly this type: True is no number."""
    return all(type(value) is kind for value in values)


def keep(folder: HostPath, asked: str, looks: Looks, witness: Witness) -> str:
    """Keep what a finished build looked at and came to.

    Nothing is kept when something has changed too short a time ago for a later change to show.
    Returns "" or, when the cache can't be written, a sentence that says so.
    """
    from srbuild.errors import SrbuildError
    from srbuild.host.files import Draft, make_private_folder

    _look_at_code(looks)
    if not looks.is_sure:
        return ""
    row = {
        "question": asked,
        "variables": looks.variables,
        "followed": looks.followed,
        "plain": looks.plain,
        "inputs": witness.inputs,
        "document": witness.document,
        "is_unsafe": witness.is_unsafe,
        "keys": witness.keys,
        "sidecar": zlib.crc32(witness.sidecar),
    }
    head = json.dumps(row, separators=(",", ":")).encode()
    place = _place(folder, asked)
    try:
        make_private_folder(place.parent)
        with Draft(place, secret=True) as draft:
            draft.write(f"{_MAGIC} {len(head)} {zlib.crc32(head):08x}\n".encode())
            draft.write(head)
            draft.write(witness.sidecar)
            draft.rename()
        _prune(place.parent)
    except (OSError, SrbuildError) as error:
        return f"what this build saw is not kept: {error}"
    return ""


def _place(folder: HostPath, asked: str) -> HostPath:
    """Where the witness is. Two questions may share a place: the later one takes it."""
    return folder / FOLDER / f"{zlib.crc32(asked.encode()):08x}"


def _read(path: HostPath) -> tuple[bytes, bytes]:
    """The row and what follows it; ValueError when damaged or anybody else could have made it."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise ValueError("not this user's alone")
        magic, size, crc = file.readline(100).decode("ascii").split()
        head = file.read(int(size))
        if magic != _MAGIC or crc != f"{zlib.crc32(head):08x}":
            raise ValueError("damaged")
        return head, file.read()


def _look_at_code(looks: Looks) -> None:
    """Note the files of all modules that this process has run, but Python's own."""
    looks.note(looks.followed, os.path.dirname(__file__), os.stat)
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if path and name.partition(".")[0] not in sys.stdlib_module_names:
            looks.note_code(path)


def _prune(folder: HostPath) -> None:
    with os.scandir(folder) as entries:
        found = sorted((entry.stat().st_mtime_ns, entry.path) for entry in entries)
    for _, path in found[:-KEPT]:
        with contextlib.suppress(FileNotFoundError):  # another build prunes, too
            os.unlink(path)
