"""The bootstrap on a local disk: started by firmware, and by another's initramfs."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from srbuild.lab.build import find_kernel, image_kernel
from srbuild.lab.firmware import find_firmware, start_disk
from srbuild.lab.qemu import Disk, Machine, Vm
from support.efi import EfiTools, efi_tools
from support.telling import tell, telling

pytestmark = [pytest.mark.boot, pytest.mark.matrix, pytest.mark.timeout(900)]

SRBUILD = str(Path(sys.executable).with_name("srbuild"))
CMDLINE = "console=ttyS0 loglevel=4 panic=1 no_timer_check rd.shell=0 rd.srb.reboot_delay=1 lab.a=b"
# What leads to the disk; init= is what an initramfs is told, and none of it is about a shared root.
ROOT = "root=/dev/vda rootflags=noatime init=/init ro"
# As distributions' initramfs do it: mounted, the kernel's file systems taken along, switched to.
STRANGER = """\
#!/bin/busybox sh
set -e
/bin/busybox mkdir -p /proc /dev /sys /new /applets
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /applets
export PATH=/applets
mount -t devtmpfs devtmpfs /dev
mount -t sysfs sysfs /sys
modprobe -a virtio_pci virtio_blk
[ -b /dev/vda ] || exec sh
case $(dd if=/dev/vda bs=4 count=1 2>/dev/null) in
    hsqs) kind=squashfs ;;
    *) kind=ext4 ;;
esac
modprobe -a crc32c_generic "$kind"
mount -t "$kind" -o ro /dev/vda /new
for dir in dev proc sys; do
    mount -o move "/$dir" "/new/$dir"
done
exec switch_root -c /dev/console /new /init
"""


@pytest.fixture(scope="module")
def tools(project: Path, tmp_path_factory: pytest.TempPathFactory) -> EfiTools:
    """Among them a boot loader."""
    return efi_tools(project, tmp_path_factory.mktemp("efi") / "bin")


def srbuild(folder: Path, *argv: str | Path) -> None:
    done = subprocess.run(
        (SRBUILD, *argv), cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


def members(folder: Path, *argv: str) -> dict[str, str]:
    """Path → digest of every file of the same bootstrap as a tar archive."""
    srbuild(folder, "bootstrap", *argv, "-o", "whole.tar")
    with tarfile.open(folder / "whole.tar") as archive:
        plain = [member for member in archive if member.isfile()]
        files = {member.name[1:]: archive.extractfile(member) for member in plain}
        return {
            name: hashlib.sha256(file.read()).hexdigest() for name, file in files.items() if file
        }


def test_firmware_starts_the_disk(tools: EfiTools, sysroot: Path, tmp_path: Path) -> None:
    argv = telling(tmp_path, sysroot)
    srbuild(
        tmp_path, "bootstrap", *argv, "-o", "node.img",
        "--boot-loader", tools.systemd_boot, "--cmdline", CMDLINE,
    )  # fmt: skip
    nowhere = tmp_path / "node"
    machine = Machine("node", nowhere, nowhere, "", memory=768)
    machine = start_disk(machine, tmp_path / "node.img", find_firmware("x86_64"))
    with Vm(machine, tmp_path, tmp_path) as vm:
        cmdline, files = tell(vm)
    # systemd-boot names the initrd there, too.
    assert cmdline.endswith(CMDLINE)
    assert members(tmp_path, *argv).items() <= files.items()


@pytest.mark.parametrize("kind", ["squashfs", "ext4"])
def test_another_initramfs_starts_what_lies_on_a_disk(
    sysroot: Path, tmp_path: Path, kind: str
) -> None:
    argv = telling(tmp_path, sysroot)
    disk = tmp_path / "disk"
    if kind == "squashfs":
        srbuild(tmp_path, "bootstrap", *argv, "--as", "squashfs", "-o", disk)
    else:
        srbuild(tmp_path, "bootstrap", *argv, "-o", "tree")
        make = ("/sbin/mke2fs", "-q", "-t", "ext4", "-d", tmp_path / "tree", disk, "256M")
        subprocess.run(make, check=True, timeout=120)
    before = hashlib.sha256(disk.read_bytes()).hexdigest()
    machine = Machine(
        "node",
        find_kernel(sysroot, stranger(tmp_path, sysroot)),
        tmp_path / "stranger.img",
        f"{CMDLINE} {ROOT}",
        disks=(Disk(disk, keep=True),),
        memory=512,
    )
    with Vm(machine, tmp_path, tmp_path) as vm:
        cmdline, files = tell(vm)
        said = vm.text().decode(errors="replace").replace("\r", "")
    assert f"srbuild: memory: the bootstrap on /dev/vda ({kind}) is in memory" in said
    assert cmdline.endswith(ROOT)
    words = set(re.findall(r"^told: word (.*)$", said, re.MULTILINE))
    assert "lab.a=b" in words
    assert not words & set(ROOT.split())
    mounts = re.findall(r"^told: mount (\S+) (\S+) (\S+)", said, re.MULTILINE)
    assert [kind for _, place, kind in mounts if place == "/"][-1] == "tmpfs"
    assert not [row for row in mounts if row[0] == "/dev/vda"]
    assert files["/etc/srbuild/disk"] == hashlib.sha256(f"/dev/vda {kind}\n".encode()).hexdigest()
    assert members(tmp_path, *argv).items() <= files.items()
    assert hashlib.sha256(disk.read_bytes()).hexdigest() == before


def stranger(folder: Path, sysroot: Path) -> str:
    """Write stranger.img, an initramfs that is none of ours; the version of its kernel."""
    words = [
        word
        for name in ("virtio_blk", "squashfs", "ext4", "crc32c_generic")
        for word in ("--kmod", name)
    ]
    srbuild(folder, "build", "--sysroot", sysroot, *words, "--no-cache", "-o", "kmods.img")
    target = folder / "stranger.img"
    (folder / "init").write_text(STRANGER)
    (folder / "init").chmod(0o755)
    tail = subprocess.run(
        ("cpio", "-o", "-H", "newc", "--quiet"),
        input=b"init\n", cwd=folder, capture_output=True, check=True,
    ).stdout  # fmt: skip
    target.write_bytes((folder / "kmods.img").read_bytes() + tail)
    return image_kernel(folder / "kmods.img")
