"""A root on an NFS server, in virtual machines."""

from __future__ import annotations

from typing import cast

import pytest

from support.boots import Boot, both_read_each_other, summary, tokens

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]


def test_two_nodes_share_one_root(boot: Boot) -> None:
    both_read_each_other(boot("nfs"))


@pytest.mark.matrix
@pytest.mark.parametrize("name", ["nfs-v3", "nfs-v4.0", "nfs-only-v3"])
def test_other_versions(boot: Boot, name: str) -> None:
    both_read_each_other(boot(name))


@pytest.mark.matrix
@pytest.mark.parametrize(
    "name", ["nfs-second-server", "nfs-server-late", "nfs-root", "nfs-nfsroot"]
)
def test_one_node(boot: Boot, name: str) -> None:
    assert tokens(boot(name)).keys() == {"n1"}


@pytest.mark.matrix
def test_an_overlay_keeps_what_is_written_from_the_server(boot: Boot) -> None:
    assert boot("nfs-overlay").proof["written"] == []


@pytest.mark.matrix
def test_a_node_goes_on_when_its_server_is_back(boot: Boot) -> None:
    assert tokens(boot("nfs-restart")).keys() == {"n1", "before", "after"}


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nfs-server-absent", ["10.9.0.1", "10.9.0.9", "within 15 s"]),
        ("nfs-wrong-export", ["/srv/rot", "No such file or directory", "exportfs"]),
        ("nfs-not-for-us", ["/srv/root", "Permission denied", "exportfs"]),
        ("nfs-squashed", ["may not write", "no_root_squash"]),
    ],
)
def test_what_is_wrong_is_said(boot: Boot, name: str, words: list[str]) -> None:
    said = summary(boot(name))
    for word in ("'mount'", "mount.sh", *words):
        assert word in said


@pytest.mark.matrix
def test_a_failed_boot_leaves_without_its_server(boot: Boot) -> None:
    proof = boot("nfs-dead-at-cleanup").proof
    assert cast("float", proof["seconds without the server"]) < 120
