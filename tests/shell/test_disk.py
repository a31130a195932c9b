"""Finding a disk by its names in sysfs and by what is written on it."""

from __future__ import annotations

import subprocess

import pytest

from support.disks import PCI, add_disk
from support.shells import Machine

LIB = '. "$SR_LIB/disk.sh"\n'
UUID = "2eeceb13-777f-4f18-a147-3c4c4749e191"
NAA = "naa.5000c50000000001"


def find(machine: Machine, disk: str, seconds: int = 0) -> subprocess.CompletedProcess[str]:
    machine.write("usr/lib/srbuild/runs", "storage scsi x 0\n")
    text = f'sr_disk_await {seconds or 1} "$1"\necho "$device"'
    return machine.lib(LIB + text, disk)


def computer(machine: Machine) -> None:
    """Two SCSI disks on one card, one with partitions; an NVMe, a SATA, an FC, a virtio disk."""
    add_disk(
        machine, "sda", content={"TYPE": "ext4", "UUID": UUID, "LABEL": r"my\ root\$x"},
        wwid=NAA, serial="ROOT  ",
    )  # fmt: skip
    add_disk(
        machine, "sdb", path=f"{PCI}/virtio1/host2/target2:0:1/2:0:1:3",
        content={"PTTYPE": "gpt"}, wwid="naa.600140500000000100000002", serial="DATA 7",
    )  # fmt: skip
    add_disk(machine, "sdb1", path="sdb", content={"PART_ENTRY_UUID": "ab-01", "TYPE": "swap"})
    add_disk(
        machine, "sdb2", path="sdb",
        content={"PART_ENTRY_UUID": "ab-02", "PART_ENTRY_NAME": "os", "LABEL": "os"},
    )  # fmt: skip
    add_disk(
        machine, "nvme0n1", path="pci0000:00/0000:00:06.0/nvme/nvme0", wwid="eui.0025388b710116a1"
    )
    nvme = machine.root / "sys/class/block/nvme0n1"
    machine.write("sys/devices/pci0000:00/0000:00:06.0/nvme/nvme0/serial", "S3X   \n")
    machine.write("sys/devices/pci0000:00/0000:00:06.0/nvme/nvme0/model", "Fast Disk   \n")
    (nvme / "nsid").write_text("1\n")
    ata = "pci0000:00/0000:00:1f.2/ata2/host1/target1:0:0/1:0:0:0"
    add_disk(machine, "sdc", path=ata, wwid="t10.ATA     QEMU HARDDISK     QM00003  ", serial="QM3")
    machine.write("sys/class/ata_port/ata2/port_no", "2\n")
    add_disk(
        machine, "vda", path="pci0000:00/0000:00:03.0/virtio0", serial="VSER",
        content={"TYPE": "xfs", "LABEL": "plain"},
    )  # fmt: skip
    add_disk(
        machine, "sdd", path="pci0000:00/0000:00:07.0/host3/rport-3:0-1/target3:0:1/3:0:1:5",
        wwid="naa.50014055ca1ab1e0", serial="FC",
    )  # fmt: skip
    machine.write("sys/class/fc_remote_ports/rport-3:0-1/port_name", "0x2000525400090021\n")


@pytest.mark.parametrize(
    ("disk", "name"),
    [
        (f"UUID={UUID}", "sda"),
        (f"UUID={UUID.upper().replace('-', '')}", "sda"),
        (f"/dev/disk/by-uuid/{UUID}", "sda"),
        ("LABEL=my root$x", "sda"),
        (r"/dev/disk/by-label/my\x20root\x24x", "sda"),
        ("LABEL=os", "sdb2"),
        ("PARTUUID=AB-02", "sdb2"),
        ("by-partuuid/ab-01", "sdb1"),
        ("PARTLABEL=os", "sdb2"),
        (f"WWN={NAA}", "sda"),
        ("WWN=0x5000C50000000001", "sda"),
        ("WWN=35000c50000000001", "sda"),
        ("WWN=eui.0025388b710116a1", "nvme0n1"),
        ("SERIAL=ROOT", "sda"),
        ("SERIAL=DATA_7", "sdb"),
        ("SERIAL=DATA_7-part2", "sdb2"),
        ("SERIAL=VSER", "vda"),
        ("SERIAL=S3X", "nvme0n1"),
        ("HCTL=2:0:1:3", "sdb"),
        ("HCTL=2:0:1:3-part1", "sdb1"),
        ("by-id/wwn-0x5000c50000000001", "sda"),
        ("by-id/scsi-35000c50000000001", "sda"),
        ("by-id/scsi-SQEMU_QEMU_HARDDISK_ROOT", "sda"),
        ("by-id/wwn-0x600140500000000100000002-part2", "sdb2"),
        ("/dev/disk/by-id/virtio-VSER", "vda"),
        ("by-id/nvme-eui.0025388b710116a1", "nvme0n1"),
        ("by-id/nvme-Fast_Disk_S3X", "nvme0n1"),
        ("by-id/ata-QEMU_HARDDISK_QM00003", "sdc"),
        ("by-path/pci-0000:00:05.0-scsi-0:0:0:0", "sda"),
        ("by-path/virtio-pci-0000:00:05.0-scsi-0:0:1:3-part1", "sdb1"),
        ("by-path/pci-0000:00:06.0-nvme-1", "nvme0n1"),
        ("by-path/pci-0000:00:1f.2-ata-2", "sdc"),
        ("by-path/pci-0000:00:03.0", "vda"),
        ("by-path/pci-0000:00:07.0-fc-0x2000525400090021-lun-5", "sdd"),
    ],
)
def test_a_disk_by_each_of_its_names(machine: Machine, disk: str, name: str) -> None:
    computer(machine)
    found = find(machine, disk)
    assert found.returncode == 0, found.stderr
    assert found.stdout == f"{machine.root}/dev/{name}\n"


def test_an_ata_disk_with_a_wwn_is_known_by_its_model_too(machine: Machine) -> None:
    ata = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0"
    add_disk(machine, "sda", path=ata, wwid="naa.5002538d40000001", serial="S2")
    page = b"\0\x83\0\x50\2\1\0\x44ATA     Samsung SSD 850   S2R6N      \1\3\0\x08P\x02S\x8d"
    (machine.root / "sys/devices" / ata / "vpd_pg83").write_bytes(page)
    assert find(machine, "by-id/ata-Samsung_SSD_850_S2R6N").returncode == 0


@pytest.mark.parametrize(
    "disk",
    [
        "UUID=0000", "LABEL=root", "LABEL=my", "WWN=0x5000c5000000000", "SERIAL=ROO", "SERIAL=.*",
        "HCTL=0:0:0:0", "by-id/wwn-0x1", "by-path/pci-0000:00:05.0", "HCTL=2:0:1:3-part9",
        "/dev/nosuch",
    ],
)  # fmt: skip
def test_a_disk_that_is_not_there(machine: Machine, disk: str) -> None:
    computer(machine)
    found = find(machine, disk)
    assert found.returncode == 1
    assert machine.note("why").startswith(f"no disk is {disk}")
    assert f"/dev/sda WWN={NAA} SERIAL=ROOT TYPE=ext4" in found.stderr


@pytest.mark.parametrize("disk", ["", "sda", "root", "label=x", "by-id/", "UUID="])
def test_no_name_of_a_disk(machine: Machine, disk: str) -> None:
    computer(machine)
    assert find(machine, disk).returncode == 1
    assert "no disk can be written as" in machine.note("why")


def test_two_disks_with_one_label(machine: Machine) -> None:
    for name, unit in (("sda", 0), ("sdb", 1)):
        add_disk(
            machine, name, path=f"{PCI}/host2/target2:0:0/2:0:0:{unit}",
            content={"LABEL": "root"}, wwid=f"naa.500000000000000{unit}", serial=f"S{unit}",
        )  # fmt: skip
    found = find(machine, "LABEL=root", 5)
    assert found.returncode == 1
    assert f"{machine.root}/dev/sda {machine.root}/dev/sdb" in machine.note("why")
    assert "SERIAL=S0" in found.stderr


def test_disks_without_any_name_of_their_own_are_not_taken_for_one(machine: Machine) -> None:
    for name, card in (("vda", 3), ("vdb", 4)):
        path = f"pci0000:00/0000:00:0{card}.0/virtio{card}"
        add_disk(machine, name, path=path, content={"LABEL": "root"})
    assert find(machine, "LABEL=root").returncode == 1
    assert "several disks" in machine.note("why")


@pytest.mark.parametrize("multipath", [False, True])
def test_two_paths_to_one_disk(machine: Machine, multipath: bool) -> None:
    for name, host in (("sda", 2), ("sdb", 3)):
        path = f"{PCI}/host{host}/target{host}:0:0/{host}:0:0:0"
        add_disk(machine, name, path=path, wwid=NAA, serial="S")
    machine.write("usr/lib/srbuild/runs", "storage multipath x 0\n" if multipath else "")
    found = machine.lib(LIB + f'sr_disk_await 1 "WWN={NAA}"\necho "$device"')
    assert (found.returncode == 0) is multipath
    if multipath:
        assert found.stdout == f"{machine.root}/dev/sda\n"
    else:
        assert "--module multipath" in machine.note("hint")


def test_what_is_made_of_a_disk_goes_before_it(machine: Machine) -> None:
    add_disk(machine, "sda", content={"LABEL": "root"}, holder="dm-0")
    home = machine.root / "sys/devices/virtual/block/dm-0"
    add_disk(machine, "dm-0", path="virtual", content={"LABEL": "root"})
    assert home.is_dir()
    assert find(machine, "LABEL=root").stdout == f"{machine.root}/dev/dm-0\n"


def test_empty_drives_and_memory_are_no_disks(machine: Machine) -> None:
    for name, size in (("sda", 0), ("loop0", 8), ("sr0", 8)):
        path = f"x/{name}/host2/target2:0:0/2:0:0:0"
        add_disk(machine, name, path=path, content={"LABEL": "root"}, size=size)
    assert find(machine, "LABEL=root").returncode == 1


def test_a_disk_whose_label_is_mended_is_found_at_the_next_attempt(machine: Machine) -> None:
    add_disk(machine, "sda", content={"LABEL": "rot"})
    assert find(machine, "LABEL=root").returncode == 1
    machine.write("blkid/sda", "LABEL=root\n")
    assert find(machine, "LABEL=root").returncode == 0


def test_a_disk_that_comes_later(machine: Machine) -> None:
    computer(machine)
    (machine.root / "dev/sda").unlink()
    later = f'{{ sleep 1; : >"{machine.root}/dev/sda"; }} &\n'
    found = machine.lib(LIB + later + 'sr_disk_await 20 SERIAL=ROOT\necho "$device"')
    assert found.returncode == 0, found.stderr


def test_what_a_disk_says_of_itself_does_not_steer_the_terminal(machine: Machine) -> None:
    add_disk(machine, "sda", content={"LABEL": "\x1b[2J$(id)"}, serial="\x1b[31m")
    found = find(machine, "LABEL=root")
    assert found.returncode == 1
    assert "\x1b" not in found.stderr
    assert "$(id)" in found.stderr
