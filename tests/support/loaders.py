"""Stand-ins for UEFI boot loaders: the headers of a PE file, and nothing that runs."""

from __future__ import annotations

import struct
from pathlib import Path


def make_loader(path: Path, machine: int = 0x8664) -> Path:
    """Write the head of an EFI program for `machine`, an IMAGE_FILE_MACHINE, to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dos = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x80)
    path.write_bytes(dos.ljust(0x80, b"\0") + struct.pack("<4sH", b"PE\0\0", machine) + bytes(99))
    return path
