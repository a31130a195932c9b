"""Axes become rows: all of them, each with an output of its own, or an error that says why not."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbuild.config.convert import parse_toml
from srbuild.errors import ConfigError, SrbuildError
from srbuild.matrix import Matrix, Row, parse_matrix, recipes_matrix, take_shard

KNOWN = {"fs": False, "blk": False, "compression": False, "set": True, "kmod": True, "image": False}


def parse(text: str) -> Matrix:
    return parse_matrix(parse_toml(text.encode(), "m.toml"), "m.toml", KNOWN)


def outputs(matrix: Matrix) -> list[str]:
    return [row.output for row in matrix.rows]


def test_axes_are_multiplied_and_the_first_changes_slowest() -> None:
    matrix = parse(
        'output = "o/{fs}_{blk}.img"\n[axes]\nfs = ["gfs2", "ocfs2"]\nblk = ["iscsi", "aoe"]'
    )
    names = ["gfs2_iscsi", "gfs2_aoe", "ocfs2_iscsi", "ocfs2_aoe"]
    assert outputs(matrix) == [f"o/{name}.img" for name in names]
    assert matrix.rows[2].options == {"fs": "ocfs2", "blk": "iscsi"}
    assert matrix.rows[2].labels == {"fs": "ocfs2", "blk": "iscsi"}


def test_without_a_pattern_every_axis_is_in_the_name() -> None:
    matrix = parse('[axes]\nfs = ["gfs2"]\ncompression = ["zstd:3", "none"]')
    assert outputs(matrix) == ["gfs2-zstd-3.img", "gfs2-none.img"]


def test_a_value_may_be_several_options_under_a_label() -> None:
    matrix = parse(
        '[options]\nset = ["a.b=1"]\n'
        '[axes]\nmtu = [{label = "std"}, {label = "jumbo", set = ["n.mtu=9000"], kmod = ["x"]}]'
    )
    assert outputs(matrix) == ["std.img", "jumbo.img"]
    assert matrix.rows[0].options == {"set": ("a.b=1",)}
    assert matrix.rows[1].options == {"set": ("a.b=1", "n.mtu=9000"), "kmod": ("x",)}


def test_an_option_that_repeats_takes_a_list_as_one_value() -> None:
    matrix = parse('[axes]\nkmod = ["a", ["b", "c"]]')
    assert [row.options["kmod"] for row in matrix.rows] == [("a",), ("b", "c")]
    assert outputs(matrix) == ["a.img", "b+c.img"]


def test_exclusions_take_all_rows_that_match_and_inclusions_add_one() -> None:
    matrix = parse(
        '[axes]\nfs = ["a", "b", "c"]\nblk = ["x", "y"]\n'
        '[[exclude]]\nfs = ["a", "b"]\nblk = "y"\n'
        '[[include]]\noutput = "server.img"\nimage = "lab-server"'
    )
    assert outputs(matrix) == ["a-x.img", "b-x.img", "c-x.img", "c-y.img", "server.img"]
    assert matrix.rows[-1].options == {"image": "lab-server"}


def test_a_folder_of_recipes() -> None:
    matrix = recipes_matrix("images/", ["b.toml", "a.toml", "README"])
    assert outputs(matrix) == ["a.img", "b.img"]
    assert matrix.rows[0].options == {"image": "images/a.toml"}
    with pytest.raises(ConfigError, match="images: no recipes"):
        recipes_matrix("images", ["README"])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "m.toml: axes: no images"),
        ('[axes]\nfz = ["a"]', r"m.toml: axes.fz\[0\]: fz is no option of srbuild build"),
        ("[axes]\nfs = []", "m.toml: axes.fs: has no values"),
        ('[axes]\nfs = "a"', "m.toml: axes.fs: must be an array"),
        ('[axes]\nfs = ["a", "a"]', "m.toml: axes.fs: 'a' twice"),
        ('[axes]\nfs = [""]', r"m.toml: axes.fs\[0\]: is empty"),
        ("[axes]\nfs = [true]", r"m.toml: axes.fs\[0\]: must be a string, not true or false"),
        ("[axes]\nfs = [1.5]", r"must be a string, not a number"),
        ('[axes]\nfs = [["a", "b"]]', r"axes.fs\[0\]: takes one value, not an array"),
        ('[axes]\nx = [{ fs = "a" }]', r"axes.x\[0\].label: must be a name"),
        ('[axes]\nx = [{ label = "a/b" }]', r"axes.x\[0\].label: must be a name"),
        ('[axes]\nx = [{ label = "a", fz = "b" }]', r"axes.x\[0\].fz: unknown option of srbuild"),
        ('[axes]\n"A b" = [{ label = "a" }]', "is no name of an axis"),
        ('[options]\nfz = "a"\n[axes]\nfs = ["a"]', "options.fz: unknown option .*\n.*known: blk"),
        ('[options]\nfs = "a"\n[axes]\nfs = ["a"]', "options.fs: is an axis, too"),
        ('out = "x"\n[axes]\nfs = ["a"]', "m.toml: out: unknown key"),
        ('output = "{fz}"\n[axes]\nfs = ["a"]', "output: {fz} stands for no axis\n.*known: {fs}"),
        ('output = "x"\n[axes]\nfs = ["a", "b"]', "output: two images would be x\n.*{fs}"),
        ('[axes]\nfs = ["a"]\n[[exclude]]\n', r"exclude\[0\]: would exclude everything"),
        ('[axes]\nfs = ["a"]\n[[exclude]]\nblk = "a"', r"exclude\[0\].blk: unknown axis"),
        ('[axes]\nfs = ["ab"]\n[[exclude]]\nfs = "b"', r"exclude\[0\].fs.b: unknown value 'b'"),
        ('[axes]\nfs = ["a"]\n[[exclude]]\nfs = "a"', "exclude: every image is excluded"),
        ('[axes]\nfs = ["a"]\n[[include]]\nfs = "b"', r"include\[0\].output: missing"),
        ('[[include]]\noutput = "x"\nfz = "b"', r"include\[0\].fz: unknown option"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, error: str) -> None:
    with pytest.raises(SrbuildError, match=error) as caught:
        parse(text)
    assert caught.value.exit_code == 3


def test_too_many_images_are_refused_before_they_are_multiplied() -> None:
    values = ", ".join(f'"v{i}"' for i in range(300))
    with pytest.raises(ConfigError, match="27000000 images; 10000 are the most"):
        parse(f"[axes]\nfs = [{values}]\nblk = [{values}]\nkmod = [{values}]")


NAMES = st.lists(st.from_regex("[a-z]{1,4}", fullmatch=True), min_size=1, max_size=4, unique=True)


@given(NAMES, NAMES, st.integers(1, 9))
def test_shards_are_the_whole_in_order(fs: list[str], blk: list[str], parts: int) -> None:
    matrix = parse(f"[axes]\nfs = {fs}\nblk = {blk}".replace("'", '"'))
    assert len(set(outputs(matrix))) == len(fs) * len(blk)
    shards = [take_shard(matrix.rows, f"{i}/{parts}") for i in range(1, parts + 1)]
    assert tuple(itertools.chain(*shards)) == matrix.rows
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", ""])
def test_no_part_of_a_whole(shard: str) -> None:
    rows: list[Row] = []
    with pytest.raises(ConfigError, match=r"--shard: .* is no part of a whole"):
        take_shard(rows, shard)
