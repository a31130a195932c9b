"""The types an option can have: what a value of each may be, and its one normal form.

A value ends up in shell variables, in rendered configuration and on lines of the form
`VARIABLE=value`, and it may come from the network (the kernel's command line, DHCP). So no
value holds anything but printable characters and single spaces inside, and every type but
`string`, `path` and `device` is a single word.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeAlias, get_args

from srbuild.config import ipform, networks
from srbuild.config.addresses import parse_aoe, parse_cidr, parse_ip, parse_mac, parse_wwn

OptionType: TypeAlias = Literal[
    "string",
    "word",
    "int",
    "seconds",
    "bool",
    "enum",
    "endpoint",
    "ip",
    "cidr",
    "mac",
    "iqn",
    "wwn",
    "aoe",
    "path",
    "device",
    "flags",
    "nic",
    "bond",
    "vlan",
    "bridge",
    "route",
    "ifname",
    "ipform",
]
OPTION_TYPES: Final[tuple[str, ...]] = get_args(OptionType)

TRUE: Final = frozenset({"1", "true", "yes", "on"})
FALSE: Final = frozenset({"0", "false", "no", "off"})
INT_MAX: Final = 10**18 - 1  # as hooks/lib/check.sh; surely holds in 64-bit shell arithmetic
SECONDS_MAX: Final = 2**31 - 1
ISCSI_NAME_MAX: Final = 223  # RFC 7143 4.2.7.1, in bytes
HOST_NAME_MAX: Final = 253  # RFC 1123 2.1 with RFC 1035 2.3.4, without the trailing dot

_WORD = re.compile(r"[!-~]+")
_INT = re.compile(r"[+-]?[0-9]{1,18}")
_SECONDS = re.compile(r"([0-9]{1,10})(s|m|h|)")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_IQN = re.compile(r"iqn\.[0-9]{4}-(0[1-9]|1[0-2])\.[a-z0-9-]+(\.[a-z0-9-]+)*(:[a-z0-9.:-]+)?")
_EUI = re.compile(r"eui\.[0-9a-f]{16}")
_DEVICE = re.compile(
    r"(UUID|PARTUUID|WWN|SERIAL)=\S+|(PART)?LABEL=\S.*|HCTL=\d+:\d+:\d+:\d+(-part\d+)?|by-(id|path)/\S+"
)
_NAA = re.compile(r"naa\.([0-9a-f]{16}|[0-9a-f]{32})")


def parse(kind: str, raw: object, choices: Sequence[str] = ()) -> str:
    """The normal form of `raw`, a value of the option type `kind`.

    `raw` is a string (from a command line, the environment or TOML), or a TOML integer or
    boolean. `choices` are the words that an `enum`, `word` or `flags` may hold; none given
    means any for the latter two. Raises ValueError with a sentence that shows the value.
    """
    if isinstance(raw, bool):
        raw = _of_bool(kind, raw)
    elif isinstance(raw, int):
        raw = _of_int(kind, raw)
    elif not isinstance(raw, str):
        raise ValueError(f"{raw!r} is no value of type {kind}: write it as a string")
    if not raw.isprintable():
        raise ValueError(f"{raw!r} holds a line break or another character that can't be printed")
    if raw != raw.strip():
        raise ValueError(f"{raw!r} begins or ends with a space")
    value = _PARSERS[kind](raw)
    if choices:
        _check_choices(_words(value) if kind == "flags" else [value], choices)
    return value


def _of_bool(kind: str, raw: bool) -> str:
    text = "true" if raw else "false"
    if kind != "bool":
        raise ValueError(f"{text} is no value of type {kind}: write it as a string")
    return text


def _of_int(kind: str, raw: int) -> str:
    if kind not in {"int", "seconds", "bool"}:
        raise ValueError(f"a bare number is no value of type {kind}: write it as a string")
    if abs(raw) > INT_MAX:
        raise ValueError("the number is too large")
    return str(raw)


def _check_choices(values: Sequence[str], choices: Sequence[str]) -> None:
    for value in values:
        if value not in choices:
            raise ValueError(f"{value!r} is not one of {', '.join(choices)}")


def _string(raw: str) -> str:
    return raw


def _word(raw: str) -> str:
    if not _WORD.fullmatch(raw):
        raise ValueError(f"{raw!r} is not one word of ASCII characters")
    return raw


def _int(raw: str) -> str:
    if not _INT.fullmatch(raw):
        raise ValueError(f"{raw!r} is not a whole number")
    return str(int(raw))


def _seconds(raw: str) -> str:
    found = _SECONDS.fullmatch(raw)
    if not found:
        raise ValueError(f"{raw!r} is not a time such as 90, 90s, 2m or 1h")
    seconds = int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]
    if seconds > SECONDS_MAX:
        raise ValueError(f"{raw!r} is longer than {SECONDS_MAX} seconds")
    return str(seconds)


def _bool(raw: str) -> str:
    word = raw.lower()
    if word in TRUE:
        return "1"
    if word in FALSE:
        return "0"
    raise ValueError(f"{raw!r} is neither true nor false")


def _host(raw: str) -> str:
    """A host name or IPv4 address; names by RFC 1123 2.1, without a trailing dot."""
    labels = raw.split(".")
    if len(raw) > HOST_NAME_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{raw!r} is neither a host name nor an IP address")
    return parse_ip(raw) if labels[-1].isdigit() else raw.lower()


def _endpoint(raw: str) -> str:
    if raw.count(":") > 1 and not raw.startswith("["):
        return f"[{parse_ip(raw)}]"
    host, bracket, rest = raw[1:].partition("]") if raw.startswith("[") else raw.partition(":")
    if bracket == "]":
        address = ipaddress.ip_address(parse_ip(host))
        if address.version != 6:
            raise ValueError(f"{raw!r}: only an IPv6 address stands in brackets")
        host, colon, port = f"[{address}]", rest[:1], rest[1:]
    else:
        host, colon, port = _host(host), bracket, rest
    if colon not in {"", ":"} or (not colon and port):
        raise ValueError(f"{raw!r} is not host[:port] or [IPv6]:port")
    return f"{host}:{_port(port, raw)}" if colon else host


def _port(text: str, raw: str) -> str:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError(f"{raw!r}: the port must be a number from 1 to 65535")
    return str(int(text))


def _iqn(raw: str) -> str:
    """RFC 7143 4.2.7 (RFC 3720 3.2.6): upper-case letters that a person types are mapped."""
    name = raw.lower()
    if len(name) > ISCSI_NAME_MAX:
        raise ValueError(f"{raw!r} is longer than {ISCSI_NAME_MAX} bytes")
    if not any(form.fullmatch(name) for form in (_IQN, _EUI, _NAA)):
        raise ValueError(
            f"{raw!r} is not an iSCSI name: iqn.YYYY-MM.reversed-domain[:name], eui.HEX, naa.HEX"
        )
    return name


def _path(raw: str) -> str:
    if not raw.startswith("/"):
        raise ValueError(f"{raw!r} is not an absolute path")
    if ".." in raw.split("/"):
        raise ValueError(f"{raw!r} is not allowed to hold '..'")
    return "/" + posixpath.normpath(raw).lstrip("/")


def _device(raw: str) -> str:
    """A disk, as hooks/lib/disk.sh finds it: a path, KEY=VALUE, or the name of a link of udev's."""
    if raw.startswith("/"):
        return _path(raw)
    if not _DEVICE.fullmatch(raw):
        raise ValueError(
            f"{raw!r} names no disk: write /dev/…, UUID=…, LABEL=…, PARTUUID=…, PARTLABEL=…, "
            "WWN=…, SERIAL=…, HCTL=H:C:T:L, by-id/… or by-path/…"
        )
    return raw


def _words(flags: str) -> list[str]:
    return [word.strip() for word in flags.split(",")] if flags else []


def _flags(raw: str) -> str:
    words = _words(raw)
    if not all(words):
        raise ValueError(f"{raw!r} has an empty word between its commas")
    return ",".join(_word(word) for word in words)


_PARSERS: Final[Mapping[str, Callable[[str], str]]] = {
    "string": _string,
    "word": _word,
    "int": _int,
    "seconds": _seconds,
    "bool": _bool,
    "enum": _word,
    "endpoint": _endpoint,
    "ip": parse_ip,
    "cidr": parse_cidr,
    "mac": parse_mac,
    "iqn": _iqn,
    "wwn": parse_wwn,
    "aoe": parse_aoe,
    "path": _path,
    "device": _device,
    "flags": _flags,
    "nic": networks.parse_nic,
    "bond": networks.parse_bond,
    "vlan": networks.parse_vlan,
    "bridge": networks.parse_bridge,
    "route": networks.parse_route,
    "ifname": networks.parse_ifname,
    "ipform": ipform.parse_ipform,
}
