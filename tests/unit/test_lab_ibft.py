"""The iBFT that the lab's firmware leaves; a real kernel reads it in tests/boot/test_iscsi.py."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import IPv4Interface

import pytest

from srbuild.lab.ibft import BootTable, ibft_bytes

TABLE = BootTable(
    "iqn.2026-01.lab:fw",
    "52:54:00:00:00:01",
    IPv4Interface("10.9.0.61/20"),
    "10.9.0.1",
    "iqn.2026-01.lab:root",
    3,
    ("user", "secret"),
)


def structure(raw: bytes, number: int) -> bytes:
    """The structure with this id, found as the kernel finds it: by the control structure."""
    for offset in (48, *(at for at in struct.unpack_from("<5H", raw, 48 + 8) if at)):
        length = struct.unpack_from("<H", raw, offset + 2)[0]
        if raw[offset] == number:
            assert offset % 8 == 0
            return raw[offset : offset + length]
    raise AssertionError(f"no structure {number}")


def text(raw: bytes, part: bytes, offset: int) -> str:
    """The string whose length and place stand at `offset` of `part`."""
    length, place = struct.unpack_from("<HH", part, offset)
    assert not place or raw[place + length] == 0
    return raw[place : place + length].decode()


@pytest.mark.parametrize("table", [TABLE, replace(TABLE, initiator="iqn.2026-01.x:" + "y" * 200)])
def test_all_of_it_is_found_where_the_standard_has_it(table: BootTable) -> None:
    raw = ibft_bytes(table)
    signature, length, revision = struct.unpack_from("<4sIB", raw)
    assert (signature, length, revision) == (b"iBFT", len(raw), 1)
    assert sum(raw) % 256 == 0
    assert text(raw, structure(raw, 2), 70) == table.initiator
    nic = structure(raw, 3)
    assert (nic[18:22], nic[22]) == (bytes((10, 9, 0, 61)), 20)
    assert nic[90:96] == bytes.fromhex("525400000001")
    target = structure(raw, 4)
    assert target[16:24] == b"\xff\xff\x0a\x09\x00\x01" + struct.pack("<H", 3260)
    assert target[24:33] == b"\x00\x03" + bytes(6) + b"\x01"
    assert [text(raw, target, offset) for offset in (34, 38, 42, 46, 50)] == [
        table.target, "user", "secret", "", ""
    ]  # fmt: skip


def test_without_a_secret_none_is_named() -> None:
    raw = ibft_bytes(replace(TABLE, chap=("", "")))
    assert structure(raw, 4)[32] == 0
    assert b"secret" not in raw


def test_what_is_no_ascii_is_no_name() -> None:
    with pytest.raises(UnicodeEncodeError):
        ibft_bytes(replace(TABLE, target="iqn.2026-01.lab:röt"))
