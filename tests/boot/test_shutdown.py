"""Shutdowns that nothing holds, see lab/scenarios/shutdown.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from srbuild.lab.scenario import Result

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]


def test_a_shutdown_ends_without_its_storage(boot: Callable[[str], Result]) -> None:
    proof = boot("shutdown-gfs2-server-dead").proof
    assert any("the storage does not take" in str(line) for line in proof["shutdown"])


@pytest.mark.matrix
@pytest.mark.parametrize("fs", ["nfs", "gfs2"])
@pytest.mark.parametrize("what", ["healthy", "server-dead", "network-gone"])
def test_a_shutdown_ends_within_its_limit(
    boot: Callable[[str], Result], fs: str, what: str
) -> None:
    boot(f"shutdown-{fs}-{what}")


@pytest.mark.matrix
def test_a_daemon_that_takes_no_signal_is_killed(boot: Callable[[str], Result]) -> None:
    proof = boot("shutdown-gfs2-deaf").proof
    assert proof["fsck"] == 0


@pytest.mark.matrix
def test_a_process_that_cannot_be_killed_is_left_behind(boot: Callable[[str], Result]) -> None:
    said = "\n".join(map(str, boot("shutdown-lxc-unkillable").proof["shutdown"]))
    assert "stopping the container: no end after" in said
