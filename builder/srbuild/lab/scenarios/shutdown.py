"""Shutdowns that nothing holds.

All well, the storage's server dead, the network gone, a process that can't be killed, one that will
not end.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from srbuild.lab.cluster import N1
from srbuild.lab.console import console_text
from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import MAKER, Lab
from srbuild.lab.proof import check_shared_root, read_shared_root
from srbuild.lab.qemu import Disk, Ending, Vm
from srbuild.lab.rows.blocks import ISCSI
from srbuild.lab.rows.filesystems import GFS2
from srbuild.lab.rows.row import Row
from srbuild.lab.rows.situations import ALONE
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios import local_scsi, nfs
from srbuild.lab.scenarios.lxc import await_ct, in_lxc
from srbuild.lab.server import Agent

LIMIT = 60  # seconds that the user gives to the whole shutdown
SLACK = 15  # seconds more, of a busy machine that emulates another
BOOT = 240
SYSTEMD_BOOT = 360

Held = tuple[Vm, Agent, Agent]


def _hold(lab: Lab, fs: str, root: str) -> Held:
    """The only node of a cluster, with the lab's own root or a distribution's; and its server."""
    if fs == "nfs":
        disk = DiskSpec(512, "make-export", root=root) if root else nfs.DISK
        server, cluster = nfs.serve(lab, disk=disk), nfs.cluster_file()
    else:
        row = Row(replace(GFS2, root=root), ISCSI)
        served, cluster = row.serve(lab).server, row.cluster(ALONE)
        if not served:
            raise ValueError("iSCSI without a server")
        server = served
    with lab.step("n1 boots"):
        extra = f"rd.srb.shutdown_limit={LIMIT}"
        node, agent = lab.hold(N1, cluster, (), extra)
        agent.wait_ready(lab.left(SYSTEMD_BOOT if root else BOOT))
        if root == "systemd":
            agent.require("await-system", "100", seconds=lab.left(120))
    return node, agent, server


def _leave(lab: Lab, node: Vm, agent: Agent, verb: str) -> Ending:
    """End n1 by `verb`, within the limit."""
    begin = time.monotonic()
    with lab.step(f"n1 ends by {verb}"):
        agent.require("leave", verb, seconds=lab.left(60))
        ending = node.wait_end(lab.left(LIMIT + SLACK))
    lab.proof["seconds to the end"] = round(time.monotonic() - begin, 1)
    lab.proof["shutdown"] = said_at_the_end(node)
    lab.expect(ending is not Ending.PANIC, f"an orderly end, but a {ending.value}")
    return ending


def _check(fs: str) -> str:
    """The server's job that reads the disk."""
    return "check-export" if fs == "nfs" else "check-gfs2"


def healthy(lab: Lab, fs: str, root: str = "") -> None:
    """All is well: restarted and powered off, the file system is left clean each time."""
    node, agent, server = _hold(lab, fs, root)
    ending = _leave(lab, node, agent, "poweroff")
    lab.expect(ending is Ending.POWER_OFF, f"power off, but it {node.fate()}")
    expect_own_end(lab, node)
    check_shared_root(lab, server, _check(fs), {"n1": ()})


def server_dead(lab: Lab, fs: str, root: str = "") -> None:
    """The storage's server is gone for good before n1 is told to end."""
    node, agent, server = _hold(lab, fs, root)
    server.call("poweroff", seconds=20)
    _leave(lab, node, agent, "poweroff")


def network_gone(lab: Lab, fs: str, root: str = "") -> None:
    """n1's cable is pulled before it is told to end; what it had written is on the disk."""
    node, agent, server = _hold(lab, fs, root)
    node.set_link(0, up=False)
    _leave(lab, node, agent, "reboot")
    found = read_shared_root(server.require(_check(fs), seconds=lab.left(120))).tokens.get("n1")
    lab.expect(found == lab.tokens["n1"], f"the token of n1 on the disk, but there is {found!r}")


def deaf(lab: Lab, fs: str) -> None:
    """A daemon on the root takes no SIGTERM and writes on: it is killed, the root left clean."""
    node, agent, server = _hold(lab, fs, "")
    agent.require("stay-deaf")
    ending = _leave(lab, node, agent, "poweroff")
    lab.expect(ending is Ending.POWER_OFF, f"power off, but it {node.fate()}")
    check_shared_root(lab, server, _check(fs), {"n1": ()})


def unkillable(lab: Lab) -> None:
    """A process of the container waits for the disk and can't be killed; nor can the container."""
    path = lab.own_disk("root", lab.disk(local_scsi.disk_spec()))
    cluster = in_lxc(local_scsi.cluster_file())
    with lab.step("n1 boots into its container"):
        extra = f"rd.srb.shutdown_limit={LIMIT}"
        node, agent = lab.manage(N1, cluster, (), extra, (local_scsi.one(path),))
        agent.wait_ready(lab.left(BOOT))
        await_ct(lab, agent, 1)
        node.wait_text("lab: n1 left its token", lab.left(60))
    with lab.step("the root takes no writes any more, and a process waits for one"):
        agent.require("freeze", "/sysroot")
        state = agent.require("in-ct", "wait-for-disk", seconds=lab.left(60))
        lab.expect(state == ("D",), f"a process in the state D, but: {state}")
    begin = time.monotonic()
    with lab.step("n1 is told to power off"):
        agent.require("srctl", "node", "poweroff", seconds=lab.left(30))
        ending = node.wait_end(lab.left(LIMIT + SLACK))
    lab.proof["seconds to the end"] = round(time.monotonic() - begin, 1)
    lab.proof["shutdown"] = said_at_the_end(node)
    lab.expect(ending is Ending.POWER_OFF, f"power off, but it {node.fate()}")
    check_shared_root(lab, lab.server(MAKER, Disk(path)), "check-local", {"n1": ()})


def said_at_the_end(node: Vm) -> list[str]:
    """What the shutdown said on the console."""
    return re.findall(r"\[ *[0-9.]+\] srbuild: (?:cleanup|guard): .*", console_text(node))


def expect_own_end(lab: Lab, node: Vm) -> None:
    """Check that the bootstrap's own shutdown was the last act, whatever init the root has."""
    said = said_at_the_end(node)
    lab.expect(
        any("unmounting /oldroot: done" in line for line in said),
        f"the root unmounted by the bootstrap, but at the end: {said}",
    )


def _scenario(name: str, summary: str, run: Callable[[Lab], None], fs: str) -> Scenario:
    if fs == "nfs":
        return Scenario(name, summary, "nfs", "", ("lab-export", "nfs-server"), run)
    return Scenario(name, summary, "gfs2", "iscsi", ("lab-gfs2", "iscsi-target"), run)


def _scenarios(fs: str) -> tuple[Scenario, ...]:
    return tuple(
        _scenario(f"shutdown-{fs}-{what}", f"{summary} (root on {fs})", partial(run, fs=fs), fs)
        for what, summary, run in (
            ("healthy", "a shutdown with all well leaves a clean file system", healthy),
            ("server-dead", "a shutdown ends within its limit without its storage", server_dead),
            ("network-gone", "a shutdown ends within its limit without its network", network_gone),
        )
    )


SCENARIOS = (
    *_scenarios("nfs"),
    *_scenarios("gfs2"),
    _scenario(
        "shutdown-gfs2-deaf",
        "a daemon that takes no SIGTERM does not hold a shutdown (root on gfs2)",
        partial(deaf, fs="gfs2"),
        "gfs2",
    ),
    Scenario(
        "shutdown-lxc-unkillable",
        "a container's process in state D does not hold a shutdown",
        "ext4",
        "scsi",
        ("lab-local",),
        unkillable,
        ("lab",),
        "lxc",
    ),
    _scenario(
        "gfs2-systemd",
        "Debian with systemd boots from GFS2, powers off and leaves it clean",
        partial(healthy, fs="gfs2", root="systemd"),
        "gfs2",
    ),
    _scenario(
        "gfs2-sysvinit",
        "Debian with sysvinit boots from GFS2, powers off and leaves the cluster",
        partial(healthy, fs="gfs2", root="sysvinit"),
        "gfs2",
    ),
)
