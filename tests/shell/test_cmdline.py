"""The kernel's command line: cut as the kernel cuts it (lib/cmdline.c, next_arg)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.shells import Machine


def parse(machine: Machine, text: str) -> list[str]:
    found = machine.lib("sr_cmdline_parse", stdin=text)
    assert (found.returncode, found.stderr) == (0, "")
    return found.stdout.splitlines()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("quiet ro\n", ["quiet", "ro"]),
        ("  a=1 \t b=2  ", ["a=1", "b=2"]),
        ('a="1 2" b', ["a=1 2", "b"]),
        ('"a=1 2" b', ["a=1 2", "b"]),
        ('a="" b', ["a=", "b"]),
        ('a=x"1 2"', ['a=x"1 2"']),
        ("a=$(reboot) b=`reboot` c=;reboot", ["a=$(reboot)", "b=`reboot`", "c=;reboot"]),
        ("a=* b=?", ["a=*", "b=?"]),
        ("a -- b", ["a"]),
        ("a=b=c", ["a=b=c"]),
        ('a="1\t2" b', ["b"]),
        ("a=\x1b[31m b", ["b"]),
        ('a="unclosed b', ["a=unclosed b"]),
        ("", []),
    ],
)
def test_words(machine: Machine, text: str, words: list[str]) -> None:
    assert parse(machine, text) == words


def next_arg_words(text: str) -> list[str]:
    """The kernel's next_arg, for text without control characters."""
    words: list[str] = []
    rest = text.lstrip(" ")
    while rest:
        quoted = rest[0] == '"'
        if quoted:
            rest = rest[1:]
        in_quote, equals, end = quoted, 0, len(rest)
        for i, char in enumerate(rest):
            if char == " " and not in_quote:
                end = i
                break
            if not equals and char == "=":
                equals = i
            if char == '"':
                in_quote = not in_quote
        word, rest = rest[:end], rest[end:].lstrip(" ")
        if equals:
            name, value = word[:equals], word[equals + 1 :]
            if value.startswith('"'):
                value = value[1:].removesuffix('"')
            elif quoted:
                value = value.removesuffix('"')
            word = f"{name}={value}"
        elif quoted:
            word = word.removesuffix('"')
        if word == "--":
            break
        if word:
            words.append(word)
    return words


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text('ab=" .-$', max_size=30))
def test_as_the_kernel_does_it(machine: Machine, text: str) -> None:
    assert parse(machine, text) == next_arg_words(text)


def test_the_last_value_counts_and_absence_is_told_from_emptiness(machine: Machine) -> None:
    machine.write("run/srbuild/cmdline", "a=1\na=2\nflag\nab=3\nnone=\n")
    assert machine.lib("sr_cmdline a").stdout == "2\n"
    for name in ("flag", "none"):
        assert (
            machine.lib(f"sr_cmdline {name}").returncode,
            machine.lib(f"sr_cmdline {name}").stdout,
        ) == (0, "\n")
    assert machine.lib("sr_cmdline b").returncode == 1
    assert machine.lib("sr_cmdline 'a*'").returncode == 1
