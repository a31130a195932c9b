"""QEMU's command line, initrds joined as boot loaders do, and how endings are told apart."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from srbuild.errors import MissingInputError, ToolError, VerifyError
from srbuild.formats.cpio import CpioReader, CpioWriter
from srbuild.lab.qemu import (
    Disk,
    Ending,
    Machine,
    Nic,
    Vm,
    command,
    join_initrds,
    kernel_machine,
    wait_until,
)


def machine(**changes: object) -> Machine:
    values: dict[str, object] = {
        "name": "n1",
        "kernel": Path("/k"),
        "initrd": Path("/i"),
        "cmdline": "console=ttyS0 a=b",
    }
    return Machine(**{**values, **changes})  # type: ignore[arg-type]


def args_of(one: Machine) -> list[str]:
    return list(command(one, Path("/s"), Path("/c")))


def after(args: list[str], option: str) -> list[str]:
    return [args[i + 1] for i, arg in enumerate(args) if arg == option]


def test_command_boots_kernel_and_initrd_without_display_or_default_devices() -> None:
    args = args_of(machine())
    assert after(args, "-kernel") == ["/k"]
    assert after(args, "-initrd") == ["/i"]
    assert after(args, "-append") == ["console=ttyS0 a=b"]
    assert {"-nodefaults", "-no-reboot", "-no-user-config"} <= set(args)
    assert after(args, "-accel") == ["tcg"]


def test_an_arm64_machine_has_its_own_board_and_ports() -> None:
    args = args_of(machine(arch="aarch64"))
    assert args[0] == "qemu-system-aarch64"
    assert after(args, "-M") == ["virt"]
    assert "pci-serial,chardev=control" in after(args, "-device")
    assert after(args, "-serial") == ["chardev:serial"]


def test_the_kernel_says_what_machine_it_is_for(tmp_path: Path) -> None:
    kernel = tmp_path / "vmlinuz"
    kernel.write_bytes(bytes(0x202) + b"HdrS" + bytes(100))
    assert kernel_machine(kernel) == "x86_64"
    kernel.write_bytes(bytes(0x38) + b"ARMd" + bytes(1000))
    assert kernel_machine(kernel) == "aarch64"
    for other in (b"", b"MZ\0\0zimg" + bytes(2000), bytes(0x204)):
        kernel.write_bytes(other)
        with pytest.raises(MissingInputError, match="no kernel that the lab can boot"):
            kernel_machine(kernel)


def test_first_serial_port_is_a_file_and_second_a_socket() -> None:
    args = args_of(machine())
    assert after(args, "-serial") == ["chardev:serial", "chardev:control"]
    file, socket = after(args, "-chardev")
    assert file == "file,id=serial,path=/s"
    assert socket == "socket,id=control,path=/c,server=on,wait=off"


def test_nic_is_on_its_port_of_the_link_with_its_mac_and_no_boot_rom() -> None:
    args = args_of(machine(nics=(Nic("52:54:00:00:00:01", Path("/link/3")),)))
    (netdev,) = after(args, "-netdev")
    assert netdev == "stream,id=net0,server=off,addr.type=unix,addr.path=/link/3"
    assert after(args, "-device") == ["virtio-net-pci,netdev=net0,mac=52:54:00:00:00:01,romfile="]


@pytest.mark.parametrize(("keep", "snapshot"), [(False, "on"), (True, "off")])
def test_disk_is_an_overlay_unless_kept(keep: bool, snapshot: str) -> None:
    args = args_of(machine(disks=(Disk(Path("/d"), keep),)))
    assert f"snapshot={snapshot}" in after(args, "-drive")[0].split(",")


def test_a_disk_with_a_serial_number_is_a_scsi_disk_that_several_may_have() -> None:
    disks = (Disk(Path("/own")), Disk(Path("/d"), keep=True, serial="ROOT", wwn=0x5000C500000001))
    args = args_of(machine(disks=disks))
    own, shared = (drive.split(",") for drive in after(args, "-drive"))
    assert "if=virtio" in own
    assert {"if=none", "file.locking=off", "id=disk1", "snapshot=off"} <= {*shared}
    assert after(args, "-device") == [
        "virtio-scsi-pci,id=scsi",
        "scsi-hd,bus=scsi.0,drive=disk1,serial=ROOT,share-rw=on,wwn=0x5000c500000001",
    ]


def test_a_comma_in_a_path_is_no_new_option() -> None:
    args = args_of(machine(disks=(Disk(Path("/a,readonly=on")),)))
    assert after(args, "-drive")[0].startswith("file=/a,,readonly=on,format=raw")


def cpio(name: bytes, data: bytes) -> bytes:
    out = io.BytesIO()
    writer = CpioWriter(out.write)
    writer.add(name, 0o100644, size=len(data))
    writer.write(data)
    writer.close()
    return out.getvalue()


def test_each_initrd_starts_at_a_multiple_of_four(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"12345")
    second.write_bytes(cpio(b"x", b"hello"))
    data = join_initrds((first, second), tmp_path / "joined").read_bytes()
    assert data[:8] == b"12345\0\0\0"
    assert [header.name for header in CpioReader(io.BytesIO(data[8:]))] == [b"x"]


def test_waiting_ends_when_the_test_holds_and_names_what_did_not_come() -> None:
    answers = iter([False, True])
    wait_until(5, "it", lambda: next(answers))
    with pytest.raises(VerifyError, match="the moon: not within 0 s"):
        wait_until(0, "the moon", lambda: False)


class Fake:
    """A stand-in for QEMU: a script called like it, first on the PATH."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
        self.folder = tmp_path
        tool = tmp_path / "bin" / machine().qemu
        tool.parent.mkdir()
        tool.write_text(f"#!/bin/sh\n{body}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")

    def start(self) -> Vm:
        return Vm(machine(), self.folder, self.folder)


SAYS = "touch {0}/n1.control; printf '{1}' >>{0}/n1.serial; sleep 0.5"


@pytest.mark.parametrize(
    ("said", "ending"),
    [
        ("[ 9.0] reboot: Power down\\n", Ending.POWER_OFF),
        ("[ 9.0] reboot: Restarting system\\n", Ending.RESTART),
        ("Kernel panic - not syncing: x\\n[ 9.0] reboot: Restarting system\\n", Ending.PANIC),
        ("reboot: Restarting system\\nlater\\nreboot: Power down\\n", Ending.POWER_OFF),
        ("hello\\n", Ending.KILLED),
    ],
)
def test_the_ending_is_what_the_kernel_said(
    said: str, ending: Ending, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake(tmp_path, monkeypatch, SAYS.format(tmp_path, said))
    with fake.start() as vm:
        assert vm.wait_end(10) is ending


def test_a_machine_is_ended_on_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = f"echo $$ >{tmp_path}/pid; touch {tmp_path}/n1.control; exec tail -f /dev/null"
    fake = Fake(tmp_path, monkeypatch, body)
    with pytest.raises(KeyError):
        fail_inside(fake)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def fail_inside(fake: Fake) -> None:
    with fake.start() as vm:
        assert vm.alive
        raise KeyError


def test_what_qemu_complains_of_is_part_of_the_fate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = SAYS.format(tmp_path, "x") + "; echo 'disk is locked' >&2; exit 1"
    fake = Fake(tmp_path, monkeypatch, body)
    with fake.start() as vm, pytest.raises(VerifyError, match="disk is locked"):
        vm.wait_text("never", 10)


def test_qemu_that_gives_up_is_an_error_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake(tmp_path, monkeypatch, "echo 'no such machine' >&2; exit 1")
    with pytest.raises(ToolError, match="no such machine"):
        fake.start()


def test_qemu_not_installed_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError) as caught:
        Vm(machine(), tmp_path, tmp_path)
    assert "qemu-system-x86" in caught.value.hint


def test_waiting_for_a_line_gives_the_line_or_names_the_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake(tmp_path, monkeypatch, SAYS.format(tmp_path, "a\\r\\nwaiting for x (3 s)\\r\\n"))
    with fake.start() as vm:
        assert vm.wait_text("waiting for", 10) == b"waiting for x (3 s)"
        vm.wait_end(10)
        with pytest.raises(VerifyError, match="without saying 'quorum'"):
            vm.wait_text("quorum", 10)


def test_a_machine_does_not_outlive_a_killed_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = f"echo $$ >{tmp_path}/pid; touch {tmp_path}/n1.control; exec tail -f /dev/null"
    Fake(tmp_path, monkeypatch, body)
    code = (
        "import os, signal; from pathlib import Path; from srbuild.lab.qemu import Machine, Vm\n"
        f"here = Path({str(tmp_path)!r})\n"
        "Vm(Machine('n1', here, here, ''), here, here)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    pid = (tmp_path / "pid").read_text().strip()
    wait_until(10, "the machine's end", lambda: not is_running(pid))


def is_running(pid: str) -> bool:
    try:
        return Path("/proc", pid, "stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False
