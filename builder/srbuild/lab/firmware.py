"""UEFI firmware for the lab's machines: where it is, and how QEMU starts a program by it.

Firmware says of itself what it is, in files that QEMU's docs/interop/firmware.json describes;
where it lies differs from distribution to distribution. A program is started from an EFI system
partition as removable media have it: EFI/BOOT/BOOTX64.EFI (UEFI specification, 3.5.1.1).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from srbuild.errors import ToolError
from srbuild.frozen import frozen
from srbuild.lab.qemu import Machine, plain
from srbuild.paths import HostPath
from srbuild.publish.uki import UkiParts, write_uki

Loader: TypeAlias = Callable[[Machine], Machine]
"""What makes of a machine that QEMU gives its kernel one that is started otherwise."""

# In the order in which QEMU's users look: the administrator's files hide the distribution's.
DESCRIPTIONS = (Path("/etc/qemu/firmware"), Path("/usr/share/qemu/firmware"))

# uname's machine → the package of its firmware, and the program on removable media.
_KINDS = {
    "x86_64": ("ovmf", "BOOTX64.EFI"),
    "aarch64": ("qemu-efi-aarch64", "BOOTAA64.EFI"),
}


@frozen
class Firmware:
    """Raw flash images: the firmware's `code`, and the `variables` that a new machine has.

    `secure` for code that keeps its variables from the system by system management mode.
    """

    code: HostPath
    variables: HostPath
    secure: bool = False


def find_firmware(arch: str, folders: tuple[HostPath, ...] = DESCRIPTIONS) -> Firmware:
    """The UEFI firmware of the machine `arch`, a key of BOARDS, without Secure Boot.

    The first description by name that fits, each name read where it comes first in `folders`.
    Raises ToolError, naming the package, when there is none.
    """
    for found in map(_read, _descriptions(folders)):
        firmware = _fitting(found, arch)
        if firmware is not None:
            return firmware
    raise ToolError(
        f"there is no UEFI firmware for {arch}",
        hint=f"looked in {' and '.join(map(str, folders))}; apt-get install {_KINDS[arch][0]}",
    )


def _descriptions(folders: tuple[HostPath, ...]) -> Iterator[HostPath]:
    named: dict[str, HostPath] = {}
    for folder in folders:
        for path in folder.glob("*.json"):
            named.setdefault(path.name, path)
    for name in sorted(named):
        yield named[name]


def _read(path: HostPath) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ToolError(
            f"cannot make sense of {path}: {error}",
            hint="QEMU's docs/interop/firmware.json says what is in such a file",
        ) from error
    return found if isinstance(found, dict) else {}


def _fitting(found: Mapping[str, Any], arch: str) -> Firmware | None:
    """The firmware that is described, if it is raw flash for `arch` without Secure Boot."""
    try:
        targets = {target["architecture"] for target in found["targets"]}
        flash = found["mapping"]
        code, variables = flash["executable"], flash["nvram-template"]
        if "uefi" not in found["interface-types"] or arch not in targets:
            return None
        if "secure-boot" in found["features"] or (code["format"], variables["format"]) != (
            "raw",
            "raw",
        ):
            return None
        return Firmware(Path(code["filename"]), Path(variables["filename"]))
    except (KeyError, TypeError):
        return None  # another kind of firmware: a BIOS has no variables


def start_program(machine: Machine, program: HostPath, firmware: Firmware) -> Machine:
    """`machine` started by `firmware`, which finds `program` on a partition of its own.

    That partition is a read-only FAT disk, which the system has, too. It lies beside the
    machine's initrd, as do its variables, which are this machine's alone.
    """
    folder = machine.initrd.with_suffix(".esp")
    target = folder / "EFI/BOOT" / _KINDS[machine.arch][1]
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(program, target)
    return _started(machine, firmware, f"readonly=on,file=fat:{plain(folder)}")


def start_disk(machine: Machine, disk: HostPath, firmware: Firmware) -> Machine:
    """`machine` started by `firmware` from the raw `disk`, which the system has, too.

    What is written to it is gone afterwards. The machine's variables lie beside its initrd.
    """
    return _started(machine, firmware, f"snapshot=on,file={plain(disk)}")


def _started(machine: Machine, firmware: Firmware, drive: str) -> Machine:
    variables = shutil.copyfile(firmware.variables, machine.initrd.with_suffix(".variables"))
    flash = "if=pflash,format=raw"
    words = [
        *("-drive", f"{flash},unit=0,readonly=on,file={plain(firmware.code)}"),
        *("-drive", f"{flash},unit=1,file={plain(variables)}"),
        *("-drive", f"if=none,id=esp,format=raw,{drive}"),
        *("-device", "virtio-blk-pci,drive=esp,bootindex=0"),
    ]
    if firmware.secure:
        words += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
    return replace(machine, direct=False, devices=(*machine.devices, *words))


def unified(uname: str, firmware: Firmware) -> Loader:
    """Have `firmware` start a unified kernel image of what QEMU would have loaded.

    `uname` is the kernel's version. The loader raises what `write_uki` raises.
    """

    def load(machine: Machine) -> Machine:
        parts = UkiParts(machine.initrd, machine.kernel, uname, machine.name, machine.cmdline)
        program = machine.initrd.with_suffix(".efi")
        write_uki(parts, program)
        return start_program(machine, program, firmware)

    return load
