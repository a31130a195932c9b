"""Nodes that fall silent: fenced by the lab's device, by a disk, by nobody, by a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.lab.scenario import Result
from support.boots import Boot

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]


def console(result: Result, name: str) -> str:
    return Path(result.logs[name]).read_text(errors="replace")


def test_a_frozen_node_is_fenced_and_the_other_goes_on(boot: Boot) -> None:
    result = boot("gfs2-fence")
    assert (result.proof["fenced"], result.proof["fsck"]) == (["n2"], 0)
    said = console(result, "n1")
    assert said.index("n2 (node 2) fell silent") < said.index("n2 (node 2) is fenced")
    assert "FENCING IS OFF" not in said


@pytest.mark.matrix
def test_of_two_nodes_that_lose_each_other_one_is_fenced(boot: Boot) -> None:
    assert boot("gfs2-fence-cut-off").proof["fenced"] == ["n2"]


@pytest.mark.matrix
def test_a_refused_fence_keeps_the_survivor_still(boot: Boot) -> None:
    result = boot("gfs2-fence-refused")
    said = console(result, "n1")
    assert said.index("FENCING FAILED: n2") < said.index("n2 (node 2) is fenced")
    assert "n1-after" in str(result.proof["tokens"])


@pytest.mark.matrix
def test_a_person_takes_the_place_of_a_failing_fence(boot: Boot) -> None:
    assert "is fenced, confirmed" not in console(boot("gfs2-fence-acknowledged"), "n1")


@pytest.mark.matrix
def test_a_node_reads_its_message_on_a_disk_and_resets(boot: Boot) -> None:
    proof = boot("gfs2-fence-sbd").proof
    assert isinstance(proof["blocked_seconds"], float)
    assert isinstance(proof["reset_seconds"], float)
    assert proof["reset_seconds"] < proof["blocked_seconds"]


@pytest.mark.matrix
@pytest.mark.parametrize("name", ["gfs2-journals", "gfs2-repair", "gfs2-repair-in-use"])
def test_the_disk_and_the_cluster_agree_or_say_so(boot: Boot, name: str) -> None:
    assert boot(name).proof["fsck"] == 0


@pytest.mark.matrix
def test_of_three_nodes_two_go_on_and_one_does_not(boot: Boot) -> None:
    proof = boot("gfs2-three").proof
    assert proof["fenced"] == ["n3", "n2"]
    tokens = proof["tokens"]
    assert isinstance(tokens, dict)
    assert tokens.keys() == {"n1", "n2", "n3", "n1-two", "n2-two", "n1-alone"}
