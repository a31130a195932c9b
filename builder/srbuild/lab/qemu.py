"""Virtual machines in QEMU, without root: their command lines, processes and serial ports.

A `Machine` says what to start, `command` turns it into QEMU's arguments (pure), and `Vm` owns
the process: leaving its `with` block always ends it, and the kernel ends it should this
process die first (PR_SET_PDEATHSIG, by setpriv(1) of util-linux). Every wait has a deadline.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from types import TracebackType
from typing import Self

from srbuild.errors import MissingInputError, ToolError, VerifyError
from srbuild.frozen import frozen
from srbuild.paths import HostPath

# uname's machine → the virtual board, the kernel's name of its first serial port, and how the
# second one is attached. On `virt` that is a card: the board itself has one port.
BOARDS: Mapping[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "x86_64": (("-M", "q35", "-cpu", "max"), "ttyS0", ("-serial", "chardev:control")),
    "aarch64": (
        ("-M", "virt", "-cpu", "max,pauth-impdef=on"),  # the true algorithm takes half the time
        "ttyAMA0",
        ("-device", "pci-serial,chardev=control"),
    ),
}
_PACKAGES = {"x86_64": "qemu-system-x86", "aarch64": "qemu-system-arm"}
POLL_S = 0.1  # how often a wait looks again
_INITRD_ALIGN = 4  # the kernel looks for the next archive at a multiple of 4: init/initramfs.c


@frozen
class Nic:
    """A virtio network card with MAC address `mac`; `port` is the hub's port that it is on."""

    mac: str
    port: HostPath


@frozen
class Disk:
    """A raw disk image as a virtio disk or, with a `serial` number, as a SCSI disk.

    With `keep` False all that the machine writes goes to an overlay that ends with it; with it
    several machines may have the same SCSI disk, as on one bus. `wwn` is the SCSI disk's
    world wide name, 0 for none.
    """

    path: HostPath
    keep: bool = False
    serial: str = ""
    wwn: int = 0


@frozen
class Machine:
    """What to boot.

    `memory` in MiB; `accel` is QEMU's accelerator, `tcg` or `kvm`; `arch` a key of BOARDS.
    With `fence` it has the port on which its fence agent speaks with the host (lab/fencing.py);
    `devices` are further arguments of QEMU's. One that is not `direct` finds its kernel, initrd
    and command line there, not given by QEMU (lab/firmware.py).
    """

    name: str
    kernel: HostPath
    initrd: HostPath
    cmdline: str
    nics: tuple[Nic, ...] = ()
    disks: tuple[Disk, ...] = ()
    memory: int = 512
    accel: str = "tcg"
    arch: str = "x86_64"
    fence: bool = False
    devices: tuple[str, ...] = ()
    direct: bool = True

    @property
    def qemu(self) -> str:
        """The program that runs it."""
        return f"qemu-system-{self.arch}"


class Ending(Enum):
    """How a machine ended, by what its kernel said last."""

    POWER_OFF = "powered off"
    RESTART = "restarted"
    PANIC = "kernel panic"
    KILLED = "was ended from outside or by QEMU itself"


_ENDINGS = (
    (re.compile(rb"Kernel panic - not syncing"), Ending.PANIC),
    (re.compile(rb"reboot: Power down"), Ending.POWER_OFF),
    (re.compile(rb"reboot: (Restarting system|machine restart)"), Ending.RESTART),
)


def kernel_machine(kernel: HostPath) -> str:
    """The machine that a bootable kernel is for, by its header; a key of BOARDS.

    Sources: Documentation/arch/x86/boot.rst ("HdrS") and arch/arm64/booting.rst of Linux.
    Raises MissingInputError for any other file.
    """
    with kernel.open("rb") as file:
        head = file.read(0x210)
    if head[0x202:0x206] == b"HdrS":
        return "x86_64"
    if head[0x38:0x3C] == b"ARM\x64":
        return "aarch64"
    raise MissingInputError(
        f"{kernel} is no kernel that the lab can boot",
        hint="it boots x86 bzImages and arm64 Images",
    )


def command(machine: Machine, serial: HostPath, control: HostPath) -> tuple[str, ...]:
    """QEMU's command line for `machine`.

    Its first serial port is written to the file `serial`; its second is the unix socket
    `control`, on which QEMU listens. A reset ends the machine, as power off does.
    """
    board, _, second_port = BOARDS[machine.arch]
    args = [machine.qemu, "-accel", machine.accel, *board, "-m", str(machine.memory)]
    args += ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]
    args += ["-name", plain(machine.name)]
    if machine.direct:
        args += ["-kernel", str(machine.kernel), "-initrd", str(machine.initrd)]
        args += ["-append", machine.cmdline]
    args += ["-chardev", f"file,id=serial,path={plain(serial)}", "-serial", "chardev:serial"]
    args += ["-chardev", f"socket,id=control,path={plain(control)},server=on,wait=off"]
    args += second_port
    args += ["-qmp", f"unix:{plain(qmp_path(control))},server=on,wait=off"]
    if machine.fence:
        args += [
            "-chardev",
            f"socket,id=fence,path={plain(fence_path(control))},server=on,wait=off",
        ]
        args += ["-device", "virtio-serial-pci"]
        args += ["-device", "virtserialport,chardev=fence,name=fence"]
    args += machine.devices
    if any(disk.serial for disk in machine.disks):
        args += ["-device", "virtio-scsi-pci,id=scsi"]
    for i, disk in enumerate(machine.disks):
        args += _disk_words(i, disk)
    for i, nic in enumerate(machine.nics):
        args += ["-netdev", f"stream,id=net{i},{unix_words(nic.port, server=False)}"]
        args += ["-device", f"virtio-net-pci,netdev=net{i},mac={nic.mac},romfile="]
    return tuple(args)


def _disk_words(index: int, disk: Disk) -> list[str]:
    drive = f"file={plain(disk.path)},format=raw,id=disk{index}"
    drive += f",snapshot={'off' if disk.keep else 'on'}"
    if not disk.serial:
        return ["-drive", f"{drive},if=virtio"]
    # Machines that share a disk lock nothing: the nodes' own lock manager is what is tested.
    device = f"scsi-hd,bus=scsi.0,drive=disk{index},serial={plain(disk.serial)},share-rw=on"
    if disk.wwn:
        device += f",wwn={disk.wwn:#x}"
    return ["-drive", f"{drive},if=none,file.locking=off", "-device", device]


def unix_words(path: HostPath, *, server: bool) -> str:
    """What follows `stream` in a `-netdev` over the unix socket `path`."""
    return f"server={'on' if server else 'off'},addr.type=unix,addr.path={plain(path)}"


def qmp_path(control: HostPath) -> HostPath:
    """Where the QMP socket of the machine with that `control` socket is."""
    return control.with_suffix(".qmp")


def fence_path(control: HostPath) -> HostPath:
    """Where the fence port of the machine with that `control` socket is."""
    return control.with_suffix(".fence")


def plain(value: HostPath | str) -> str:
    """`value` as part of a QEMU option, where a comma stands for itself when doubled."""
    return str(value).replace(",", ",,")


def join_initrds(parts: Sequence[HostPath], target: HostPath) -> HostPath:
    """Write `parts` one after the other to `target`, each at a multiple of 4 bytes.

    This is what a boot loader makes of several `initrd` lines.
    """
    with target.open("wb") as out:
        for part in parts:
            out.write(b"\0" * (-out.tell() % _INITRD_ALIGN))
            with part.open("rb") as source:
                shutil.copyfileobj(source, out, 1 << 20)
    return target


def wait_until(seconds: float, what: str, test: Callable[[], bool]) -> None:
    """Return as soon as `test()` holds; VerifyError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not test():
        if time.monotonic() > deadline:
            raise VerifyError(f"{what}: not within {seconds:.0f} s")
        time.sleep(POLL_S)


def spawn(args: Sequence[str], log: HostPath) -> subprocess.Popen[bytes]:
    """Start QEMU, its words in `log`; ToolError when it is not installed."""
    missing = [tool for tool in (args[0], "setpriv") if not shutil.which(tool)]
    if missing:
        package = _PACKAGES.get(args[0].removeprefix("qemu-system-"), "qemu-system")
        raise ToolError(
            f"{' and '.join(missing)}: not installed", hint=f"apt-get install {package} util-linux"
        )
    with log.open("wb") as out:
        return subprocess.Popen(
            ("setpriv", "--pdeathsig", "KILL", "--", *args),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )


class Vm:
    """A machine, running from when this is made; a context manager that ends it on the way out.

    `serial` is its console log in `folder`, kept. `control` is the socket of its second
    serial port; it lies in `sockets`, a short path, for a socket's name has 107 bytes at most.
    Raises ToolError when QEMU is not installed or gives up at once.
    """

    def __init__(self, machine: Machine, folder: HostPath, sockets: HostPath) -> None:
        self.machine = machine
        self.serial = folder / f"{machine.name}.serial"
        self.control = sockets / f"{machine.name}.control"
        self._qemu_log = folder / f"{machine.name}.qemu"
        self._process = self._start()
        try:
            wait_until(20, f"{machine.name}: QEMU's start", self._started)
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def _start(self) -> subprocess.Popen[bytes]:
        for old in (self.control, self.fence_port):
            old.unlink(missing_ok=True)
        self.serial.write_bytes(b"")
        return spawn(command(self.machine, self.serial, self.control), self._qemu_log)

    def _started(self) -> bool:
        if not self.alive:
            said = self._qemu_log.read_text(errors="replace").strip()
            raise ToolError(f"QEMU ended at once: {said}")
        return self.control.exists()

    @property
    def fence_port(self) -> HostPath:
        """The socket of its fence port, if it has one."""
        return fence_path(self.control)

    @property
    def alive(self) -> bool:
        """Whether the machine still runs."""
        return self._process.poll() is None

    def order(self, command: str, **arguments: object) -> None:
        """Have QEMU carry out a QMP command; VerifyError when it refuses or is gone.

        Source: QEMU's QMP reference (docs/interop/qemu-qmp-ref).
        """
        words = {"execute": command, "arguments": arguments}
        try:
            with socket.socket(socket.AF_UNIX) as channel:
                channel.settimeout(20)
                channel.connect(str(qmp_path(self.control)))
                with channel.makefile("rwb") as lines:
                    lines.readline()  # the greeting
                    for order in ({"execute": "qmp_capabilities"}, words):
                        lines.write(json.dumps(order).encode() + b"\n")
                        lines.flush()
                        answer = json.loads(lines.readline())
                        while "event" in answer:
                            answer = json.loads(lines.readline())
        except (OSError, ValueError) as error:
            raise VerifyError(f"{self.machine.name}: QEMU's monitor: {error}") from error
        if "error" in answer:
            raise VerifyError(f"{self.machine.name}: {command}: {answer['error']['desc']}")

    def set_link(self, card: int, up: bool) -> None:
        """Plug the cable of a network card in or pull it; cards count from 0."""
        self.order("set_link", name=f"net{card}", up=up)

    def kill(self) -> None:
        """End the machine as a power cut would; nothing when it has ended."""
        self._process.kill()
        self._process.wait(timeout=30)
        if self._qemu_log.exists() and not self._qemu_log.stat().st_size:
            self._qemu_log.unlink()

    def text(self) -> bytes:
        """What the machine has written to its console so far."""
        return self.serial.read_bytes()

    def wait_text(self, pattern: str, seconds: float) -> bytes:
        """Wait for a line with `pattern` on the console and return the line.

        VerifyError after `seconds`, or when the machine ends without it.
        """
        regex = re.compile(rb"[^\r\n]*" + pattern.encode() + rb"[^\r\n]*")
        found: list[bytes] = []

        def seen() -> bool:
            ended = not self.alive  # before the read: what was said last is then in it
            found.extend(regex.findall(self.text())[:1])
            if ended and not found:
                raise VerifyError(f"{self.machine.name} {self.fate()} without saying {pattern!r}")
            return bool(found)

        wait_until(seconds, f"{self.machine.name} says {pattern!r}", seen)
        return found[0]

    def wait_end(self, seconds: float) -> Ending:
        """Wait until the machine ends by itself; VerifyError after `seconds`."""
        wait_until(seconds, f"{self.machine.name} ends", lambda: not self.alive)
        return self.ending()

    def ending(self) -> Ending:
        """How the machine ended: what its kernel said, latest word first."""
        said = [(m.start(), end) for regex, end in _ENDINGS for m in regex.finditer(self.text())]
        panics = [end for _, end in said if end is Ending.PANIC]
        return panics[0] if panics else max(said, default=(0, Ending.KILLED), key=_position)[1]

    def fate(self) -> str:
        """How the machine ended, for people: with QEMU's own words when it had any."""
        said = self._qemu_log.read_text(errors="replace") if self._qemu_log.exists() else ""
        return f"{self.ending().value}{f' ({said.strip()})' if said.strip() else ''}"


def _position(found: tuple[int, Ending]) -> int:
    return found[0]
