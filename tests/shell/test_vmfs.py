"""VMware datastores: which program reads them, all extents, what in them is the root."""

from __future__ import annotations

import shutil
import signal
import subprocess
from threading import Thread

import pytest

from srbuild.lab.vmfs import DATA, VOLUME, write_vmfs
from support.disks import add_disk
from support.shells import Machine

IMAGE = "/vm/root-flat.vmdk"


def add_extent(
    machine: Machine, name: str, *, version: int = 5, total: int = 1, volume: int = 0
) -> None:
    """A disk with the header of an extent, the one of `total` of the datastore `volume`."""
    add_disk(machine, name)
    disk = machine.root / "dev" / name
    write_vmfs(disk, {}, version)
    data = bytearray(disk.read_bytes()[:DATA])
    data[VOLUME + 0x200 + 84] = volume
    data[VOLUME + 0x200 + 144] = total
    disk.write_bytes(data)


def mount(
    machine: Machine, content: dict[str, bytes] | None = None, status: int = 0, **options: str
) -> subprocess.CompletedProcess[str]:
    """Run mount.sh; the fake vmfs-fuse shows `content`, or ends with `status` and a message."""
    root = machine.root
    inside = root / "inside"
    for path, data in ({IMAGE: b"ext4"} if content is None else content).items():
        machine.write(f"inside{path}", "").write_bytes(data)
    machine.write("usr/lib/srbuild/survive", "vmfs-fuse\nvmfs6-fuse\n")
    machine.write("proc/self/mounts", "")
    for tool in ("vmfs-fuse", "vmfs6-fuse"):
        machine.fake(
            tool,
            f"for last; do :; done\n"
            f'[ {status} -eq 0 ] || {{ echo "a bad datastore"; exit {status}; }}\n'
            f'cp -r "{inside}/." "$last"\n'
            f'echo "/dev/fuse $last fuse ro 0 0" >>"{root}/proc/self/mounts"',
        )
    machine.fake("setsid", 'shift_to=${1#@/}; shift; exec "$shift_to" "$@"', record=False)
    machine.fake("blockdev")
    machine.fake("losetup", f'[ "$1" != -f ] || echo {root}/dev/loop0')
    given = {
        "SR_VMFS_DEVICE": "/dev/sda",
        "SR_VMFS_PATH": IMAGE,
        "SR_VMFS_VERSION": "auto",
        "SR_VMFS_PARTITION": "0",
        "SR_VMFS_OPTIONS": "noatime",
        "SR_VMFS_TIMEOUT": "5",
    } | options
    given["SR_VMFS_DEVICE"] = given["SR_VMFS_DEVICE"].replace("/dev/", f"{root}/dev/")
    return machine.module("fs/vmfs", "mount.sh", **given)


def opened(machine: Machine) -> list[str]:
    return [call.split()[0] for call in machine.calls if call.startswith("vmfs")]


@pytest.mark.parametrize(
    ("version", "told", "tool"),
    [(3, "auto", "vmfs-fuse"), (5, "auto", "vmfs-fuse"), (6, "auto", "vmfs6-fuse"),
     (6, "5", "vmfs-fuse"), (3, "6", "vmfs6-fuse"), (9, "6", "vmfs6-fuse")],
)  # fmt: skip
def test_the_version_chooses_the_program(
    machine: Machine, version: int, told: str, tool: str
) -> None:
    add_extent(machine, "sda", version=version)
    add_disk(machine, "loop0", content={"TYPE": "ext4"})
    found = mount(machine, SR_VMFS_VERSION=told)
    assert found.returncode == 0, found.stderr
    root, store = machine.root, machine.run_dir / "vmfs"
    assert f"{tool} -o ro,allow_other,suid,dev {root}/dev/sda {store}" in machine.calls
    assert opened(machine) == [tool]
    assert f"blockdev --setro {root}/dev/sda" in machine.calls


def test_a_disk_image_is_mounted_read_only_below_the_overlay(machine: Machine) -> None:
    add_extent(machine, "sda")
    add_disk(machine, "loop0", content={"TYPE": "xfs"})
    found = mount(machine)
    assert found.returncode == 0, found.stderr
    root, calls = machine.root, machine.calls
    attached = calls.index(f"losetup -r -P {root}/dev/loop0 {machine.run_dir}/vmfs{IMAGE}")
    assert calls.index(f"mount -t xfs -o ro,noatime {root}/dev/loop0 {root}/sysroot") > attached
    assert calls[-1].startswith("mount -t overlay ")
    assert machine.state("VMFS_LOOP") == f"{root}/dev/loop0"


def test_a_partition_of_the_image_is_waited_for(machine: Machine) -> None:
    add_extent(machine, "sda")
    add_disk(machine, "loop0", content={"TYPE": "ext4"})
    assert mount(machine, SR_VMFS_PARTITION="2").returncode == 1
    assert "partition 2 of /vm/root-flat.vmdk" in machine.note("why")
    assert "partition = 0" in machine.note("hint")


def test_a_directory_is_the_root_itself(machine: Machine) -> None:
    add_extent(machine, "sda")
    found = mount(machine, {"/roots/web/sbin/init": b""}, SR_VMFS_PATH="/roots/web")
    assert found.returncode == 0, found.stderr
    store = machine.run_dir / "vmfs"
    assert f"mount -o bind {store}/roots/web {machine.root}/sysroot" in machine.calls
    assert not [call for call in machine.calls if call.startswith("losetup")]
    assert machine.calls[-1].startswith("mount -t overlay ")


def test_the_attached_disk_is_taken_when_none_is_named(machine: Machine) -> None:
    add_extent(machine, "sda")
    add_disk(machine, "loop0", content={"TYPE": "ext4"})
    machine.write("run/srbuild/state/ROOT_DEVICE", f"{machine.root}/dev/sda\n")
    assert mount(machine, SR_VMFS_DEVICE="").returncode == 0
    assert opened(machine) == ["vmfs-fuse"]


def test_no_disk_at_all(machine: Machine) -> None:
    assert mount(machine, SR_VMFS_DEVICE="").returncode == 1
    assert "no device is named" in machine.note("why")


# --- extents ----------------------------------------------------------------------------------


def test_all_extents_are_handed_over(machine: Machine) -> None:
    add_disk(machine, "loop0", content={"TYPE": "ext4"})
    for name in ("sda", "sdb"):
        add_extent(machine, name, total=2)
    found = mount(machine, SR_VMFS_DEVICE="/dev/sda /dev/sdb")
    assert found.returncode == 0, found.stderr
    [call] = [call for call in machine.calls if call.startswith("vmfs-fuse")]
    assert f"{machine.root}/dev/sda {machine.root}/dev/sdb " in call


@pytest.mark.parametrize(
    ("devices", "volumes", "why"),
    [
        ("/dev/sda", (0, 0), "consists of 2 extents, 1 are named"),
        ("/dev/sda /dev/sda", (0, 0), "is named twice"),
        ("/dev/sda /dev/sdb", (0, 1), "belongs to another datastore than"),
    ],
)
def test_extents_that_are_not_the_whole_datastore(
    machine: Machine, devices: str, volumes: tuple[int, int], why: str
) -> None:
    for name, volume in zip(("sda", "sdb"), volumes, strict=True):
        add_extent(machine, name, total=2, volume=volume)
    assert mount(machine, SR_VMFS_DEVICE=devices).returncode == 1
    assert why in machine.note("why")
    assert opened(machine) == []


# --- what is wrong ----------------------------------------------------------------------------


def test_another_file_system_is_no_datastore(machine: Machine) -> None:
    add_disk(machine, "sda", content={"TYPE": "ext4"})
    assert mount(machine).returncode == 1
    assert machine.note("why").endswith("/dev/sda")
    assert "there is no VMFS" in machine.note("why")
    assert opened(machine) == []


def test_a_version_that_nothing_reads(machine: Machine) -> None:
    add_extent(machine, "sda", version=7)
    assert mount(machine).returncode == 1
    assert "VMFS 7" in machine.note("why")


def test_the_program_fails(machine: Machine) -> None:
    add_extent(machine, "sda")
    found = mount(machine, status=1)
    assert found.returncode == 1
    assert "vmfs-fuse did not start (status 1)" in machine.note("why")
    assert "a bad datastore" in found.stderr


def test_a_path_that_is_not_there(machine: Machine) -> None:
    add_extent(machine, "sda")
    found = mount(machine, {"/other/root-flat.vmdk": b""})
    assert found.returncode == 1
    assert f"there is no {IMAGE} in the datastore" in machine.note("why")
    assert "other" in found.stderr


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'# Disk DescriptorFile\nversion=1\nRW 4096 VMFS "web-flat.vmdk"\n', "web-flat.vmdk"),
        (b"# Disk DescriptorFile\n", "name the file that holds it"),
        (b"COWD\1\0\0\0", "vmkfstools -i"),
        (b"KDMV\1\0\0\0", "vmkfstools -i"),
    ],
)
def test_files_that_are_no_disk_images(machine: Machine, data: bytes, words: str) -> None:
    add_extent(machine, "sda")
    assert mount(machine, {IMAGE: data}).returncode == 1
    assert words in machine.note("hint")
    assert not [call for call in machine.calls if call.startswith("losetup")]


def test_an_image_without_a_file_system(machine: Machine) -> None:
    add_extent(machine, "sda")
    add_disk(machine, "loop0")
    assert mount(machine).returncode == 1
    assert "no file system" in machine.note("why")
    assert "partition = 1" in machine.note("hint")


def test_the_end(machine: Machine) -> None:
    machine.write("run/srbuild/state/VMFS_LOOP", "/dev/loop0\n")
    machine.write("proc/self/mountinfo", f"28 27 0:25 / {machine.run_dir}/vmfs ro - fuse x ro\n")
    machine.fake("losetup")
    with subprocess.Popen(["@/vmfs-fuse", "600"], executable=shutil.which("sleep")) as reader:
        (machine.root / f"proc/{reader.pid}").symlink_to(f"/proc/{reader.pid}")
        Thread(target=reader.wait).start()  # as init would
        found = machine.module("fs/vmfs", "unmount.sh")
        reader.kill()
    assert found.returncode == 0, found.stderr
    assert reader.returncode == -signal.SIGTERM
    assert machine.calls == ["losetup -d /dev/loop0", f"umount {machine.run_dir}/vmfs"]
