"""sr_check: what a value of each type may be, with the builder's own rules as the oracle."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srbuild.config import values
from support import network_words
from support.shells import Machine

GOOD = {
    "string": ["", "a b", "naïve", "$(reboot)"],
    "word": ["a", "iqn.x:y", "$(reboot)", "!~"],
    "int": ["0", "7", "-12", "999999999999999999"],
    "seconds": ["0", "90"],
    "bool": ["0", "1", "true", "false", "yes", "no", "on", "off"],
    "enum": ["unsafe-none"],
    "endpoint": ["10.9.0.1", "10.9.0.1:3260", "host-1.example.org:1", "[fe80::1]:65535", "[::1]"],
    "ip": ["0.0.0.0", "255.255.255.255", "::", "::1", "1::", "fe80::1:2", "::ffff:10.0.0.1",
           "1:2:3:4:5:6:7:8"],
    "cidr": ["10.9.0.21/24", "0.0.0.0/0", "fd00::1/128"],
    "mac": ["52:54:00:00:00:01", "AA:bb:cc:DD:ee:ff"],
    "iqn": ["iqn.2026-01.lab:root", "iqn.2001-04.com.example", "eui.02004567a425678d",
            "naa.52004567ba64678d", "naa.62004567ba64678d0123456789abcdef"],
    "wwn": ["20:00:52:54:00:00:00:01", "20-00-52-54-00-00-00-0A", "0x2000525400000001",
            "2000525400000001"],
    "aoe": ["e0.0", "e1.2", "e65534.254"],
    "path": ["/", "/dev/sda", "/a b", "/..a/b.."],
    "device": ["/dev/sda", "LABEL=a b", "UUID=1", "WWN=0x5", "HCTL=0:0:0:1", "by-path/pci-1"],
    "flags": ["", "noatime", "noatime,data=ordered"],
    **network_words.GOOD,
}  # fmt: skip
BAD = {
    "string": ["a\tb", "a\x1b[31mb", "\x7f"],
    "word": ["", "a b", "a\tb", "é"],
    "int": ["", "-", "+1", "1.5", "010", "0x10", "1 2", "a", "1000000000000000000", "--1"],
    "seconds": ["", "-1", "90s", "10000000000"],
    "bool": ["", "2", "TRUE", "ja"],
    "enum": ["", "a b"],
    "endpoint": ["", ":", ":3260", "a:", "a:0", "a:65536", "a:b", "fe80::1", "[fe80::1", "fe80::1]",
                 "[1.2.3.4]", "[::1]:", "[::1]x:1", "1.2.3", "1.2.3.4.5:1", "a..b", "-a", "a-",
                 "a_b", "a b", "$(reboot)", "a:1:2", "300.1.1.1"],
    "ip": ["", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4.", ".1.2.3", "1..2.3",
           ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", ":1", "1:", "12345::",
           "::1%eth0", "::1.2.3", "::1.2.3.4:1", "g::", "1.2.3.4 ", "10.0.0.1;reboot"],
    "cidr": ["", "/", "10.9.0.21", "10.9.0.21/", "10.9.0.21/33", "10.9.0.21/-1", "10.9.0.21/024",
             "10.9.0.21/24/24", "::1/129", "/24"],
    "mac": ["", "52:54:00:00:00", "52:54:00:00:00:01:02", "52-54-00-00-00-01", "525400000001",
            "01:54:00:00:00:01", "ff:ff:ff:ff:ff:ff", "0B:00:00:00:00:01", "00:00:00:00:00:00",
            "52:54:00:00:00:0g", "5:254:00:00:00:01", ":::::", "::::::::::::", "52:54:00:00:0:001"],
    "iqn": ["", "iqn", "iqn.2026-1.lab", "iqn.2026-01", "iqn.2026-01.", "iqn.2026-01.a b", "eui.1",
            "eui.02004567a425678g", "naa.123", "iqn.2026-01.lab:$(reboot)",
            "iqn.2026-01." + "a" * 220],
    "wwn": ["", "20:00:52:54:00:00:00", "20:00:52:54:00:00:00:01:02", "20:00:52:54-00-00-00-01",
            "00:00:00:00:00:00:00:00", "0x200052540000000", "0x20005254000000011",
            "200052540000000g", "$(reboot)", "52:54:00:00:00:01",
            "20:00:52:54:00:00:0:001", "000x52540000000001"],
    "aoe": ["", "e", "e1", "e1.", "e.1", "1.2", "E1.2", "e01.2", "e1.02", "e65535.0", "e0.255",
            "e1.2.3", "e-1.2", "e1.2 ", "e$(reboot).1", "etherd/e1.2", "e1.2/../sda"],
    "path": ["", "a", "./a", "/a/../b", "/..", "..", "/a\nb", "/a\x1b"],
    "device": ["", "sda", "label=a", "LABEL=", "by-id/", "/a/../b", "LABEL=a\nb", "LABEL=\x1b"],
    "flags": [",", "a,", ",a", "a,,b", "a b"],
    **network_words.BAD,
}  # fmt: skip


def verdicts(machine: Machine, kind: str, texts: list[str]) -> list[bool]:
    """Ask the shell about many values in one process (they come as its arguments)."""
    script = 'kind=$1\nshift\nfor value; do sr_check "$kind" "$value" && echo 1 || echo 0; done'
    found = machine.lib(script, kind, *texts)
    assert found.stderr == ""
    return [line == "1" for line in found.stdout.split()]


@pytest.mark.parametrize("kind", GOOD)
def test_what_is_well_formed(machine: Machine, kind: str) -> None:
    assert dict(zip(GOOD[kind], verdicts(machine, kind, GOOD[kind]), strict=True)) == dict.fromkeys(
        GOOD[kind], True
    )


@pytest.mark.parametrize("kind", BAD)
def test_what_is_not(machine: Machine, kind: str) -> None:
    assert dict(zip(BAD[kind], verdicts(machine, kind, BAD[kind]), strict=True)) == dict.fromkeys(
        BAD[kind], False
    )


def test_every_type_of_the_builder_is_known(machine: Machine) -> None:
    assert set(GOOD) == set(BAD) == set(values.OPTION_TYPES)
    assert machine.lib("sr_check nosuchtype x").returncode == 2


ADDRESSES = st.lists(
    st.one_of(
        st.ip_addresses().map(str),
        st.text("0123456789abf:./[]-", max_size=24),
        st.lists(st.text("0123456789abcdef", max_size=5), max_size=9).map(":".join),
        st.lists(st.integers(0, 300).map(str), max_size=5).map(".".join),
    ),
    min_size=30,
    max_size=60,
)


def python_says(kind: str, text: str) -> bool:
    try:
        values.parse(kind, text)
    except ValueError:
        return False
    return True


STORAGE = st.lists(
    st.one_of(
        st.from_regex(r"\A(0x)?[0-9A-Fa-f]{14,18}\Z"),
        st.from_regex(r"\A[0-9a-f]{2}([:-][0-9a-f]{1,3}){6,8}\Z"),
        st.from_regex(r"\Ae[0-9]{1,6}\.[0-9]{0,4}\Z"),
    ),
    min_size=30,
    max_size=60,
)


@pytest.mark.parametrize("kind", ["wwn", "aoe"])
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=STORAGE)
def test_boot_and_builder_agree_on_the_names_of_storage(
    machine: Machine, kind: str, texts: list[str]
) -> None:
    for text, taken in zip(texts, verdicts(machine, kind, texts), strict=True):
        assert taken == python_says(kind, text), text


@pytest.mark.parametrize("kind", ["ip", "cidr", "endpoint"])
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=ADDRESSES)
def test_boot_takes_no_address_that_the_builder_refuses(
    machine: Machine, kind: str, texts: list[str]
) -> None:
    for text, taken in zip(texts, verdicts(machine, kind, texts), strict=True):
        assert not taken or python_says(kind, text), text
        if kind == "ip":  # and for addresses the two agree wholly
            assert taken == python_says(kind, text), text


WORDS = sorted({word for words in network_words.GOOD.values() for word in words})
MANGLED = st.lists(
    st.builds(
        lambda word, at, cut, put: word[: at % (len(word) + 1)] + put + word[at % 40 + cut :],
        st.sampled_from(WORDS),
        st.integers(0, 40),
        st.integers(0, 3),
        st.text("0123456789abeth:./[],;=-", max_size=3),
    ),
    min_size=30,
    max_size=60,
)


@pytest.mark.parametrize("kind", network_words.GOOD)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=MANGLED)
def test_boot_and_builder_agree_on_the_words_of_a_network(
    machine: Machine, kind: str, texts: list[str]
) -> None:
    for text, taken in zip(texts, verdicts(machine, kind, texts), strict=True):
        assert not taken or python_says(kind, text), text
        if taken:  # and what the builder makes of it, the boot takes, too
            assert verdicts(machine, kind, [values.parse(kind, text)]) == [True], text
