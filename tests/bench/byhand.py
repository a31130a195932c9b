"""A minimal initramfs for one stack, made by hand: the floor that a boot is measured against.

It carries the kernel modules of that one machine and loads them by insmod in order, has one
static address, asks nothing and checks nothing.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from srbuild.formats.cpio import CpioWriter
from srbuild.formats.elf import read_elf
from srbuild.host.sysroot import Sysroot
from srbuild.paths import SysrootPath

LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64")
ADDRESS = "10.9.0.21/24"
ROOT_MODE = 0o755
FOLDER, FILE = 0o040000, 0o100000


@dataclass(frozen=True, slots=True)
class Stack:
    """What to boot from: the kernel modules and programs that it takes, and the shell commands
    that mount the root on /sysroot once the network is up.
    """

    kmods: tuple[str, ...]
    programs: tuple[str, ...]
    mount: str


INIT = """\
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
read -r begin _ </proc/uptime
/bin/busybox --install -s /bin
export PATH=/bin
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
{insmods}
ip link set lo up
ip link set eth0 up
ip addr add {address} dev eth0
{mount}
read -r end _ </proc/uptime
echo "bench: init at $begin, root mounted at $end"
dmesg | grep -e 'npack.* initramfs' -e 'Freeing initrd'
grep ' /sysroot ' /proc/mounts && echo "bench: done"
umount /sysroot
poweroff -f
"""


def kmod_files(root: Path, version: str, kmods: tuple[str, ...]) -> tuple[Path, ...]:
    """The files of `kmods` and all that they need, in the order in which to load them.

    kmod's own tool knows it: `modprobe --show-depends` says one `insmod FILE` a line.
    """
    found: dict[Path, None] = {}
    for name in kmods:
        argv = ["modprobe", "-d", str(root), "-S", version, "--show-depends", name]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)
        for line in done.stdout.splitlines():
            verb, _, path = line.strip().partition(" ")
            if verb == "insmod":
                found[Path(path.split()[0])] = None
    return tuple(found)


def libraries(root: Sysroot, program: SysrootPath) -> dict[str, bytes]:
    """The loader and all libraries that `program` is linked with: place in the image to content."""
    found: dict[str, bytes] = {}
    waiting = [program]
    while waiting:
        facts = read_elf(root.read(waiting.pop()))
        if facts is None:
            continue
        names = [*facts.needed, *([facts.interp] if facts.interp else [])]
        for name in names:
            place = _library(root, name)
            if place not in found:
                found[place] = root.read(SysrootPath(f"/{place}"))
                waiting.append(SysrootPath(f"/{place}"))
    return found


def _library(root: Sysroot, name: str) -> str:
    candidates = [name.strip("/")] if "/" in name else [f"{folder}/{name}" for folder in LIBRARIES]
    return next(path for path in candidates if root.exists(SysrootPath(f"/{path}")))


def write_image(target: Path, root: Path, version: str, stack: Stack) -> Path:
    """Write the initramfs for `stack`, of the files of the sysroot `root`, uncompressed."""
    sysroot = Sysroot(root)
    kmods = kmod_files(root, version, stack.kmods)
    files = {"bin/busybox": sysroot.read(SysrootPath("/bin/busybox"))}
    for program in stack.programs:
        files[f"bin/{Path(program).name}"] = sysroot.read(SysrootPath(program))
        files.update(libraries(sysroot, SysrootPath(program)))
    files.update({f"kmods/{path.name}": path.read_bytes() for path in kmods})
    insmods = "\n".join(f"insmod /kmods/{path.name}" for path in kmods)
    files["init"] = INIT.format(insmods=insmods, address=ADDRESS, mount=stack.mount).encode()
    folders = {"proc", "sys", "dev", "sysroot", "run", "etc"}
    for name in files:
        folders.update(str(parent) for parent in Path(name).parents if str(parent) != ".")
    with target.open("wb") as out:
        archive = CpioWriter(out.write)
        for folder in sorted(folders):
            archive.add(folder.encode(), FOLDER | ROOT_MODE)
        for name, data in sorted(files.items()):
            archive.add(name.encode(), FILE | ROOT_MODE, size=len(data))
            archive.write(data)
        archive.close()
    return target
