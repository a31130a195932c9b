"""Reading the files that go into an image, sure that they are those that were collected."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from typing import cast

from srbuild.errors import MissingInputError, SrbuildError, VerifyError, raise_all
from srbuild.formats.kmodfile import Unpack, UnpackError, unpack
from srbuild.host.sysroot import identity
from srbuild.host.unpacked import UNPACKED
from srbuild.manifest import File
from srbuild.records import Stored

CHUNK = 256 << 10  # bytes: stays in the processor's cache while it is hashed and compressed

# O_NONBLOCK: a file that became a FIFO meanwhile must not hold the build up.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def check_sources(files: Iterable[File]) -> None:
    """Look that all files are still there and unchanged, before anything is written.

    Raises what `read_source` would, for all files together.
    """
    problems: list[SrbuildError] = []
    for file in files:
        try:
            _check(file, os.lstat(file.source))
        except OSError as error:
            problems.append(_unreadable(file, error))
        except VerifyError as error:
            problems.append(error)
    raise_all(problems)


def read_source(file: File) -> Iterator[bytes]:
    """The file's bytes in pieces.

    They add up to `file.identity.size`. Raises MissingInputError when the file can't be
    read, VerifyError when it is not what was collected, before or after it was read.
    """
    try:
        fd = os.open(file.source, _FLAGS)
        try:
            _check(file, os.fstat(fd))
            left = file.identity.size
            while left:
                piece = os.read(fd, min(left, CHUNK))
                if not piece:
                    break
                left -= len(piece)
                yield piece
            _check(file, os.fstat(fd))
        finally:
            os.close(fd)
    except OSError as error:
        raise _unreadable(file, error) from error
    if left:
        raise _changed(file)


def unpack_source(file: File) -> bytes:
    """The whole content of a compressed file, decompressed as `file.unpack` says.

    What this run has unpacked before is not unpacked again. Raises what `read_source` does, and
    MissingInputError for damaged data.
    """
    plain = UNPACKED.get(file.identity)
    if plain is not None:
        check_sources((file,))
        return plain
    packed = b"".join(read_source(file))
    try:
        plain = unpack(packed, cast(Unpack, file.unpack))
    except UnpackError as error:
        raise MissingInputError(f"{file.source}: {error}") from error
    UNPACKED.put(file.identity, plain)
    return plain


def hash_source(file: File) -> Stored:
    """Size and digest that the file's data will have in the image.

    Raises what `unpack_source` does.
    """
    if file.unpack:
        data = unpack_source(file)
        return Stored(len(data), hashlib.sha256(data).hexdigest())
    digest = hashlib.sha256()
    for chunk in read_source(file):
        digest.update(chunk)
    return Stored(file.identity.size, digest.hexdigest())


def _check(file: File, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or identity(status) != file.identity:
        raise _changed(file)


def _changed(file: File) -> VerifyError:
    return VerifyError(
        f"{file.source} changed while the image was built",
        hint="build again once nothing writes to the sysroot",
    )


def _unreadable(file: File, error: OSError) -> MissingInputError:
    return MissingInputError(
        f"cannot read {file.source}: {error.strerror}",
        hint="make it readable for the user that builds"
        if isinstance(error, PermissionError)
        else "",
    )
