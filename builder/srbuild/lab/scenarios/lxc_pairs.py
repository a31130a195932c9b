"""Debian's systemd on one root in the containers of two nodes, on what nodes share roots on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from functools import partial

from srbuild.frozen import frozen, mutable
from srbuild.lab.cluster import BOTH, N1, N2
from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import MAKER, Lab
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk
from srbuild.lab.rows.blocks import ISCSI
from srbuild.lab.rows.filesystems import GFS2, OCFS2
from srbuild.lab.rows.row import FileSystem, Row
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios import glusterfs, nfs
from srbuild.lab.scenarios.lxc import await_ct, in_lxc
from srbuild.lab.server import Agent

BOOT = 480  # seconds until two distributions run, on two slow cores
END = 240
ADDRESSES = {"n1": "10.9.0.51", "n2": "10.9.0.52"}
_SYSTEM = "300"  # seconds that systemd may take


@frozen
class Place:
    """Where both have their root: what serves it, the nodes' cluster file, the job that checks it.

    `disk` are the words of the job own-of-nodes: the file system below all and the root's
    directory on it.
    """

    serve: Callable[[Lab], Agent]
    cluster: str
    check: str
    disk: tuple[str, ...]


@mutable
class Told:
    """What the nodes said of themselves: node → word → rest of the line."""

    rows: dict[str, dict[str, str]] = field(default_factory=dict)

    def take(self, node: str, lines: Sequence[str]) -> Mapping[str, str]:
        """What `lines` say of `node`."""
        self.rows[node] = dict(line.split(" ", 1) for line in lines if " " in line)
        return self.rows[node]


def addressed(cluster: str) -> str:
    """The cluster file with an address for each node's container."""
    for node, address in ADDRESSES.items():
        line = f'address = "10.9.0.2{node[1:]}/24"\n'
        own = f'{line}[node.lxc]\naddresses = ["{address}/24"]\n'
        cluster = cluster.replace(line, own)
    return cluster


def debian_pair(lab: Lab, place: Place) -> None:
    """Two Debians on one root: each its own host, who logs in at the other, and leaves it clean."""
    server = place.serve(lab)
    told = Told()
    with lab.step("n1 and n2 boot Debian in their containers and exchange tokens"):
        nodes = {spec.name: lab.manage(spec, place.cluster, BOTH[spec.name]) for spec in (N1, N2)}
        for _, agent in nodes.values():
            agent.wait_ready(lab.left(BOOT))
            await_ct(lab, agent, 1)
        for _, agent in nodes.values():
            agent.require("in-ct", "await-system", _SYSTEM, seconds=lab.left(BOOT))
    with lab.step("each changes what is its own"):
        for name, (_, agent) in nodes.items():
            told.take(name, agent.require("in-ct", "be-a-host", name, seconds=lab.left(120)))
    with lab.step("n2 logs in at n1"):
        nodes["n1"][1].require("in-ct", "let-in", seconds=lab.left(60))
        lines = nodes["n2"][1].require("in-ct", "log-in", ADDRESSES["n1"], seconds=lab.left(150))
        lab.proof["login"] = lines
        for word in ("name", "id"):
            wanted = f"{word} {told.rows['n1'][word]}"
            lab.expect(wanted in lines, f"a login that says {wanted!r}, but: {lines}")
    with lab.step("both wait for the tokens, power off, and the nodes with them"):
        for name, (vm, _) in nodes.items():
            vm.wait_text(f"lab: {name} read: ", lab.left(120))
        for _, agent in nodes.values():
            agent.require("srctl", "enter", "systemctl", "poweroff", seconds=lab.left(60))
        lab.wait_power_off([vm for vm, _ in nodes.values()], END)
    check_shared_root(lab, server, place.check, BOTH)
    lines = server.require("own-of-nodes", *place.disk, seconds=lab.left(120))
    lab.proof["own"] = lines
    lab.proof["told"] = told.rows
    judge(lab, lines, told.rows)


def judge(lab: Lab, lines: Sequence[str], told: Mapping[str, Mapping[str, str]]) -> None:
    """What the disk holds is each node's own; what they share is as it was made."""

    def says(line: str) -> None:
        lab.expect(line in lines, f"{line!r} on the disk, but:\n" + "\n".join(lines))

    ids = {told[name]["id"] for name in told}
    lab.expect(len(ids) == len(told), f"an id for each node, but: {ids}")
    for path in ("etc/adjtime", "var/log/of-node", "var/log/late-n1", "var/log/late-n2"):
        says(f"shared {path} -")
    for path in ("etc/hostname", "etc/machine-id", "etc/resolv.conf"):
        says(f"shared {path} -")
    for name, words in told.items():
        lab.expect(words["name"].startswith(name), f"{name}'s name, but: {words['name']}")
        lab.expect(words["address"] == f"{ADDRESSES[name]}/24", f"an address: {words['address']}")
        says(f"own {name} etc/hostname {name}-renamed,")
        says(f"own {name} etc/machine-id {words['id']},")
        says(f"own {name} etc/adjtime 0.0 0 0.0,{name},")
        says(f"own {name} etc/resolv.conf # of {name},")
        says(f"own {name} var/log/of-node {name} wrote,")
        says(f"own {name} var/log/late of {name},")
        says(f"own {name} var/log/journal {words['id']},")


def _row(fs: FileSystem) -> Row:
    return Row(replace(fs, root="systemd"), ISCSI, "lxc")


def _on_iscsi(fs: FileSystem, more: str = "") -> Place:
    row = _row(fs)

    def serve(lab: Lab) -> Agent:
        return lab.serve(row.fs.disk, ISCSI.cluster)

    return Place(serve, addressed(row.cluster(more=more)), fs.check, (fs.name,))


def _serve_nfs(lab: Lab) -> Agent:
    return nfs.serve(lab, disk=DiskSpec(512, "make-export", root="systemd"))


def _serve_gluster(lab: Lab) -> Agent:
    disk = replace(glusterfs.DISK, size=640, root="systemd")
    return lab.server(f'{MAKER}[gluster-bricks]\ndevice = "/dev/vda"\n', Disk(lab.disk(disk)))


def _pair(name: str, where: str, place: Place, blk: str, server: tuple[str, ...]) -> Scenario:
    return Scenario(
        f"lxc-{name}-debian-pair",
        f"two nodes run Debian in containers on one root: {where}",
        name,
        blk,
        server,
        partial(debian_pair, place=place),
        ("lab",),
        "lxc",
    )


_NFS = Place(
    _serve_nfs,
    addressed(in_lxc(nfs.cluster_file('options = "lookupcache=positive"'))),
    "check-export",
    ("ext4",),
)
_GLUSTER = Place(
    _serve_gluster, addressed(in_lxc(glusterfs.cluster_file())), "check-brick", ("ext4", "brick")
)

SCENARIOS = (
    _pair("gfs2", "GFS2 over iSCSI", _on_iscsi(GFS2), "iscsi", ("lab-gfs2", "iscsi-target")),
    _pair("ocfs2", "OCFS2 over iSCSI", _on_iscsi(OCFS2), "iscsi", ("lab-ocfs2", "iscsi-target")),
    _pair("nfs", "an NFS server's", _NFS, "", ("lab-export", "nfs-server")),
    _pair("glusterfs", "a GlusterFS server's", _GLUSTER, "", ("gluster-bricks", "lab-export")),
)
