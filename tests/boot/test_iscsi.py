"""iSCSI in virtual machines: paths, proofs, discovery, bad targets, a portal that goes away."""

from __future__ import annotations

from typing import cast

import pytest

from srbuild.lab.scenarios import iscsi, multipath
from support.boots import Boot, consoles, summary, tokens

pytestmark = [pytest.mark.boot, pytest.mark.matrix, pytest.mark.timeout(600)]


def test_either_path_may_go_while_the_root_is_written_to(boot: Boot) -> None:
    proof = boot("iscsi-multipath").proof
    seconds = cast("dict[str, float]", proof["seconds"])
    assert max(seconds["write 0"], seconds["write 1"]) < multipath.WRITE
    assert proof["fsck"] == 0


def test_a_path_that_is_down_at_boot_is_added_later(boot: Boot) -> None:
    result = boot("iscsi-multipath-path-down")
    assert "iscsid keeps trying" in consoles(result)
    assert result.proof["fsck"] == 0


def test_node_and_target_prove_themselves_and_no_secret_shows(boot: Boot) -> None:
    result = boot("iscsi-mutual-chap")
    assert result.proof["fsck"] == 0
    said = consoles(result)
    assert iscsi.SECRET not in said
    assert iscsi.SECRET_IN not in said


def test_a_target_that_cannot_prove_itself_is_refused(boot: Boot) -> None:
    said = summary(boot("iscsi-impostor"))
    for word in ("'storage'", iscsi.TARGET, "refused the login", "chap_secret_in"):
        assert word in said


@pytest.mark.parametrize(
    "scenario",
    ["iscsi-bad-target", "iscsi-discovery", "iscsi-rootsource", "iscsi-portal-lost"],
)
def test_the_root_is_left_clean(boot: Boot, scenario: str) -> None:
    assert boot(scenario).proof["fsck"] == 0


def test_the_firmwares_table_says_all_of_the_root(boot: Boot) -> None:
    result = boot("iscsi-ibft")
    assert result.proof["fsck"] == 0
    assert tokens(result).keys() == {"n1"}


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("iscsi-ibft-absent", ("'net'", "no boot interface", "iscsi_ibft")),
        ("iscsi-ibft-wrong-secret", ("'storage'", iscsi.TARGET, "refused this node")),
    ],
)
def test_a_firmware_table_that_is_none_stops_the_boot(
    boot: Boot, scenario: str, words: tuple[str, ...]
) -> None:
    said = summary(boot(scenario))
    for word in words:
        assert word in said
