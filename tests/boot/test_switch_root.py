"""Distributions' roots without a container, see lab/scenarios/switch_root.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from srbuild.lab.scenario import Result


@pytest.mark.parametrize("init", ["systemd", "sysvinit"])
def test_debian_boots_from_nfs_and_ends_clean(boot: Callable[[str], Result], init: str) -> None:
    boot(f"nfs-{init}")
