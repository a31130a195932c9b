"""A root on a GlusterFS volume: of a server, or of bricks on the nodes themselves."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from srbuild.lab.cluster import BOTH, N1, N2, cluster_text, node_tables
from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import MAKER, SERVER_MAC, Lab, NodeSpec
from srbuild.lab.proof import check_shared_root, read_shared_root
from srbuild.lab.qemu import Disk
from srbuild.lab.scenario import Scenario
from srbuild.lab.server import Agent
from srbuild.lab.steps import exchange, gives_up, leave, outlives_server
from srbuild.paths import HostPath

SERVER = "10.9.0.1"
DEAD = "10.9.0.9"  # nobody has this address
VOLUME = "root"
DISK = DiskSpec(128, "make-gluster", (VOLUME, SERVER))
BRICK = DiskSpec(128, "make-brick")
BOOT = 300  # seconds that two nodes may take from start to power off, on two slow cores
OWN_DISK = '[node.gluster-bricks]\ndevice = "/dev/vda"\n'
OWN_DISKS = {"n1": OWN_DISK, "n2": OWN_DISK}
BRICKS = f'name = "lab-server"\n{node_tables(own=OWN_DISKS)}'
"""The cluster file of the machines that make the nodes' bricks, under the nodes' names."""


def serve(lab: Lab) -> Agent:
    """Start the server with its volume."""
    return lab.server(f'{MAKER}[gluster-bricks]\ndevice = "/dev/vda"\n', Disk(lab.disk(DISK)))


def cluster_file(
    options: str = "", servers: tuple[str, ...] = (SERVER,), volume: str = VOLUME
) -> str:
    """The lab's cluster file with the root on a server, `options` further keys of its [fs]."""
    named = ", ".join(f'"{server}"' for server in servers)
    fs = f'type = "glusterfs"\nserver = [{named}]\nvolume = "{volume}"\n{options}'
    return cluster_text(f"[fs]\n{fs}")


def two_nodes(lab: Lab) -> None:
    """Both nodes share the root of one server and leave it clean."""
    server = serve(lab)
    cluster = cluster_file()
    exchange(lab, cluster, seconds=BOOT)
    check_shared_root(lab, server, "check-brick", BOTH)


def one_node(lab: Lab, cluster: str, line: str) -> None:
    """n1 boots, `line` on its kernel command line, although not all of its servers are there."""
    server = serve(lab)
    with lab.step("n1 boots and powers off"):
        node = lab.start(N1, cluster, (), line)
        lab.wait_power_off([node], BOOT)
    check_shared_root(lab, server, "check-brick", {"n1": ()})


def wrong_volume(lab: Lab) -> None:
    """A volume that the server has not stops the boot at once."""
    serve(lab)
    with lab.step("n1 asks for a volume that is none and stops at mount"):
        node = lab.start(N1, cluster_file("timeout = 0", volume="rot"), ())
        lab.wait_failure(node, 200, "mount", SERVER, "no volume 'rot'", "gluster volume list")


def server_absent(lab: Lab) -> None:
    """No server ever: after the deadline the boot stops at `mount`, naming all that was tried."""
    gives_up(lab, cluster_file("timeout = 15", (SERVER, DEAD)), VOLUME, SERVER, DEAD)


def server_dies(lab: Lab) -> None:
    """The server is gone for good while a boot that failed leaves: every step is bounded."""
    outlives_server(lab, serve(lab), cluster_file())


# --- bricks on the nodes --------------------------------------------------------------------------


def bricks_file(options: str = "") -> str:
    """The lab's cluster file with a brick on each node; `options` of [gluster-bricks]."""
    tables = f'[fs]\ntype = "glusterfs"\nvolume = "{VOLUME}"\n[gluster-bricks]\n{options}'
    return cluster_text(tables, own=OWN_DISKS)


def make_replica(lab: Lab) -> tuple[HostPath, HostPath]:
    """Two disks with a replica each of the lab's root, made by two machines in the nodes' names."""
    blank = lab.disk(BRICK)
    disks = (lab.own_disk("brick1", blank), lab.own_disk("brick2", blank))
    makers = [
        lab.server(BRICKS, Disk(disk, keep=True), node=NodeSpec(f"maker{number}", node.mac))
        for number, (disk, node) in enumerate(zip(disks, (N1, N2), strict=True), 1)
    ]
    with lab.step("the volume is made, a brick on each node's disk"):
        makers[0].require("make-replica", VOLUME, "n2", seconds=lab.left(200))
        for maker in makers:
            maker.require("release")
        for maker in makers:
            maker.call("poweroff", seconds=20)
    return disks


def bricks(lab: Lab) -> None:
    """Two nodes without any server; one is killed, the other goes on, and it heals."""
    disks = tuple(Disk(path, keep=True) for path in make_replica(lab))
    cluster = bricks_file()
    with lab.step("n1 and n2 boot without any server and read each other's tokens"):
        first, one = lab.hold(N1, cluster, ("n2",), disks=disks[:1])
        vm, two = lab.hold(N2, cluster, ("n1",), disks=disks[1:])
        for agent in (one, two):
            agent.wait_ready(lab.left(BOOT))
    said = one.require("survivors")
    lab.proof["survivors"] = said
    lost = dict(lab.tokens)
    with lab.step("n2 is killed; n1 goes on writing"):
        vm.kill()
        begin = time.monotonic()
        one.require("put-token", "/", "alone", "word", seconds=lab.left(120))
        lab.proof["seconds blocked"] = round(time.monotonic() - begin, 1)
    with lab.step("n2 boots again"):
        again, two = lab.hold(N2, cluster, ("n1",), disks=disks[1:])
        two.wait_ready(lab.left(BOOT))
    with lab.step("the volume heals"):
        lab.proof["heal"] = one.require("await-heal", VOLUME, "2", seconds=lab.left(180))
        for name, token in (lab.tokens | {"alone": "word"}).items():
            two.require("await-copy", f"tokens/{name}", token, seconds=lab.left(180))
        # Written shortly before n2 died, and on no list of what is to be healed.
        two.require("await-copy", "seen/n1", f"n2={lost['n2']}", seconds=lab.left(180))
    leave(lab, again, two)
    leave(lab, first, one)
    lab.tokens.update(alone="word")
    for number, disk in enumerate(disks, 1):
        _check_brick(lab, number, disk, lost["n2"])


def _check_brick(lab: Lab, number: int, disk: Disk, lost: str) -> None:
    """A brick has all that was written, also while its node was away, and was left clean."""
    server = lab.server(MAKER, Disk(disk.path), node=NodeSpec(f"reader{number}", SERVER_MAC))
    lines = server.require("check-brick", seconds=lab.left(120))
    root = read_shared_root(lines)
    lab.proof[f"brick{number}"] = {"fsck": root.fsck, "tokens": dict(root.tokens)}
    said = "\n".join(lines)
    lab.expect(root.fsck == 0, f"a clean file system on brick {number}, but:\n{said}")
    lab.expect(root.tokens == lab.tokens, f"{lab.tokens} on brick {number}, but:\n{said}")
    lab.expect(root.seen.get("n1") == {"n2": lost}, f"n1 has read {lost}, but:\n{said}")
    server.call("poweroff", seconds=20)


def no_volume(lab: Lab) -> None:
    """A disk without a volume: the boot stops where an administrator can make it."""
    disk = Disk(lab.disk(BRICK))
    with lab.step("n1 boots with an empty brick and stops at cluster"):
        node = lab.start(N1, bricks_file(), (), disks=(disk,))
        lab.wait_failure(node, 200, "cluster", f"no volume '{VOLUME}'", "gluster volume create")


def blank_disk(lab: Lab) -> None:
    """A disk without a file system stops the boot before anything is written to it."""
    disk = Disk(lab.own_disk("blank", mib=64))
    with lab.step("n1 boots with a blank disk and stops at storage"):
        node = lab.start(N1, bricks_file(), (), disks=(disk,))
        lab.wait_failure(node, 200, "storage", "no ext4 or xfs on /dev/vda", "mkfs.xfs")


_SERVER = ("gluster-bricks", "lab-export")


def _scenario(suffix: str, summary: str, run: Callable[[Lab], None]) -> Scenario:
    return Scenario(f"glusterfs{suffix}", summary, "glusterfs", "", _SERVER, run)


def _bricks(suffix: str, summary: str, run: Callable[[Lab], None]) -> Scenario:
    name, modules = f"glusterfs-bricks{suffix}", ("gluster-bricks",)
    return Scenario(name, summary, "glusterfs", "", _SERVER, run, modules)


SCENARIOS = (
    _scenario("", "two nodes share one root of a GlusterFS server", two_nodes),
    _scenario(
        "-backup",
        "the first of two servers is dead",
        partial(one_node, cluster=cluster_file(servers=(DEAD, SERVER)), line=""),
    ),
    _scenario(
        "-root",
        "root=glusterfs: on the kernel's command line",
        partial(
            one_node,
            cluster=cluster_file(servers=(DEAD,), volume="nowhere"),
            line=f"root=glusterfs:{SERVER}:/{VOLUME} rootflags=attribute-timeout=2,noatime",
        ),
    ),
    _scenario("-wrong-volume", "a volume that the server has not stops the boot", wrong_volume),
    _scenario("-server-absent", "no server: the boot stops after its deadline", server_absent),
    _scenario("-server-dies", "a failed boot leaves without its server", server_dies),
    _bricks("", "bricks on the nodes: one is killed, the other goes on, it heals", bricks),
    _bricks("-no-volume", "a disk without a volume stops the boot at cluster", no_volume),
    _bricks("-blank-disk", "a disk without a file system stops the boot at storage", blank_disk),
)
