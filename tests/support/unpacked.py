"""Images unpacked into a folder, for what only a root tree of the finished image can tell."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from srbuild.formats.elf import ET_DYN, ET_EXEC, ElfInfo, read_elf
from srbuild.formats.segments import open_segment, split_image

CLONE_NEWUSER = 0x10000000


def unpack(image: Path, root: Path) -> Path:
    """Unpack all segments as bsdtar reads them, but for device nodes, which need privilege."""
    root.mkdir(parents=True)
    command = ["bsdtar", "-x", "-f", "-", "-C", str(root), "--exclude", "dev/*"]
    with image.open("rb") as file:
        for segment in split_image(file):
            data = open_segment(file, segment).read()
            subprocess.run(command, input=data, check=True, timeout=120)
    return root


def elf_files(root: Path) -> Iterator[tuple[str, ElfInfo]]:
    """The programs and libraries below `root`: path from there on, and facts."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                info = read_elf(file)
            if info and info.type in (ET_EXEC, ET_DYN):
                yield f"/{path.relative_to(root)}", info


def enter(root: Path) -> Callable[[], None]:
    """What a child process does to have `root` as its root; without privilege in a namespace."""

    def change_root() -> None:
        if os.geteuid() != 0 and ctypes.CDLL(None).unshare(CLONE_NEWUSER) != 0:
            raise OSError("no user namespace for chroot; run the tests as root")
        os.chroot(root)
        os.chdir("/")

    return change_root


def run_inside(root: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the tree in the tree, with nothing in its environment."""
    return subprocess.run(
        argv,
        env={"PATH": "/usr/sbin:/usr/bin"},
        preexec_fn=enter(root),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def listed(root: Path, loader: str, path: str) -> tuple[set[str], list[str]]:
    """(Paths that the tree's own loader maps for the file at `path`, what it does not find)."""
    done = run_inside(root, loader, "--list", path)
    missing = re.findall(r"^\t(\S+) => not found", done.stdout, re.MULTILINE)
    if done.returncode and not missing:
        missing = [done.stderr.strip() or "?"]
    return set(re.findall(r"(/\S+) \(0x", done.stdout)), missing
