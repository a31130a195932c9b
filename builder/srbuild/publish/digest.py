"""What a finished file is told by."""

from __future__ import annotations

import hashlib

from srbuild.errors import MissingInputError
from srbuild.paths import HostPath


def size_and_sha256(path: HostPath) -> tuple[int, str]:
    """The bytes of the file `path` and their sha256 in hexadecimal.

    Raises MissingInputError when it can't be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            return file.tell(), digest.hexdigest()
    except OSError as error:
        raise MissingInputError(f"cannot read {path}: {error.strerror}") from error
