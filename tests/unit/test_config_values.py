"""Option types: normal forms, refusals, and that a normal form is its own normal form."""

from __future__ import annotations

import datetime
import ipaddress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srbuild.config.values import OPTION_TYPES, parse

# A shared machine may be slow: time is no reason to fail.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


GOOD = [
    ("string", "two words, é", "two words, é"),
    ("string", "", ""),
    ("word", "a=b:$(c)", "a=b:$(c)"),
    ("int", 42, "42"),
    ("int", "-007", "-7"),
    ("int", "+5", "5"),
    ("seconds", 10, "10"),
    ("seconds", "10s", "10"),
    ("seconds", "2m", "120"),
    ("seconds", "1h", "3600"),
    ("seconds", "0", "0"),
    ("bool", True, "1"),
    ("bool", False, "0"),
    ("bool", "Yes", "1"),
    ("bool", "off", "0"),
    ("bool", 1, "1"),
    ("endpoint", "10.9.0.1:3260", "10.9.0.1:3260"),
    ("endpoint", "10.9.0.1", "10.9.0.1"),
    ("endpoint", "San-1.Example.org:03260", "san-1.example.org:3260"),
    ("endpoint", "[FD00::0:1]:3260", "[fd00::1]:3260"),
    ("endpoint", "[fd00::1]", "[fd00::1]"),
    ("endpoint", "fd00::1", "[fd00::1]"),
    ("ip", "10.9.0.1", "10.9.0.1"),
    ("ip", "FD00:0::1", "fd00::1"),
    ("cidr", "10.9.0.21/24", "10.9.0.21/24"),
    ("cidr", "fd00::21/064", "fd00::21/64"),
    ("mac", "52-54-00-AB-cd-01", "52:54:00:ab:cd:01"),
    ("mac", "5254.00ab.cd01", "52:54:00:ab:cd:01"),
    ("mac", "525400ABCD01", "52:54:00:ab:cd:01"),
    ("mac", "52:54:00:ab:cd:01", "52:54:00:ab:cd:01"),
    ("wwn", "20:00:52:54:00:AB:cd:01", "20:00:52:54:00:ab:cd:01"),
    ("wwn", "20-00-52-54-00-AB-cd-01", "20:00:52:54:00:ab:cd:01"),
    ("wwn", "0x2000525400ABCD01", "20:00:52:54:00:ab:cd:01"),
    ("wwn", "2000525400abcd01", "20:00:52:54:00:ab:cd:01"),
    ("aoe", "e1.2", "e1.2"),
    ("aoe", "e65534.254", "e65534.254"),
    ("iqn", "iqn.2026-01.lab:root", "iqn.2026-01.lab:root"),
    ("iqn", "IQN.2001-04.com.Example:Disk2.sys1", "iqn.2001-04.com.example:disk2.sys1"),
    ("iqn", "iqn.1993-08.org.debian", "iqn.1993-08.org.debian"),
    ("iqn", "eui.02004567A425678D", "eui.02004567a425678d"),
    ("iqn", "naa.52004567BA64678D", "naa.52004567ba64678d"),
    ("iqn", "naa.62004567BA64678D0123456789ABCDEF", "naa.62004567ba64678d0123456789abcdef"),
    ("path", "//etc/./a b/", "/etc/a b"),
    ("path", "/", "/"),
    ("device", "//dev/sda/", "/dev/sda"),
    ("device", "LABEL=my root", "LABEL=my root"),
    ("device", "WWN=0x5000C500", "WWN=0x5000C500"),
    ("device", "HCTL=0:0:1:12-part3", "HCTL=0:0:1:12-part3"),
    ("device", "by-id/wwn-0x1", "by-id/wwn-0x1"),
    ("flags", "noatime, data=ordered", "noatime,data=ordered"),
    ("flags", "", ""),
]  # fmt: skip

BAD = [
    ("string", " leading"),
    ("string", "trailing "),
    ("string", "\u202eabc"),
    ("string", "\udcff"),
    ("word", "two words"),
    ("word", ""),
    ("word", "é"),
    ("int", "1.5"),
    ("int", "0x10"),
    ("int", "1_000"),
    ("int", "٣"),
    ("int", 10**18),
    ("int", "1" + "0" * 18),
    ("int", ""),
    ("int", True),
    ("seconds", -1),
    ("seconds", "1.5s"),
    ("seconds", "5 m"),
    ("seconds", "9999999999h"),
    ("bool", "maybe"),
    ("bool", 2),
    ("enum", "x y"),
    ("endpoint", "10.9.0.300:3260"),
    ("endpoint", "10.9.0.1:0"),
    ("endpoint", "10.9.0.1:65536"),
    ("endpoint", "10.9.0.1:"),
    ("endpoint", ":3260"),
    ("endpoint", "[10.9.0.1]:3260"),
    ("endpoint", "[fd00::1]3260"),
    ("endpoint", "[fd00::1"),
    ("endpoint", "[fd00::1]]:1"),
    ("endpoint", "fd00::1]:3260"),
    ("endpoint", "host_name:1"),
    ("endpoint", "-host"),
    ("endpoint", "host..name"),
    ("endpoint", "host.:1"),
    ("endpoint", "a" * 64),
    ("endpoint", "host:$(reboot)"),
    ("endpoint", "http://host:80"),
    ("ip", "010.9.0.1"),
    ("ip", "10.9.0.1/24"),
    ("ip", "fe80::1%eth0"),
    ("ip", "localhost"),
    ("cidr", "10.9.0.21"),
    ("cidr", "10.9.0.21/33"),
    ("cidr", "fd00::1/129"),
    ("cidr", "10.9.0.21/255.255.255.0"),
    ("cidr", "10.9.0.21/"),
    ("cidr", "/24"),
    ("mac", "52:54:00:00:00"),
    ("mac", "52:54:00:00:00:01:02"),
    ("mac", "52:54-00:00:00:01"),
    ("mac", "5254:0000.0001"),
    ("mac", "52:54:00:00:00:0g"),
    ("mac", "01:00:5e:00:00:01"),
    ("mac", "ff:ff:ff:ff:ff:ff"),
    ("mac", "00:00:00:00:00:00"),
    ("wwn", "20:00:52:54:00:00:00"),
    ("wwn", "20:00:52:54-00-00-00-01"),
    ("wwn", "00:00:00:00:00:00:00:00"),
    ("wwn", "50014380:0210a2b4"),
    ("aoe", "1.2"),
    ("aoe", "e1"),
    ("aoe", "e01.2"),
    ("aoe", "e65535.0"),
    ("aoe", "e0.255"),
    ("iqn", "iqn.2026-13.lab:root"),
    ("iqn", "iqn.26-01.lab:root"),
    ("iqn", "iqn.2026-01:root"),
    ("iqn", "iqn.2026-01.lab:a_b"),
    ("iqn", "iqn.2026-01.lab:a b"),
    ("iqn", "iqn.2026-01.lab:"),
    ("iqn", "iqn.2026-01.lab:" + "a" * 223),
    ("iqn", "eui.0200"),
    ("iqn", "naa.62004567ba64678d01234567"),
    ("iqn", "root"),
    ("path", "etc/passwd"),
    ("device", "sda"),
    ("device", "label=root"),
    ("device", "LABEL="),
    ("device", "UUID=a b"),
    ("device", "HCTL=0:0:1"),
    ("device", "by-id/"),
    ("device", "/dev/../etc/passwd"),
    ("device", ""),
    ("path", "/etc/../shadow"),
    ("path", ""),
    ("flags", "a,,b"),
    ("flags", ",a"),
    ("flags", "a b"),
]


@pytest.mark.parametrize(("kind", "raw", "normal"), GOOD)
def test_normal_forms(kind: str, raw: object, normal: str) -> None:
    assert parse(kind, raw) == normal


@pytest.mark.parametrize(("kind", "raw"), BAD)
def test_refusals_are_sentences(kind: str, raw: object) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+") as caught:
        parse(kind, raw)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", OPTION_TYPES)
@pytest.mark.parametrize("raw", ["a\nb", "a\0", "\x1b[2J", "\r", "\x7f", "\u2028", "\n", "1\n"])
def test_no_type_takes_control_characters(kind: str, raw: str) -> None:
    with pytest.raises(ValueError, match="can't be printed"):
        parse(kind, raw)


@pytest.mark.parametrize("kind", OPTION_TYPES)
@pytest.mark.parametrize("raw", [1.5, None, [], {}, datetime.date(2026, 1, 1)])
def test_no_type_takes_other_toml_values(kind: str, raw: object) -> None:
    with pytest.raises(ValueError, match="write it as a string"):
        parse(kind, raw)


@pytest.mark.parametrize("kind", ["string", "word", "enum", "endpoint", "ip", "iqn", "mac"])
def test_a_bare_number_is_no_text(kind: str) -> None:
    with pytest.raises(ValueError, match="bare number"):
        parse(kind, 12345678)


def test_choices() -> None:
    assert parse("enum", "b", ["a", "b"]) == "b"
    assert parse("flags", "b,a", ["a", "b"]) == "b,a"
    assert parse("flags", "", ["a", "b"]) == ""
    for kind, raw in (("enum", "c"), ("word", "c"), ("flags", "a,c")):
        with pytest.raises(ValueError, match="'c' is not one of a, b"):
            parse(kind, raw, ["a", "b"])


raws = (
    st.text(max_size=30)
    | st.text("0123456789abcdefABCDEF.:-/[]%,=_ iqnsmh", max_size=40)
    | st.integers()
    | st.booleans()
)


@unhurried
@given(st.sampled_from(OPTION_TYPES), raws)
def test_a_normal_form_is_printable_and_stays(kind: str, raw: object) -> None:
    try:
        value = parse(kind, raw)
    except ValueError:
        return
    assert value.isprintable()
    assert value == value.strip()
    assert parse(kind, value) == value
    if kind not in {"string", "path", "device"}:
        assert " " not in value


@unhurried
@given(st.ip_addresses(), st.integers(1, 65535))
def test_every_address_makes_an_endpoint(ip: ipaddress.IPv4Address, port: int) -> None:
    text = f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"
    if getattr(ip, "scope_id", None) is None:
        assert parse("endpoint", text) == text
        assert parse("ip", str(ip)) == str(ip)


@unhurried
@given(
    st.binary(min_size=6, max_size=6).filter(lambda mac: not mac[0] & 1 and any(mac)),
    st.sampled_from([":", "-", ".", " ", ""]),
    st.booleans(),
)
def test_macs_in_any_notation(mac: bytes, separator: str, upper: bool) -> None:
    text = mac.hex(separator) if separator else mac.hex()
    assert parse("mac", text.upper() if upper else text) == mac.hex(":")
