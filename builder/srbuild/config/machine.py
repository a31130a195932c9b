"""What a machine's firmware says that it is (DMI): normal forms, ValueError with a sentence."""

from __future__ import annotations

import re
from typing import Final

LENGTH_MAX: Final = 64  # SMBIOS 2.x limits strings so; what vendors write is far shorter
_HEX = re.compile(r"[0-9a-f]{32}")
_UUID = re.compile(r"\{?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?|[0-9a-f]{32}")

# What vendors leave in place of a number: many machines have it. Lower case, `*` for anything;
# hooks/lib/machine.sh has the same list.
PLACEHOLDERS: Final = (
    "to be filled by o.e.m*",
    "to be set by o.e.m*",
    "default string",
    "system serial number",
    "system product name",
    "chassis serial number",
    "asset tag",
    "asset-1234567890",
    "no asset *",
    "not specified",
    "not applicable",
    "not available",
    "not present",
    "none",
    "n/a",
    "na",
    "null",
    "unknown",
    "invalid",
    "empty",
    "oem",
    "o.e.m.",
    "0123456789",
    "1234567890",
    "123456789",
    "12345678",
    "03000200-0400-0500-0006-000700080009",  # boards whose vendor never set one
)
_PLACEHOLDER = re.compile(
    "|".join(re.escape(one).replace(r"\*", ".*") for one in PLACEHOLDERS) + r"|[0 .f_-]+|x+"
)


def is_placeholder(text: str) -> bool:
    """Whether a vendor left `text` in place of a number; zeros and Fs alone are no number."""
    return _PLACEHOLDER.fullmatch(text.strip().lower()) is not None


def parse_uuid(raw: object) -> str:
    """A machine's UUID (RFC 4122), lower-case with dashes."""
    if not isinstance(raw, str) or not _UUID.fullmatch(raw.strip().lower()):
        raise ValueError(f"{raw!r} is not a UUID of 32 hexadecimal digits")
    digits = re.sub(r"[^0-9a-f]", "", raw.lower())
    if not _HEX.fullmatch(digits):
        raise ValueError(f"{raw!r} is not a UUID of 32 hexadecimal digits")
    uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    if is_placeholder(uuid) or is_placeholder(swap_uuid(uuid)):
        raise ValueError(f"{raw!r} is what many machines have whose vendor set no UUID")
    return uuid


def swap_uuid(uuid: str) -> str:
    """`uuid` with the bytes of its first three fields the other way round.

    SMBIOS 2.6 (7.2.1) has them little-endian; before it, and in some tools, they are not.
    """
    *fields, fourth, node = uuid.split("-")
    turned = [bytes.fromhex(field)[::-1].hex() for field in fields]
    return "-".join((*turned, fourth, node))


def parse_serial(raw: object) -> str:
    """A serial number or asset tag as the firmware shows it: printable ASCII, spaces within."""
    if not isinstance(raw, str) or not re.fullmatch(rf"[ -~]{{1,{LENGTH_MAX}}}", raw):
        raise ValueError(f"{raw!r} must be 1 to {LENGTH_MAX} printable ASCII characters")
    text = raw.strip()
    if not text or is_placeholder(text):
        raise ValueError(f"{raw!r} is what vendors write for no number: many machines have it")
    return text
