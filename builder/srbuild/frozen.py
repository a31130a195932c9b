"""Values: what `dataclass(frozen=True, slots=True)` makes, at a hundredth of the price.

`mutable` is the same for the few things that change while they are made.

The standard library writes six methods of every such class as text and compiles them, which took
half of the time that srbuild's imports did. Here `__init__` is written when a class is first
called, and the others are functions that all classes share in form. What the standard library
tells of dataclasses, it tells of these, too: `fields`, `replace`, `asdict` and the like.

Left out, because nothing uses it: inheritance among values, InitVar, keyword-only fields, order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, field
from operator import attrgetter
from reprlib import recursive_repr
from typing import Any, NoReturn, TypeAlias, TypeVar, dataclass_transform

__all__ = ["frozen", "mutable"]

T = TypeVar("T")
_store = object.__setattr__
_Names: TypeAlias = tuple[str, ...]
_Given: TypeAlias = dict[str, Any]


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Make the class `cls`, whose annotations are its fields, one of values.

    Its instances can't be changed (FrozenInstanceError), have slots and no `__dict__`, and are
    equal to those of the same class with equal fields. `field(...)`, ClassVar, defaults and
    `__post_init__` mean what they mean in a dataclass. TypeError for a field without a default
    behind one with a default, when the class is first called.
    """
    return _make(cls, _methods)


@dataclass_transform(eq_default=False, field_specifiers=(field,))
def mutable(cls: type[T]) -> type[T]:
    """Make `cls` a class of things with slots that may be set, each equal to itself alone.

    Fields and TypeError are as for `frozen`.
    """
    return _make(cls, lambda names, given: {"__repr__": _show})


def _make(cls: type[T], methods: Callable[[_Names, _Given], dict[str, Any]]) -> type[T]:
    """`cls` anew, with slots, an `__init__` that is written when first called, and `methods`.

    These are made for its fields' names and what stands for those with a default.
    """
    names = tuple(
        name for name, hint in cls.__annotations__.items() if not str(hint).startswith("ClassVar")
    )
    members = {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__")}
    given = {name: members.pop(name) for name in names if name in members}
    members |= methods(names, given)
    members["__slots__"] = members["__match_args__"] = names
    members["__dataclass_fields__"] = _Fields(given)
    meta: Any = type(cls)
    made = meta(cls.__name__, cls.__bases__, members)
    made.__qualname__ = cls.__qualname__

    def __init__(self: object, *args: object, **named: object) -> None:  # noqa: N807
        made.__init__ = _write_init(names, given, hasattr(made, "__post_init__"))
        made.__init__(self, *args, **named)

    made.__init__ = __init__
    return made  # type: ignore[no-any-return]


class _Fields:
    """A class's `__dataclass_fields__`, made by the standard library when it is asked for."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given

    def __get__(self, _: object, owner: type) -> dict[str, Field[Any]]:
        # Of a class of that name with those fields and nothing else.
        hints = {"__annotations__": owner.__annotations__, "__module__": owner.__module__}
        hints["__doc__"] = "a text, or one would be made of its signature"
        plain = type(owner.__name__, (), hints | self._given)
        made: Any = dataclasses.dataclass(init=False, repr=False, eq=False)(plain)
        found: dict[str, Field[Any]] = made.__dataclass_fields__
        owner.__dataclass_fields__ = found  # type: ignore[attr-defined]
        return found


def _methods(names: tuple[str, ...], given: dict[str, Any]) -> dict[str, Any]:
    """The methods of a class with the fields `names`, all but `__init__`."""
    state = _getter(names)
    compared = tuple(name for name in names if getattr(given.get(name), "compare", True))
    key = state if compared == names else _getter(compared)

    def __eq__(self: object, other: object) -> bool:  # noqa: N807
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: object) -> int:  # noqa: N807
        return hash(key(self))

    def __getstate__(self: object) -> tuple[object, ...]:  # noqa: N807
        return state(self)

    def __setstate__(self: object, values: tuple[object, ...]) -> None:  # noqa: N807
        for name, value in zip(names, values, strict=True):
            _store(self, name, value)

    return {
        "__eq__": __eq__,
        "__hash__": __hash__,
        "__repr__": _show,
        "__setattr__": _refuse_set,
        "__delattr__": _refuse_delete,
        "__getstate__": __getstate__,
        "__setstate__": __setstate__,
    }


def _getter(names: tuple[str, ...]) -> Callable[[object], tuple[object, ...]]:
    """What takes the attributes `names` of an object, as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


@recursive_repr()
def _show(self: Any) -> str:
    shown = [f.name for f in dataclasses.fields(self) if f.repr]
    values = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
    return f"{self.__class__.__qualname__}({values})"


def _refuse_set(self: object, name: str, value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(self: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _write_init(
    names: tuple[str, ...], given: dict[str, Any], has_post: bool
) -> Callable[..., None]:
    """`__init__` for the fields `names`, of which those in `given` have a default or a Field."""
    known: dict[str, Any] = {"_store": _store, "_MISSING": MISSING}
    taken, body = ["self"], []
    for name in names:
        spec = given.get(name, MISSING)
        made = spec.default_factory if isinstance(spec, Field) else MISSING
        default = spec.default if isinstance(spec, Field) else spec
        value = name
        if made is not MISSING:
            known[f"_make_{name}"], default = made, MISSING
            value = f"_make_{name}() if {name} is _MISSING else {name}"
        known[f"_default_{name}"] = default
        has_default = made is not MISSING or default is not MISSING
        taken.append(f"{name}=_default_{name}" if has_default else name)
        body.append(f"    _store(self, {name!r}, {value})\n")
    if has_post:
        body.append("    self.__post_init__()\n")
    text = f"def __init__({', '.join(taken)}):\n{''.join(body) or '    pass'}"
    try:
        exec(text, known)  # names only, which are identifiers
    except SyntaxError as error:
        raise TypeError(f"a field without a default follows one with one: {taken}") from error
    init: Callable[..., None] = known["__init__"]
    return init
