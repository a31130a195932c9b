"""Two nodes that share a root, one of which is lost or cut off while the other writes."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from functools import partial
from typing import cast

from srbuild.frozen import frozen
from srbuild.lab.cluster import BOTH, N1, N2
from srbuild.lab.fencing import FenceDesk
from srbuild.lab.lab import Lab
from srbuild.lab.qemu import Disk, Vm, wait_until
from srbuild.lab.rows.row import Row, Storage, Terms
from srbuild.lab.server import Agent
from srbuild.lab.steps import BOOT, leave

AFTER = "n1-after"  # what n1 writes from when n2 is silent
DETECT = 150  # seconds for finding out that a node is lost, fencing and recovery, on slow cores


@frozen
class Pair:
    """Two nodes that share the root, and their agents; `desk` turns nodes off, where it must."""

    lab: Lab
    storage: Storage
    desk: FenceDesk | None
    n1: Vm
    n2: Vm
    first: Agent
    second: Agent

    def begin_write(self, name: str = AFTER) -> float:
        """Have a node, as `name` begins, write a token of this name from now on; the time."""
        self.lab.tokens[name] = secrets.token_hex(16)
        begin = time.monotonic()
        self._agent(name).require("write-token", name, self.lab.tokens[name])
        return begin

    def written(self, name: str = AFTER) -> bool:
        """Whether what a node was told to write is on the disk."""
        return self._agent(name).require("written", name) == ("yes",)

    def wait_written(self, begin: float, name: str = AFTER) -> float:
        """Wait until it is, which may take the locks' recovery; the seconds since `begin`."""
        node = name.partition("-")[0]
        wait_until(self.lab.left(DETECT), f"{node} writes again", lambda: self.written(name))
        seconds = round(time.monotonic() - begin, 1)
        self.lab.proof["blocked_seconds"] = seconds
        return seconds

    def expect_lost(self) -> None:
        """n2 and nobody else is off: turned off by n1, which has said so, or reset by itself."""
        words = self.storage.fs.last_words
        if words and self.n2.alive:
            self.n2.wait_end(self.lab.left(DETECT))
        if self.desk:
            self.lab.proof["fenced"] = self.desk.fenced
            self.lab.expect(
                self.desk.fenced == ["n2"],
                f"n2 alone is fenced, but fenced were {self.desk.fenced}",
            )
            self.n1.wait_text(r"n2 \(node 2\) is fenced, confirmed by lab", 5)
        self.lab.expect(not self.n2.alive, "n2 is off")
        self.lab.expect(self.n1.alive, "n1 lives on")

    def leave_and_check(self, *names: str) -> None:
        """Who is left leaves; the root is clean and holds all tokens, those of `names` too."""
        last = N1
        for node, vm, agent in ((N1, self.n1, self.first), (N2, self.n2, self.second)):
            if vm.alive:
                leave(self.lab, vm, agent)
                last = node
        self.storage.check(BOTH, last)
        for name in names or (AFTER,):
            found = cast("dict[str, str]", self.lab.proof["tokens"]).get(name)
            wanted = self.lab.tokens[name]
            self.lab.expect(found == wanted, f"{name} on the disk, but there is {found!r}")

    def _agent(self, name: str) -> Agent:
        return self.first if name.startswith("n1") else self.second


def start_pair(lab: Lab, row: Row, terms: Terms, desk: FenceDesk | None = None) -> Pair:
    """Have the root served and both nodes boot; see `boot_pair`."""
    return boot_pair(lab, row.serve(lab), row.cluster(terms), desk)


def boot_pair(
    lab: Lab,
    storage: Storage,
    cluster: str,
    desk: FenceDesk | None = None,
    devices: tuple[str, ...] = (),
    more: tuple[Disk, ...] = (),
) -> Pair:
    """Boot both nodes; they have read each other's tokens and do as they are told.

    Both have the QEMU arguments `devices` and the disks `more`, too. n2 holds the lock that n1
    needs for what it will be told to write.
    """
    with lab.step("n1 and n2 boot and exchange tokens on the shared root"):
        started = [
            lab.hold(
                replace(node, devices=devices),
                cluster,
                BOTH[node.name],
                disks=(*storage.disks.get(node.name, ()), *more),
            )
            for node in (N1, N2)
        ]
        for _, agent in started:
            agent.wait_ready(lab.left(BOOT))
    (n1, first), (n2, second) = started
    pair = Pair(lab, storage, desk, n1, n2, first, second)
    # What they are to run while they have no lock to read it from the disk with.
    if storage.fs.fence:
        first.require("bootstrap", "dlm_tool", "status")
    for name in ("n1-before", "n2-before"):
        agent = first if name.startswith("n1") else second
        agent.require("write-token", name, "word")
        wait_until(60, f"{name} is written", partial(pair.written, name))
    second.require("take-lock", "n2")
    return pair
