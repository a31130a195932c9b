"""Many images from one description: axes of options, multiplied, with rows put in and left out.

A matrix is a TOML file:

    output = "build/{fs}-{blk}-{compression}.img"
    [options]                 # of `srbuild build`, for all images
    sysroot = "build/sysroot"
    [axes]                    # each an option with its values, or a name with sets of options
    fs = ["gfs2", "ocfs2"]
    compression = ["zstd:3", "lz4"]
    mtu = [{ label = "std" }, { label = "jumbo", set = ["network.mtu=9000"] }]
    [[exclude]]               # rows whose labels or values are all these
    fs = "ocfs2"
    compression = "lz4"
    [[include]]               # one more row, of options
    output = "build/server.img"
    image = "lab-server"

or a folder of recipes, each a row. Nothing here knows what an option means: their names come
from the command line, so that a new one is an axis at once.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Final, TypeAlias

from srbuild.config.convert import Reader, join_key, kind_of
from srbuild.errors import ConfigError, Origin, raise_all
from srbuild.frozen import frozen

MAX_ROWS: Final = 10_000

Options: TypeAlias = Mapping[str, "str | tuple[str, ...]"]
Known: TypeAlias = Mapping[str, bool]
"""The options that a matrix may set, by their long names without dashes: does it repeat?"""


@frozen
class Row:
    """One image to build: its output, its options, and the labels of its axes' values."""

    output: str
    options: Options
    labels: Mapping[str, str]
    origin: Origin


@frozen
class Matrix:
    """All rows, in order: the first axis changes slowest."""

    source: str
    rows: tuple[Row, ...]


@frozen
class _Document:
    """The file's keys."""

    output: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    axes: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    include: tuple[Mapping[str, object], ...] = ()
    exclude: tuple[Mapping[str, object], ...] = ()


@frozen
class _Value:
    """A value of an axis."""

    label: str
    options: Options


def parse_matrix(raw: Mapping[str, object], source: str, known: Known) -> Matrix:
    """The matrix that the table `raw` from the file `source` describes.

    Raises ConfigError, or an ErrorGroup with all that is wrong: unknown options, rows without
    an output of their own, exclusions that exclude nothing.
    """
    reader = Reader(source)
    document = reader.table(_Document, raw)
    if document is None:
        reader.finish()
        raise AssertionError("a failed conversion notes an error")
    common = _read_options(reader, document.options, "options", known)
    axes = {name: _read_axis(reader, name, axis, known) for name, axis in document.axes.items()}
    excluded = [_read_exclusion(reader, i, one, axes) for i, one in enumerate(document.exclude)]
    for name in common.keys() & axes.keys():
        if not known.get(name):
            reader.fail(f"options.{name}", "is an axis, too", "leave one of the two out")
    if not axes and not document.include:
        reader.fail("axes", "no images", "name at least one axis, or a row with [[include]]")
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > MAX_ROWS:
        reader.fail("axes", f"{count} images; {MAX_ROWS} are the most", "make several matrices")
    reader.finish()
    rows = list(_multiply(source, document.output, common, axes, excluded)) if axes else []
    rows += _included(reader, document, common, known)
    for index, one in enumerate(document.exclude):
        if not any(_matches(combination, excluded[index]) for combination in _combine(axes)):
            reader.fail(f"exclude[{index}]", f"excludes nothing: {_told(one)}")
    reader.finish()
    return _checked(Matrix(source, tuple(rows)))


def recipes_matrix(folder: str, names: Iterable[str]) -> Matrix:
    """A row for each recipe (the file's name) of `folder`."""
    rows = [
        Row(
            f"{name.removesuffix('.toml')}.img",
            {"image": f"{folder.rstrip('/')}/{name}"},
            {"image": name.removesuffix(".toml")},
            Origin(f"{folder.rstrip('/')}/{name}"),
        )
        for name in sorted(names)
        if name.endswith(".toml")
    ]
    if not rows:
        raise ConfigError("no recipes (*.toml) in it", origin=Origin(folder))
    return Matrix(folder, tuple(rows))


def take_shard(rows: Sequence[Row], shard: str) -> tuple[Row, ...]:
    """The part of `rows` that `2/4` stands for: the second of four runs of neighbours.

    Neighbours have most in common. ConfigError for what is no such part.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,4})/([1-9][0-9]{0,4})", shard)
    if not found or int(found[1]) > int(found[2]):
        raise ConfigError(
            f"{shard!r} is no part of a whole", "say 2/4 for the second of four", Origin("--shard")
        )
    part, parts = int(found[1]), int(found[2])
    return tuple(rows[len(rows) * (part - 1) // parts : len(rows) * part // parts])


def _read_options(
    reader: Reader, table: Mapping[str, object], key: str, known: Known
) -> dict[str, str | tuple[str, ...]]:
    options: dict[str, str | tuple[str, ...]] = {}
    for name, raw in table.items():
        if name not in known:
            reader.unknown(key, name, known, "option of srbuild build")
            continue
        value = _read_value(reader, raw, join_key(key, name), known[name])
        if value is not None:
            options[name] = value
    return options


def _read_value(
    reader: Reader, raw: object, key: str, several: bool
) -> str | tuple[str, ...] | None:
    items = raw if isinstance(raw, list) else [raw]
    if isinstance(raw, list) and not several:
        reader.fail(key, "takes one value, not an array")
    elif not all(isinstance(item, str | int) and not isinstance(item, bool) for item in items):
        wrong = next(x for x in items if isinstance(x, bool) or not isinstance(x, str | int))
        reader.fail(key, f"must be a string, not {kind_of(wrong)}")
    elif "" in items:
        reader.fail(key, "is empty")
    else:
        return tuple(map(str, items)) if several else str(items[0])
    return None


def _read_axis(
    reader: Reader, name: str, values: Sequence[object], known: Known
) -> tuple[_Value, ...]:
    key = join_key("axes", name)
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        reader.fail(key, "is no name of an axis", "small letters, digits, '_' and '-'")
    if not values:
        reader.fail(key, "has no values")
    found: list[_Value] = []
    for index, raw in enumerate(values):
        at = f"{key}[{index}]"
        if isinstance(raw, dict):
            found += _read_set(reader, raw, at, known)
        elif name not in known:
            hint = 'tables make an axis of your own: { label = "a", set = ["…"] }'
            reader.fail(at, f"{name} is no option of srbuild build", hint)
        else:
            value = _read_value(reader, raw, at, known[name])
            if value is not None:
                found.append(_Value(_label(value), {name: value}))
    labels = [value.label for value in found]
    for label in sorted({label for label in labels if labels.count(label) > 1}):
        reader.fail(key, f"{label!r} twice", "label one of them: { label = … }")
    return tuple(found)


def _read_set(
    reader: Reader, raw: Mapping[str, object], key: str, known: Known
) -> Iterator[_Value]:
    label = raw.get("label")
    if not isinstance(label, str) or not label or _label(label) != label:
        reader.fail(f"{key}.label", "must be a name of letters, digits, '.', '_', '+' and '-'")
        return
    rest = {name: value for name, value in raw.items() if name != "label"}
    yield _Value(label, _read_options(reader, rest, key, known))


def _label(value: str | tuple[str, ...]) -> str:
    """`value` as a part of a file's name."""
    text = value if isinstance(value, str) else "+".join(value)
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text.removesuffix(".toml")).strip("-.") or "-"


def _read_exclusion(
    reader: Reader, index: int, raw: Mapping[str, object], axes: Mapping[str, tuple[_Value, ...]]
) -> dict[str, frozenset[str]]:
    """Axis → the labels that are meant."""
    key = f"exclude[{index}]"
    found: dict[str, frozenset[str]] = {}
    if not raw:
        reader.fail(key, "would exclude everything")
    for name, value in raw.items():
        if name not in axes:
            reader.unknown(key, name, axes, "axis")
            continue
        items = value if isinstance(value, list) else [value]
        labels = frozenset(_label(str(item)) for item in items)
        there = {one.label for one in axes[name]}
        for label in sorted(labels - there):
            reader.unknown(join_key(key, name), label, there, "value")
        found[name] = labels
    return found


def _combine(axes: Mapping[str, tuple[_Value, ...]]) -> Iterator[dict[str, _Value]]:
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _matches(combination: Mapping[str, _Value], exclusion: Mapping[str, frozenset[str]]) -> bool:
    return all(combination[name].label in labels for name, labels in exclusion.items())


def _multiply(
    source: str,
    pattern: str,
    common: Options,
    axes: Mapping[str, tuple[_Value, ...]],
    excluded: Sequence[Mapping[str, frozenset[str]]],
) -> Iterator[Row]:
    pattern = pattern or "-".join(f"{{{name}}}" for name in axes) + ".img"
    for combination in _combine(axes):
        if any(_matches(combination, exclusion) for exclusion in excluded):
            continue
        labels = {name: value.label for name, value in combination.items()}
        options = dict(common)
        for value in combination.values():
            merge_options(options, value.options)
        yield Row(_name_output(pattern, labels, source), options, labels, Origin(source, "axes"))


def merge_options(below: dict[str, str | tuple[str, ...]], above: Options) -> None:
    """Put `above` on top of `below`: one value replaces another, several are added."""
    for name, value in above.items():
        old = below.get(name, ())
        add = isinstance(value, tuple) and isinstance(old, tuple)
        below[name] = (*old, *value) if add else value


def _name_output(pattern: str, labels: Mapping[str, str], source: str) -> str:
    def label(found: re.Match[str]) -> str:
        if found[1] not in labels:
            known = ", ".join(f"{{{name}}}" for name in labels)
            raise ConfigError(
                f"{found[0]} stands for no axis", f"known: {known}", Origin(source, "output")
            )
        return labels[found[1]]

    return re.sub(r"\{([^{}]*)\}", label, pattern)


def _included(reader: Reader, document: _Document, common: Options, known: Known) -> Iterator[Row]:
    for index, raw in enumerate(document.include):
        key = f"include[{index}]"
        output = raw.get("output")
        if not isinstance(output, str) or not output:
            reader.fail(f"{key}.output", "missing" if output is None else "must be a file's name")
            continue
        rest = {name: value for name, value in raw.items() if name != "output"}
        options = dict(common)
        merge_options(options, _read_options(reader, rest, key, known))
        yield Row(output, options, {}, Origin(reader.source, key))


def _told(table: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in table.items())


def _checked(matrix: Matrix) -> Matrix:
    """`matrix`; ConfigError when two rows have one output or none is left."""
    first: dict[str, Row] = {}
    errors: list[ConfigError] = []
    for row in matrix.rows:
        if row.output in first:
            hint = "name every axis in it: " + " ".join(f"{{{name}}}" for name in row.labels)
            message = f"two images would be {row.output}"
            errors.append(ConfigError(message, hint, Origin(matrix.source, "output")))
        first.setdefault(row.output, row)
    raise_all(errors[:1])
    if not matrix.rows:
        raise ConfigError("every image is excluded", origin=Origin(matrix.source, "exclude"))
    return matrix
