"""A build job in a folder of its own, run again and again."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from pathlib import Path

import pytest

from srbuild.cli.main import main
from support.commands import CLUSTER
from support.images import leftovers
from support.plans import furnish
from support.trees import Tree

MODULE = """\
name = "mine"
kind = "base"
summary = "for a test"
[install]
files = ["/etc/mine.d/*"]
binaries = ["mine"]
[run]
mount = "mine.sh"
[[template]]
source = "mine.j2"
target = "/etc/mine.conf"
scope = "image"
"""


class Job:
    """Everything that images are made from, and how they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.image = folder / "image"
        self.full = 0  # builds that looked at everything
        self.environ: dict[str, str] = {}

    def furnish(self) -> None:
        tree = Tree(self.root)
        furnish(tree, "gfs2", "iscsi", "none")
        tree.file("/etc/mine.d/one", "1")
        tree.lib(f"{tree.libdir}/libmine.so.1")
        tree.program("/usr/sbin/mine", "libmine.so.1")
        tree.file("/var/lib/dpkg/status", "")
        (self.folder / "cluster.toml").write_text(CLUSTER)
        (self.folder / "recipe.toml").write_text('fs = "gfs2"\nblk = "iscsi"\n')
        mine = self.folder / "modules/base/mine"
        mine.mkdir(parents=True)
        (mine / "module.toml").write_text(MODULE)
        (mine / "mine.sh").write_text("#!/bin/sh\n")
        (mine / "mine.j2").write_text("x\n")

    def run(self, *words: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error of `srbuild build`."""
        argv = ["--image", "./recipe.toml", "--sysroot", "root", "--cluster", "cluster.toml"]
        argv += ["--module-path", "modules", "--module", "mine", *words]
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as caught,
        ):
            main(argv)
        assert isinstance(caught.value.code, int)
        return caught.value.code, out.getvalue(), err.getvalue()

    def build(self, *words: str) -> tuple[int, str, str]:
        return self.run("-o", "image", *words)

    def state(self) -> list[bytes]:
        """The image and its sidecar, as far as they are there."""
        paths = (self.image, self.folder / "image.json")
        return [path.read_bytes() for path in paths if path.exists()]

    def settle(self) -> None:
        """Build until nothing is left to do, and by a witness alone."""
        code, _, err = self.build()
        assert code == 0, err
        before = self.full
        assert " is up to date (" in self.build()[1]
        assert self.full == before

    def check(self) -> None:
        """Build, and compare with what is made of the same inputs without any knowledge."""
        before = self.state()
        code, out, err = self.build()
        there = self.state()
        told, _, why = self.run("-o", "oracle/image", "--no-cache")
        assert code == told, (err, why)
        if code == 0:
            assert there == [
                (self.folder / "oracle/image").read_bytes(),
                (self.folder / "oracle/image.json").read_bytes(),
            ], out
        else:
            assert there == before
            assert why == err
        assert not leftovers(self.folder)


def rewrite(path: Path) -> None:
    """Other bytes, the same size and mtime."""
    before, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    """Another file of the same size and mtime under its name."""
    other = path.with_name("other")
    shutil.copy2(path, other)
    rewrite(other)
    other.replace(path)
