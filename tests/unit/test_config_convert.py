"""TOML → dataclasses: what is accepted, what is reported, and that nothing else can happen."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srbuild.config.convert import (
    GIVEN,
    TABLE_KEY,
    Reader,
    collect,
    join_key,
    parse_toml,
    read_toml,
    suggest,
    toml_key,
)
from srbuild.errors import ConfigError, ErrorGroup, SrbuildError, raise_all

# A shared machine may be slow: time is no reason to fail.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def positive(raw: object) -> int:
    if not isinstance(raw, int) or raw < 1:
        raise ValueError("must be positive")
    return raw


@dataclass(frozen=True, slots=True)
class Script:
    toml_shorthand: ClassVar[str] = "path"

    point: str = field(metadata=TABLE_KEY)
    path: str
    seconds: Annotated[int, positive] = 120


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Thing:
    place: str = field(metadata=GIVEN)
    name: str
    colour: Literal["red", "green"] = "red"
    size: int | None = None
    sharp: bool = False
    anything: object = None
    parts: tuple[Part, ...] = field(default=(), metadata=toml_key("part"))
    run: Mapping[str, Script] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.sharp and self.size is None:
            raise ValueError("a sharp thing needs a size")


def read(text: str) -> Thing:
    reader = Reader("thing.toml")
    made = reader.table(Thing, parse_toml(text.encode(), "thing.toml"), given={"place": "here"})
    reader.finish()
    assert made is not None
    return made


def errors_of(text: str) -> list[str]:
    with pytest.raises(SrbuildError) as caught:
        read(text)
    group = caught.value
    found = group.errors if isinstance(group, ErrorGroup) else (group,)
    assert all(type(error) is ConfigError for error in found)
    assert group.exit_code == 3
    return [str(error) for error in found]


def test_everything_is_converted() -> None:
    thing = read(
        """
        name = "n"
        colour = "green"
        size = 7
        sharp = true
        anything = 1.5
        [[part]]
        name = "a"
        tags = ["x", "y"]
        [run]
        net = "net.sh"
        mount = {path = "mount.sh", seconds = 9}
        """
    )
    assert thing == Thing(
        place="here",
        name="n",
        colour="green",
        size=7,
        sharp=True,
        anything=1.5,
        parts=(Part("a", ("x", "y")),),
        run={"net": Script("net", "net.sh"), "mount": Script("mount", "mount.sh", 9)},
    )


def test_all_errors_come_at_once_with_their_key_paths() -> None:
    found = errors_of(
        """
        colour = "gren"
        size = "big"
        sharp = 1
        nmae = "n"
        [[part]]
        name = "a"
        [[part]]
        tags = ["x", 3]
        [run]
        net = 4
        "odd key" = {path = "p", seconds = 0, extra = 1}
        """
    )
    assert found == [
        "thing.toml: nmae: unknown key 'nmae'\n  hint: did you mean 'name'?",
        "thing.toml: name: missing",
        "thing.toml: colour: 'gren' is not one of red, green\n  hint: did you mean 'green'?",
        "thing.toml: size: must be a whole number, not a string",
        "thing.toml: sharp: must be true or false, not a whole number",
        "thing.toml: part[1].name: missing",
        "thing.toml: part[1].tags[1]: must be a string, not a whole number",
        "thing.toml: run.net: must be a table, not a whole number",
        "thing.toml: run.'odd key'.extra: unknown key 'extra'\n  hint: known: path, seconds",
        "thing.toml: run.'odd key'.seconds: must be positive",
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("name = 1979-05-27", "name: must be a string, not a date or time"),
        ("name = 1.0", "name: must be a string, not a number"),
        ("name = []", "name: must be a string, not an array"),
        ("name = true", "name: must be a string, not true or false"),
        ('name = "n"\nsize = true', "size: must be a whole number, not true or false"),
        ('name = "n"\npart = {}', "part: must be an array, not a table"),
        ('name = "n"\nrun = "x"', "run: must be a table, not a string"),
        ('name = "n"\ncolour = 3', "colour: must be a string, not a whole number"),
        ('name = "n"\nplace = "x"', "place: unknown key 'place'"),
        ('name = "n"\nrun.net = {path = "p", point = "x"}', "run.net.point: unknown key 'point'"),
        ('name = "n"\nsharp = true', "a sharp thing needs a size"),
    ],
)
def test_wrong_values_are_named(text: str, error: str) -> None:
    (found,) = errors_of(text)
    assert error in found


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"a = 1\nb = \n", "f.toml: line 2, column 5: not TOML: Invalid value"),
        (b"a = 1\na = 2\n", "f.toml: line 2, column 6: not TOML: Cannot overwrite a value"),
        (b'a = 1\nb = "x', "f.toml: line 2: not TOML: Unterminated string"),
        (b"a = 1\nb = '\xff'\n", "f.toml: line 2: not UTF-8"),
        (b"a = " + b"[" * 100_000, "f.toml: nested too deeply"),
        (b"a = " + b"9" * 5000, "f.toml: not TOML: Exceeds the limit"),
    ],
)
def test_syntax_errors_name_file_and_line(data: bytes, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_toml(data, "f.toml")
    assert str(caught.value).startswith(error)


def test_a_file_that_cannot_be_read_is_named(tmp_path) -> None:
    for path, reason in ((tmp_path / "none.toml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=reason) as caught:
            read_toml(path)
        assert caught.value.origin is not None
        assert caught.value.origin.source == str(path)


def test_suggestions() -> None:
    assert suggest("protal", ["portal", "target"]) == "did you mean 'portal'?"
    assert suggest("xyz", ["b", "a"]) == "known: a, b"
    assert suggest("xyz", []) == "none is known here"


def test_key_paths_show_control_characters_escaped() -> None:
    assert join_key("a", "b-c_1") == "a.b-c_1"
    assert join_key("", "x\x1b[2J") == r"'x\x1b[2J'"
    (found,) = errors_of('name = "n"\n"\\u001b[2J" = 1')
    assert "\x1b" not in found


def test_collect_flattens_groups_and_lets_bugs_through() -> None:
    errors: list[SrbuildError] = []
    with collect(errors):
        raise_all([ConfigError("a"), ConfigError("b")])
    with collect(errors):
        raise ConfigError("c")
    assert [str(error) for error in errors] == ["a", "b", "c"]
    with pytest.raises(KeyError), collect(errors):
        raise KeyError("bug")


def test_secret_values_are_not_in_errors() -> None:
    def refuse(raw: object) -> str:
        raise ValueError(f"{raw!r} is bad")

    for secret, shown in ((True, False), (False, True)):
        reader = Reader("f")
        assert reader.values(["hunter2"], "k", True, refuse, secret) is None
        assert ("hunter2" in str(reader.errors[0])) is shown
        assert str(reader.errors[0]).startswith("f: k[0]: ")


@unhurried
@given(st.binary(max_size=300))
def test_random_bytes_are_a_table_or_a_config_error(data: bytes) -> None:
    table = None
    with collect(errors := list[SrbuildError]()):
        table = parse_toml(data, "f")
    assert isinstance(table, dict) or type(errors[0]) is ConfigError


toml_lines = st.lists(
    st.tuples(
        st.sampled_from(["name", "colour", "size", "[run]", "[[part]]", "[run.net]", "x.y", "{"]),
        st.sampled_from(["", "=", "= 1", "= 'a'", "= [1", "= {a=1}", "= true", "= 1e9", '= "\\']),
    ),
    max_size=8,
)


@unhurried
@given(toml_lines)
def test_random_lines_are_a_thing_or_config_errors(lines: list[tuple[str, str]]) -> None:
    thing = None
    with collect(errors := list[SrbuildError]()):
        thing = read("\n".join(f"{key} {rest}" for key, rest in lines))
    assert isinstance(thing, Thing) or errors
    assert all(type(error) is ConfigError for error in errors)


keys = st.sampled_from(["name", "colour", "size", "sharp", "anything", "part", "run", "tags"])
texts = st.text("ab'\"\n\x1b\u2028", max_size=3)
scalars = st.sampled_from([True, 1.5, datetime.date(2026, 1, 1)]) | st.integers() | texts
tables = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | texts, inner, max_size=4),
    max_leaves=6,
)


@unhurried
@given(st.dictionaries(keys, tables, max_size=6))
def test_random_tables_are_a_thing_or_config_errors(table: dict[str, object]) -> None:
    reader = Reader("f")
    made = reader.table(Thing, table, given={"place": "here"})
    assert (made is None) == bool(reader.errors)
    assert all(type(error) is ConfigError for error in reader.errors)
