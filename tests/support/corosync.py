"""The real corosync as a judge of its configuration."""

from __future__ import annotations

import subprocess
from pathlib import Path


def corosync_test(sysroot: Path, conf: Path) -> subprocess.CompletedProcess[str]:
    """`corosync -t` of the sysroot: does it take the file?"""
    folders = [*sysroot.glob("usr/lib/*-linux-gnu"), *sysroot.glob("lib/*-linux-gnu")]
    loaders = [path for f in folders for path in f.glob("ld-linux-*.so.*")]
    paths = ":".join(map(str, folders))
    command = [loaders[0], "--library-path", paths, sysroot / "usr/sbin/corosync"]
    return subprocess.run(
        [*command, "-t", "-c", conf], capture_output=True, text=True, timeout=60, check=False
    )
