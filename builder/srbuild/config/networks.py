"""The words that describe a network, dracut's: bond=, vlan=, bridge=, rd.route=, ifname=.

The cluster file and the kernel's command line speak one language; hooks/lib/networds.sh takes
the same words apart at boot. Each function returns the normal form of one word or raises
ValueError with a sentence. Source of the forms: dracut.cmdline(7).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Final

from srbuild.config.addresses import parse_cidr, parse_ip, parse_mac

INTERFACE_MAX: Final = 15  # IFNAMSIZ of Linux, less the final NUL
VLAN_MAX: Final = 4094  # IEEE 802.1Q: 0 and 4095 are reserved
MTU_MIN, MTU_MAX = 68, 65535  # RFC 791: a datagram's least, and its length field's most

_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_DASHED_MAC = re.compile(r"[0-9A-Fa-f]{2}(-[0-9A-Fa-f]{2}){5}")
_VLAN_NAME = re.compile(r"(?:.*\.|vlan)([0-9]+)")
_RESERVED: Final = frozenset({"lo", "all", "default"})
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


def is_interface(text: str) -> bool:
    """Whether the kernel would take `text` as an interface's name (and a path would, too)."""
    return len(text) <= INTERFACE_MAX and bool(_INTERFACE.fullmatch(text))


def parse_nic(raw: str) -> str:
    """An interface's name, or a card's MAC address; with dashes, for colons separate fields."""
    if _DASHED_MAC.fullmatch(raw):
        return parse_mac(raw).replace(":", "-")
    if not is_interface(raw):
        raise ValueError(
            f"{raw!r} is neither an interface's name nor a MAC address with dashes"
            " (52-54-00-00-00-01)"
        )
    return raw


def parse_mtu(raw: str) -> str:
    """The largest packet of an interface, in bytes."""
    if not _is_upto(raw, MTU_MAX) or int(raw) < MTU_MIN:
        raise ValueError(f"{raw!r} is no MTU: a number from {MTU_MIN} to {MTU_MAX}")
    return raw


def _new_name(raw: str) -> str:
    if not is_interface(raw) or raw in _RESERVED:
        raise ValueError(f"{raw!r} can't be the name of an interface")
    return raw


def _nics(raw: str) -> list[str]:
    nics = [parse_nic(nic) for nic in raw.split(",")]
    for nic in nics:
        if nics.count(nic) > 1:
            raise ValueError(f"{nic!r} stands there twice")
    return nics


def _is_upto(text: str, most: int) -> bool:
    return bool(_NUMBER.fullmatch(text)) and int(text) <= most


def _upto(most: int) -> Callable[[str], bool]:
    return lambda text: _is_upto(text, most)


def _one_of(*words: str) -> Callable[[str], bool]:
    return lambda text: text in words


def _are_targets(text: str) -> bool:
    try:
        addresses = [ipaddress.ip_address(parse_ip(word)) for word in text.split(";")]
    except ValueError:
        return False
    return all(address.version == 4 for address in addresses)


_MODES = (  # in the order of the kernel's numbers
    *("balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad"),
    *("balance-tlb", "balance-alb"),
)
_FLAG = _one_of("0", "1")
_INT_MAX = 2**31 - 1
# Documentation/networking/bonding.rst of Linux. What MAC and IPv6 addresses are values of is
# left out: their colons would end the field.
_BOND_OPTIONS: Final[Mapping[str, Callable[[str], bool]]] = {
    "mode": _one_of(*_MODES, *map(str, range(len(_MODES)))),
    "lacp_rate": _one_of("slow", "fast", "0", "1"),
    "ad_select": _one_of("stable", "bandwidth", "count"),
    "fail_over_mac": _one_of("none", "active", "follow"),
    "primary_reselect": _one_of("always", "better", "failure"),
    "arp_validate": _one_of(
        "none", "active", "backup", "all", "filter", "filter_active", "filter_backup"
    ),
    "arp_all_targets": _one_of("any", "all"),
    "xmit_hash_policy": _one_of(
        "layer2", "layer2+3", "layer3+4", "encap2+3", "encap3+4", "vlan+srcmac"
    ),
    "use_carrier": _FLAG,
    "all_slaves_active": _FLAG,
    "tlb_dynamic_lb": _FLAG,
    "miimon": _upto(_INT_MAX),
    "updelay": _upto(_INT_MAX),
    "downdelay": _upto(_INT_MAX),
    "arp_interval": _upto(_INT_MAX),
    "peer_notif_delay": _upto(_INT_MAX),
    "min_links": _upto(_INT_MAX),
    "num_grat_arp": _upto(255),
    "num_unsol_na": _upto(255),
    "resend_igmp": _upto(255),
    "packets_per_slave": _upto(65535),
    "ad_actor_sys_prio": _upto(65535),
    "ad_user_port_key": _upto(1023),
    "arp_ip_target": _are_targets,
}


def parse_bond(raw: str) -> str:
    """NAME[:NIC,NIC…[:OPTION=VALUE,…[:MTU]]]; without NICs eth0 and eth1, as dracut has it."""
    if raw.count(":") > 3:
        raise ValueError(f"{raw!r} has more than four fields")
    name, nics, words, mtu = [*raw.split(":"), "", "", ""][:4]
    slaves = _nics(nics or "eth0,eth1")
    options: dict[str, str] = {}
    for word in words.split(",") if words else []:
        option, equals, value = word.partition("=")
        if option in options:
            raise ValueError(f"{option!r} is given twice")
        if option == "primary":
            value = parse_nic(value)
        options[option] = value
        known = slaves.__contains__ if option == "primary" else _BOND_OPTIONS.get(option)
        if not equals or not known or not known(value):
            raise ValueError(f"{word!r} is no option of a bond, or no value of it")
    _check_bond(options)
    fields = [_new_name(name), ",".join(slaves)]
    fields.append(",".join(f"{option}={value}" for option, value in options.items()))
    fields.append(parse_mtu(mtu) if mtu else "")
    return ":".join(fields).rstrip(":")


def _check_bond(options: Mapping[str, str]) -> None:
    """Refuse what the kernel refuses together."""
    mode = options.get("mode", "0")
    mode = _MODES[int(mode)] if mode.isdigit() else mode
    if "lacp_rate" in options and mode != "802.3ad":
        raise ValueError("lacp_rate is for mode=802.3ad only")
    if "arp_interval" not in options:
        return
    if "miimon" in options:
        raise ValueError("miimon and arp_interval exclude each other")
    if mode in {"802.3ad", "balance-tlb", "balance-alb"}:
        raise ValueError(f"arp_interval does not work in mode={mode}: use miimon")
    if "arp_ip_target" not in options:
        raise ValueError("arp_interval needs arp_ip_target")


def parse_vlan(raw: str) -> str:
    """NAME:NIC; the VLAN's number is at the end of NAME: eth0.20, eth0.0020, vlan20, vlan0020."""
    name, colon, lower = raw.partition(":")
    if not colon:
        raise ValueError(f"{raw!r} is not NAME:INTERFACE, such as bond0.20:bond0")
    lower = parse_nic(lower)
    found = _VLAN_NAME.fullmatch(_new_name(name))
    if not found or not 1 <= int(found[1]) <= VLAN_MAX:
        raise ValueError(
            f"{name!r} does not end in a VLAN's number from 1 to {VLAN_MAX} (eth0.20, vlan20)"
        )
    if name == lower:
        raise ValueError(f"{name!r} can't lie on itself")
    return f"{name}:{lower}"


def parse_bridge(raw: str) -> str:
    """NAME:NIC,NIC…; without NICs eth0, as dracut has it."""
    name, colon, nics = raw.partition(":")
    ports = _nics(nics if colon else "eth0")
    if _new_name(name) in ports:
        raise ValueError(f"{name!r} can't be a port of itself")
    return f"{name}:{','.join(ports)}"


def cut_field(text: str) -> tuple[str, str]:
    """The first field of `text` and what follows its colon; brackets hold IPv6 together."""
    if text.startswith("[") and "]" in text:
        field, _, rest = text[1:].partition("]")
        if rest and not rest.startswith(":"):
            raise ValueError(f"{text!r} has something after its bracket")
        return field, rest[1:]
    field, _, rest = text.partition(":")
    return field, rest


def bracketed(address: str) -> str:
    """`address` as a field: in brackets when it has colons."""
    return f"[{address}]" if ":" in address else address


def parse_route(raw: str) -> str:
    """NETWORK/PREFIX:[GATEWAY][:NIC], an IPv6 address in brackets."""
    to, rest = cut_field(raw)
    via, dev = cut_field(rest)
    network, slash, mask = to.partition("/")
    to = parse_cidr(f"{network}/{mask_to_prefix(mask)}" if slash else to)
    if not via and not dev:
        raise ValueError(f"{raw!r} names neither a gateway nor an interface")
    if via:
        via = parse_ip(via)
        if (":" in via) != (":" in to):
            raise ValueError(f"{raw!r}: the gateway is of another IP version")
    return f"{bracketed(to)}:{bracketed(via)}:{parse_nic(dev) if dev else ''}".removesuffix(":")


def mask_to_prefix(mask: str) -> str:
    """The prefix length that a netmask stands for; what is one already stays."""
    if "." not in mask:
        return mask
    bits = f"{int(ipaddress.IPv4Address(parse_ip(mask))):032b}"
    if "01" in bits:
        raise ValueError(f"{mask!r} is no netmask")
    return str(bits.count("1"))


def parse_ifname(raw: str) -> str:
    """NAME:MAC."""
    name, colon, mac = raw.partition(":")
    if not colon:
        raise ValueError(f"{raw!r} is not NAME:MAC, such as lan0:52:54:00:00:00:01")
    return f"{_new_name(name)}:{parse_mac(mac)}"
