"""ip= in the kernel's and dracut's forms, one address or method of one interface each.

hooks/lib/ip.sh takes the same forms apart at boot. Sources: Documentation/admin-guide/nfs/
nfsroot.rst of Linux, dracut.cmdline(7).
"""

from __future__ import annotations

from typing import Final

from srbuild.config.addresses import parse_cidr, parse_ip, parse_mac
from srbuild.config.networks import (
    bracketed,
    cut_field,
    mask_to_prefix,
    parse_mtu,
    parse_nic,
)

_METHODS: Final = frozenset(
    {"dhcp", "on", "any", "dhcp6", "auto6", "auto", "either6", "link6", "off", "none", ""}
)
_ALONE: Final = frozenset({"single-dhcp", "ibft"})  # for no single interface
_GONE: Final = frozenset({"bootp", "rarp", "both"})


def parse_ipform(raw: str) -> str:
    """One value of ip=, checked; addresses in their normal form.

    METHOD, NIC:METHOD[:MTU[:MAC]], or
    CLIENT:[SERVER]:[GATEWAY]:[MASK]:[HOST]:[NIC]:[METHOD] with [:DNS0[:DNS1[:NTP]]] or
    [:MTU[:MAC]] behind. Raises ValueError with a sentence.
    """
    if ":" not in raw:
        return _method(raw, alone=True)
    first, rest = cut_field(raw)
    if first and not _is_ip(first):
        return _device_form(raw, first, rest)
    return _full_form(raw, first, rest)


def asks_dhcp6(form: str) -> bool:
    """Does `form`, as parse_ipform gives it, take a client for DHCPv6?"""
    fields = []
    rest = form
    while rest:
        field, rest = cut_field(rest)
        fields.append(field)
    if len(fields) > 1:
        place = 6 if not fields[0] or _is_ip(fields[0]) else 1
        fields = fields[place : place + 1]
    return fields in (["dhcp6"], ["either6"])


def _is_ip(text: str) -> bool:
    try:
        parse_ip(text)
    except ValueError:
        return False
    return True


def _method(word: str, *, alone: bool) -> str:
    if word in _GONE:
        raise ValueError(f"{word!r} is a protocol that nobody serves any more: use dhcp")
    if word in _ALONE and not alone:
        raise ValueError(f"{word} is for no single interface: write it alone")
    if word not in _METHODS | _ALONE:
        raise ValueError(
            f"{word!r} is no method: dhcp, dhcp6, auto6, either6, link6, ibft, none or off"
        )
    return word


def _device_form(raw: str, device: str, rest: str) -> str:
    try:
        device = parse_nic(device)
    except ValueError as error:
        raise ValueError(f"{raw!r}: {device!r} is no address and no interface") from error
    method, rest = cut_field(rest)
    return ":".join([device, _method(method, alone=False), *_mtu_mac(rest)])


def _full_form(raw: str, client: str, rest: str) -> str:
    _server, rest = cut_field(rest)
    gateway, rest = cut_field(rest)
    mask, rest = cut_field(rest)
    host, rest = cut_field(rest)
    device, rest = cut_field(rest)
    method, rest = cut_field(rest)
    address = parse_ip(client) if client else ""
    gateway = parse_ip(gateway) if gateway else ""
    if _method(method, alone=True) in {"off", "none", ""}:
        if not address:
            raise ValueError(f"{raw!r} has neither an address nor dhcp")
        if not mask:
            raise ValueError(f"{raw!r} has no netmask")
        mask = parse_cidr(f"{address}/{mask_to_prefix(mask)}").partition("/")[2]
        if gateway and (":" in gateway) != (":" in address):
            raise ValueError(f"{raw!r}: the gateway is of another IP version than the address")
    fields = [bracketed(address), "", bracketed(gateway), mask, host]
    return ":".join([*fields, parse_nic(device) if device else "", method, *_tail(raw, rest)])


def _tail(raw: str, rest: str) -> list[str]:
    """[:DNS0[:DNS1[:NTP]]] or [:MTU[:MAC]]; a number alone is an MTU."""
    if rest.partition(":")[0].isdecimal():
        return _mtu_mac(rest)
    servers = []
    for _ in range(3):
        server, rest = cut_field(rest)
        servers.append(bracketed(parse_ip(server)) if server else "")
    if rest:
        raise ValueError(f"{raw!r} has more fields than there are")
    while servers and not servers[-1]:
        servers.pop()
    return servers


def _mtu_mac(rest: str) -> list[str]:
    mtu, _, mac = rest.partition(":")
    fields = [parse_mtu(mtu) if mtu else "", parse_mac(mac) if mac else ""]
    while fields and not fields[-1]:
        fields.pop()
    return fields
