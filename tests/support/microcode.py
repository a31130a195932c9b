"""Microcode as the vendors' files hold it, with random content that no processor knows."""

from __future__ import annotations

import random
import struct


def intel(size: int = 2048, seed: int = 0) -> bytes:
    """An update as Intel's processors take it: a header and a sum of zero."""
    body = random.Random(seed).randbytes(size - 48)
    head = struct.pack("<12I", 1, 2, 0x11152026, 0x906EA, 0, 1, 2, size - 48, size, 0, 0, 0)
    total = sum(struct.unpack(f"<{size // 4}I", head + body))
    return head[:16] + struct.pack("<I", -total & 0xFFFFFFFF) + head[20:] + body


def amd(size: int = 500) -> bytes:
    """A container of AMD's, as far as the kernel's first look goes."""
    return b"DMA\0" + struct.pack("<II", 0, 16) + random.Random(size).randbytes(size - 12)
