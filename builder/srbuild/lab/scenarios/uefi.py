"""A node that UEFI firmware starts, from a unified kernel image: no loader, no network, no QEMU."""

from __future__ import annotations

from dataclasses import replace

from srbuild.lab.build import image_kernel
from srbuild.lab.cluster import N1
from srbuild.lab.firmware import find_firmware, unified
from srbuild.lab.lab import Lab
from srbuild.lab.qemu import kernel_machine
from srbuild.lab.scenario import Scenario
from srbuild.lab.scenarios.local_scsi import check, cluster_file, disk_spec, one

BOOT = 300  # seconds from start to power off: the firmware's own among them
LOADED = b"Loaded initrd from LINUX_EFI_INITRD_MEDIA_GUID"
"""What the kernel says on the firmware's console (drivers/firmware/efi/libstub of Linux)."""


def started_by_firmware(lab: Lab) -> None:
    """The node's token, which its command line alone names, and its disk, which the initrd does."""
    firmware = find_firmware(kernel_machine(lab.inputs.kernel))
    node = replace(N1, loader=unified(image_kernel(lab.inputs.image), firmware))
    path = lab.own_disk("root", lab.disk(disk_spec()))
    with lab.step("the firmware starts n1, which boots and powers off"):
        vm = lab.start(node, cluster_file(), (), disks=(one(path),))
        lab.wait_power_off([vm], BOOT)
    lab.expect(LOADED in vm.text(), "a kernel that has its initrd from the firmware")
    check(lab, path)


SCENARIOS = (
    Scenario(
        "ext4-scsi-uefi",
        "UEFI firmware starts a node from a unified kernel image of it (needs ukify)",
        "ext4",
        "scsi",
        ("lab-local",),
        started_by_firmware,
    ),
)
