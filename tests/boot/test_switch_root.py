"""Distributions' roots without a container, see lab/scenarios/switch_root.py and shutdown.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from srbuild.lab.scenario import Result

# The first run makes the distribution's root, too.
pytestmark = [pytest.mark.boot, pytest.mark.timeout(900)]


def test_debian_with_systemd_boots_from_gfs2_and_leaves_it_clean(
    boot: Callable[[str], Result],
) -> None:
    boot("gfs2-systemd")


@pytest.mark.matrix
def test_debian_with_sysvinit_boots_from_gfs2_and_leaves_the_cluster(
    boot: Callable[[str], Result],
) -> None:
    boot("gfs2-sysvinit")


@pytest.mark.matrix
@pytest.mark.parametrize("init", ["systemd", "sysvinit"])
def test_debian_boots_from_nfs_and_ends_clean(boot: Callable[[str], Result], init: str) -> None:
    boot(f"nfs-{init}")
