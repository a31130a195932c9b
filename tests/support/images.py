"""Small manifests for tests of writing and reading images."""

from __future__ import annotations

import os
from pathlib import Path

from srbuild.errors import Origin
from srbuild.host.sysroot import identity
from srbuild.manifest import Content, Dir, Entry, File, Inline, Manifest, Node, Reason, Symlink
from srbuild.paths import ImagePath

ASKED = (Reason("binary", Origin("recipe.toml", "install.binaries[0]")),)


def entry(content: Content, segment: str = "base", *, secret: bool = False) -> Entry:
    return Entry(content, segment, ASKED, secret)


def file_at(path: Path, data: bytes | None = None, mode: int = 0o644, unpack: str = "") -> File:
    """The host's file as the collector would see it now; written first when `data` is given."""
    if data is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    status = os.lstat(path)
    return File(str(path), status.st_size, mode, identity(status), unpack)


def manifest_of(entries: dict[str, Entry], notes: tuple[str, ...] = ()) -> Manifest:
    known = {ImagePath(path): entries[path] for path in sorted(entries)}
    return Manifest(known, kernel="6.1.0-test", notes=notes)


def sample(folder: Path) -> dict[str, Entry]:
    """Every kind of entry in four segments, and a directory only by what lies in it."""
    return {
        "/dev": entry(Dir()),
        "/dev/console": entry(Node("c", 5, 1, 0o600)),
        "/dev/vda": entry(Node("b", 254, 0, 0o660)),
        "/init": entry(file_at(folder / "init", b"#!/bin/sh\nexec sh\n", 0o755)),
        "/root": entry(Dir(0o700)),
        "/usr/bin/sh": entry(Symlink("busybox")),
        "/usr/bin/busybox": entry(file_at(folder / "busybox", os.urandom(300_001), 0o755)),
        "/usr/bin/su": entry(file_at(folder / "su", b"x" * 70_000, 0o4755)),
        "/usr/lib/empty": entry(file_at(folder / "empty", b"")),
        "/usr/lib/modules/6.1/a.ko": entry(file_at(folder / "a.ko", b"k" * 99_999), "kmods"),
        "/usr/lib/modules/6.1/modules.dep": entry(Inline(b"a.ko:\n"), "kmods"),
        "/usr/sbin/mount.gfs2": entry(file_at(folder / "gfs2", b"g" * 5000, 0o755), "fs"),
        "/etc/srbuild/site.values": entry(Inline(b"SR_X=1\n"), "site"),
    }
