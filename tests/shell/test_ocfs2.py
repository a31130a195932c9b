"""OCFS2: the cluster told to the kernel, the superblock read, the mount."""

from __future__ import annotations

import struct
import subprocess

import pytest

from support.disks import add_disk
from support.shells import Machine

PATIENCE = {
    "SR_O2CB_HEARTBEAT_DEVICE": "",
    "SR_O2CB_DEAD_THRESHOLD": "7",
    "SR_O2CB_IDLE_TIMEOUT_MS": "10000",
    "SR_O2CB_KEEPALIVE_DELAY_MS": "2000",
    "SR_O2CB_RECONNECT_DELAY_MS": "2500",
    "SR_O2CB_FENCE": "panic",
}


def identify(machine: Machine, nodes: int = 2) -> None:
    machine.write("run/srbuild/state/CLUSTER_NAME", "lab\n")
    machine.write("run/srbuild/state/NODE_NAME", "n1\n")
    rows = [f"n{i} {i} 52:54:00:00:00:0{i}\n" for i in range(1, nodes + 1)]
    machine.write("etc/srbuild/nodes", "".join(rows))


def superblock(
    machine: Machine,
    *,
    block: int = 4096,
    stack: bytes = b"o2cb",
    flags: int = 0,
    cluster: bytes = b"lab",
    slots: int = 2,
    incompat: int = 0x4000,
    signature: bytes = b"OCFSV2",
) -> None:
    """The second block: struct ocfs2_dinode with its struct ocfs2_super_block at 0xc0."""
    inode = bytearray(block)
    inode[: len(signature)] = signature
    struct.pack_into("<I", inode, 0xC0 + 0x20, incompat)
    struct.pack_into("<H", inode, 0xC0 + 0x40, slots)
    struct.pack_into("4sB3x16s", inode, 0xC0 + 0xA0, stack, flags, cluster)
    (machine.root / "dev/sda").write_bytes(bytes(2 * block) + bytes(inode) + bytes(8192))


def mount(machine: Machine, nodes: int = 2, **options: str) -> subprocess.CompletedProcess[str]:
    identify(machine, nodes)
    machine.write("run/srbuild/state/ROOT_DEVICE", f"{machine.root}/dev/sda\n")
    machine.fake("mount.ocfs2")
    given = {
        "SR_OCFS2_DEVICE": "",
        "SR_OCFS2_OPTIONS": "noatime",
        "SR_OCFS2_TIMEOUT": "5",
        "SR_O2CB_HEARTBEAT_DEVICE": "",
    }
    return machine.module("fs/ocfs2", "mount.sh", **(given | options))


@pytest.mark.parametrize("block", [512, 1024, 2048, 4096])
def test_the_mount(machine: Machine, block: int) -> None:
    superblock(machine, block=block)
    found = mount(machine)
    assert found.returncode == 0, found.stderr
    root = machine.root
    assert machine.calls == [f"mount.ocfs2 -n -t ocfs2 -o rw,noatime {root}/dev/sda {root}/sysroot"]


@pytest.mark.parametrize(
    ("difference", "why"),
    [
        ({"signature": b"OracleCFS"}, "no OCFS2 file system"),
        ({"cluster": b"other"}, "belongs to the cluster 'other', this node to 'lab'"),
        ({"cluster": b"lab2"}, "belongs to the cluster 'lab2'"),
        ({"cluster": b"\x1b[2J$(id)"}, "belongs to the cluster '2Jid'"),
        ({"stack": b"pcmk", "incompat": 0x4080}, "cluster stack 'pcmk', this node to 'o2cb'"),
        ({"flags": 1}, "made for a global heartbeat, this cluster has a local one"),
        ({"slots": 1}, "room for 1 nodes, the cluster has 2"),
        ({"incompat": 8}, "made for one machine"),
    ],
)
def test_a_file_system_that_is_not_ours_is_not_mounted(
    machine: Machine, difference: dict[str, object], why: str
) -> None:
    superblock(machine, **difference)  # type: ignore[arg-type]
    assert mount(machine).returncode == 1
    assert why in machine.note("why")
    assert machine.note("hint")
    assert machine.calls == []


def test_an_old_file_system_does_not_name_its_cluster(machine: Machine) -> None:
    superblock(machine, incompat=0, cluster=b"", stack=b"", slots=300)
    assert mount(machine).returncode == 0


def test_a_global_heartbeat_goes_with_its_file_system(machine: Machine) -> None:
    superblock(machine, flags=1)
    assert mount(machine, SR_O2CB_HEARTBEAT_DEVICE="5EED").returncode == 0
    superblock(machine)
    assert mount(machine, SR_O2CB_HEARTBEAT_DEVICE="5EED").returncode == 1
    assert "made for a local heartbeat" in machine.note("why")


def test_one_node_may_have_a_file_system_of_one_machine(machine: Machine) -> None:
    superblock(machine, incompat=8, slots=1)
    assert mount(machine, nodes=1).returncode == 0


def test_the_user_stack_is_mounted_without_its_helper(machine: Machine) -> None:
    superblock(machine, stack=b"pcmk", incompat=0x4080)
    machine.write("run/srbuild/state/OCFS2_STACK", "pcmk\n")
    found = mount(machine)
    assert found.returncode == 0, found.stderr
    assert machine.calls[0].startswith("mount -i -t ocfs2 -o rw,noatime,cluster_stack=pcmk ")
    superblock(machine)
    assert mount(machine).returncode == 1
    assert "'o2cb', this node to 'pcmk'" in machine.note("why")


# --- o2cb -------------------------------------------------------------------------------------


def start(machine: Machine, **options: str) -> subprocess.CompletedProcess[str]:
    """Run start.sh where mounting configfs and registering the cluster make its directories."""
    identify(machine)
    config = machine.root / "sys/kernel/config"
    machine.fake("mount", f'mkdir -p "{config}/cluster"')
    machine.fake(
        "o2cb",
        f'[ "$1" = register-cluster ] || exit 0\n'
        f'mkdir -p "{config}/cluster/$2/node/n1" "{config}/cluster/$2/heartbeat"\n'
        f'echo 1 >"{config}/cluster/$2/node/n1/local"',
    )
    return machine.module("cluster/o2cb", "start.sh", **(PATIENCE | options))


def test_the_numbers_are_set_on_configfs(machine: Machine) -> None:
    found = start(machine)
    assert found.returncode == 0, found.stderr
    home = machine.root / "sys/kernel/config/cluster/lab"
    assert {
        name: (home / name).read_text().strip()
        for name in (
            "idle_timeout_ms", "keepalive_delay_ms", "reconnect_delay_ms", "fence_method",
            "heartbeat/dead_threshold",
        )
    } == {
        "idle_timeout_ms": "10000", "keepalive_delay_ms": "2000", "reconnect_delay_ms": "2500",
        "fence_method": "panic", "heartbeat/dead_threshold": "7",
    }  # fmt: skip
    assert machine.calls[-1] == "o2cb register-cluster lab"
    assert "12 s without a beat" in found.stderr


def test_a_second_attempt_registers_nothing_again(machine: Machine) -> None:
    assert start(machine).returncode == 0
    calls = len(machine.calls)
    assert start(machine).returncode == 0
    assert not [call for call in machine.calls[calls:] if not call.startswith("modprobe")]


def test_a_global_heartbeat_begins_last(machine: Machine) -> None:
    add_disk(machine, "sda", content={"UUID": "5eedface-5eed"})
    found = start(machine, SR_O2CB_HEARTBEAT_DEVICE="5EEDFACE5EED")
    assert found.returncode == 0, found.stderr
    assert machine.calls[-1] == "o2cb start-heartbeat lab"


def test_a_keepalive_that_comes_too_late(machine: Machine) -> None:
    assert start(machine, SR_O2CB_KEEPALIVE_DELAY_MS="10000").returncode == 1
    assert "not less than idle_timeout_ms" in machine.note("why")
    assert machine.calls == []


def test_a_host_that_is_not_in_the_cluster(machine: Machine) -> None:
    identify(machine)
    found = start(machine)
    assert found.returncode == 0
    local = machine.root / "sys/kernel/config/cluster/lab/node/n1/local"
    local.write_text("0\n")
    assert start(machine).returncode == 1
    assert "did not find out that this is n1" in machine.note("why")


def test_leaving(machine: Machine) -> None:
    identify(machine)
    machine.fake("o2cb")
    assert machine.module("cluster/o2cb", "stop.sh", **PATIENCE).returncode == 0
    assert machine.calls == []
    (machine.root / "sys/kernel/config/cluster/lab").mkdir(parents=True)
    beating = PATIENCE | {"SR_O2CB_HEARTBEAT_DEVICE": "5EED"}
    assert machine.module("cluster/o2cb", "stop.sh", **beating).returncode == 0
    assert machine.calls == ["o2cb stop-heartbeat lab", "o2cb unregister-cluster lab"]


def test_the_user_stack_is_chosen(machine: Machine) -> None:
    assert machine.module("cluster/ocfs2-pcmk", "start.sh").returncode == 1
    assert "cluster_stack" in machine.note("why")
    stack = machine.write("sys/fs/ocfs2/cluster_stack", "o2cb\n")
    assert machine.module("cluster/ocfs2-pcmk", "start.sh").returncode == 0
    assert stack.read_text() == "pcmk\n"
    assert machine.state("OCFS2_STACK") == "pcmk"
