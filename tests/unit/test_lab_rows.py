"""The rows of the lab: all their cluster files are good ones, and what is wrong is wrong."""

from __future__ import annotations

import importlib
import pkgutil
import tomllib
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from srbuild.errors import VerifyError
from srbuild.lab import scenarios
from srbuild.lab.build import SERVER_RECIPE, site_part
from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import Inputs, Lab
from srbuild.lab.qemu import Vm
from srbuild.lab.rows.blocks import AOE, BLOCKS, DRBD, SCSI
from srbuild.lab.rows.filesystems import GFS2, OCFS2
from srbuild.lab.rows.pair import Pair
from srbuild.lab.rows.row import Block, Refusal, Row, Storage, Terms
from srbuild.lab.rows.situations import ALONE, PATIENT
from srbuild.lab.scenario import load_scenarios
from srbuild.lab.scenarios.rows import ROWS
from srbuild.lab.server import Agent

TERMS = (Terms(), ALONE, PATIENT, Terms(fencing=True))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("terms", TERMS, ids=str)
def test_every_cluster_file_is_one_that_srbuild_takes(row: Row, terms: Terms) -> None:
    fence = (row.fs.fence,) if row.fs.fence and terms.fencing else ()
    scenario = row.scenario("", "", lambda _: None, fence)
    assert site_part(scenario.options, row.cluster(terms))


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.cluster], ids=lambda block: block.name)
def test_every_servers_cluster_file_as_well(block: Block) -> None:
    assert site_part({"image": SERVER_RECIPE, "modules": block.server}, block.cluster)


def refusals() -> list[tuple[Row, Refusal]]:
    return [(row, refusal) for row in ROWS for refusal in row.block.refusals]


@pytest.mark.parametrize(("row", "refusal"), refusals(), ids=lambda it: getattr(it, "name", ""))
def test_what_is_wrong_differs_from_what_is_right(row: Row, refusal: Refusal) -> None:
    wrong = Row(row.fs, row.block.with_table(refusal.swap, refusal.lines))
    assert refusal.swap[0] in row.block.table
    assert refusal.extra or wrong.cluster() != row.cluster()
    assert site_part(wrong.scenario("", "", lambda _: None).options, wrong.cluster())


def test_a_limit_is_the_file_systems_own_unless_it_is_given() -> None:
    def of(row: Row, terms: Terms) -> dict[str, dict[str, object]]:
        return tomllib.loads(row.cluster(terms))

    gfs2, ocfs2 = Row(GFS2, AOE), Row(OCFS2, AOE)
    assert of(gfs2, Terms())["corosync"]["token"] == 3000
    assert of(gfs2, Terms(limit=16))["corosync"]["token"] == 16000
    assert of(gfs2, ALONE)["corosync"]["wait_for_all"] is False
    assert of(gfs2, Terms())["fence"] == {"method": "unsafe-none"}
    assert of(gfs2, Terms(fencing=True))["fence"]["agent"] == "lab"
    # (threshold - 1) * 2 s: O2HB_MAX_WRITE_TIMEOUT_MS in fs/ocfs2/cluster/heartbeat.h
    assert of(ocfs2, Terms())["o2cb"]["dead_threshold"] == OCFS2.limit // 2 + 1
    assert of(ocfs2, PATIENT)["o2cb"] == {"dead_threshold": 9, "idle_timeout_ms": 14000}


def test_a_disk_is_made_once_for_all_blocks_but_a_mirror() -> None:
    assert GFS2.disk == DiskSpec(256, "make-gfs2", ("lab:root", "2", "8"))
    assert OCFS2.disk == DiskSpec(256, "make-ocfs2", ("lab", "2", "local"))
    assert [row.name for row in ROWS if row.block.storage] == [
        "gfs2-drbd",
        "ocfs2-drbd",
        "gfs2-scsi",
        "ocfs2-scsi",
    ]


def test_no_two_scenarios_have_one_name() -> None:
    names: list[str] = []
    for info in pkgutil.iter_modules(scenarios.__path__, f"{scenarios.__name__}."):
        names += [one.name for one in importlib.import_module(info.name).SCENARIOS]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_every_row_is_shown_in_every_situation() -> None:
    """Names differ a little: a mirror's other side is its peer, and a bus has no server."""
    names = load_scenarios()
    for row in ROWS:
        for end in ("", "-server-absent", "-link-short", "-link-long", "-node-killed"):
            assert f"{row.name}{end}" in names
        late = {DRBD.name: "-peer-absent", SCSI.name: "-disk-late"}
        assert f"{row.name}{late.get(row.block.name, '-target-late')}" in names
        wrong = {"iscsi": "secret", "aoe": "slot", "fc": "wwpn", "drbd": "secret"}
        suffix = wrong.get(row.block.name)
        assert (f"{row.name}-wrong-{suffix}" if suffix else f"{row.name}-no-disk") in names


def test_storage_without_a_server_has_nobody_to_do_a_job() -> None:
    with pytest.raises(ValueError, match="no server for the job target-down"):
        Storage(cast("Lab", None), GFS2).order("target-down")


class Machine:
    """A node that is on or off."""

    def __init__(self, alive: bool) -> None:
        self.alive = alive

    def wait_text(self, pattern: str, seconds: float) -> bytes:
        assert seconds > 0
        return pattern.encode()


class Desk:
    """A fence device that turned these nodes off."""

    def __init__(self, *names: str) -> None:
        self.fenced = list(names)


@pytest.mark.parametrize(
    ("fenced", "alive", "says"),
    [
        (("n2",), (True, False), ""),
        ((), (True, False), "n2 alone is fenced"),
        (("n1", "n2"), (True, False), "n2 alone is fenced"),
        (("n2", "n2"), (True, False), "n2 alone is fenced"),
        (("n2",), (True, True), "n2 is off"),
        (("n2",), (False, False), "n1 lives on"),
    ],
)
def test_exactly_one_node_may_be_lost(
    tmp_path: Path, fenced: tuple[str, ...], alive: tuple[bool, bool], says: str
) -> None:
    nothing = Path("/nonexistent")
    inputs = Inputs(nothing, nothing, nothing, lambda _: b"", lambda _: b"", tmp_path, tmp_path)
    with Lab(inputs, lambda _: None) as lab:
        pair = Pair(
            lab,
            Storage(lab, GFS2),
            cast("None", Desk(*fenced)),
            cast("Vm", Machine(alive[0])),
            cast("Vm", Machine(alive[1])),
            cast("Agent", None),
            cast("Agent", None),
        )
        if not says:
            pair.expect_lost()
            assert lab.proof["fenced"] == ["n2"]
            return
        with pytest.raises(VerifyError, match=says):
            pair.expect_lost()
