"""A root on an SMB server: writable over SMB 1 with Unix extensions, read-only over SMB 3."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from srbuild.lab.cluster import BOTH, N1, cluster_text
from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import MAKER, Lab
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Disk, Vm
from srbuild.lab.scenario import Scenario
from srbuild.lab.server import Agent
from srbuild.lab.steps import BOOT, exchange, gives_up

DISK = DiskSpec(64, "make-export")
EXPORT = "/srv/root"
SHARE = "//10.9.0.1/root"
SECRET = "lab\\pw 12"  # a backslash and a space, which must reach the kernel unharmed
WRONG_SECRET = "wrongsecret99"


def serve(lab: Lab, options: str = "") -> Agent:
    """Start Samba with a fresh copy of the root; `options` are further keys of its."""
    keys = f"device = '/dev/vda'\npath = '{EXPORT}'\nsecret = '{SECRET}'\n{options}"
    return lab.server(f"{MAKER}[samba-server]\n{keys}", Disk(lab.disk(DISK)))


def cluster_file(options: str = "", secret: str = SECRET, share: str = SHARE) -> str:
    """The lab's cluster file, `options` further keys of its [fs]."""
    return cluster_text(f"""\
[fs]
type = "cifs"
share = "{share}"
user = "root"
secret = '{secret}'
{options}
""")


def hide(lab: Lab, *nodes: Vm) -> None:
    """No password shows on a console."""
    for node in nodes:
        for secret in (SECRET, WRONG_SECRET):
            lab.expect(secret.encode() not in node.text(), "no password on the console")


def two_nodes(lab: Lab) -> None:
    """Both nodes share a writable root over SMB 1 with Unix extensions."""
    server = serve(lab)
    cluster = cluster_file('version = "1"')
    nodes = exchange(lab, cluster)
    hide(lab, *nodes)
    check_shared_root(lab, server, "check-export", BOTH)


def read_only(lab: Lab) -> None:
    """Over SMB 3 a node reads the root and writes to memory, asked to or not."""
    server = serve(lab, 'min_protocol = "SMB3"\n')
    lab.tokens["server"] = token = secrets.token_hex(16)
    server.require("put-token", EXPORT, "server", token)
    with lab.step("n1 boots over SMB 3, reads the server's token and powers off"):
        node = lab.start(N1, cluster_file(), ("server",))
        lab.wait_power_off([node], BOOT)
    hide(lab, node)
    for said in (
        "the root is read-only",
        f"lab: n1 read: server={token}",
        "lab: n1 runs on overlay / overlay",
    ):
        lab.expect(said.encode() in node.text(), f"{said!r} on the console")
    lines = server.require("check-export", seconds=lab.left(120))
    lab.expect(f"token server {token}" in lines, f"the server's own token, but: {lines}")
    lab.expect(not any(line.startswith("token n1") for line in lines), "nothing of n1")
    lab.proof.update(seen={"n1": {"server": token}}, written=[])


def fails(lab: Lab, cluster: str, *words: str, served: str = "") -> None:
    """The boot stops at `mount`, its summary holding each of `words`."""
    serve(lab, served)
    with lab.step("n1 boots and stops at mount"):
        node = lab.start(N1, cluster, ())
        lab.wait_failure(node, 200, "mount", SHARE.rpartition("/")[0], "hint", *words)
    hide(lab, node)


def wrong_password(lab: Lab) -> None:
    """A wrong password stops the boot at once and does not show."""
    fails(lab, cluster_file(secret=WRONG_SECRET), "refused the login of root")


def wrong_share(lab: Lab) -> None:
    """A share that the server has not stops the boot at once."""
    fails(lab, cluster_file(share="//10.9.0.1/rot"), "no such share")


def wrong_folder(lab: Lab) -> None:
    """Nor is a folder that is not on the share."""
    fails(lab, cluster_file(share=f"{SHARE}/no/folder"), f"{SHARE}/no/folder", "no such share")


def no_extensions(lab: Lab) -> None:
    """SMB 1 without Unix extensions is no writable root."""
    served = "unix_extensions = false\n"
    fails(lab, cluster_file('version = "1"'), "no Unix extensions", served=served)


def server_absent(lab: Lab) -> None:
    """No server ever: after the deadline the boot stops at `mount`."""
    gives_up(lab, cluster_file("timeout = 15"), SHARE, "445")


def _scenario(suffix: str, summary: str, run: Callable[[Lab], None]) -> Scenario:
    return Scenario(f"cifs{suffix}", summary, "cifs", "", ("lab-export", "samba-server"), run)


SCENARIOS = (
    _scenario("", "two nodes share one root over SMB 1 with Unix extensions", two_nodes),
    _scenario("-smb3", "a read-only root over SMB 3, what is written in memory", read_only),
    _scenario("-wrong-password", "a wrong password stops the boot", wrong_password),
    _scenario("-wrong-share", "a share that is none stops the boot", wrong_share),
    _scenario("-wrong-folder", "a folder that is not on the share stops the boot", wrong_folder),
    _scenario("-no-extensions", "SMB 1 without Unix extensions stops the boot", no_extensions),
    _scenario("-server-absent", "no server: the boot stops after its deadline", server_absent),
)
