"""A disk that starts by itself: what sfdisk and mtools read back, and what is refused."""

from __future__ import annotations

import json
import os
import resource
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from srbuild.errors import MissingInputError, SrbuildError, ToolError, UsageError, VerifyError
from srbuild.host.sysroot import Sysroot
from srbuild.publish import disk as subject
from srbuild.publish.disk import DiskParts, find_loader, write_disk
from support.commands import SRBUILD
from support.loaders import make_loader

START = 1 << 20  # of the partition, in bytes
VERSIONS = ("5.10.0-1-amd64", "6.1.0-56-amd64")


def parts(folder: Path, cmdline: str = "console=ttyS0 quiet", mtime: int = 0) -> DiskParts:
    image = folder / "image"
    image.write_bytes(b"an image " * 9999)
    kernels = {}
    for version in VERSIONS:
        kernels[version] = folder / f"kernel {version}"
        kernels[version].write_bytes(version.encode() * 777)
    loader = make_loader(folder / "loader.efi")
    return DiskParts(image, kernels, loader, "lab", cmdline, mtime)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/x.img").write_text("previous")
    return tmp_path / "out/x.img"


def read(disk: Path, name: str) -> bytes:
    argv = ("mtype", "-i", f"{disk}@@{START}", f"::/{name}")
    return subprocess.run(argv, check=True, capture_output=True).stdout


def listed(disk: Path) -> set[str]:
    argv = ("mdir", "-/", "-b", "-i", f"{disk}@@{START}", "::")
    found = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()
    return {name.removeprefix("::/") for name in found if not name.endswith("/")}


def srbuild(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (SRBUILD, *argv), capture_output=True, text=True, timeout=300, check=False
    )


def table(disk: Path) -> dict[str, Any]:
    argv = (shutil.which("sfdisk") or "/sbin/sfdisk", "--json", str(disk))
    done = subprocess.run(argv, check=True, capture_output=True).stdout
    found: dict[str, Any] = json.loads(done)["partitiontable"]
    return found


def test_what_is_on_it(tmp_path: Path, target: Path) -> None:
    given = parts(tmp_path)
    assert write_disk(given, target) == target.stat().st_size
    found = table(target)
    assert found["label"] == "gpt"
    [partition] = found["partitions"]
    # The type is that of the UEFI specification, 5.3.3.
    assert partition["type"] == "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
    assert partition["start"] * 512 == START
    assert listed(target) == {
        "EFI/BOOT/BOOTX64.EFI",
        "loader/loader.conf",
        "srbuild/initrd",
        *(f"srbuild/{version}/linux" for version in VERSIONS),
        *(f"loader/entries/srbuild-{version}.conf" for version in VERSIONS),
    }
    assert read(target, "EFI/BOOT/BOOTX64.EFI") == given.loader.read_bytes()
    assert read(target, "srbuild/initrd") == given.image.read_bytes()
    for version in VERSIONS:
        assert read(target, f"srbuild/{version}/linux") == given.kernels[version].read_bytes()
        assert read(target, f"loader/entries/srbuild-{version}.conf").decode() == (
            f"title lab ({version})\nversion {version}\nsort-key srbuild\n"
            f"linux /srbuild/{version}/linux\ninitrd /srbuild/initrd\n"
            "options console=ttyS0 quiet\n"
        )
    assert read(target, "loader/loader.conf") == b"timeout 3\ndefault srbuild-*\n"


def test_the_file_system_is_a_sound_fat32_with_room(tmp_path: Path, target: Path) -> None:
    given = parts(tmp_path)
    given.image.write_bytes(os.urandom(50 << 20))
    write_disk(given, target)
    [partition] = table(target)["partitions"]
    data = target.read_bytes()[START : START + partition["size"] * 512]
    assert data[82:90] == b"FAT32   "
    assert int.from_bytes(data[32:36], "little") == partition["size"]
    assert int.from_bytes(data[28:32], "little") == partition["start"]
    argv = ("mdir", "-i", f"{target}@@{START}", "::")
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    free = said.rstrip().splitlines()[-1]
    assert int("".join(filter(str.isdigit, free))) > 50 << 20
    assert target.stat().st_blocks * 512 < 60 << 20, "the rest is a hole"


@pytest.mark.parametrize("mtime", [0, 1_700_000_000])
def test_the_same_parts_give_the_same_bytes(tmp_path: Path, target: Path, mtime: int) -> None:
    given = parts(tmp_path, mtime=mtime)
    write_disk(given, target)
    first = target.read_bytes()
    write_disk(given, tmp_path / "again.img")
    assert (tmp_path / "again.img").read_bytes() == first
    write_disk(replace(given, cmdline="other"), tmp_path / "other.img")
    assert table(tmp_path / "other.img")["id"] != table(target)["id"]


def test_without_words_the_entry_has_none(tmp_path: Path, target: Path) -> None:
    write_disk(parts(tmp_path, ""), target)
    assert b"options" not in read(target, f"loader/entries/srbuild-{VERSIONS[0]}.conf")


def test_a_name_makes_no_line_of_its_own(tmp_path: Path, target: Path) -> None:
    write_disk(replace(parts(tmp_path, ""), name="lab\noptions init=/bin/sh"), target)
    entry = read(target, f"loader/entries/srbuild-{VERSIONS[0]}.conf").decode()
    assert entry.startswith(f"title lab_options init__bin_sh ({VERSIONS[0]})\n")
    assert "\noptions" not in entry


@pytest.mark.parametrize(("secret", "mode"), [(True, 0o600), (False, 0o644)])
def test_secrets_are_their_owners(tmp_path: Path, target: Path, secret: bool, mode: int) -> None:
    target.chmod(0o644)
    os.umask(0o022)
    write_disk(replace(parts(tmp_path), secret=secret), target)
    assert stat.S_IMODE(target.stat().st_mode) == mode


def test_arm64_has_another_name(tmp_path: Path, target: Path) -> None:
    loader = make_loader(tmp_path / "arm.efi", 0xAA64)
    write_disk(replace(parts(tmp_path), loader=loader), target)
    assert "EFI/BOOT/BOOTAA64.EFI" in listed(target)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "it is no PE file"),
        (b"MZ" + bytes(200), "it is no PE file"),
        (b"MZ" + b"\xff" * 200, "it is no PE file"),
        (b"\x7fELF" + bytes(200), "it is no PE file"),
        (None, "No such file or directory"),
    ],
)
def test_what_is_no_loader_is_named(
    tmp_path: Path, target: Path, content: bytes | None, part: str
) -> None:
    loader = tmp_path / "bad.efi"
    if content is not None:
        loader.write_bytes(content)
    with pytest.raises(MissingInputError, match=part) as raised:
        write_disk(replace(parts(tmp_path), loader=loader), target)
    assert "systemd-bootx64.efi" in raised.value.hint
    assert target.read_text() == "previous"


def test_a_loader_for_another_machine_is_named(tmp_path: Path, target: Path) -> None:
    loader = make_loader(tmp_path / "ia32.efi", 0x14C)
    with pytest.raises(MissingInputError, match="it is for the machine 0x14c"):
        write_disk(replace(parts(tmp_path), loader=loader), target)


@pytest.mark.parametrize("tool", ["sfdisk", "mcopy"])
def test_a_missing_tool_names_its_package(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in subject.TOOLS:
        if name != tool:
            (folder / name).symlink_to(shutil.which(name) or f"/sbin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("srbuild.host.tool.SBIN", ())
    with pytest.raises(ToolError) as raised:
        write_disk(parts(tmp_path), target)
    package = {"sfdisk": "fdisk", "mcopy": "mtools"}[tool]
    assert raised.value.hint.endswith(f"apt-get install {package}")
    assert target.read_text() == "previous"


def test_what_mcopy_spoils_is_noticed(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    real = shutil.which("mcopy")
    script = f'#!/bin/sh\ncase "$*" in *initrd*) head -c 9 | {real} -i "$2" - "$4" ;; '
    (folder / "mcopy").write_text(f'{script}*) exec {real} "$@" ;; esac\n')
    (folder / "mcopy").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    with pytest.raises(VerifyError, match="srbuild/initrd"):
        write_disk(parts(tmp_path), target)
    assert target.read_text() == "previous"
    assert [path.name for path in target.parent.iterdir()] == ["x.img"]


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_is_said(tmp_path: Path, target: Path) -> None:
    given = parts(tmp_path)
    with no_file_larger_than(1 << 20), pytest.raises(SrbuildError, match=r"cannot write .*x\.img"):
        write_disk(given, target)
    assert target.read_text() == "previous"


def test_the_loader_of_the_sysroot(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no boot loader in") as raised:
        find_loader(Sysroot(tmp_path))
    assert "systemd-boot-efi" in raised.value.hint
    path = make_loader(tmp_path / "usr/lib/systemd/boot/efi/systemd-bootaa64.efi", 0xAA64)
    assert find_loader(Sysroot(tmp_path)) == path


# --- the command ------------------------------------------------------------------------


def test_the_command_makes_one_of_a_tree(sysroot: Path, tmp_path: Path) -> None:
    loader = make_loader(tmp_path / "loader.efi")
    words = ("--sysroot", sysroot, "--no-cache", "--kmod", "virtio_blk", "--cmdline", " quiet  ro ")
    done = srbuild("bootstrap", *words, "--boot-loader", loader, "-o", tmp_path / "b.img", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["shape"] == "disk"
    assert said["size"] == (tmp_path / "b.img").stat().st_size
    [version] = said["kernels"]
    assert b"options quiet ro\n" in read(
        tmp_path / "b.img", f"loader/entries/srbuild-{version}.conf"
    )
    made = srbuild("build", *words[:5], "-o", tmp_path / "same.img")
    assert made.returncode == 0, made.stderr
    assert read(tmp_path / "b.img", "srbuild/initrd") == (tmp_path / "same.img").read_bytes()


@pytest.mark.parametrize("option", ["--cmdline", "--boot-loader"])
def test_words_for_a_disk_are_refused_for_others(tmp_path: Path, option: str) -> None:
    done = srbuild("bootstrap", option, "x", "-o", tmp_path / "b.tar")
    assert done.returncode == UsageError.exit_code
    assert f"{option} is for a disk" in done.stderr
