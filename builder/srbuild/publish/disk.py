"""A disk that starts by itself: a GUID partition table and an EFI system partition with all on it.

The partition holds a boot loader as removable media have it (UEFI specification, 3.5.1.1), and
for each kernel an entry of the UAPI Group's Boot Loader Specification (type 1), all with the one
image. sfdisk and mtools write it: no root is needed and nothing is mounted.
"""

from __future__ import annotations

import hashlib
import os
import struct
import uuid
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from srbuild.errors import MissingInputError, Origin, SrbuildError, VerifyError
from srbuild.frozen import frozen
from srbuild.host.files import Draft
from srbuild.host.sysroot import Sysroot
from srbuild.host.tool import find_tool, run
from srbuild.paths import HostPath, SysrootPath
from srbuild.publish.digest import size_and_sha256
from srbuild.publish.uki import plain

TOOLS = ("sfdisk", "mformat", "mmd", "mcopy", "mtype")
MACHINES: Final = {0x8664: "x64", 0xAA64: "aa64"}
"""A PE file's machine (PE format, "Machine Types") → what UEFI calls it in names of files."""

LABEL = "SRBUILD"
_IMAGE = "srbuild/initrd"
MENU_SECONDS = 3
_MIB = 1 << 20
_SECTOR = 512
_FIRST = _MIB  # where the partition begins, and what is left behind it for the table's copy
_LEAST = 64 * _MIB  # below 33 MiB there is no FAT32, which the UEFI specification wants
_SECONDS = 600  # for copies of at most some hundred MiB
_FAT_EPOCH = 315532800  # 1980: FAT knows no earlier time
_ENVIRONMENT = {"MTOOLSRC": "/dev/null", "TZ": "UTC"}
_NAMES = uuid.UUID("5a3f9c1e-6f0b-4a57-9d0a-2f6d3b1d8c47")


@frozen
class DiskParts:
    """What goes onto the disk.

    `kernels` maps versions to files; `image` is the finished image for all of them, `loader` an
    EFI program that reads the entries, `cmdline` the words of each. `mtime` is in seconds since
    1970; `secret` makes the disk its owner's only.
    """

    image: HostPath
    kernels: dict[str, HostPath]
    loader: HostPath
    name: str
    cmdline: str
    mtime: int
    secret: bool = False


def check_tools() -> None:
    """Raise ToolError, naming the package, for a tool that is missing: before a long build."""
    for tool in TOOLS:
        find_tool(tool)


def find_loader(sysroot: Sysroot) -> HostPath:
    """systemd-boot of the sysroot; MissingInputError when it has none."""
    for name in MACHINES.values():
        path = SysrootPath(f"/usr/lib/systemd/boot/efi/systemd-boot{name}.efi")
        if sysroot.is_file(path):
            return HostPath(sysroot.host(sysroot.resolve(path).path))
    raise MissingInputError(
        f"no boot loader in {sysroot.root}: no /usr/lib/systemd/boot/efi/systemd-boot*.efi",
        "install systemd-boot-efi there (Debian; of the RHEL family systemd-boot-unsigned), or "
        "name one that reads Boot Loader Specification entries: --boot-loader FILE",
    )


def write_disk(parts: DiskParts, target: HostPath) -> int:
    """Make the raw disk `target` of `parts`, replaced by the verified one only; its size in bytes.

    Half of the partition is left free for the next kernel and image. The same parts give the
    same bytes. Raises ToolError for sfdisk and mtools, MissingInputError for a loader that is no
    EFI program, VerifyError when the disk does not hold what was copied, SrbuildError for the
    folder and the disk space.
    """
    check_tools()
    files = dict(_files(parts))
    known = {name: _size_and_sha256(content) for name, content in files.items()}
    # What makes this disk another than others: not chance, so that a build can be repeated.
    identity = uuid.uuid5(_NAMES, f"{known[_IMAGE][1]} {parts.cmdline}")
    partition = _partition_size(sum(length for length, _ in known.values()))
    size = _FIRST + partition + _FIRST
    with Draft(target, secret=parts.secret) as draft:
        _reserve(draft, size, target)
        _partition(draft.path, partition, identity)
        _fill(draft.path, partition, files, identity, parts.mtime)
        _verify(draft.path, known)
        draft.commit()
    return size


def _files(parts: DiskParts) -> Iterator[tuple[str, HostPath | bytes]]:
    """Path on the partition → a file of the host, or its content."""
    yield f"EFI/BOOT/BOOT{_machine(parts.loader).upper()}.EFI", parts.loader
    yield "loader/loader.conf", f"timeout {MENU_SECONDS}\ndefault srbuild-*\n".encode()
    yield _IMAGE, parts.image
    for version, kernel in parts.kernels.items():
        yield f"srbuild/{version}/linux", kernel
        rows = {
            "title": f"{plain(parts.name)} ({version})",
            "version": version,
            "sort-key": "srbuild",
            "linux": f"/srbuild/{version}/linux",
            "initrd": f"/{_IMAGE}",
            "options": parts.cmdline,
        }
        text = "".join(f"{key} {value}\n" for key, value in rows.items() if value)
        yield f"loader/entries/srbuild-{version}.conf", text.encode()


def _machine(loader: HostPath) -> str:
    """What the EFI program `loader` is for: e_lfanew at 0x3c leads to the PE header."""
    problem = "it is no PE file"
    try:
        with loader.open("rb") as file:
            head = file.read(4096)
        (start,) = struct.unpack_from("<I", head, 0x3C)
        signature, machine = struct.unpack_from("<4sH", head, start)
        if head[:2] == b"MZ" and signature == b"PE\0\0":
            problem = f"it is for the machine {machine:#x}"
            if machine in MACHINES:
                return MACHINES[machine]
    except OSError as error:
        problem = error.strerror or str(error)
    except struct.error:
        pass
    raise MissingInputError(
        f"{loader} is no boot loader for UEFI: {problem}",
        "systemd-boot is one: systemd-bootx64.efi, systemd-bootaa64.efi",
        Origin("--boot-loader"),
    )


def _partition_size(content: int) -> int:
    return max(_LEAST, -(-2 * content // _LEAST) * _LEAST)


def _reserve(draft: Draft, size: int, target: HostPath) -> None:
    try:
        os.ftruncate(draft.fd, size)
    except OSError as error:
        raise SrbuildError(f"cannot write {target}: {error.strerror}") from error


def _partition(path: HostPath, size: int, identity: uuid.UUID) -> None:
    script = (
        f"label: gpt\nlabel-id: {identity}\n"
        f"start={_FIRST // _SECTOR}, size={size // _SECTOR}, type=uefi, "
        f'name="{LABEL.lower()}", uuid={uuid.uuid5(identity, "esp")}\n'
    )
    run(("sfdisk", "--quiet", str(path)), timeout=_SECONDS, input=script.encode())


def _fill(
    path: HostPath,
    size: int,
    files: dict[str, HostPath | bytes],
    identity: uuid.UUID,
    mtime: int,
) -> None:
    """Make the file system, its folders and its files."""
    image = f"{path}@@{_FIRST}"
    # With a time that is given, mtools stamps all with it.
    env = {**_ENVIRONMENT, "SOURCE_DATE_EPOCH": str(max(mtime, _FAT_EPOCH))}
    serial = f"{identity.fields[0]:08x}"
    sectors = str(size // _SECTOR)
    hidden = str(_FIRST // _SECTOR)
    words = ("-F", "-T", sectors, "-H", hidden, "-N", serial, "-v", LABEL)
    run(("mformat", "-i", image, *words, "::"), timeout=_SECONDS, env=env)
    folders = {parent for name in files for parent in PurePosixPath(name).parents}
    for folder in sorted(str(folder) for folder in folders if str(folder) != "."):
        run(("mmd", "-i", image, f"::/{folder}"), timeout=_SECONDS, env=env)
    for name, content in files.items():
        source, data = ("-", content) if isinstance(content, bytes) else (str(content), b"")
        command = ("mcopy", "-i", image, source, f"::/{name}")
        run(command, timeout=_SECONDS, env=env, input=data)


def _verify(path: HostPath, known: dict[str, tuple[int, str]]) -> None:
    """Compare the size and sha256 of each file on the partition with what was copied there."""
    for name, wanted in known.items():
        command = ("mtype", "-i", f"{path}@@{_FIRST}", f"::/{name}")
        found = run(command, timeout=_SECONDS, env=_ENVIRONMENT).stdout
        if (len(found), hashlib.sha256(found).hexdigest()) != wanted:
            raise VerifyError(f"{name} on the disk is not what was copied there")


def _size_and_sha256(content: HostPath | bytes) -> tuple[int, str]:
    if isinstance(content, bytes):
        return len(content), hashlib.sha256(content).hexdigest()
    return size_and_sha256(content)
