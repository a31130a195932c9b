"""Values behave as the standard library's frozen dataclasses with slots do."""

from __future__ import annotations

import copy
import pickle
from dataclasses import (
    FrozenInstanceError,
    asdict,
    astuple,
    dataclass,
    field,
    fields,
    is_dataclass,
    replace,
)
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbuild.frozen import frozen


@frozen
class Value:
    """Ours."""

    kind: ClassVar[str] = "value"

    a: int
    b: tuple[int, ...] = ()
    c: dict[str, int] = field(default_factory=dict, repr=False)
    d: str = field(default="d", compare=False, metadata={"from": "key"})

    def __post_init__(self) -> None:
        if self.a < 0:
            raise ValueError("a")

    @property
    def twice(self) -> int:
        return 2 * self.a


@dataclass(frozen=True, slots=True)
class Model:
    """The standard library's."""

    kind: ClassVar[str] = "value"

    a: int
    b: tuple[int, ...] = ()
    c: dict[str, int] = field(default_factory=dict, repr=False)
    d: str = field(default="d", compare=False, metadata={"from": "key"})


@frozen
class Single:
    a: object


@frozen
class Bare:
    pass


VALUES = st.fixed_dictionaries(
    {"a": st.integers(0, 2)},
    optional={
        "b": st.lists(st.integers(0, 1), max_size=2).map(tuple),
        "c": st.dictionaries(st.sampled_from("xy"), st.integers(0, 1)),
        "d": st.text(max_size=1),
    },
)


@given(VALUES, VALUES)
def test_it_is_equal_and_shown_as_a_dataclass_is(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    mine, its = Value(**one), Model(**one)
    assert (mine == Value(**other)) == (its == Model(**other))
    assert repr(mine) == repr(its).replace("Model", "Value")
    assert asdict(mine) == asdict(its)
    assert astuple(mine) == astuple(its)
    assert asdict(replace(mine, a=7)) == asdict(replace(its, a=7))
    assert mine.twice == 2 * its.a


def test_its_fields_are_a_dataclasss() -> None:
    def told(kind: type) -> list[tuple[object, ...]]:
        return [
            (f.name, f.type, f.default, f.default_factory, f.repr, f.compare, dict(f.metadata))
            for f in fields(kind)
        ]

    assert is_dataclass(Value)
    assert told(Value) == told(Model)
    assert Value.__match_args__ == Model.__match_args__  # type: ignore[attr-defined]
    assert Value.__slots__ == Model.__slots__  # type: ignore[attr-defined]
    assert (Value.__doc__, Value.__name__, Value.__qualname__) == ("Ours.", "Value", "Value")
    assert Value.__module__ == __name__


def test_hashes_are_of_what_is_compared() -> None:
    assert hash(Single(1)) == hash(Single(1))
    assert len({Single(1), Single(1), Single((1,))}) == 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(Value(1))


def test_it_is_unlike_what_has_another_class() -> None:
    assert Value(1) != Model(1)
    assert Single(1) != 1
    assert Bare() == Bare()
    assert repr(Bare()) == "Bare()"


def test_each_has_a_default_of_its_own() -> None:
    one, other = Value(1), Value(1)
    one.c["x"] = 1
    assert other.c == {}
    given: dict[str, int] = {}
    assert Value(1, c=given).c is given


def test_it_cannot_be_changed() -> None:
    value: Any = Value(1)
    for name in ("a", "nope"):
        with pytest.raises(FrozenInstanceError, match=name):
            setattr(value, name, 2)
        with pytest.raises(FrozenInstanceError, match=name):
            delattr(value, name)
    assert not hasattr(value, "__dict__")
    assert value.a == 1


@pytest.mark.parametrize(
    ("words", "named"), [((), {}), ((1, (), {}, "d", 5), {}), ((1,), {"a": 1}), ((1,), {"e": 1})]
)
def test_wrong_arguments_are_a_type_error(words: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Model(*words, **named)
    with pytest.raises(TypeError):
        Value(*words, **named)


def test_the_check_after_it_is_made_is_run() -> None:
    with pytest.raises(ValueError, match="a"):
        Value(-1)
    with pytest.raises(ValueError, match="a"):
        replace(Value(1), a=-1)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1)[2:])
def test_it_is_pickled_and_copied(protocol: int) -> None:
    value = Value(1, (2,), {"x": 3}, "4")
    for other in (
        pickle.loads(pickle.dumps(value, protocol)), copy.copy(value), copy.deepcopy(value),
    ):  # fmt: skip
        assert asdict(other) == asdict(value)
    assert copy.deepcopy(value).c is not value.c


def test_it_is_matched_by_place() -> None:
    match Value(1, (2,)):
        case Value(a, (b,)):
            assert (a, b) == (1, 2)
        case _:
            pytest.fail("no match")


def test_a_default_before_none_is_refused() -> None:
    class Wrong:
        a: int = 1
        b: int

    made: Any = frozen(Wrong)
    with pytest.raises(TypeError, match="without a default"):
        made(1, 2)
