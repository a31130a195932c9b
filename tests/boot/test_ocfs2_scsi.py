"""OCFS2 on a shared SCSI disk in virtual machines: no storage server, two nodes on one bus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, cast

import pytest

from srbuild.lab.scenario import Result
from srbuild.lab.scenarios import ocfs2_scsi

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]

Boot: TypeAlias = Callable[[str], Result]


def consoles(result: Result) -> str:
    return "".join(Path(path).read_text(errors="replace") for path in result.logs.values())


def both_read_each_other(result: Result) -> None:
    tokens = cast("dict[str, str]", result.proof["tokens"])
    assert result.proof["fsck"] == 0
    assert len({*tokens.values()}) == 2
    assert result.proof["seen"] == {"n1": {"n2": tokens["n2"]}, "n2": {"n1": tokens["n1"]}}


def test_two_nodes_share_one_root_and_leave_it_clean(boot: Boot) -> None:
    both_read_each_other(boot("ocfs2-scsi"))


@pytest.mark.matrix
def test_a_global_heartbeat(boot: Boot) -> None:
    result = boot("ocfs2-scsi-global-heartbeat")
    both_read_each_other(result)
    assert f"beating on {ocfs2_scsi.UUID}" in consoles(result)


@pytest.mark.matrix
def test_the_user_stack(boot: Boot) -> None:
    result = boot("ocfs2-scsi-user-stack")
    both_read_each_other(result)
    assert "cluster_stack=pcmk" in consoles(result)


@pytest.mark.matrix
def test_the_survivor_goes_on_and_keeps_what_both_wrote(boot: Boot) -> None:
    result = boot("ocfs2-scsi-node-killed")
    print(f"blocked for {result.proof['blocked_s']} s")
    both_read_each_other(result)


@pytest.mark.matrix
@pytest.mark.parametrize(
    "scenario", ["ocfs2-scsi-wrong-name", "ocfs2-scsi-few-slots", "ocfs2-scsi-no-disk"]
)
def test_what_cannot_be_the_root_stops_the_boot(boot: Boot, scenario: str) -> None:
    summary = "\n".join(cast("list[str]", boot(scenario).proof["summary"]))
    assert "hint" in summary


@pytest.mark.matrix
def test_nodes_must_have_the_same_timeouts(boot: Boot) -> None:
    assert "could not be mounted" in consoles(boot("ocfs2-scsi-other-numbers"))
