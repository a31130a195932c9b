"""Reading the files of an image."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from srbuild.errors import MissingInputError
from srbuild.host.sources import CHUNK, hash_source, unpack_source
from srbuild.host.sysroot import identity
from srbuild.manifest import File

# Does not compress, so that the packed file is larger than several reads.
DATA = random.Random(1).randbytes(3 * CHUNK + 17)
PACK = {"gzip": gzip.compress, "xz": lzma.compress, "zstd": zstandard.compress}


def packed(path: Path, data: bytes, how: str) -> File:
    path.write_bytes(data)
    status = path.stat()
    return File(str(path), status.st_size, 0o644, identity(status), how)


@pytest.mark.parametrize("how", PACK)
def test_a_packed_file_larger_than_the_buffer_is_unpacked_whole(tmp_path: Path, how: str) -> None:
    pack: Callable[[bytes], bytes] = PACK[how]
    file = packed(tmp_path / "kmod", pack(DATA), how)
    assert unpack_source(file) == DATA
    assert hash_source(file).sha256 == hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize("how", PACK)
def test_a_packed_file_that_is_damaged_is_named(tmp_path: Path, how: str) -> None:
    data = bytearray(PACK[how](DATA))
    del data[CHUNK + 1 :]
    file = packed(tmp_path / "kmod", bytes(data), how)
    with pytest.raises(MissingInputError, match=f"{os.sep}kmod: .*{how}"):
        unpack_source(file)
