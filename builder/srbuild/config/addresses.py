"""Addresses of machines, cards and storage: the normal form of each, ValueError with a sentence."""

from __future__ import annotations

import ipaddress
import re

_MAC = re.compile(
    r"[0-9a-f]{2}([:. -])[0-9a-f]{2}(\1[0-9a-f]{2}){4}|[0-9a-f]{4}([.:-])[0-9a-f]{4}\3[0-9a-f]{4}"
    r"|[0-9a-f]{12}"
)
_WWN = re.compile(r"(0x)?[0-9a-f]{16}|[0-9a-f]{2}([:-])[0-9a-f]{2}(\2[0-9a-f]{2}){6}")
_AOE = re.compile(r"e(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,2})")
AOE_SHELF_MAX, AOE_SLOT_MAX = 65534, 254  # AoEr11 2.2: all ones are every shelf, every slot


def parse_ip(raw: str) -> str:
    """An IPv4 or IPv6 address without a zone."""
    if "%" in raw:
        raise ValueError(f"{raw!r}: an address with a zone means something on one machine only")
    try:
        return str(ipaddress.ip_address(raw))
    except ValueError as error:
        raise ValueError(f"{raw!r} is not an IPv4 or IPv6 address") from error


def parse_cidr(raw: str) -> str:
    """An address with its prefix length."""
    address, slash, prefix = raw.partition("/")
    if not slash or not re.fullmatch(r"[0-9]{1,3}", prefix):
        raise ValueError(f"{raw!r} is not an address with its prefix length, such as 10.9.0.21/24")
    ip = parse_ip(address)
    if int(prefix) > (128 if ":" in ip else 32):
        raise ValueError(f"{raw!r}: the prefix length is too large")
    return f"{ip}/{int(prefix)}"


def parse_mac(raw: str) -> str:
    """A card's MAC address, lower-case with colons."""
    if not _MAC.fullmatch(raw.lower()):
        raise ValueError(f"{raw!r} is not a MAC address of 6 bytes in hexadecimal")
    digits = re.sub(r"[^0-9a-f]", "", raw.lower())
    if int(digits[1], 16) & 1:  # IEEE 802: the group bit is the first byte's lowest
        raise ValueError(f"{raw!r} is a group address, not that of a network card")
    if not int(digits, 16):
        raise ValueError(f"{raw!r} is no card's address")
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def parse_wwn(raw: str) -> str:
    """A Fibre Channel port's or node's name of 8 bytes (FC-FS), lower-case with colons."""
    if not _WWN.fullmatch(raw.lower()):
        raise ValueError(f"{raw!r} is not a world wide name of 8 bytes in hexadecimal")
    digits = re.sub(r"[:-]", "", raw.lower().removeprefix("0x"))
    if not int(digits, 16):
        raise ValueError(f"{raw!r} is no port's name")
    return ":".join(digits[i : i + 2] for i in range(0, 16, 2))


def parse_aoe(raw: str) -> str:
    """An AoE target's address as the kernel writes it: eSHELF.SLOT."""
    found = _AOE.fullmatch(raw)
    if not found:
        raise ValueError(f"{raw!r} is not an AoE target such as e1.2 (eSHELF.SLOT)")
    if int(found[1]) > AOE_SHELF_MAX or int(found[2]) > AOE_SLOT_MAX:
        raise ValueError(
            f"{raw!r}: a shelf is at most {AOE_SHELF_MAX}, a slot at most {AOE_SLOT_MAX}"
        )
    return raw
