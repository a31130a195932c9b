"""The shared root in a container of vzctl's, on a mainline kernel: the lab's own root on ext4.

vzctl is a double of 4.11 (lab/vzctl), or the real one (`srbuild test --vzctl-root`). What is asked
here of either is what the recorded runs of the real one show.
"""

from __future__ import annotations

from srbuild.lab.cluster import N1
from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import MAKER, Lab
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk, Vm
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios import local_scsi
from srbuild.lab.scenarios.local_scsi import one
from srbuild.lab.scenarios.lxc import await_ct
from srbuild.lab.server import Agent
from srbuild.paths import HostPath

BOOT = 200  # seconds until the container runs, on two slow cores
END = 120
DISK = DiskSpec(64, "make-openvz", ("root",))
RUNS = "CTID 101 exist mounted running"
# What root in the container can't do as it is; without SYS_ADMIN, it can do nothing that is tried.
ALWAYS = {
    "mknod", "open-disk", "modprobe", "set-time", "write-sys", "sysrq", "core-pattern",
    "see-bootstrap", "bootstraps-secrets", "card-of-the-root",
}  # fmt: skip
# What the shared root holds afterwards of all that vzctl writes: the mount point of a node's own
# file, empty, and that file, with what the container wrote to it.
MARK = f"{N1.name} wrote\n"
WRITTEN = ("written fastboot 0", f"written .srbuild/nodes/n1/fastboot {len(MARK)}")


def in_openvz(cluster: str, ve: str = "") -> str:
    """The cluster file with its root in a container of OpenVZ's, `ve` lines of [ve]."""
    return cluster.replace('type = "none"', f'type = "openvz"\n[ve]\n{ve}')


def boot(lab: Lab, ve: str) -> tuple[HostPath, Vm, Agent]:
    """n1 boots into its container, which vzctl says runs."""
    path = lab.own_disk("root", lab.disk(DISK))
    cluster = in_openvz(local_scsi.cluster_file(), ve)
    with lab.step("n1 boots into its container"):
        node, agent = lab.manage(N1, cluster, (), disks=(one(path),))
        agent.wait_ready(lab.left(BOOT))
        await_ct(lab, agent, 1)
    with lab.step("vzctl is asked for it, and what runs cannot be started"):
        said = agent.require("vzctl", "status", seconds=lab.left(60))
        lab.expect(RUNS in said, f"{RUNS!r}, but: {said}")
        again = agent.require("vzctl", "start", seconds=lab.left(60))
        lab.expect("status 32" in again, f"the status 32, but: {again}")
    with lab.step("the container writes to a file that is n1's own"):
        name = agent.require("in-ct", "mark-own", N1.name, seconds=lab.left(60))
        lab.expect(name == (f"name {N1.name}",), f"the node's name, but: {name}")
    return path, node, agent


def power_off(lab: Lab, path: HostPath, node: Vm, agent: Agent) -> None:
    """The container powers off and n1 with it; the disk is looked at from outside."""
    with lab.step("the container powers off, and n1 with it"):
        agent.require("srctl", "enter", "poweroff", seconds=lab.left(60))
        lab.wait_power_off([node], END)
    server = lab.server(MAKER, Disk(path))
    check_shared_root(lab, server, "check-openvz", {"n1": ()})
    lines = server.require("check-openvz", seconds=lab.left(60))
    written = [line for line in lines if line.startswith("written ")]
    lab.proof["written"] = written
    lab.expect(set(written) == set(WRITTEN), f"nothing but {WRITTEN}, but: {written}")


def break_out(lab: Lab, agent: Agent) -> dict[str, str]:
    """What root in the container can do of what it should not: name → allowed or refused."""
    with lab.step("root in the container tries to break out"):
        lines = agent.require("in-ct", "break-out", "sda", N1.mac, seconds=lab.left(120))
    found = dict(line.split() for line in lines)
    lab.proof["break-out"] = found
    return found


def expect_refused(lab: Lab, found: dict[str, str], names: set[str]) -> None:
    """None of `names` was done."""
    allowed = sorted(name for name in names if found.get(name) != "refused")
    lab.expect(not allowed, f"{sorted(names)} refused, but not {allowed}")


def life(lab: Lab) -> None:
    """Reboot, crash, restart by order, and power off."""
    path, node, agent = boot(lab, 'physpages = "0:256M"\n')
    expect_refused(lab, break_out(lab, agent), ALWAYS)
    first = await_ct(lab, agent, 1)
    with lab.step("the container reboots"):
        agent.require("srctl", "enter", "reboot", seconds=lab.left(60))
        second = await_ct(lab, agent, 2)
    with lab.step("the container's init is killed"):
        agent.require("kill-ct", seconds=lab.left(60))
        third = await_ct(lab, agent, 3)
    with lab.step("the container is restarted by order"):
        agent.require("srctl", "restart", seconds=lab.left(180))
        fourth = await_ct(lab, agent, 4)
    ends = [status["last_end"] for status in (first, second, third, fourth)]
    lab.proof["ends"] = ends
    lab.expect(ends[1] == "reboot", f"a reboot, but: {ends[1]}")
    lab.expect(ends[2].startswith("crash"), f"a crash, but: {ends[2]}")
    uptimes = [status["uptime"] for status in (first, second, third, fourth)]
    lab.expect(uptimes == sorted(uptimes), "the node stays up")
    power_off(lab, path, node, agent)


def closed(lab: Lab) -> None:
    """Without the capability to mount, root in the container stays in it."""
    path, node, agent = boot(lab, 'capability = ["SYS_ADMIN:off"]\n')
    found = break_out(lab, agent)
    expect_refused(lab, found, set(found))
    power_off(lab, path, node, agent)


SCENARIOS = (
    Scenario(
        "openvz",
        "a root in a container of vzctl's, or of its double: reboot, crash, restart, power off",
        "ext4",
        "scsi",
        ("lab-local",),
        life,
        ("lab", "lab-openvz"),
        "openvz",
    ),
    Scenario(
        "openvz-closed",
        "a root in such a container that may not mount: it tries to break out",
        "ext4",
        "scsi",
        ("lab-local",),
        closed,
        ("lab", "lab-openvz"),
        "openvz",
    ),
)
