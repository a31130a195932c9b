"""GFS2 over iSCSI with three nodes: two of them go on without the third, one alone does not."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace

from srbuild.lab.cluster import NODES
from srbuild.lab.lab import Lab
from srbuild.lab.qemu import wait_until
from srbuild.lab.rows.blocks import ISCSI
from srbuild.lab.rows.filesystems import GFS2
from srbuild.lab.rows.pair import DETECT
from srbuild.lab.rows.row import Row, Terms
from srbuild.lab.server import Agent
from srbuild.lab.steps import BOOT, leave

NAMES = tuple(node.name for node in NODES)
PEERS = {name: tuple(peer for peer in NAMES if peer != name) for name in NAMES}
INITIATORS = {name: f'[node.iscsi]\ninitiator = "iqn.2026-01.lab:{name}"\n' for name in NAMES}
ROW = Row(replace(GFS2, words=("lab:root", "3", "8")), replace(ISCSI, own=INITIATORS))
# What three nodes have by themselves, but for slow machines that boot far apart.
PATIENCE = ("wait_for_all = true", "absent_timeout = 60")
STILL = 30  # seconds in which a node without a majority must not write


def majority(lab: Lab) -> None:
    """Of three nodes one dies, then another: two go on, the last waits until it is two again."""
    desk = lab.fencing(lambda name, by: True)
    storage = ROW.serve(lab)
    cluster = ROW.cluster(Terms(fencing=True), nodes=NODES).replace(*PATIENCE)
    with lab.step("three nodes boot and exchange tokens on the shared root"):
        nodes = {node.name: lab.hold(node, cluster, PEERS[node.name]) for node in NODES}
        for _, agent in nodes.values():
            agent.wait_ready(lab.left(1.5 * BOOT))
    (n1, first), (n2, second), (n3, _) = nodes.values()
    with lab.step("n3 dies; n1 and n2 have one of them fence it, and write"):
        n3.kill()
        for name, agent in (("n1-two", first), ("n2-two", second)):
            begin = _begin_write(lab, agent, name)
            _wait_written(lab, agent, name, begin)
    lab.expect(desk.fenced == ["n3"], f"n3 is fenced, once, but fenced were {desk.fenced}")
    with lab.step("n2 dies, too; n1 has no majority and stands still"):
        n2.kill()
        begin = _begin_write(lab, first, "n1-alone")
        while time.monotonic() < begin + STILL:
            lab.expect(not _written(first, "n1-alone"), "n1's write waits, but it ended")
            time.sleep(1)
        lab.expect(desk.fenced == ["n3"], f"n1 alone fences nobody, but there is {desk.fenced}")
    with lab.step("n3 boots again; n1 and n3 have n2 fenced and go on"):
        n3, third = lab.hold(NODES[2], cluster, ("n1",))
        third.wait_ready(lab.left(BOOT))
        _wait_written(lab, first, "n1-alone", begin)
    lab.proof["fenced"] = desk.fenced
    lab.expect(desk.fenced == ["n3", "n2"], f"n2 is fenced, too, but there is {desk.fenced}")
    # The last one leaves although it has no majority by then.
    leave(lab, n3, third)
    leave(lab, n1, first)
    storage.check({"n3": ("n1",)})


def _begin_write(lab: Lab, agent: Agent, name: str) -> float:
    """Have a node write a token called `name` from now on; the time."""
    lab.tokens[name] = secrets.token_hex(16)
    begin = time.monotonic()
    agent.require("write-token", name, lab.tokens[name])
    return begin


def _written(agent: Agent, name: str) -> bool:
    return agent.require("written", name) == ("yes",)


def _wait_written(lab: Lab, agent: Agent, name: str, begin: float) -> None:
    wait_until(lab.left(DETECT), f"{name} is written", lambda: _written(agent, name))
    lab.proof[f"{name} written after"] = round(time.monotonic() - begin, 1)


SCENARIOS = (
    replace(
        ROW.scenario(
            "", "of three nodes a majority goes on, one alone waits", majority, ("fence-lab",)
        ),
        name="gfs2-three",
    ),
)
