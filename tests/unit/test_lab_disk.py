"""Lab disks: made once, known by what made them, never left half made."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Self, cast

import pytest

from srbuild.errors import VerifyError
from srbuild.lab.disk import KEPT, DiskSpec, cached_disk, copy_sparse
from srbuild.lab.qemu import Disk, Vm
from srbuild.lab.server import Agent

SPEC = DiskSpec(1, "make-x", ("a",))


class Server:
    """Stands for the server VM and its agent at once; its job writes `word` to the disk."""

    def __init__(self, word: bytes = b"made", fails: bool = False) -> None:
        self.word = word
        self.fails = fails
        self.disks: list[Disk] = []
        self.machine = SimpleNamespace(name="disk")

    def boot(self, disk: Disk) -> tuple[Vm, Agent]:
        self.disks.append(disk)
        assert disk.path.stat().st_size == SPEC.size << 20
        return cast("Vm", self), cast("Agent", self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def wait_ready(self, seconds: float) -> None:
        assert seconds > 0

    def require(self, job: str, *words: str, seconds: float) -> None:
        assert (job, *words, seconds > 0) == ("make-x", "a", True)
        if self.fails:
            raise VerifyError("no")
        with self.disks[-1].path.open("r+b") as disk:
            disk.write(self.word)

    def call(self, job: str, *, seconds: float) -> None:
        assert job == "poweroff"
        assert seconds > 0

    def wait_end(self, seconds: float) -> None:
        assert seconds > 0


@pytest.fixture
def initrd(tmp_path: Path) -> Path:
    path = tmp_path / "initrd"
    path.write_bytes(b"server 1")
    return path


def test_a_disk_is_made_once_and_kept_writes_go_to_it(tmp_path: Path, initrd: Path) -> None:
    server = Server()
    first = cached_disk(SPEC, initrd, tmp_path / "cache", server.boot)
    again = cached_disk(SPEC, initrd, tmp_path / "cache", server.boot)
    assert first == again
    assert first.read_bytes()[:4] == b"made"
    assert [disk.keep for disk in server.disks] == [True]


def test_another_server_or_another_size_makes_another_disk(tmp_path: Path, initrd: Path) -> None:
    server = Server()
    first = cached_disk(SPEC, initrd, tmp_path / "cache", server.boot)
    initrd.write_bytes(b"server 2")
    assert cached_disk(SPEC, initrd, tmp_path / "cache", server.boot) != first


def test_other_contents_make_another_disk(tmp_path: Path, initrd: Path) -> None:
    made = {
        cached_disk(SPEC, initrd, tmp_path / "cache", Server().boot, tree)
        for tree in ("", "root-a.tar", "root-b.tar")
    }
    assert len(made) == 3


def test_a_disk_that_cannot_be_finished_leaves_nothing(tmp_path: Path, initrd: Path) -> None:
    with pytest.raises(VerifyError):
        cached_disk(SPEC, initrd, tmp_path / "cache", Server(fails=True).boot)
    assert not list((tmp_path / "cache").iterdir())


def test_old_disks_and_left_overs_of_killed_runs_go(tmp_path: Path, initrd: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    old = time.time() - 86400
    for name in [*(f"make-x-{i}.disk" for i in range(KEPT)), "new-dead.disk"]:
        (cache / name).write_bytes(b"")
        os.utime(cache / name, (old + len(name), old + len(name)))
    (cache / "new-alive.disk").write_bytes(b"")
    made = cached_disk(SPEC, initrd, cache, Server().boot)
    names = {path.name for path in cache.iterdir()}
    assert {made.name, "new-alive.disk"} <= names
    assert "new-dead.disk" not in names
    assert len(names) == KEPT + 1


def test_a_copy_has_the_same_bytes_and_its_holes(tmp_path: Path) -> None:
    source, copy = tmp_path / "a", tmp_path / "b"
    with source.open("wb") as file:
        file.truncate(8 << 20)
        for at, word in ((0, b"first"), (5 << 20, b"middle"), ((8 << 20) - 4, b"last")):
            file.seek(at)
            file.write(word)
    copy_sparse(source, copy)
    assert copy.read_bytes() == source.read_bytes()
    assert copy.stat().st_blocks <= source.stat().st_blocks
    source.write_bytes(b"")
    copy_sparse(source, copy)
    assert copy.read_bytes() == b""
    source.write_bytes(b"")
    os.truncate(source, 1 << 20)
    copy_sparse(source, copy)
    assert copy.stat().st_size == 1 << 20
