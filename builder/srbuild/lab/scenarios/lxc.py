"""The shared root in an LXC container: it starts, reboots, crashes and powers off."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from srbuild.lab.cluster import N1
from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import MAKER, Lab
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk
from srbuild.lab.rows.situations import ALONE
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios import local_scsi, nfs
from srbuild.lab.scenarios.gfs2_iscsi import ROW
from srbuild.lab.scenarios.local_scsi import disk_spec, one
from srbuild.lab.server import Agent

START = 120  # seconds until the container runs, on two slow cores
BOOT = 200
END = 120
# What root in the container can do without a shifted map: docs/containers.md.
KNOWN_HOLES = {"fresh-proc", "remount-sys"}


def in_lxc(cluster: str, more: str = "") -> str:
    """The cluster file with its root in an LXC container, `more` further lines of [container]."""
    return cluster.replace('type = "none"', f'type = "lxc"\n{more}')


def await_ct(lab: Lab, agent: Agent, starts: int) -> dict[str, Any]:
    """What srctl says once the container was started `starts` times and runs."""
    lines = agent.require("await-ct", str(starts), str(START), seconds=lab.left(START + 30))
    status: dict[str, Any] = json.loads(lines[-1])
    return status


def small_root(lab: Lab) -> None:
    """The lab's own root on ext4: reboot, crash, restart by order, and power off."""
    path = lab.own_disk("root", lab.disk(disk_spec()))
    cluster = in_lxc(local_scsi.cluster_file())
    with lab.step("n1 boots into its container"):
        node, agent = lab.manage(N1, cluster, (), disks=(one(path),))
        agent.wait_ready(lab.left(BOOT))
        first = await_ct(lab, agent, 1)
        node.wait_text("lab: n1 left its token", lab.left(60))
    with lab.step("the container reboots"):
        agent.require("srctl", "enter", "reboot", seconds=lab.left(60))
        second = await_ct(lab, agent, 2)
    with lab.step("the container's init is killed"):
        agent.require("kill-ct", seconds=lab.left(60))
        third = await_ct(lab, agent, 3)
    with lab.step("the container is restarted by order"):
        agent.require("srctl", "restart", seconds=lab.left(120))
        fourth = await_ct(lab, agent, 4)
    ends = [status["last_end"] for status in (first, second, third, fourth)]
    lab.proof["ends"] = ends
    lab.expect(ends[1] == "reboot", f"a reboot, but: {ends[1]}")
    lab.expect(ends[2].startswith("crash"), f"a crash, but: {ends[2]}")
    uptimes = [status["uptime"] for status in (first, second, third, fourth)]
    lab.expect(uptimes == sorted(uptimes), "the node stays up")
    with lab.step("the container powers off, and n1 with it"):
        agent.require("srctl", "enter", "poweroff", seconds=lab.left(60))
        lab.wait_power_off([node], END)
    check_shared_root(lab, lab.server(MAKER, Disk(path)), "check-local", {"n1": ()})


def debian_nfs(lab: Lab) -> None:
    """Debian's systemd on NFS: multi-user, a reboot, and a power off, in the container."""
    server = nfs.serve(lab, disk=DiskSpec(512, "make-export", root="systemd"))
    with lab.step("n1 boots Debian in its container"):
        node, agent = lab.manage(N1, in_lxc(nfs.cluster_file()), ())
        agent.wait_ready(lab.left(BOOT))
        first = await_ct(lab, agent, 1)
        agent.require("in-ct", "await-system", "150", seconds=lab.left(200))
    with lab.step("the container reboots"):
        agent.require("srctl", "enter", "systemctl", "reboot", seconds=lab.left(60))
        second = await_ct(lab, agent, 2)
        agent.require("in-ct", "await-system", "150", seconds=lab.left(200))
    lab.expect(second["last_end"] == "reboot", f"a reboot, but: {second['last_end']}")
    lab.expect(second["uptime"] > first["uptime"], "the node stays up")
    with lab.step("the container powers off, and n1 with it"):
        agent.require("srctl", "enter", "systemctl", "poweroff", seconds=lab.left(60))
        lab.wait_power_off([node], END)
    check_shared_root(lab, server, "check-export", {"n1": ()})


def debian_gfs2(lab: Lab) -> None:
    """Debian's systemd on GFS2 over iSCSI, its root held by one of two nodes."""
    disk = replace(ROW.fs.disk, size=640, root="systemd")
    server = lab.serve(disk, ROW.block.cluster)
    cluster = in_lxc(ROW.cluster(ALONE))
    with lab.step("n1 boots Debian in its container"):
        node, agent = lab.manage(N1, cluster, ())
        agent.wait_ready(lab.left(BOOT))
        await_ct(lab, agent, 1)
        agent.require("in-ct", "await-system", "150", seconds=lab.left(200))
    with lab.step("root in the container tries to break out"):
        lines = agent.require("in-ct", "break-out", "sda", N1.mac, seconds=lab.left(120))
        found = dict(line.split() for line in lines)
        lab.proof["break-out"] = found
        allowed = sorted(name for name, how in found.items() if how == "allowed")
        lab.expect(set(allowed) <= KNOWN_HOLES, f"nothing but {KNOWN_HOLES}, but: {allowed}")
    with lab.step("the container reboots"):
        agent.require("srctl", "enter", "systemctl", "reboot", seconds=lab.left(60))
        status = await_ct(lab, agent, 2)
        lab.expect(status["last_end"] == "reboot", f"a reboot, but: {status['last_end']}")
        agent.require("in-ct", "await-system", "150", seconds=lab.left(200))
    with lab.step("the container powers off, and n1 with it"):
        agent.require("srctl", "enter", "systemctl", "poweroff", seconds=lab.left(60))
        lab.wait_power_off([node], END)
    check_shared_root(lab, server, "check-gfs2", {"n1": ()})


SCENARIOS = (
    Scenario(
        "lxc-gfs2-debian",
        "Debian's systemd in a container on GFS2 over iSCSI; it tries to break out",
        "gfs2",
        "iscsi",
        ("lab-gfs2", "iscsi-target"),
        debian_gfs2,
        ("lab",),
        "lxc",
    ),
    Scenario(
        "lxc-nfs-debian",
        "Debian's systemd in a container, its root on NFS",
        "nfs",
        "",
        ("lab-export", "nfs-server"),
        debian_nfs,
        ("lab",),
        "lxc",
    ),
    Scenario(
        "lxc-ext4",
        "a root in a container: reboot, crash, restart, power off",
        "ext4",
        "scsi",
        ("lab-local",),
        small_root,
        ("lab",),
        "lxc",
    ),
)
