"""Content that is unpacked once a run."""

from __future__ import annotations

import gzip
import lzma
import os
from pathlib import Path

import pytest

from srbuild.errors import VerifyError
from srbuild.facts import kmod_facts
from srbuild.formats import kmodfile
from srbuild.host.cache import FactStore
from srbuild.host.sources import unpack_source
from srbuild.host.sysroot import Identity, Sysroot, identity
from srbuild.host.unpacked import UnpackedFiles
from srbuild.kernels.tree import load_modinfo
from srbuild.manifest import File
from srbuild.paths import SysrootPath
from support.kernels import kmod_elf


def key(number: int) -> Identity:
    return Identity(1, number, 2, 3, 4)


def test_what_is_kept_comes_back_and_only_that() -> None:
    files = UnpackedFiles()
    files.put(key(1), b"one")
    files.put(key(2), b"")
    files.put(key(1), b"another")
    assert (files.get(key(1)), files.get(key(2)), files.get(key(3))) == (b"one", b"", None)


def test_beyond_the_limit_nothing_is_kept() -> None:
    files = UnpackedFiles(limit=5)
    files.put(key(1), b"1234")
    files.put(key(2), b"56")
    files.put(key(3), b"5")
    assert [files.get(key(n)) for n in (1, 2, 3)] == [b"1234", None, b"5"]


def test_processes_that_part_do_not_write_over_each_other() -> None:
    files = UnpackedFiles()
    files.put(key(1), b"before")
    child = os.fork()
    if not child:
        files.put(key(2), b"child!")
        good = (files.get(key(1)), files.get(key(2))) == (b"before", b"child!")
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    files.put(key(3), b"parent")
    assert [files.get(key(n)) for n in (1, 2, 3)] == [b"before", None, b"parent"]


def test_no_room_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    files = UnpackedFiles()
    files.put(key(1), b"one")
    assert files.get(key(1)) is None


def test_a_kmod_is_unpacked_once_for_collecting_and_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = kmod_elf([("name", "one"), ("license", "GPL")])
    path = tmp_path / "one.ko.xz"
    path.write_bytes(lzma.compress(plain))
    load_modinfo(Sysroot(tmp_path), SysrootPath("/one.ko.xz"), kmod_facts(FactStore(None)))
    monkeypatch.delattr(kmodfile, "_unpack_xz")
    status = path.stat()
    file = File(str(path), status.st_size, 0o644, identity(status), "xz")
    assert unpack_source(file) == plain


def test_a_kmod_that_changed_since_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(gzip.compress(b"first"))
    status = path.stat()
    file = File(str(path), status.st_size, 0o644, identity(status), "gzip")
    assert unpack_source(file) == b"first"
    path.write_bytes(gzip.compress(b"other"))
    with pytest.raises(VerifyError, match="changed while the image was built"):
        unpack_source(file)
