"""Distributions' roots without a container: their own init boots and ends the machine."""

from __future__ import annotations

from functools import partial

from srbuild.lab.cluster import N1
from srbuild.lab.disk import DiskSpec
from srbuild.lab.lab import Lab
from srbuild.lab.proof import check_shared_root
from srbuild.lab.qemu import Ending
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios.nfs import cluster_file, serve
from srbuild.lab.scenarios.shutdown import expect_own_end

BOOT = 360  # seconds that a distribution may take to boot, on two slow cores
END = 180  # seconds that it may take to end


def nfs(lab: Lab, root: str) -> None:
    """n1 boots the distribution from NFS; it restarts, boots again and powers off."""
    server = serve(lab, disk=DiskSpec(512, "make-export", root=root))
    for verb, ending in (("reboot", Ending.RESTART), ("poweroff", Ending.POWER_OFF)):
        with lab.step(f"n1 boots {root}"):
            node, agent = lab.hold(N1, cluster_file(), ())
            agent.wait_ready(lab.left(BOOT))
            if root == "systemd":
                agent.require("await-system", "100", seconds=lab.left(120))
        with lab.step(f"n1 ends by {verb}"):
            agent.require("leave", verb, seconds=lab.left(60))
            lab.expect(node.wait_end(lab.left(END)) is ending, f"{verb}, but it {node.fate()}")
            expect_own_end(lab, node)
    check_shared_root(lab, server, "check-export", {"n1": ()})


SCENARIOS = (
    Scenario(
        "nfs-systemd",
        "Debian with systemd boots from NFS, restarts and powers off",
        "nfs",
        "",
        ("lab-export", "nfs-server"),
        partial(nfs, root="systemd"),
    ),
    Scenario(
        "nfs-sysvinit",
        "Debian with sysvinit boots from NFS, restarts and powers off",
        "nfs",
        "",
        ("lab-export", "nfs-server"),
        partial(nfs, root="sysvinit"),
    ),
)
