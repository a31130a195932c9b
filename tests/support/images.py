"""Small manifests for tests of writing and reading images."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from srbuild.errors import Origin
from srbuild.formats.cpio import CpioReader, CpioWriter
from srbuild.formats.segments import open_segment, split_image
from srbuild.host.sysroot import identity
from srbuild.image import Image, write_image
from srbuild.layers import split_layers
from srbuild.manifest import Content, Dir, Entry, File, Inline, Manifest, Node, Reason, Symlink
from srbuild.paths import ImagePath
from srbuild.report import Report

SETTLE = 0.15  # seconds after which facts about a new file are kept
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


def write(target: Path, entries: dict[str, Entry], **options: object) -> tuple[Image, Report]:
    return write_image(split_layers(manifest_of(entries)), target, **options)  # type: ignore[arg-type]


def names(image: Path) -> list[list[str]]:
    """The names in each segment, as they are stored."""
    with open(image, "rb") as file:
        return [
            [os.fsdecode(header.name) for header in CpioReader(open_segment(file, segment))]
            for segment in split_image(file)
        ]


def archive(name: bytes, data: bytes) -> bytes:
    """A raw archive of one file."""
    out = bytearray()
    writer = CpioWriter(out.extend)
    writer.add(name, 0o100644, size=len(data))
    writer.write(data)
    writer.close()
    return bytes(out)


def leftovers(folder: Path) -> list[Path]:
    """What a killed writer left in `folder`."""
    return list(folder.glob(".*draft"))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
