"""A root on a GlusterFS volume, in virtual machines."""

from __future__ import annotations

from typing import cast

import pytest

from srbuild.lab.scenarios import glusterfs
from support.boots import Boot, both_read_each_other, summary, tokens

pytestmark = [pytest.mark.boot, pytest.mark.timeout(900)]


def test_two_nodes_share_one_root(boot: Boot) -> None:
    both_read_each_other(boot("glusterfs"))


@pytest.mark.matrix
@pytest.mark.parametrize("name", ["glusterfs-backup", "glusterfs-root"])
def test_one_node(boot: Boot, name: str) -> None:
    assert tokens(boot(name)).keys() == {"n1"}


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("glusterfs-wrong-volume", ("'mount'", "no volume 'rot'", "gluster volume list")),
        ("glusterfs-server-absent", ("'mount'", glusterfs.SERVER, glusterfs.DEAD, "24007")),
        ("glusterfs-bricks-no-volume", ("'cluster'", "gluster peer probe", "resume")),
        ("glusterfs-bricks-blank-disk", ("'storage'", "/dev/vda", "mkfs.xfs")),
    ],
)
def test_a_boot_that_cannot_be_stops_with_the_reason(
    boot: Boot, name: str, words: tuple[str, ...]
) -> None:
    said = summary(boot(name))
    for word in words:
        assert word in said


@pytest.mark.matrix
def test_a_failed_boot_leaves_without_its_server(boot: Boot) -> None:
    assert cast("float", boot("glusterfs-server-dies").proof["seconds without the server"]) < 90


@pytest.mark.matrix
def test_of_two_nodes_with_bricks_one_is_killed_and_it_heals(boot: Boot) -> None:
    proof = boot("glusterfs-bricks").proof
    said = cast("tuple[str, ...]", proof["survivors"])
    for name in ("glusterd", "glusterfsd", "glusterfs"):
        assert f"survivor {name} @/{name}" in said
    assert all("@/" in line for line in said if line.startswith("survivor"))
    assert cast("float", proof["seconds blocked"]) < 60
    tokens = [cast("dict[str, dict[str, str]]", proof[f"brick{i}"])["tokens"] for i in (1, 2)]
    assert tokens[0] == tokens[1]
    assert tokens[0]["alone"] == "word"
