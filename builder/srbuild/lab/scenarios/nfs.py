"""A root on an NFS server: two nodes share it, over each version, and when something is wrong."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import partial

from srbuild.lab.cluster import BOTH, N1, N2, cluster_text
from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import MAKER, Lab, NodeSpec
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk
from srbuild.lab.scenario import Scenario
from srbuild.lab.server import Agent
from srbuild.lab.steps import (
    BOOT,
    LATE,
    exchange,
    gives_up,
    goes_on,
    held,
    leave,
    outlives_server,
    waits_and_boots,
)

DISK = DiskSpec(64, "make-export")
EXPORT = "/srv/root"
SERVER = "10.9.0.1"
DEAD = "10.9.0.9"  # nobody has this address


def serve(lab: Lab, options: str = "", disk: DiskSpec = DISK) -> Agent:
    """Start the NFS server with a fresh copy of the root; `options` are further keys of its."""
    keys = f'device = "/dev/vda"\npath = "{EXPORT}"\ngrace = 10\n{options}'
    cluster = f"{MAKER}[nfs-server]\n{keys}"
    return lab.server(cluster, Disk(lab.disk(disk)))


def cluster_file(
    options: str = "",
    servers: tuple[str, ...] = (SERVER,),
    path: str = EXPORT,
    nodes: Sequence[NodeSpec] = (N1, N2),
) -> str:
    """The lab's cluster file, `options` further keys of its [fs]."""
    quoted = ", ".join(f'"{server}"' for server in servers)
    tables = f"""\
[fs]
type = "nfs"
server = [{quoted}]
path = "{path}"
{options}
"""
    return cluster_text(tables, nodes)


def two_nodes(lab: Lab, options: str, used: str, served: str = "") -> None:
    """Both nodes share the root by the version `used` of the protocol."""
    server = serve(lab, served)
    # Else a node that looked for its peer's token too early looks again only after 30 s.
    cluster = cluster_file(f'{options}\noptions = "lookupcache=positive"')
    nodes = exchange(lab, cluster)
    for node in nodes:
        said = node.text()
        lab.expect(f"by NFS {used}, rw".encode() in said, f"a mount by NFS {used}")
    check_shared_root(lab, server, "check-export", BOTH)


def overlay(lab: Lab) -> None:
    """A node reads the root and writes to memory: nothing of it reaches the server."""
    server = serve(lab)
    lab.tokens["server"] = secrets.token_hex(16)
    server.require("put-token", EXPORT, "server", lab.tokens["server"])
    with lab.step("n1 boots with an overlay, reads the server's token and powers off"):
        node = lab.start(N1, cluster_file("overlay = true"), ("server",))
        lab.wait_power_off([node], BOOT)
    token = lab.tokens["server"]
    lab.expect(f"lab: n1 read: server={token}".encode() in node.text(), "n1 reads the root")
    lab.expect(b"lab: n1 runs on overlay / overlay" in node.text(), "n1 runs on an overlay")
    lab.expect(b"overlay/lower is unmounted" in node.text(), "the root below it is unmounted")
    lines = server.require("check-export", seconds=lab.left(120))
    lab.expect(f"token server {token}" in lines, f"the server's own token, but: {lines}")
    lab.expect(not any(line.startswith("token n1") for line in lines), "nothing of n1")
    lab.proof.update(seen={"n1": {"server": token}}, written=[])


def server_late(lab: Lab) -> None:
    """The server is down at boot and comes back 20 s after the node began to wait for it."""
    server = serve(lab)
    server.require("nfs-down")
    waits_and_boots(lab, cluster_file(), "not mounted yet", lambda _: server.require("nfs-up"))
    check_shared_root(lab, server, "check-export", {"n1": ()})


def server_absent(lab: Lab) -> None:
    """No server ever: after the deadline the boot stops at `mount`, naming all that was tried."""
    gives_up(lab, cluster_file("timeout = 15", (SERVER, DEAD)), EXPORT, SERVER, DEAD)


def wrong_export(lab: Lab) -> None:
    """A path that the server does not export stops the boot at once."""
    serve(lab)
    with lab.step("n1 asks for an export that is none and stops at mount"):
        node = lab.start(N1, cluster_file(path="/srv/rot"), ())
        lab.wait_failure(node, 200, "mount", "/srv/rot", SERVER, "No such file or directory")


def not_for_us(lab: Lab) -> None:
    """An export that is for other clients: version 3 says so in mountd's words."""
    serve(lab, 'clients = "10.9.0.99"\n')
    with lab.step("n1 asks for what is not exported to it and stops at mount"):
        node = lab.start(N1, cluster_file('version = "3"'), ())
        lab.wait_failure(node, 200, "mount", EXPORT, SERVER, "Permission denied")


def squashed(lab: Lab) -> None:
    """An export that maps root to nobody is no root: the boot says what to change."""
    serve(lab, 'options = "rw,root_squash,no_subtree_check,insecure"\n')
    with lab.step("n1 mounts an export where root may not write and stops"):
        node = lab.start(N1, cluster_file(), ())
        lab.wait_failure(node, 200, "mount", "may not write", "no_root_squash")


def second_server(lab: Lab) -> None:
    """The first server does not exist; the second one is used."""
    server = serve(lab)
    with lab.step("n1 boots from the second of two servers"):
        cluster = cluster_file("try_timeout = 5", (DEAD, SERVER))
        node = lab.start(N1, cluster, ())
        lab.wait_power_off([node], BOOT)
    said = f"{SERVER}:{EXPORT} is mounted from {SERVER}".encode()
    lab.expect(said in node.text(), "the second server's export")
    check_shared_root(lab, server, "check-export", {"n1": ()})


def restart(lab: Lab) -> None:
    """The server is restarted under a running node, which waits and goes on."""
    server = serve(lab)
    node, agent = held(lab, cluster_file())
    agent.require("put-token", "/", "before", "one", seconds=lab.left(60))
    with lab.step(f"the server is away for {LATE} s"):
        server.require("nfs-down")
        goes_on(lab, node, "stays up without its server")
        server.require("nfs-up")
    with lab.step("n1 writes again"):
        agent.require("put-token", "/", "after", "two", seconds=lab.left(150))
    leave(lab, node, agent)
    lab.tokens.update(before="one", after="two")
    check_shared_root(lab, server, "check-export", {"n1": ()})
    lab.expect(lab.proof["tokens"] == lab.tokens, "what n1 wrote before and after")


def dead_at_cleanup(lab: Lab) -> None:
    """A boot that fails with the root mounted leaves although the server is gone for good."""
    outlives_server(lab, serve(lab), cluster_file())


def kernel_line(lab: Lab, line: str) -> None:
    """The export is named on the kernel's command line, as dracut and the kernel have it."""
    server = serve(lab)
    with lab.step(f"n1 boots with {line}"):
        node = lab.start(N1, cluster_file(servers=(DEAD,), path="/nowhere"), (), line)
        lab.wait_power_off([node], BOOT)
    check_shared_root(lab, server, "check-export", {"n1": ()})


def _scenario(suffix: str, summary: str, run: Callable[[Lab], None]) -> Scenario:
    return Scenario(f"nfs{suffix}", summary, "nfs", "", ("lab-export", "nfs-server"), run)


SCENARIOS = (
    _scenario(
        "", "two nodes share one root over NFS 4.2", partial(two_nodes, options="", used="4.2")
    ),
    _scenario(
        "-v3",
        "two nodes share one root over NFS 3",
        partial(two_nodes, options='version = "3"', used="3"),
    ),
    _scenario(
        "-v4.0",
        "two nodes share one root over NFS 4.0, all that the server takes of 4",
        partial(two_nodes, options='version = "4"', used="4.0", served='versions = "3,4.0"\n'),
    ),
    _scenario(
        "-only-v3",
        "a server that has only version 3 is found out",
        partial(two_nodes, options="", used="3", served='versions = "3"\n'),
    ),
    _scenario("-overlay", "a read-only root with what is written kept in memory", overlay),
    _scenario("-server-late", "the server is down at boot and back 20 s later", server_late),
    _scenario("-server-absent", "no server: the boot stops after its deadline", server_absent),
    _scenario("-wrong-export", "a path that is not exported stops the boot", wrong_export),
    _scenario("-not-for-us", "an export for other clients stops the boot", not_for_us),
    _scenario("-squashed", "an export where root may not write stops the boot", squashed),
    _scenario("-second-server", "the first of two servers is dead", second_server),
    _scenario("-restart", "the server is restarted while a node runs", restart),
    _scenario("-dead-at-cleanup", "a failed boot leaves without its server", dead_at_cleanup),
    _scenario(
        "-root",
        "root=nfs4: on the kernel's command line",
        partial(kernel_line, line=f"root=nfs4:{SERVER}:{EXPORT}:vers=4.1,acregmax=5 rw"),
    ),
    _scenario(
        "-nfsroot",
        "root=/dev/nfs with nfsroot= on the kernel's command line",
        partial(kernel_line, line=f"root=/dev/nfs nfsroot={SERVER}:{EXPORT},v3,nolock rw"),
    ),
)
