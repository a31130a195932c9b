"""A cluster of Open Shared Root's, imported, in virtual machines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from srbuild.lab.scenario import Result

pytestmark = [pytest.mark.boot, pytest.mark.matrix, pytest.mark.timeout(600)]


def test_an_imported_cluster_boots_from_its_own_trees(boot: Callable[[str], Result]) -> None:
    proof = boot("osr-gfs2").proof
    assert proof["own"] == [
        *("1 n1 wrote", "1 log n1 wrote", "1 own n1 wrote"),
        *("2 n2 wrote", "2 log n2 wrote", "2 own n2 wrote"),
    ]
