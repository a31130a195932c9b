"""Roots in a VMware datastore, in virtual machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.lab.scenarios import vmfs
from support.boots import Boot, summary

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    "scenario", ["vmfs-scsi", pytest.param("vmfs-scsi-tree", marks=pytest.mark.matrix)]
)
def test_nodes_share_a_datastore_that_nobody_writes_to(boot: Boot, scenario: str) -> None:
    result = boot(scenario)
    assert result.proof["unchanged"]
    for node in ("n1", "n2"):
        console = Path(result.logs[node]).read_text(errors="replace")
        assert f"{node} left its token" in console
        assert "the datastore is closed" in console


@pytest.mark.matrix
def test_a_path_that_is_not_there_is_named(boot: Boot) -> None:
    said = summary(boot("vmfs-scsi-wrong-path"))
    assert vmfs.IMAGE in said
    assert "correct path" in said
