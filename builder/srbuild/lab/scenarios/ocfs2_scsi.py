"""OCFS2 on one SCSI disk that two nodes share: other ways to beat, and what can't be shared."""

from __future__ import annotations

from dataclasses import replace

from srbuild.lab.cluster import BOTH, N1, N2, NODES
from srbuild.lab.lab import Lab
from srbuild.lab.rows.blocks import SCSI, WWN
from srbuild.lab.rows.filesystems import OCFS2
from srbuild.lab.rows.row import FileSystem, Row
from srbuild.lab.steps import STOP, exchange, held, leave

ROW = Row(OCFS2, SCSI)
UUID = "5EEDFACE5EEDFACE5EEDFACE5EEDFACE"  # as make-ocfs2.sh gives it


def made(cluster: str = "lab", beat: str = "local", tables: str = "") -> FileSystem:
    """OCFS2 made otherwise; `tables` take the place of its own."""
    fs = replace(OCFS2, words=(cluster, "2", beat))
    return replace(fs, tables=lambda _: tables) if tables else fs


def share(lab: Lab, row: Row, more: str = "") -> None:
    """Both nodes boot, read each other's tokens and leave the disk clean."""
    storage = row.serve(lab)
    exchange(lab, row.cluster(more=more), storage.disks)
    storage.check(BOTH)


def global_heartbeat(lab: Lab) -> None:
    """The nodes beat on a device that the cluster file names."""
    block = SCSI.with_table((f"WWN=0x{WWN:x}", f"UUID={UUID}"))
    # The last table of the cluster file is [o2cb].
    share(lab, Row(made(beat="global"), block), f'heartbeat_device = ["{UUID}"]\n')


def user_stack(lab: Lab) -> None:
    """Corosync and dlm_controld in O2CB's place."""
    tables = '[fs]\ntype = "ocfs2"\n[corosync]\ntoken = 3000\n[fence]\nmethod = "unsafe-none"\n'
    share(lab, Row(made(beat="pcmk", tables=tables), SCSI))


def _stops(lab: Lab, row: Row, cluster: str, *words: str) -> None:
    storage = row.serve(lab)
    with lab.step("n1 boots and stops at mount"):
        node = lab.start(N1, cluster, (), disks=storage.disks["n1"])
        lab.wait_failure(node, STOP, "mount", *words)


def wrong_name(lab: Lab) -> None:
    """A file system of another cluster is not mounted."""
    other = Row(made(cluster="other"), SCSI)
    _stops(lab, other, other.cluster(), "'other'", "'lab'", "tunefs.ocfs2")


def few_slots(lab: Lab) -> None:
    """A file system with less slots than the cluster has nodes is not mounted."""
    cluster = ROW.cluster(nodes=NODES)
    _stops(lab, ROW, cluster, "room for 2 nodes", "tunefs.ocfs2 -N 3")


def other_numbers(lab: Lab) -> None:
    """A node that was told another patience than its peer does not get at the disk."""
    storage, cluster = ROW.serve(lab), ROW.cluster()
    first, agent = held(lab, cluster, disks=storage.disks)
    impatient = cluster.replace("idle_timeout_ms = 10000", "idle_timeout_ms = 20000")
    with lab.step("n2, with another idle_timeout_ms, stops at mount"):
        node = lab.start(N2, impatient, (), disks=storage.disks["n2"])
        lab.wait_failure(node, lab.left(300), "mount", "could not be mounted as ocfs2")
    leave(lab, first, agent)


SCENARIOS = (
    ROW.scenario(
        "-global-heartbeat", "the nodes beat on the device that the cluster names", global_heartbeat
    ),
    ROW.scenario(
        "-user-stack",
        "corosync and the distributed lock manager in O2CB's place",
        user_stack,
        ("ocfs2-pcmk",),
    ),
    ROW.scenario("-wrong-name", "a file system of another cluster is refused", wrong_name),
    ROW.scenario("-few-slots", "a file system with too few slots is refused", few_slots),
    ROW.scenario(
        "-other-numbers", "a node with other timeouts than its peer is refused", other_numbers
    ),
)
