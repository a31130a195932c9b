"""From the disk to the init: GFS2's superblock, the mount, the handover; and the quorum before."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.shells import Machine


def superblock(
    path: Path, proto: bytes = b"lock_dlm", table: bytes = b"lab:root", magic: int = 0x01161970
) -> None:
    """The parts of struct gfs2_sb (gfs2_ondisk.h) that the boot reads, 64 KiB into a file."""
    block = (
        magic.to_bytes(4, "big").ljust(96, b"\1") + proto.ljust(64, b"\0") + table.ljust(64, b"\0")
    )
    path.write_bytes(bytes(65536) + block + bytes(4096))


def mount(machine: Machine, cmdline: str = "", **options: str) -> subprocess.CompletedProcess[str]:
    machine.write("run/srbuild/cmdline", cmdline)
    device = machine.root / "dev/sda"
    if not device.exists():
        superblock(device)
    machine.write("run/srbuild/state/ROOT_DEVICE", f"{device}\n")
    machine.write("run/srbuild/state/CLUSTER_NAME", "lab\n")
    given = {"SR_GFS2_DEVICE": "", "SR_GFS2_OPTIONS": "noatime", "SR_GFS2_TIMEOUT": "5"}
    return machine.module("fs/gfs2", "mount.sh", **(given | options))


@pytest.mark.parametrize(
    ("cmdline", "options", "wanted"),
    [
        ("", "noatime", "rw,noatime"),
        ("ro\n", "noatime", "ro,noatime"),
        ("ro\nrw\n", "", "rw"),
        ("rob\nrow\n", "noatime,data=ordered", "rw,noatime,data=ordered"),
    ],
)
def test_the_mount(machine: Machine, cmdline: str, options: str, wanted: str) -> None:
    found = mount(machine, cmdline, SR_GFS2_OPTIONS=options)
    assert found.returncode == 0, found.stderr
    root = machine.root
    assert machine.calls == [f"mount -t gfs2 -o {wanted} {root}/dev/sda {root}/sysroot"]


@pytest.mark.parametrize(
    ("difference", "why"),
    [
        ({"magic": 0x1234}, "no GFS2"),
        ({"proto": b"lock_nolock"}, "lock_nolock"),
        ({"table": b"other:root"}, "belongs to the cluster 'other'"),
        ({"table": b"lab2:root"}, "belongs to the cluster 'lab2'"),
        ({"table": b""}, "belongs to the cluster ''"),
        ({"table": b"\x1b[2Jlab:$(id)"}, "belongs to the cluster '2Jlab'"),
    ],
)
def test_a_file_system_that_is_not_ours_is_not_mounted(
    machine: Machine, difference: dict[str, object], why: str
) -> None:
    superblock(machine.root / "dev/sda", **difference)  # type: ignore[arg-type]
    assert mount(machine).returncode == 1
    assert why in machine.note("why")
    assert machine.note("hint")
    assert machine.calls == []


def test_a_mount_that_fails_is_told_with_its_command(machine: Machine) -> None:
    machine.fake("mount", "echo 'mount: Transport endpoint is not connected' >&2; exit 32")
    found = mount(machine)
    assert found.returncode == 1
    assert "Transport endpoint" in found.stderr
    assert machine.note("command").startswith("mount -t gfs2 -o rw,noatime ")
    assert "could not be mounted" in machine.note("why")


# --- handover ---------------------------------------------------------------------------------


def root(
    machine: Machine, init: bytes = b"\x7fELF" + bytes(60) + b"/lib64/ld-linux-x86-64.so.2\0"
) -> Path:
    """A shared root that is mounted and whole."""
    tree = machine.root / "sysroot"
    machine.write("proc/self/mountinfo", f"30 1 8:0 / {tree} rw - gfs2 /dev/sda rw\n")
    for folder in ("dev", "proc", "sys", "run", "lib64", "sbin"):
        (tree / folder).mkdir()
    (tree / "lib64/ld-linux-x86-64.so.2").write_bytes(b"")
    (tree / "sbin/init").write_bytes(init)
    (tree / "sbin/init").chmod(0o755)
    return tree


def hand_over(machine: Machine, init: str = "/sbin/init") -> subprocess.CompletedProcess[str]:
    return machine.module("container/none", "handover.sh", SR_NONE_INIT=init)


def handed_over(machine: Machine) -> bool:
    return (machine.run_dir / "handover").exists()


@pytest.mark.parametrize(
    "init", [b"\x7fELF" + bytes(60) + b"/lib64/ld-linux-x86-64.so.2\0", b"\x7fELFstatic"]
)
def test_the_request_to_pid_1(machine: Machine, init: bytes) -> None:
    tree = root(machine, init)
    (tree / "run").rmdir()
    found = hand_over(machine)
    assert found.returncode == 0, found.stderr
    assert (machine.run_dir / "handover").read_text() == "/sbin/init\n"
    assert (tree / "run").is_dir()


def test_an_init_that_is_a_script(machine: Machine) -> None:
    root(machine, b"#! /lib64/ld-linux-x86-64.so.2 -x\n")
    assert hand_over(machine).returncode == 0
    root_init = machine.root / "sysroot/sbin/init"
    root_init.write_text("#!/bin/missing\n")
    (machine.run_dir / "handover").unlink()
    assert hand_over(machine).returncode == 1
    assert "/bin/missing" in machine.note("why")
    assert not handed_over(machine)


def test_a_root_that_is_not_mounted(machine: Machine) -> None:
    root(machine)
    machine.write("proc/self/mountinfo", "30 1 8:0 / / rw - rootfs rootfs rw\n")
    assert hand_over(machine).returncode == 1
    assert not handed_over(machine)


@pytest.mark.parametrize("init", ["/sbin/missing", "/sbin", "/sbin/plain", "/sbin/loop"])
def test_an_init_that_cannot_be_run(machine: Machine, init: str) -> None:
    tree = root(machine)
    (tree / "sbin/plain").write_text("")
    (tree / "sbin/loop").symlink_to("loop")
    assert hand_over(machine, init).returncode == 1
    assert not handed_over(machine)


def test_a_root_without_its_loader(machine: Machine) -> None:
    tree = root(machine)
    (tree / "lib64/ld-linux-x86-64.so.2").unlink()
    assert hand_over(machine).returncode == 1
    assert "/lib64/ld-linux-x86-64.so.2" in machine.note("why")


def test_a_directory_that_is_a_link_would_mount_outside(machine: Machine) -> None:
    tree = root(machine)
    (tree / "run").rmdir()
    (tree / "run").symlink_to("/run")
    assert hand_over(machine).returncode == 1


# --- quorum -----------------------------------------------------------------------------------


def corosync(
    machine: Machine, total: int, quorate: bool, wait_for_all: int = 1
) -> subprocess.CompletedProcess[str]:
    conf = machine.root / "etc/corosync/corosync.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text(f"quorum {{\n    wait_for_all: {wait_for_all}\n}}\n")
    machine.fake("setsid", 'exec "$@"', record=False)
    machine.fake("corosync", f': >"{machine.root}/started"')
    machine.fake(
        "corosync-quorumtool",
        f'[ -e "{machine.root}/started" ] || exit 1\n'
        f'printf "Quorate:          {"Yes" if quorate else "No"}\\n'
        f'Expected votes:   2\\nTotal votes:      {total}\\n"',
        record=False,
    )
    limits = {"SR_COROSYNC_ABSENT_TIMEOUT": "1", "SR_COROSYNC_QUORUM_TIMEOUT": "2"}
    return machine.module("cluster/corosync", "start.sh", **limits)


def test_a_quorate_cluster(machine: Machine) -> None:
    found = corosync(machine, 2, quorate=True)
    assert found.returncode == 0, found.stderr
    assert machine.calls == ["corosync "]
    assert "2 of 2 votes" in found.stderr


def test_without_quorum_the_boot_waits_and_says_for_what(machine: Machine) -> None:
    assert corosync(machine, 1, quorate=False).returncode == 1
    assert "every node" in machine.note("why")
    assert "corosync-quorumtool" in machine.note("hint")
    assert "quorum.cancel_wait_for_all" in machine.note("hint")


def test_going_on_without_the_absent_node(machine: Machine) -> None:
    found = corosync(machine, 1, quorate=True, wait_for_all=0)
    assert found.returncode == 0
    assert "going on without the absent nodes" in found.stderr


def test_nobody_goes_on_without_quorum(machine: Machine) -> None:
    assert corosync(machine, 1, quorate=False, wait_for_all=0).returncode == 1
    assert "majority" in machine.note("why")


ROOT_LIB = '. "$SR_LIB/root.sh"\n'


def test_an_overlay_takes_the_roots_place(machine: Machine) -> None:
    found = machine.lib(ROOT_LIB + "sr_root_overlay")
    assert found.returncode == 0, found.stderr
    root, run = machine.root, machine.root / "run/srbuild/overlay"
    layers = f"lowerdir={run}/lower,upperdir={run}/upper/data,workdir={run}/upper/work"
    assert machine.calls == [
        f"mount -t tmpfs -o mode=0755 srbuild {run}/upper",
        f"mount -o move {root}/sysroot {run}/lower",
        f"mount -t overlay -o {layers} overlay {root}/sysroot",
    ]


def test_everything_of_the_root_is_unmounted_from_the_top(machine: Machine) -> None:
    root, run = machine.root, machine.root / "run/srbuild/overlay"
    lines = [f"1 0 0:1 / {at} rw - x x rw\n" for at in (f"{root}/sysroot", f"{run}/lower")]
    machine.write("proc/self/mountinfo", "".join(lines))
    found = machine.lib(ROOT_LIB + "sr_root_unmount")
    assert found.returncode == 0, found.stderr
    assert machine.calls == [f"umount {root}/sysroot", f"umount {run}/lower"]


def test_a_root_that_cannot_be_mounted_stops_the_boot(machine: Machine) -> None:
    machine.fake("mount", "exit 32")
    machine.fake("dmesg", r"printf 'EXT4-fs: \033[31mbad\n'")
    found = machine.lib(ROOT_LIB + "sr_root_mount 5 ext4 /dev/sdx ro")
    assert found.returncode == 1
    assert "/dev/sdx could not be mounted as ext4 with the options ro" in found.stderr
    assert "\x1b" not in found.stdout + found.stderr
