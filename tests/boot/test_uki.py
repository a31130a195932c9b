"""Unified kernel images that UEFI firmware starts: what the system has, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from srbuild.lab.firmware import Firmware, find_firmware, start_program
from srbuild.lab.qemu import Machine, Vm
from srbuild.lab.scenarios.uefi import LOADED
from support.boots import Boot, tokens
from support.efi import SECURE, EfiTools, efi_tools
from support.telling import tell, telling

pytestmark = [pytest.mark.boot, pytest.mark.matrix, pytest.mark.timeout(900)]

SRBUILD = str(Path(sys.executable).with_name("srbuild"))
CMDLINE = "console=ttyS0 loglevel=4 panic=1 no_timer_check rd.shell=0 rd.srb.reboot_delay=1 lab.a=b"
# How the host of a virtual machine adds words: systemd-stub(7), strings of SMBIOS type 11.
SMBIOS = ("-smbios", "type=11,value=io.systemd.stub.kernel-cmdline-extra=lab.smbios=1")
# Another command line in a boot loader's menu, which nobody signs (the UAPI Group's
# "Boot Loader Specification").
INSTEAD = CMDLINE.replace("lab.a=b", "lab.instead=1")
ENTRY = f"title other words\nefi /EFI/Linux/image.efi\noptions {INSTEAD}\n"
REFUSED = 120  # seconds in which the firmware says that it will not start a program


@dataclass(frozen=True)
class Made:
    """What `srbuild build --uki` wrote, and the digest of every file in its image."""

    image: Path
    program: Path
    digests: dict[str, str]


@pytest.fixture(scope="module")
def tools(project: Path, tmp_path_factory: pytest.TempPathFactory) -> EfiTools:
    """The real ukify, and what signs its work."""
    return efi_tools(project, tmp_path_factory.mktemp("efi") / "bin")


@pytest.fixture(scope="module")
def made(tools: EfiTools, sysroot: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A unified kernel image as users make it, of an image that tells what it holds."""
    folder = tmp_path_factory.mktemp("uki")
    argv = [SRBUILD, "build", *telling(folder, sysroot)]
    argv += ["-o", "image", "--uki", "image.efi", "--cmdline", CMDLINE]
    environ = {"PATH": tools.path}
    done = subprocess.run(
        argv, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    entries = json.loads((folder / "image.json").read_text())["entries"]
    digests = {name: facts["sha256"] for name, facts in entries.items() if "sha256" in facts}
    return Made(folder / "image", folder / "image.efi", digests)


@contextmanager
def started(
    program: Path, firmware: Firmware, folder: Path, *devices: str, menu: Path | None = None
) -> Iterator[Vm]:
    """A machine whose firmware starts `program`, which may be a boot loader with `menu` in it."""
    nowhere = folder / "node"
    machine = Machine("node", nowhere, nowhere, "", devices=devices, memory=768)
    machine = start_program(machine, program, firmware)
    if menu:
        partition = folder / "node.esp"
        (partition / "EFI/Linux").mkdir()
        shutil.copy(menu, partition / "EFI/Linux/image.efi")
        (partition / "loader/entries").mkdir(parents=True)
        (partition / "loader/entries/other.conf").write_text(ENTRY)
        (partition / "loader/loader.conf").write_text("default other.conf\ntimeout 0\n")
    with Vm(machine, folder, folder) as vm:
        yield vm


def refused(vm: Vm) -> str:
    """What the firmware says of the program that it does not start."""
    line = vm.wait_text(r"BdsDxe: failed to (?:load|start) .*: .+", REFUSED)
    assert b"EFI stub" not in vm.text()
    return line.decode(errors="replace")


def test_firmware_starts_a_node_on_its_own_disk(
    boot: Boot, tools: EfiTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", tools.path)
    result = boot("ext4-scsi-uefi")
    assert result.proof["fsck"] == 0
    assert tokens(result).keys() == {"n1"}


def test_the_system_has_the_very_image_and_command_line(made: Made, tmp_path: Path) -> None:
    with started(made.program, find_firmware("x86_64"), tmp_path) as vm:
        cmdline, files = tell(vm)
    assert LOADED in vm.text()
    assert cmdline == CMDLINE
    assert made.digests.items() <= files.items()


def test_a_boot_loaders_words_replace_its_own(made: Made, tools: EfiTools, tmp_path: Path) -> None:
    firmware = find_firmware("x86_64")
    with started(tools.systemd_boot, firmware, tmp_path, menu=made.program) as vm:
        cmdline, _ = tell(vm)
    assert cmdline == INSTEAD


def test_with_secure_boot_a_boot_loaders_words_are_ignored(
    made: Made, tools: EfiTools, tmp_path: Path
) -> None:
    loader, signed = tools.sign(tools.systemd_boot), tools.sign(made.program)
    with started(loader, SECURE, tmp_path, *SMBIOS, menu=signed) as vm:
        cmdline, files = tell(vm)
    assert b"UEFI Secure Boot is enabled" in vm.text()
    assert cmdline == f"{CMDLINE} lab.smbios=1"
    assert made.digests.items() <= files.items()


def test_secure_boot_refuses_one_that_nobody_signed(made: Made, tmp_path: Path) -> None:
    with started(made.program, SECURE, tmp_path) as vm:
        assert "Access Denied" in refused(vm)


@pytest.mark.parametrize("section", ["cmdline", "initrd"])
def test_secure_boot_refuses_one_that_was_changed(
    made: Made, tools: EfiTools, tmp_path: Path, section: str
) -> None:
    held = CMDLINE.encode() if section == "cmdline" else made.image.read_bytes()
    data = tools.sign(made.program).read_bytes()
    assert data.count(held) == 1
    changed = tmp_path / "changed.efi"
    changed.write_bytes(data.replace(held, held[:-1] + bytes([held[-1] ^ 1])))
    with started(changed, SECURE, tmp_path) as vm:
        assert "Access Denied" in refused(vm)
