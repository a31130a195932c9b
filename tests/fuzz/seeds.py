"""Small well-formed inputs that fuzzing starts from, made on the spot."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
from pathlib import Path

import zstandard

from srbuild.formats.cpio import CpioWriter
from srbuild.host.cache import SEGMENT_SCHEMA
from srbuild.sidecar import SCHEMA
from support.kernels import CLASSES, kmod_elf

PROJECT = Path(__file__).resolve().parents[2]
CLUSTER = """
name = "lab"
[network]
mtu = 1500
[block]
type = "iscsi"
portal = ["10.9.0.1"]
chap_secret = "s"
[fs]
type = "gfs2"
[fence]
method = "unsafe-none"
[[node]]
name = "n1"
id = 1
mac = ["52:54:00:00:00:01"]
address = "10.9.0.21/24"
[node.iscsi]
initiator = "iqn.2026-01.lab:n1"
"""
_PAIRS = [("name", "a"), ("alias", "pci:v*d*"), ("softdep", "pre: b post: c"), ("depends", "b,c")]


def archives() -> list[bytes]:
    out = bytearray()
    writer = CpioWriter(out.extend)
    writer.add(b"usr", 0o40755, nlink=2)
    writer.add(b"usr/f", 0o100644, size=5)
    writer.write(b"hello")
    writer.add(b"usr/l", 0o120777, size=1)
    writer.write(b"f")
    writer.add(b"null", 0o20666, rdev=(1, 3))
    writer.close()
    return [bytes(out)]


def packed() -> list[bytes]:
    [plain] = archives()
    frame = zstandard.ZstdCompressor(write_checksum=True).compress(plain)
    xz = lzma.compress(plain, check=lzma.CHECK_CRC32)
    return [frame, gzip.compress(plain, mtime=0), xz, lzma.compress(plain, lzma.FORMAT_ALONE),
            bz2.compress(plain)]  # fmt: skip


def images() -> list[bytes]:
    [plain] = archives()
    lz4 = b"\x02\x21\x4c\x18" + struct.pack("<I", 4) + b"data" + bytes(8)
    return [plain, *packed(), plain + bytes(512) + packed()[0] + bytes(3), plain + lz4]


def elves() -> list[bytes]:
    """A 64-bit and a 32-bit little-endian and two big-endian shared objects with a note."""
    return [_shared_object(bits, order) for bits, order in CLASSES]


def _shared_object(bits: int, order: str) -> bytes:
    strings = b"\0libc.so.6\0/opt/lib:$ORIGIN\0libself.so\0"
    text = json.dumps([{"soname": ["libz.so.1"], "priority": "suggested"}]).encode()
    text += bytes(-len(text) % 4)
    note = struct.pack(order + "III", 4, len(text), 0x407C0C0A) + b"FDO\0" + text
    interp = b"/lib64/ld-linux-x86-64.so.2\0"
    wide = bits == 64
    head, entry = (64, 56) if wide else (52, 32)
    at = head + 5 * entry
    tags = [
        (1, 1),
        (29, 11),
        (14, 28),
        (5, at),
        (10, len(strings)),
        (0x6FFFFFFB, 0x08000001),
        (0, 0),
    ]
    dynamic = b"".join(struct.pack(order + ("QQ" if wide else "II"), *tag) for tag in tags)
    body = b""
    headers = b""
    for kind, data in ((1, strings), (2, dynamic), (3, interp), (4, note), (7, b"")):
        where = at + len(body)
        if wide:
            headers += struct.pack(
                order + "IIQQQQQQ", kind, 4, where, where, where, len(data), len(data), 4
            )
        else:
            headers += struct.pack(
                order + "IIIIIIII", kind, where, where, where, len(data), len(data), 4, 4
            )
        body += data
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    layout = order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH")
    header = struct.pack(layout, 3, 62, 1, 0, head, 0, 0, head, entry, 5, 0, 0, 0)
    return ident + header + headers + body


def loaders() -> list[bytes]:
    return [b"x\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0y"]


def kmods() -> list[bytes]:
    return [kmod_elf(_PAIRS, bits=bits, order=order) for bits, order in CLASSES]


def indexes() -> list[bytes]:
    return [
        b"kernel/fs/ext4.ko: kernel/lib/crc16.ko.xz\n",
        b"# Aliases\nalias fs-ext4 ext4\nalias pci:v00001AF4d*sv*sd*bc[0-9]*sc*i* virtio_net\n",
        b"softdep a pre: b post: c\nweakdep a b c\n",
        b"alias symbol:crc16 crc16\n",
        b"ext4.alias=fs-ext4\0ext4.license=GPL\0",
    ]


def ldconf() -> list[bytes]:
    text = b"include /etc/ld.so.conf.d/*.conf\n/opt/lib # x\nhwcap 1 nosegneg\n/a=libc6\n"
    return [text, b"include ld.so.conf\n", b"/lib:/usr/lib\n"]


def shebangs() -> list[bytes]:
    return [b"#!/bin/sh -e\n", b"#! /usr/bin/env -S A=b python3 -u\n", b"#!\n", b"#!a\tb\r\n"]


def debs() -> list[bytes]:
    control = _tar("./control", b"Package: a\nVersion: 1\nArchitecture: all\n")
    data = _tar("./usr/bin/a", b"#!/bin/sh\n")
    xz, zst = lzma.compress, zstandard.ZstdCompressor().compress
    return [
        _ar(("control.tar.xz", xz(control)), ("data.tar.xz", xz(data))),
        _ar(("control.tar.zst", zst(control)), ("data.tar.zst", zst(data))),
        _ar(("control.tar.gz", gzip.compress(control, mtime=0)), ("data.tar", data)),
    ]


def _tar(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return out.getvalue()[:2560]


def _ar(*members: tuple[str, bytes]) -> bytes:
    parts = [b"!<arch>\n"]
    for name, data in (("debian-binary", b"2.0\n"), *members):
        parts.append(f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode())
        parts.append(data + b"\n" * (len(data) % 2))
    return b"".join(parts)


def dpkg() -> list[bytes]:
    there = b"Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n"
    return [there + b"Package: b\nStatus: deinstall ok config-files\n\n/usr/bin/a\n"]


def recipes() -> list[bytes]:
    found = [path.read_bytes() for path in sorted((PROJECT / "images").glob("*.toml"))]
    return [*found, b'fs = "gfs2"\nkmods = ["a"]\n[values.iscsi]\nportal = ["a:1"]\n']


def clusters() -> list[bytes]:
    return [CLUSTER.encode()]


def modules() -> list[bytes]:
    return [path.read_bytes() for path in sorted((PROJECT / "modules").glob("*/*/module.toml"))]


def values() -> list[bytes]:
    texts = ["90s", "10.9.0.1:3260", "[fe80::1]:1", "iqn.2026-01.lab:x", "52:54:00:00:00:01",
             "10.9.0.21/24", "a,b=c", "/a b", "yes", "-12"]  # fmt: skip
    return [text.encode() for text in texts]


def sidecars() -> list[bytes]:
    segment = {"name": "base", "compression": "zstd", "offset": 0, "length": 9, "sha256": "0" * 64,
               "cpio_size": 9}  # fmt: skip
    reasons = [{"how": "binary", "source": "r", "key": ""}, {"how": "link", "by": "/a"}]
    entry = {"type": "file", "mode": "0644", "segment": "base", "size": 1, "sha256": "0" * 64,
             "reasons": reasons}  # fmt: skip
    fields = {"schema": SCHEMA, "kernel": "6.1", "size": 9, "sha256": "0" * 64, "content_size": 1,
              "notes": ["n"], "segments": [segment], "entries": {"/b/a": entry},
              "packages": [{"name": "a", "version": "1", "architecture": "all"}]}  # fmt: skip
    return [json.dumps(fields).encode()]


def kept() -> list[bytes]:
    head = {"schema": SEGMENT_SCHEMA, "length": 4, "sha256": "0" * 64, "cpio_size": 4}
    odd = [
        {**head, key: value} for key in head for value in (-1, 1.5, "4", None, True, [], 1 << 70)
    ]
    rows = b'{"1-2-3-4-5":[1,"a"],"5-4-3-2-1":{"b":null}}'
    whole = [json.dumps(one).encode() + b"\ndata" for one in (head, *odd)]
    return [*whole, rows, b'content-1\t8b9ca3f2\t{"1-2-3-4-5":[1,"a"]}\n', b"[" * 4000]
