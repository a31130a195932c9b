"""Which node a machine is, by its firmware, with real firmware tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

import pytest

from srbuild.lab.scenario import Result

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600), pytest.mark.matrix]

Boot: TypeAlias = Callable[[str], Result]


def test_nodes_found_by_uuid_and_asset_tag(boot: Boot) -> None:
    result = boot("identity-dmi")
    assert result.proof["found"] == ["n1: the uuid", "n2: the asset_tag room 7"]


def test_firmware_and_card_that_name_two_nodes(boot: Boot) -> None:
    summary = "\n".join(cast("list[str]", boot("identity-conflict").proof["summary"]))
    assert "drop the parameter" in summary


def test_a_moved_card(boot: Boot) -> None:
    boot("identity-moved-card")


def test_a_spare_that_two_machines_are_told_to_be(boot: Boot) -> None:
    boot("identity-spare-twice")
