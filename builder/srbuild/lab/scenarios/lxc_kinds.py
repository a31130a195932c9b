"""Debian in a container in the other ways that a container can be: each setting is booted once."""

from __future__ import annotations

from srbuild.lab.cluster import N1
from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import Lab
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk, Ending, Vm
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios import local_scsi, nfs
from srbuild.lab.scenarios.local_scsi import check, one
from srbuild.lab.scenarios.lxc import await_ct, in_lxc
from srbuild.lab.server import Agent

BOOT = 300  # seconds until a distribution runs, on two slow cores
END = 150
EXPORT = DiskSpec(512, "make-export", root="systemd")
LOCAL = DiskSpec(512, "make-local", ("ext4", "root"), "systemd")
BRIDGE = '[network]\nbridge = ["br0:eth0"]\ninterface = "br0"\n'
NFS_PORT = "2049"


def boot(lab: Lab, cluster: str, disks: tuple[Disk, ...] = ()) -> tuple[Vm, Agent]:
    """n1 boots Debian in its container; all of it runs, and says in which control groups."""
    with lab.step("n1 boots Debian in its container"):
        node, agent = lab.manage(N1, cluster, (), disks=disks)
        agent.wait_ready(lab.left(BOOT))
        await_ct(lab, agent, 1)
        agent.require("in-ct", "await-system", "250", seconds=lab.left(BOOT))
    lab.proof["groups"] = agent.require("in-ct", "groups", seconds=lab.left(60))
    return node, agent


def expect_group(lab: Lab, line: str) -> None:
    """The container sees that hierarchy of control groups."""
    groups = lab.proof["groups"]
    lab.expect(isinstance(groups, tuple) and line in groups, f"{line!r}, but: {groups}")


def reach(lab: Lab, agent: Agent, address: str) -> None:
    """The container has that address, with its card, and reaches the server."""
    with lab.step("the container reaches the server"):
        lines = agent.require("in-ct", "reach", nfs.SERVER, NFS_PORT, seconds=lab.left(60))
    lab.expect(f"address {address}" in lines, f"the address {address}, but: {lines}")


def power_off(lab: Lab, agent: Agent) -> None:
    """Have the container power off."""
    agent.require("srctl", "enter", "systemctl", "poweroff", seconds=lab.left(60))


def bridged_v1(lab: Lab) -> None:
    """Control groups of version 1, and a card on a bridge by which the container is on the LAN."""
    server = nfs.serve(lab, disk=EXPORT)
    more = 'cgroup = "v1"\nnetwork = "veth"\nbridge = "br0"\naddresses = ["10.9.0.51/24"]\n'
    node, agent = boot(lab, in_lxc(nfs.cluster_file(BRIDGE), more))
    expect_group(lab, "cgroup /sys/fs/cgroup/memory")
    reach(lab, agent, "eth0 10.9.0.51/24")
    with lab.step("the container powers off, and n1 with it"):
        power_off(lab, agent)
        lab.wait_power_off([node], END)
    check_shared_root(lab, server, "check-export", {"n1": ()})


def hosts_network_hybrid(lab: Lab) -> None:
    """Both versions of control groups, the node's own network; a halt leaves the node up."""
    server = nfs.serve(lab, disk=EXPORT)
    stay = '[supervisor]\non_halt = "stay"\n'
    # Port 22 is below those that a user namespace may bind in a network that it does not own.
    more = 'cgroup = "hybrid"\nnetwork = "host"\nmask = ["ssh.service"]\n'
    node, agent = boot(lab, in_lxc(nfs.cluster_file(stay), more))
    expect_group(lab, "cgroup2 /sys/fs/cgroup/unified")
    expect_group(lab, "cgroup /sys/fs/cgroup/memory")
    reach(lab, agent, "eth0 10.9.0.21/24")
    with lab.step("the container powers off, and n1 stays"):
        power_off(lab, agent)
        agent.require("await-stop", "100", seconds=lab.left(150))
    with lab.step("the container is started again by order, and n1 ends by order"):
        agent.require("srctl", "start", seconds=lab.left(150))
        await_ct(lab, agent, 2)
        agent.require("srctl", "node", "poweroff", seconds=lab.left(60))
        lab.wait_power_off([node], END)
    check_shared_root(lab, server, "check-export", {"n1": ()})


def shifted(lab: Lab) -> None:
    """Users of its own on ext4, which close the known holes; its own console; a halt reboots n1."""
    path = lab.own_disk("root", lab.disk(LOCAL))
    more = 'user_namespace = "shifted"\nconsole = "own"\n'
    reboot = '[supervisor]\non_halt = "reboot"\n'
    node, agent = boot(lab, in_lxc(local_scsi.cluster_file(more=reboot), more), (one(path),))
    with lab.step("root in the container tries to break out"):
        lines = agent.require("in-ct", "break-out", "sda", N1.mac, seconds=lab.left(120))
        allowed = {line.split()[0] for line in lines if not line.endswith(" refused")}
        # What an idmapped mount has below it is not locked: docs/containers.md.
        lab.expect(allowed <= {"take-off-own"}, f"all refused but that, but: {sorted(allowed)}")
    with lab.step("the container's console is looked at"):
        agent.require("see-console", seconds=lab.left(120))
    with lab.step("the container powers off, and n1 reboots"):
        power_off(lab, agent)
        ending = node.wait_end(lab.left(END))
        lab.expect(ending is Ending.RESTART, f"a reboot, but it {node.fate()}")
    check(lab, path)


SCENARIOS = (
    Scenario(
        "lxc-nfs-v1-veth",
        "Debian in a container with control groups of version 1, on a bridge",
        "nfs",
        "",
        ("lab-export", "nfs-server"),
        bridged_v1,
        ("lab",),
        "lxc",
    ),
    Scenario(
        "lxc-nfs-hybrid-host",
        "Debian in a container with both versions, on the node's network; a halt leaves the node",
        "nfs",
        "",
        ("lab-export", "nfs-server"),
        hosts_network_hybrid,
        ("lab",),
        "lxc",
    ),
    Scenario(
        "lxc-ext4-shifted",
        "Debian in a container with users of its own, which closes the known hole",
        "ext4",
        "scsi",
        ("lab-local",),
        shifted,
        ("lab",),
        "lxc",
    ),
)
