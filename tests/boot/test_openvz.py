"""The shared root in a container of OpenVZ's vzctl, or its double, in virtual machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

import pytest

from srbuild.lab.scenario import Result

pytestmark = [pytest.mark.boot, pytest.mark.matrix, pytest.mark.timeout(900)]

Boot: TypeAlias = Callable[[str], Result]


def test_a_root_reboots_crashes_and_powers_off_in_its_container(boot: Boot) -> None:
    proof = boot("openvz").proof
    assert cast("list[str]", proof["ends"])[1:] == [
        "reboot",
        "crash its init ended without reboot, halt or power off",
        "stopped by srctl",
    ]
    assert proof["fsck"] == 0
    # What docs/openvz.md says that root in the container can do.
    found = cast("dict[str, str]", proof["break-out"])
    allowed = {name for name, how in found.items() if how == "allowed"}
    assert allowed == {
        "remount-sys", "devtmpfs", "debugfs", "remount-root", "below-the-root", "fresh-proc",
        "take-off-own",
    }  # fmt: skip


def test_without_the_capability_to_mount_root_stays_in_its_container(boot: Boot) -> None:
    found = cast("dict[str, str]", boot("openvz-closed").proof["break-out"])
    assert set(found.values()) == {"refused"}
    assert "below-the-root" in found
