"""GFS2's journals against the nodes, and mounting it without the cluster for a repair."""

from __future__ import annotations

import subprocess

import pytest

from support.shells import Machine

BLOCK = 4096
MASTER, JINDEX = 20, 21  # block numbers


def number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


def disk(machine: Machine, journals: int, proto: bytes = b"lock_dlm") -> None:
    """The structures of gfs2_ondisk.h that the boot reads."""
    data = bytearray(BLOCK * 24)
    sb = (
        number(0x01161970, 4).ljust(36, b"\0")
        + number(BLOCK, 4).ljust(12, b"\0")
        + number(2, 8)
        + number(MASTER, 8)
    )
    data[65536 : 65536 + len(sb)] = sb
    data[65536 + 96 : 65536 + 96 + len(proto)] = proto
    data[65536 + 160 : 65536 + 168] = b"lab:root"
    at = MASTER * BLOCK + 232
    for name, address in ((b".", MASTER), (b"..", MASTER), (b"jindex", JINDEX), (b"inum", 22)):
        entry = number(1, 8) + number(address, 8) + bytes(4) + number(48, 2)
        entry += number(len(name), 2)
        data[at : at + 48] = entry.ljust(40, b"\0") + name.ljust(8, b"\0")
        at += 48
    data[JINDEX * BLOCK + 148 : JINDEX * BLOCK + 152] = number(journals + 2, 4)
    (machine.root / "dev/sda").write_bytes(data)


def mount(machine: Machine, **options: str) -> subprocess.CompletedProcess[str]:
    machine.write("run/srbuild/state/ROOT_DEVICE", f"{machine.root}/dev/sda\n")
    machine.write("run/srbuild/state/CLUSTER_NAME", "lab\n")
    machine.write("etc/srbuild/nodes", "n1 1 -\nn2 2 -\nn3 3 -\n")
    given = {"SR_GFS2_DEVICE": "", "SR_GFS2_OPTIONS": "noatime", "SR_GFS2_TIMEOUT": "5"}
    return machine.module("fs/gfs2", "mount.sh", **(given | options))


@pytest.mark.parametrize(("journals", "short"), [(1, True), (2, True), (3, False), (9, False)])
def test_more_nodes_than_journals_are_warned_of(
    machine: Machine, journals: int, short: bool
) -> None:
    disk(machine, journals)
    found = mount(machine)
    assert found.returncode == 0, found.stderr
    said = f"the file system has {journals} journals, and 3 nodes"
    assert (said in found.stderr) is short
    assert (f"gfs2_jadd -j {3 - journals}" in found.stderr) is short
    assert "could not be counted" not in found.stderr


def test_a_mount_without_a_free_journal_says_how_to_get_one(machine: Machine) -> None:
    disk(machine, 2)
    machine.fake("mount", "exit 32")
    assert mount(machine).returncode == 1
    assert "2 journals, and 3 nodes" in machine.note("hint")
    assert "gfs2_jadd -j 1" in machine.note("hint")


def test_journals_that_cannot_be_counted_stop_nothing(machine: Machine) -> None:
    disk(machine, 3)
    data = bytearray((machine.root / "dev/sda").read_bytes())
    data[MASTER * BLOCK : (MASTER + 1) * BLOCK] = bytes(BLOCK)
    (machine.root / "dev/sda").write_bytes(data)
    found = mount(machine)
    assert found.returncode == 0
    assert "could not be counted" in found.stderr


@pytest.mark.parametrize(
    ("how", "options"),
    [("ro", "ro,spectator,lockproto=lock_nolock"), ("rw", "rw,lockproto=lock_nolock")],
)
@pytest.mark.parametrize("proto", [b"lock_dlm", b"lock_nolock"])
def test_a_repair_mounts_without_locks(
    machine: Machine, how: str, options: str, proto: bytes
) -> None:
    disk(machine, 1, proto)
    found = machine.module("fs/gfs2", "repair.sh", SR_GFS2_REPAIR=how)
    assert found.returncode == 0
    assert "takes no part in the cluster" in found.stderr
    found = mount(machine)
    assert found.returncode == 0, found.stderr
    assert machine.calls == [
        f"mount -t gfs2 -o {options} {machine.root}/dev/sda {machine.root}/sysroot"
    ]


def test_the_next_boot_is_no_repair(machine: Machine) -> None:
    assert machine.module("fs/gfs2", "repair.sh", SR_GFS2_REPAIR="ro").returncode == 0
    assert machine.state("ALONE") == "ro"
    assert machine.module("fs/gfs2", "repair.sh", SR_GFS2_REPAIR="").returncode == 0
    assert machine.state("ALONE") is None


def test_a_repair_that_does_not_exist_is_refused(machine: Machine) -> None:
    assert machine.module("fs/gfs2", "repair.sh", SR_GFS2_REPAIR="yes").returncode == 1
    assert "neither ro nor rw" in machine.note("why")


def test_a_repair_that_is_refused_says_why(machine: Machine) -> None:
    disk(machine, 2)
    machine.write("run/srbuild/state/ALONE", "ro\n")
    machine.fake("mount", "exit 32")
    assert mount(machine).returncode == 1
    assert "another node may have it mounted" in machine.note("hint")


@pytest.mark.parametrize("how", ["ro", "rw"])
@pytest.mark.parametrize("module", ["corosync", "dlm"])
def test_the_cluster_stands_aside_for_a_repair(machine: Machine, module: str, how: str) -> None:
    machine.write("run/srbuild/state/ALONE", f"{how}\n")
    assert machine.module(f"cluster/{module}", "start.sh").returncode == 0
    assert machine.calls == []
