"""VMFS volumes that the lab writes, judged by vmfs-tools of the tree that `make test` makes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Protocol

import pytest

from srbuild.lab.vmfs import MIB, write_vmfs


class Tool(Protocol):
    def __call__(self, name: str, *words: str | Path) -> subprocess.CompletedProcess[bytes]: ...


@pytest.fixture
def tool(sysroot: Path) -> Tool:
    """Run a program of the sysroot with the sysroot's own loader and libraries."""

    def run(name: str, *words: str | Path) -> subprocess.CompletedProcess[bytes]:
        [loader] = sysroot.glob("lib/*/ld-linux*.so.*")
        libraries = f"{loader.parent}:{sysroot}/usr/lib/{loader.parent.name}"
        program = sysroot / "usr/sbin" / name
        command = [loader, "--library-path", libraries, program, *words]
        for _ in range(3):  # on a busy machine programs were seen to say nothing, with status 0
            done = subprocess.run(command, capture_output=True, timeout=60, check=False)
            if done.stdout:
                break
        return done

    return run


@pytest.mark.parametrize("version", [3, 5])
def test_vmfs_tools_agree(tmp_path: Path, tool: Tool, version: int) -> None:
    tree = tmp_path / "tree"
    (tree / "sub/deep").mkdir(parents=True)
    (tree / "sub/run.sh").write_text("#!/bin/sh\n")
    (tree / "sub/run.sh").chmod(0o750)
    (tree / "link").symlink_to("sub/deep")
    big = os.urandom(3 * MIB + 17)
    for number in range(450):  # more inodes than one bitmap entry counts
        (tree / f"sub/deep/{number}").touch()
    target = tmp_path / "volume"
    write_vmfs(target, {"/": tree, "/vm/big": big, "/vm/hole": bytes(2 * MIB)}, version)
    checked = tool("fsck.vmfs", target).stdout.decode()
    for line in ("Lost blocks        : 0", "Orphaned inodes    : 0", "Directory errors   : 0"):
        assert line in checked
    assert b"Total errors: 0" in tool("debugvmfs", target, "check_vol_bitmaps").stdout
    assert tool("debugvmfs", target, "cat", "/vm/big").stdout == big
    assert tool("debugvmfs", target, "cat", "/vm/hole").stdout == bytes(2 * MIB)
    listed = tool("debugvmfs", target, "ls", "-l", "/sub").stdout.decode()
    assert "-rwxr-x---" in listed
    assert "450" not in listed
    assert tool("debugvmfs", target, "ls", "/link").stdout.count(b"\n") >= 450


def test_what_vmfs_has_no_place_for(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.touch()
    os.truncate(large, 256 * MIB + 1)
    with pytest.raises(ValueError, match="larger than 256 MiB"):
        write_vmfs(tmp_path / "volume", {"/x": large})
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="neither file nor directory"):
        write_vmfs(tmp_path / "volume", {"/x": tmp_path / "pipe"})
