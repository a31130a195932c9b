"""Look-ups by name and capability with helpful errors, and the order that modules boot in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srbuild import dependencies
from srbuild.bootmodule import KINDS, Module, boot_rank
from srbuild.catalog import Catalog
from srbuild.errors import ConfigError, ConflictError, ErrorGroup, SrbuildError

# A shared machine may be slow: time is no reason to fail.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def make(
    name: str,
    kind: str = "base",
    requires: tuple[str, ...] = (),
    provides: tuple[str, ...] = (),
    conflicts: dict[str, str] | None = None,
    after: tuple[str, ...] = (),
) -> Module:
    place = Path("/m") / kind / name
    return Module(place, name, kind, "s", requires, after, provides, conflicts or {})  # type: ignore[arg-type]


CATALOG = Catalog(
    [
        make("gfs2", "fs", requires=("block", "dlm")),
        make("nfs", "fs", requires=("network",), conflicts={"block": "it comes over the network"}),
        make("dlm", "cluster", requires=("membership",)),
        make("corosync", "cluster", requires=("network",), provides=("membership",)),
        make("iscsi", "block", requires=("network",), provides=("block",)),
        make("aoe", "block", requires=("network",), provides=("block",)),
        make("lvm", "block", requires=("block",), provides=("block",)),
        make("network", "net", requires=("core",)),
        make("core"),
        make("loop-a", "rescue", requires=("loop-b",)),
        make("loop-b", "rescue", requires=("loop-c",)),
        make("loop-c", "rescue", requires=("loop-a",)),
        make("broken", "rescue", requires=("blok",)),
        make("selfish", "rescue", requires=("odd",), provides=("odd",)),
    ]
)


def names(*wanted: str) -> list[str]:
    return [module.name for module in CATALOG.resolve(wanted)]


def test_order_follows_requirements_then_kind_then_name() -> None:
    order = ["core", "network", "iscsi", "corosync", "dlm", "gfs2"]
    assert names("gfs2", "iscsi") == order
    assert names("iscsi", "gfs2") == order
    assert names("gfs2", "aoe", "iscsi") == [*order[:2], "aoe", *order[2:]]


def test_a_capability_of_its_own_does_not_satisfy_a_module() -> None:
    assert names("lvm", "iscsi", "gfs2") == [
        "core", "network", "iscsi", "lvm", "corosync", "dlm", "gfs2",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="no boot module provides 'odd'"):
        names("selfish")


@pytest.mark.parametrize(
    ("wanted", "kind", "message"),
    [
        (("gfs2",), ConfigError, "a block device is needed, and none is chosen (gfs2 → block)"),
        (("loop-b",), ConfigError, "in a circle: loop-a → loop-b → loop-c → loop-a"),
        (("broken",), ConfigError, "no boot module provides 'blok' (broken → blok)"),
        (("broken",), ConfigError, "did you mean 'block'?"),
        (("nfs", "gfs2", "iscsi"), ConflictError, "iscsi and nfs exclude each other"),
        (("gsf2",), ConfigError, "did you mean 'gfs2'?"),
    ],
)
def test_what_cannot_be_resolved_says_why(
    wanted: tuple[str, ...], kind: type[SrbuildError], message: str
) -> None:
    with pytest.raises(SrbuildError) as caught:
        CATALOG.resolve(wanted)
    assert type(caught.value) is kind
    assert message in str(caught.value).replace("nfs and iscsi", "iscsi and nfs")


def test_all_unknown_names_come_at_once() -> None:
    with pytest.raises(ErrorGroup) as caught:
        CATALOG.resolve(["nope", "core", "nada"])
    assert len(caught.value.errors) == 2


def test_a_conflict_tells_how_both_came_in() -> None:
    rival = make("c", conflicts={"b": "both want the bus"})
    catalog = Catalog([make("a", requires=("b",)), make("b"), rival])
    with pytest.raises(ConflictError, match="leave out one of: c; a → b") as caught:
        catalog.resolve(["a", "c"])
    assert caught.value.message == "c and b exclude each other: both want the bus"


def test_after_orders_what_is_there_and_brings_nothing() -> None:
    catalog = Catalog([make("lvm", after=("multipath", "gone")), make("multipath")])
    assert [m.name for m in catalog.resolve(["lvm"])] == ["lvm"]
    assert [m.name for m in catalog.resolve(["lvm", "multipath"])] == ["multipath", "lvm"]


def test_lookups_by_name_and_kind() -> None:
    assert CATALOG.module("gfs2", "fs").name == "gfs2"
    assert [m.name for m in CATALOG.of_kind("block")] == ["aoe", "iscsi", "lvm"]
    with pytest.raises(ConfigError) as caught:
        CATALOG.module("gfs3", "fs")
    assert str(caught.value) == (
        "no file system module 'gfs3'; known: gfs2, nfs\n  hint: did you mean 'gfs2'?"
    )
    with pytest.raises(ConfigError, match="iscsi is a block device module"):
        CATALOG.module("iscsi", "fs")


def test_lookups_by_capability() -> None:
    assert CATALOG.provider("membership").name == "corosync"
    assert CATALOG.provider("dlm").name == "dlm"
    with pytest.raises(ConfigError, match="no boot module provides 'membershp'") as caught:
        CATALOG.provider("membershp")
    assert caught.value.hint == "did you mean 'membership'?"
    with pytest.raises(ConfigError, match="a block device is needed") as caught:
        CATALOG.provider("block")
    assert caught.value.hint == "choose one with --blk: aoe, iscsi, lvm"
    mixed = Catalog([make("a", "net", provides=("x",)), make("b", "block", provides=("x",))])
    with pytest.raises(ConfigError, match="several boot modules provide 'x': a, b") as caught:
        mixed.provider("x")
    assert caught.value.hint == "choose one with --module NAME"


@unhurried
@given(st.data())
def test_any_order_of_any_graph_is_right_or_a_circle(data: st.DataObject) -> None:
    every = [f"m{i}" for i in range(8)]
    modules = {
        name: make(
            name,
            data.draw(st.sampled_from(KINDS)),
            requires=tuple(
                data.draw(
                    st.lists(st.sampled_from(every).filter(name.__ne__), unique=True, max_size=2)
                )
            ),
        )
        for name in every
    }
    wanted = data.draw(st.lists(st.sampled_from(every), min_size=1))
    try:
        order = dependencies.resolve(modules, wanted)
    except ConfigError:
        assert any(reaches(modules, name, name) for name in every)
        return
    place = {module.name: index for index, module in enumerate(order)}
    assert set(wanted) <= place.keys()
    for module in order:
        assert all(place[need] < place[module.name] for need in module.requires)
    assert order == dependencies.resolve(modules, reversed(wanted))
    if not any(module.requires for module in order):
        assert list(order) == sorted(order, key=boot_rank)


def reaches(modules: dict[str, Module], start: str, end: str) -> bool:
    todo, seen = list(modules[start].requires), set[str]()
    while todo:
        name = todo.pop()
        if name == end:
            return True
        if name not in seen:
            seen.add(name)
            todo.extend(modules[name].requires)
    return False
