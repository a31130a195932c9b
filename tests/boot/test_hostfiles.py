"""Host-specific files in virtual machines, looked at by the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

import pytest

from srbuild.lab.scenario import Result

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]

Boot: TypeAlias = Callable[[str], Result]


def own(result: Result) -> dict[str, dict[str, str]]:
    return cast("dict[str, dict[str, str]]", result.proof["own"])


def test_two_nodes_write_each_its_own(boot: Boot) -> None:
    found = own(boot("hostfiles"))
    assert found["n1"]["var/log/messages"] == "n1 wrote,"
    assert found["n2"]["var/log/messages"] == "n2 wrote,"
    assert found["shared"]["var/log/messages"] == "shared,"


@pytest.mark.matrix
def test_state_in_memory(boot: Boot) -> None:
    found = own(boot("hostfiles-tmpfs"))
    assert found["n1"]["etc/hostname"] == "n1 wrote,"
    assert "var/log/messages" not in found["n1"]


@pytest.mark.matrix
@pytest.mark.timeout(900)
def test_five_nodes_have_the_whole_list_each(boot: Boot) -> None:
    found = own(boot("hostfiles-five"))
    assert {f"n{number}" for number in range(1, 6)} <= found.keys()
    assert found["n4"]["etc/hostname"] == "n4 wrote,"
    assert found["n5"]["var/log/of-n5"] == "n5 wrote,"
    assert found["shared"]["var/log/of-all"] == "shared,"


@pytest.mark.matrix
def test_two_nodes_on_gfs2_have_the_whole_list_each(boot: Boot) -> None:
    result = boot("gfs2-iscsi-hostfiles")
    found = own(result)
    assert result.proof["fsck"] == 0
    for name in ("n1", "n2"):
        assert found[name]["etc/hostname"] == f"{name} wrote,"
        assert found[name][f"var/log/of-{name}"] == f"{name} wrote,"
    assert found["shared"]["etc/hostname"] == "shared,"
