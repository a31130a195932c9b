"""Nodes by pattern, from tables in CSV, overridden and included; and every way to get it wrong."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srbuild.config.cluster import Cluster, load_cluster
from srbuild.config.convert import parse_toml
from srbuild.config.lines import key_lines
from srbuild.config.load import load_config
from srbuild.config.patterns import expand
from srbuild.errors import ErrorGroup, SrbuildError
from srbuild.pipeline import find_modules, find_spine
from srbuild.plan import make_plan
from srbuild.render import render_site

CATALOG = find_modules()
HEAD = 'name = "lab"\n'
Load = Callable[..., Cluster]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Read a cluster file that stands beside `files` (`__` for a dot, `_in_` for a slash)."""

    def read(text: str, **files: str | bytes) -> Cluster:
        for name, content in {"cluster__toml": HEAD + text, **files}.items():
            path = tmp_path / name.replace("__", ".").replace("_in_", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_cluster(tmp_path / "cluster.toml", CATALOG)

    return read


def mistakes(load: Load, tmp_path: Path, text: str, **files: str | bytes) -> list[str]:
    """The first lines of all errors, without the folder."""
    with pytest.raises(SrbuildError) as caught:
        load(text, **files)
    error = caught.value
    found = error.errors if isinstance(error, ErrorGroup) else (error,)
    return [str(one).replace(f"{tmp_path}/", "").splitlines()[0] for one in found]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("n1", "n1"),
        ("n[1-3]", "n1 n2 n3"),
        ("n[08-11]", "n08 n09 n10 n11"),
        ("n[1-2,7]", "n1 n2 n7"),
        ("n[001,010-011].lab", "n001.lab n010.lab n011.lab"),
        ("r[1-2]n[1-2]", "r1n1 r1n2 r2n1 r2n2"),
    ],
)
def test_patterns(text: str, names: str) -> None:
    assert " ".join(expand(text)) == names


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("n[", "a bracket without"),
        ("n]1[", "a bracket without"),
        ("n[[1-2]]", "a bracket without"),
        ("n[]", "'' is no number"),
        ("n[1-]", "'1-' is no number"),
        ("n[a-c]", "'a-c' is no number"),
        ("n[1,,2]", "'' is no number"),
        ("n[-1]", "'-1' is no number"),
        ("n[1-2-3]", "'1-2-3' is no number"),
        ("n[\u0661-\u0663]", "is no number"),
        ("n[3-1]", "runs backwards"),
        ("n[1-010]", "padded to two widths"),
        ("n[1-5,3]", "gives n3 twice"),
        ("n[0-1000]", "more than 1000"),
        ("n[1-999999999]", "more than 1000"),
        ("n[1-100][1-100][1-100][1-100]", "more than 1000"),
    ],
)
def test_patterns_that_are_none(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("[", "\\[")):
        expand(text)


@settings(deadline=None)
@given(st.text(alphabet="n[]0123,-", max_size=20))
def test_any_text_is_a_bounded_pattern_or_a_sentence(text: str) -> None:
    with contextlib.suppress(ValueError):
        found = expand(text)
        assert 1 <= len(found) == len(set(found)) <= 1000


PATTERN = """\
[[node]]
name = "n[01-04]"
id = "[1-4]"
address = "10.9.0.[1-4]/24"
[node.iscsi]
initiator = "iqn.2026-01.lab:{name}-{id}"
"""


def test_a_pattern_makes_nodes(load: Load) -> None:
    nodes = load(PATTERN).nodes
    assert [(n.name, n.id, n.address) for n in nodes] == [
        (f"n0{i}", i, f"10.9.0.{i}/24") for i in range(1, 5)
    ]
    assert nodes[2].values["iscsi"]["initiator"] == ("iqn.2026-01.lab:n03-3",)


def test_an_address_may_follow_the_id(load: Load) -> None:
    nodes = load(PATTERN.replace("0.[1-4]/24", "0.{id}/24")).nodes
    assert nodes[3].address == "10.9.0.4/24"


def test_a_node_written_out_is_left_as_it_is(load: Load) -> None:
    text = '[[node]]\nname = "a"\nid = 1\n[node.iscsi]\nchap_user = "{name}"\n'
    assert load(text).nodes[0].values["iscsi"]["chap_user"] == ("{name}",)


def test_overrides_lie_over_a_pattern_in_their_order(load: Load) -> None:
    more = """
[[override]]
name = "n[02-03]"
mac = "52:54:00:00:00:02"
[[override]]
name = "n02"
id = 77
[override.iscsi]
chap_user = "u-{name}"
"""
    two = more.replace('mac = "52:54:00:00:00:02"', 'address = "10.9.9.[2-3]/24"')
    nodes = {node.name: node for node in load(PATTERN + two).nodes}
    assert (nodes["n02"].id, nodes["n02"].address) == (77, "10.9.9.2/24")
    assert nodes["n02"].values["iscsi"] == {
        "initiator": ("iqn.2026-01.lab:n02-77",),
        "chap_user": ("u-n02",),
    }
    assert (nodes["n03"].id, nodes["n04"].address) == (3, "10.9.0.4/24")


TABLE = """\
[[node]]
table = "macs.csv"
[node.iscsi]
initiator = "iqn.2026-01.lab:{name}"
"""
MACS = "name,id,mac,address\na,1,52:54:00:00:00:01,10.9.0.1/24\nb,2,5254.0000.0002,\n"


def test_a_table_makes_nodes(load: Load) -> None:
    a, b = load(TABLE, macs__csv=MACS).nodes
    assert (a.macs, a.address, b.macs) == (
        ("52:54:00:00:00:01",),
        "10.9.0.1/24",
        ("52:54:00:00:00:02",),
    )
    assert b.values["iscsi"]["initiator"] == ("iqn.2026-01.lab:b",)


def test_tables_as_spreadsheets_write_them(load: Load) -> None:
    text = '\ufeff"name", id,"mac",iscsi.chap_user\r\n\r\n,,,\r\n'
    text += '"a",1,"5254-0000-0001 52:54:00:00:00:09","u,v"\r\n'
    (node,) = load(TABLE, macs__csv=text).nodes
    assert node.macs == ("52:54:00:00:00:01", "52:54:00:00:00:09")
    assert node.values["iscsi"]["chap_user"] == ("u,v",)


def test_a_table_fills_in_a_pattern(load: Load) -> None:
    rows = "".join(f"n0{i},52:54:00:00:00:0{i}\n" for i in (4, 2, 3, 1))
    text = PATTERN.replace("id =", 'table = "macs.csv"\nid =')
    assert [node.macs for node in load(text, macs__csv="name,mac\n" + rows).nodes] == [
        (f"52:54:00:00:00:0{i}",) for i in range(1, 5)
    ]
    assert load(text, macs__csv="name,mac\n" + rows).nodes[0].id == 1


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (MACS + "c,2,52:54:00:00:00:03,\n", "macs.csv:4: id: the id 2 is already that of"),
        (MACS + "c,3,525400000001,\n", "macs.csv:4: mac: the MAC 52:54:00:00:00:01 is already"),
        (MACS + "c,3,,10.9.0.1/16\n", "macs.csv:4: address: the address 10.9.0.1 is already that"),
        (MACS + "\n\na,3,,\n", "macs.csv:6: a is already in line 2"),
        (MACS + ",3,,\n", "macs.csv:4: has no name"),
        (MACS + "c,3\n", "macs.csv:4: has 2 cells, the first line 4"),
        (MACS + "c,3,,,\n", "macs.csv:4: has 5 cells"),
        (MACS + "c,three,,\n", "macs.csv:4: id: must be a whole number"),
        (MACS + "c,0,,\n", "macs.csv:4: id: must be a whole number from 1"),
        (MACS + "c,3,52:54,\n", "macs.csv:4: mac: '52:54' is not a MAC"),
        (MACS + "C,3,,\n", "macs.csv:4: name: 'C' must be a host name"),
        (MACS + 'c,3,"52\n', "macs.csv:4: not CSV: "),
        (MACS + '"c"d,3,,\n', "macs.csv:4: not CSV: "),
        (MACS + "c,,,\n", "cluster.toml:2: node[0](c).id: missing"),
        ("", "macs.csv: holds no table"),
        ("\n,,\n", "macs.csv: holds no table"),
        ("id,mac\n", "macs.csv:1: there is no column 'name'"),
        ("name,name\n", "macs.csv:1: two columns are called 'name'"),
        ("name,maac\n", "macs.csv:1: unknown column 'maac'"),
        ("name,iscsi.chap\n", "macs.csv:1: unknown column 'iscsi.chap'"),
        ("name,id,corosync.token\na,1,9000\n", "macs.csv:2: corosync.token: is the same on all"),
        ("name;mac\na;1\n", "macs.csv:1: its columns are not separated by commas"),
        (b"name,mac\n\xff,1\n", "macs.csv:2: not UTF-8"),
        (b"name,mac\na\0,1\n", "macs.csv:2: "),
        ("name,id\n" + "".join(f"n{i},{i}\n" for i in range(1, 1002)), "macs.csv:1002: more than"),
    ],
)  # fmt: skip
def test_tables_that_are_wrong(
    load: Load, tmp_path: Path, table: str | bytes, problem: str
) -> None:
    found = mistakes(load, tmp_path, TABLE, macs__csv=table)
    assert any(one.startswith(problem) for one in found), found


BEFORE = '[[node]]\nname = "n02"\nid = 9\n'


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('[1-4]"\naddr', '[1-5]"\naddr', "4: node[0].id: '[1-5]' stands for 5, the name for 4"),
        ('id = "[1-4]"', "id = 1", "4: node[0].id: would be that of all 4 nodes"),
        ('id = "[1-4]"', 'id = "[1-4"', "4: node[0].id: '[1-4' has a bracket"),
        ('id = "[1-4]"', "", "2: node[0](n01).id: missing"),
        ('id = "[1-4]"', 'id = "x[1-4]"', "4: node[0](n01).id: must be a whole number"),
        ("n[01-04]", "n[01-1001]", "3: node[0].name: 'n[01-1001]' stands for more than 1000"),
        ("n[01-04]", "n[01-03,03]", "3: node[0].name: 'n[01-03,03]' gives n03 twice"),
        ("n[01-04]", "N[1-4]", "3: node[0](N1).name: 'N1' must be a host name"),
        ("10.9.0.[1-4]/24", "10.9.0.1/24", "5: node[0].address: would be that of all 4"),
        ("10.9.0.[1-4]", "10.9.0.[253-256]", "5: node[0](n04).address: '10.9.0.256' is not an"),
        ("{name}-{id}", "x", "7: node[0](n02).iscsi.initiator: iqn.2026-01.lab:x is already that"),
        ("initiator", "initiatr", "7: node[0](n01).iscsi.initiatr: unknown option"),
        ("[node.iscsi]", BEFORE, "10: node[1].initiator: unknown key"),
    ],
)
def test_patterns_of_nodes_that_are_wrong(
    load: Load, tmp_path: Path, old: str, new: str, problem: str
) -> None:
    assert old in PATTERN
    found = mistakes(load, tmp_path, PATTERN.replace(old, new, 1))
    assert any(one.startswith(f"cluster.toml:{problem}") for one in found), found


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (BEFORE, "cluster.toml:9: node[1].name: the name n02 is already that of node[0](n02)"),
        (PATTERN.replace("n[01-04]", "m[1-4]"), "cluster.toml:10: node[1](m1).id: the id 1 is al"),
        (PATTERN.replace("01-04", "04-07"), "cluster.toml:9: node[1](n04).name: the name n04"),
        ('[[override]]\nname = "n05"\n', "cluster.toml:9: override[0].name: there is no node 'n05"),
        ("[[override]]\nid = 1\n", "cluster.toml:8: override[0].name: missing"),
        ("[[override]]\nname = 1\n", "cluster.toml:9: override[0].name: must be a string"),
        ('[[override]]\nname = "n[1"\n', "cluster.toml:9: override[0].name: 'n[1' has a bracket"),
        ('[[override]]\nname = "n01"\nid = 2\n', "cluster.toml:4: node[0](n02).id: the id 2"),
        ('[[override]]\nname = "n01"\nfoo = 2\n', "cluster.toml:10: override[0].foo: unknown key"),
        ('[[override]]\nname = "n[01-02]"\nid = 7\n', "cluster.toml:10: override[0].id: would be"),
        ('[[override]]\nname = "n01"\ntable = "x"\n', "cluster.toml:10: override[0].table: an ov"),
        ('[[node]]\ntable = "none.csv"\n', "cluster.toml:9: node[1].table: 'none.csv': there is"),
        ('[[node]]\ntable = "../x.csv"\n', "cluster.toml:9: node[1].table: '../x.csv' must be a"),
        ("[[node]]\ntable = 1\n", "cluster.toml:9: node[1].table: must be a file's name, not a w"),
        ('[[node]]\ntable = "m.csv"\nid = "[1-2]"\n', "cluster.toml:10: node[1].id: would follow"),
        ('[[node]]\nname = "m[1-3]"\ntable = "m.csv"\n', "cluster.toml:10: node[1].table: has no"),
        ('[[node]]\nname = "k[1-999]"\nid = "[5-1003]"\n', "cluster.toml:8: node[1]: more than"),
    ],
)  # fmt: skip
def test_nodes_that_do_not_go_together(load: Load, tmp_path: Path, more: str, problem: str) -> None:
    found = mistakes(load, tmp_path, PATTERN + more, m__csv="name,id\nm1,10\nm2,11\n")
    assert any(one.startswith(problem) for one in found), found


def test_what_is_wrong_for_a_whole_pattern_is_said_once(load: Load, tmp_path: Path) -> None:
    found = mistakes(load, tmp_path, PATTERN + "[node.network]\ngateway = 1\n")
    assert len(found) == 1


# --- includes ---------------------------------------------------------------------------------


def test_the_including_file_wins(load: Load) -> None:
    cluster = load(
        'include = ["a.toml", "b/b.toml"]\n[corosync]\ntoken = 3000\n' + PATTERN,
        a__toml='[corosync]\ntoken = 1000\nwait_for_all = true\n[[node]]\nname = "x"\nid = 91\n',
        b_in_b__toml='include = "c.toml"\n[corosync]\nwait_for_all = false\n',
        b_in_c__toml='[[node]]\nname = "y"\nid = 92\n[network]\ngateway = "10.9.0.1"\n',
    )
    assert cluster.values["corosync"] == {"token": ("3000",), "wait_for_all": ("0",)}
    assert cluster.values["network"]["gateway"] == ("10.9.0.1",)
    assert [node.name for node in cluster.nodes][:3] == ["x", "y", "n01"]


@pytest.mark.parametrize(
    ("include", "a", "problem"),
    [
        ('"a.toml"', 'include = "cluster.toml"', "a.toml:1: include: 'cluster.toml' leads back"),
        ('"a.toml"', 'include = "a.toml"', "a.toml:1: include: 'a.toml' leads back to itself"),
        ('["a.toml", "./a.toml"]', "", "cluster.toml:2: include[1]: './a.toml' is already inclu"),
        ('"../a.toml"', "", "cluster.toml:2: include: '../a.toml' must be a relative name"),
        ('"/etc/passwd"', "", "cluster.toml:2: include: '/etc/passwd' must be a relative name"),
        ('"out.toml"', "", "cluster.toml:2: include: 'out.toml' leads out of the cluster file's"),
        ('"none.toml"', "", "cluster.toml:2: include: 'none.toml': there is no such file"),
        ('""', "", "cluster.toml:2: include: '' must be a relative name"),
        ("1", "", "cluster.toml:2: include: must be a file's name, not a whole number"),
        ('"a.toml"', "x = = 1", "a.toml: line 1, column 5: not TOML"),
        ('"a.toml"', "\n[corosync]\ntoken = true", "a.toml:3: corosync.token: true is no value"),
        ('"a.toml"', '[[node]]\nname = "x"\nid = 1', "cluster.toml:5: node[0](n01).id: the id 1"),
        ('"a.toml"', '\n[[node]]\nname = "x"\nid = 0', "a.toml:4: node[0].id: must be a whole"),
        ('"a.toml"', "[[node]]\nid = 9\n\n[node.foo]", "a.toml:4: node[0].foo: unknown key 'foo'"),
    ],
)  # fmt: skip
def test_includes_that_are_wrong(
    load: Load, tmp_path: Path, include: str, a: str, problem: str
) -> None:
    (tmp_path / "out.toml").symlink_to("/etc/hostname")
    found = mistakes(load, tmp_path, f"include = {include}\n{PATTERN}", a__toml=a)
    assert any(one.startswith(problem) for one in found), found


def test_lines_of_keys() -> None:
    text = (
        'a = """\n[x]\ny = 1\n"""\n[t."q.r"] # c\nk = [\n "]",\n {z = 1}]\nl.m = \'#\'\n'
        "[[n]]\ni = 1\n[n.s]\nj = 2\n[[n]]\n[[n.w]]\nv = 1\n"
    )
    assert dict(key_lines(text)) == {
        "a": 1, "t.q.r": 5, "t.q.r.k": 6, "t.q.r.l.m": 9, "n[0]": 10, "n[0].i": 11,
        "n[0].s": 12, "n[0].s.j": 13, "n[1]": 14, "n[1].w[0]": 15, "n[1].w[0].v": 16,
    }  # fmt: skip
    assert parse_toml(text.encode(), "t")


@given(st.text(alphabet="ab[]{}=.\"'#\\\n ", max_size=60))
def test_any_text_has_lines(text: str) -> None:
    assert all(1 <= line <= text.count("\n") + 1 for line in key_lines(text).values())


# --- a thousand nodes -------------------------------------------------------------------------

THOUSAND = """
[fs]
type = "nfs"
server = "10.9.0.1"
path = "/srv/root"
[container]
type = "none"
[[node]]
name = "node[0001-{0:04}]"
id = "[1-{0}]"
table = "macs.csv"
address = "10.9.[0-{1}].[1-50]/16"
"""


def calls(folder: Path, count: int) -> tuple[int, list[int]]:
    """How many calls load and render make for `count` nodes, and how long their archives are."""
    rows = "".join(
        f"node{i:04},52:54:00:00:{i >> 8:02x}:{i & 255:02x}\n" for i in range(1, count + 1)
    )
    (folder / "macs.csv").write_text("name,mac\n" + rows)
    (folder / "cluster.toml").write_text(HEAD + THOUSAND.format(count, count // 50 - 1))
    made = 0

    def note(frame: FrameType, event: str, arg: object) -> None:
        nonlocal made
        made += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        config = load_config({"cluster": folder / "cluster.toml"}, {}, CATALOG)
        files = render_site(make_plan(config, CATALOG, find_spine()))
    finally:
        sys.setprofile(None)
    return made, [len(one.data) for one in files if "/nodes.d/" in one.target]


def test_work_grows_with_the_nodes_and_not_with_their_square(tmp_path: Path) -> None:
    calls(tmp_path, 50)  # templates are compiled once
    few, _ = calls(tmp_path, 50)
    many, archives = calls(tmp_path, 1000)
    assert many < 20 * few
    assert len(archives) == 1000
    assert max(archives) < 4096
