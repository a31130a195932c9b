"""TOML → frozen dataclasses, with every error of a file reported at once.

A dataclass is the whole description of its table: field names are keys, field types say
what may stand there, a default makes a key optional. Understood types: `str`, `int`, `bool`,
`object` (anything), `Literal[...]`, `X | None`, `tuple[X, ...]` (an array), `Mapping[str, X]`
(a table of X), another dataclass (a table), and `Annotated[X, function]`, where the function
makes an X of the raw TOML value and raises ValueError with a sentence. Rules that span
fields are a `__post_init__` that raises ValueError. A dataclass with a class variable
`toml_shorthand` may be written as a string, which is then its field of that name.

Our own and not cattrs: `import attrs, cattrs` takes 39 ms where dataclasses take 13.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

from srbuild.errors import ConfigError, ErrorGroup, Origin, SrbuildError, raise_all
from srbuild.host.looks import look
from srbuild.paths import HostPath

T = TypeVar("T")

# Field metadata: a field that the caller gives, and one that takes the key its table has.
GIVEN: Final[Mapping[str, object]] = {"from": "caller"}
TABLE_KEY: Final[Mapping[str, object]] = {"from": "key"}

_INVALID: Final = object()  # stands for a value whose error was already noted
_KINDS: Final[Mapping[type, str]] = {
    bool: "true or false",
    str: "a string",
    int: "a whole number",
    float: "a number",
    list: "an array",
    dict: "a table",
}


def toml_key(name: str) -> Mapping[str, object]:
    """Field metadata for a field whose key in TOML is `name`."""
    return {"key": name}


def read_toml(path: HostPath) -> dict[str, object]:
    """The table in the file at `path`; ConfigError when it can't be read or is no TOML."""
    look(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read it: {error.strerror}", origin=Origin(str(path))) from error
    return parse_toml(data, str(path))


def parse_toml(data: bytes, source: str) -> dict[str, object]:
    """The table that `data` holds; ConfigError naming `source` and the line when it is no TOML."""
    import tomllib  # 5 ms that `srbuild --help` need not wait for

    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError("not UTF-8", origin=Origin(source, f"line {line}")) from error
    except RecursionError as error:
        raise ConfigError("nested too deeply", origin=Origin(source)) from error
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise _syntax_error(str(error), data, source) from error


def _syntax_error(text: str, data: bytes, source: str) -> ConfigError:
    """Make tomllib's `... (at line 3, column 5)` or `... (at end of document)` an origin."""
    message, _, place = text.rpartition(" (at ")
    found = re.fullmatch(r"(line \d+, column \d+)\)", place)
    if found:
        key = found[1]
    elif place == "end of document)":
        key = f"line {len(data.splitlines())}"
    else:
        message, key = text, ""
    return ConfigError(f"not TOML: {message}", origin=Origin(source, key))


def suggest(word: str, known: Collection[str]) -> str:
    """A hint for `word`, which is none of `known`: the nearest one, or all of them."""
    import difflib  # needed for mistakes only

    near = difflib.get_close_matches(word, sorted(known), n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(sorted(known))}" if known else "none is known here"


def join_key(key: str, name: str) -> str:
    """The key path of `name` in the table at `key`; quoted where TOML would quote it."""
    bare = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else repr(name)
    return f"{key}.{bare}" if key else bare


def kind_of(raw: object) -> str:
    """What TOML calls the value `raw`, with its article."""
    return _KINDS.get(type(raw), "a date or time")


@contextmanager
def collect(errors: list[SrbuildError]) -> Iterator[None]:
    """Note a SrbuildError raised inside in `errors` and go on after the block."""
    try:
        yield
    except ErrorGroup as group:
        errors.extend(group.errors)
    except SrbuildError as error:
        errors.append(error)


class Reader:
    """Converts the tables of one `source` and collects what is wrong with them.

    `place` tells where a key path was written, for a table that several files make.
    """

    def __init__(self, source: str, place: Callable[[str], Origin] | None = None) -> None:
        self.source = source
        self.place = place or (lambda key: Origin(source, key))
        self.errors: list[SrbuildError] = []

    def fail(self, key: str, message: str, hint: str = "") -> None:
        """Note an error at the key path `key`."""
        self.errors.append(ConfigError(message, hint, self.place(key)))

    def finish(self) -> None:
        """Raise all errors noted so far, if any."""
        raise_all(self.errors)

    def unknown(self, key: str, word: str, known: Collection[str], what: str = "key") -> None:
        """Note that `word` in the table at `key` is none of the `known` ones."""
        self.fail(join_key(key, word), f"unknown {what} {word!r}", suggest(word, known))

    def table(
        self,
        kind: type[T],
        raw: object,
        key: str = "",
        given: Mapping[str, object] = types.MappingProxyType({}),
    ) -> T | None:
        """Make a `kind` of the table `raw` at `key`; None when that failed, errors noted.

        `given` holds the values of the fields marked `GIVEN`.
        """
        made = self._dataclass(kind, raw, key, given)
        return made if isinstance(made, kind) else None

    def values(
        self, raw: object, key: str, many: bool, parse: Callable[[object], str], secret: bool
    ) -> tuple[str, ...] | None:
        """Parse one value, or with `many` an array of them; None when one was wrong.

        The messages of `parse` show the value, so those of a secret are withheld.
        """
        if isinstance(raw, list) and not many:
            self.fail(key, "takes one value, not an array")
            return None
        items = raw if isinstance(raw, list) else [raw]
        found: list[str] = []
        for index, item in enumerate(items):
            try:
                found.append(parse(item))
            except ValueError as error:
                message = "not valid (the value is secret and not shown)" if secret else str(error)
                self.fail(f"{key}[{index}]" if isinstance(raw, list) else key, message)
        return tuple(found) if len(found) == len(items) else None

    def _value(self, hint: Any, raw: object, key: str) -> object:
        origin = get_origin(hint)
        if origin is Annotated:
            return self._converted(hint.__metadata__[0], raw, key)
        if origin in (Union, types.UnionType):
            inner = next(arg for arg in get_args(hint) if arg is not types.NoneType)
            return self._value(inner, raw, key)
        if origin is Literal:
            return self._choice(get_args(hint), raw, key)
        if origin is tuple:
            return self._array(get_args(hint)[0], raw, key)
        if origin is not None:
            return self._mapping(get_args(hint)[1], raw, key)
        if is_dataclass(hint):
            return self._dataclass(hint, raw, key, {})
        if hint is object or type(raw) is hint:
            return raw
        return self._wrong(_KINDS[hint], raw, key)

    def _wrong(self, wanted: str, raw: object, key: str) -> object:
        self.fail(key, f"must be {wanted}, not {kind_of(raw)}")
        return _INVALID

    def _converted(self, convert: Callable[[object], object], raw: object, key: str) -> object:
        try:
            return convert(raw)
        except ValueError as error:
            self.fail(key, str(error))
            return _INVALID

    def _choice(self, choices: tuple[str, ...], raw: object, key: str) -> object:
        if not isinstance(raw, str):
            return self._wrong("a string", raw, key)
        if raw not in choices:
            self.fail(key, f"{raw!r} is not one of {', '.join(choices)}", suggest(raw, choices))
            return _INVALID
        return raw

    def _array(self, hint: Any, raw: object, key: str) -> object:
        if not isinstance(raw, list):
            return self._wrong("an array", raw, key)
        items = [self._value(hint, item, f"{key}[{i}]") for i, item in enumerate(raw)]
        return _INVALID if any(item is _INVALID for item in items) else tuple(items)

    def _mapping(self, hint: Any, raw: object, key: str) -> object:
        if not isinstance(raw, dict):
            return self._wrong("a table", raw, key)
        keyed = _keyed_by(hint)
        found: dict[str, object] = {}
        for name, item in raw.items():
            at = join_key(key, name)
            given = {keyed: name} if keyed else {}
            is_table = is_dataclass(hint)
            found[name] = (
                self._dataclass(hint, item, at, given) if is_table else self._value(hint, item, at)
            )
        return _INVALID if any(item is _INVALID for item in found.values()) else found

    def _dataclass(self, kind: Any, raw: object, key: str, given: Mapping[str, object]) -> object:
        shorthand = getattr(kind, "toml_shorthand", "")
        if shorthand and isinstance(raw, str):
            raw = {shorthand: raw}
        if not isinstance(raw, dict):
            return self._wrong("a table", raw, key)
        known = _toml_fields(kind)
        strange = [name for name in raw if name not in known]
        for name in strange:
            self.unknown(key, name, known.keys())
        made: dict[str, object] = dict(given)
        sound = not strange
        for name, (spec, hint) in known.items():
            if name in raw:
                made[spec.name] = self._value(hint, raw[name], join_key(key, name))
                sound = sound and made[spec.name] is not _INVALID
            elif spec.default is MISSING and spec.default_factory is MISSING:
                self.fail(join_key(key, name), "missing")
                sound = False
        return self._converted(lambda _: kind(**made), raw, key) if sound else _INVALID


@cache
def _toml_fields(kind: type) -> Mapping[str, tuple[Field[Any], Any]]:
    """TOML key → field and its type, for the fields of `kind` that come from TOML."""
    from typing import get_type_hints

    hints = get_type_hints(kind, include_extras=True)
    return {
        spec.metadata.get("key", spec.name): (spec, hints[spec.name])
        for spec in fields(kind)
        if "from" not in spec.metadata
    }


@cache
def _keyed_by(hint: Any) -> str:
    """The name of the field of `hint` that takes its table's key; empty when there is none."""
    if not is_dataclass(hint):
        return ""
    return next((f.name for f in fields(hint) if f.metadata.get("from") == "key"), "")
