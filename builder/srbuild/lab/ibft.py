"""The iSCSI Boot Firmware Table, as a network card's firmware leaves it in memory for the system.

Layout: Microsoft's "iSCSI Boot Firmware Table (iBFT) as Defined in ACPI 3.0b", and what Linux
reads of it (drivers/firmware/iscsi_ibft.c). All numbers are little-endian.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Interface, ip_address

from srbuild.frozen import frozen

_HEADER = struct.Struct("<4sIBB6s8s24s")  # an ACPI table's, whose last fields the iBFT reserves
_CONTROL = struct.Struct("<6sHHHHHH")
_INITIATOR = struct.Struct("<6s16s16s16s16sHH")
_NIC = struct.Struct("<6s16sBB16s16s16s16sH6sHHH")
_TARGET = struct.Struct("<6s16sH8sBBHHHHHHHHHH")
_VALID_AND_BOOTED = 0b11
_ORIGIN_MANUAL = 1
_CHAP, _NO_CHAP = 1, 0


@frozen
class BootTable:
    """What the firmware booted from: one card with a fixed address, one target on it.

    `portal` is an IPv4 address, reached at port 3260. A `chap` of user and secret proves the node.
    """

    initiator: str
    mac: str
    address: IPv4Interface
    portal: str
    target: str
    lun: int
    chap: tuple[str, str] = ("", "")


def ibft_bytes(table: BootTable) -> bytes:
    """The table, its checksum right, as it lies in memory."""
    parts = (_CONTROL, _INITIATOR, _NIC, _TARGET)
    offsets = [_HEADER.size]
    for part in parts:
        offsets.append(_aligned(offsets[-1] + part.size))
    strings = _Strings(offsets.pop())
    _, initiator, nic, target = offsets
    body = [
        _CONTROL.pack(_structure(1, _CONTROL, 0), 0, initiator, nic, target, 0, 0),
        _INITIATOR.pack(
            _structure(2, _INITIATOR, _VALID_AND_BOOTED),
            *(bytes(16) for _ in range(4)),
            *strings.add(table.initiator),
        ),
        _NIC.pack(
            _structure(3, _NIC, _VALID_AND_BOOTED),
            _mapped(str(table.address.ip)),
            table.address.network.prefixlen,
            _ORIGIN_MANUAL,
            *(bytes(16) for _ in range(4)),  # gateway, two name servers, DHCP server
            0,
            bytes.fromhex(table.mac.replace(":", "")),
            0,
            *strings.add(""),
        ),
        _TARGET.pack(
            _structure(4, _TARGET, _VALID_AND_BOOTED),
            _mapped(table.portal),
            3260,
            struct.pack(">HHHH", table.lun, 0, 0, 0),  # SAM-2: four levels, big-endian
            _CHAP if table.chap[0] else _NO_CHAP,
            0,
            *strings.add(table.target),
            *strings.add(table.chap[0]),
            *strings.add(table.chap[1]),
            *strings.add(""),
            *strings.add(""),
        ),
    ]
    laid = b"".join(part.ljust(_aligned(len(part)), b"\0") for part in body) + strings.data
    whole = _header(len(laid), 0) + laid
    return _header(len(laid), -sum(whole) & 0xFF) + laid


class _Strings:
    """The heap of NUL-terminated names behind the structures."""

    def __init__(self, offset: int) -> None:
        self.data = b""
        self._offset = offset

    def add(self, text: str) -> tuple[int, int]:
        """Length and offset of `text`, or two zeros for none."""
        if not text:
            return 0, 0
        raw = text.encode("ascii")
        place = self._offset + len(self.data)
        self.data += raw + b"\0"
        return len(raw), place


def _aligned(offset: int) -> int:
    return -(-offset // 8) * 8


def _structure(number: int, layout: struct.Struct, flags: int) -> bytes:
    return struct.pack("<BBHBB", number, 1, layout.size, 0, flags)


def _mapped(address: str) -> bytes:
    """An IPv4 address the way that IPv6 has it."""
    return bytes(10) + b"\xff\xff" + ip_address(address).packed


def _header(size: int, checksum: int) -> bytes:
    return _HEADER.pack(
        b"iBFT", _HEADER.size + size, 1, checksum, b"SRBLAB", b"SRBUILD\0", bytes(24)
    )
