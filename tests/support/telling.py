"""An image that tells on its console what it was started with and what it holds, and stays."""

from __future__ import annotations

import re
from pathlib import Path

from srbuild.lab.qemu import Vm

BOOT = 300  # seconds from start to the last word
CLUSTER = """\
name = "lab"
[[node]]
name = "n1"
id = 1
mac = ["52:54:00:00:00:01"]
"""
MODULE = """\
name = "tell"
kind = "base"
summary = "Say what the system was started with, and stay"
requires = ["core"]
[run]
handover = {script = "tell.sh", timeout = 300}
"""
SCRIPT = """\
#!/bin/sh
set -eu
{
    sed 's/^/told: cmdline /' /proc/cmdline
    sed "s/^/told: mount /" /proc/mounts
    sed "s/^/told: word /" /run/srbuild/cmdline
    find / -xdev -type f -exec sha256sum {} + | sed 's/^/told: file /'
    echo "told: all"
} >/dev/console
read -r _ </dev/ttyS1
"""


def telling(folder: Path, sysroot: Path) -> list[str]:
    """Options of `srbuild build`, run in `folder`, for such an image."""
    module = folder / "modules/base/tell"
    module.mkdir(parents=True)
    (module / "module.toml").write_text(MODULE)
    (module / "tell.sh").write_text(SCRIPT)
    (folder / "cluster.toml").write_text(CLUSTER)
    argv = ["--module", "tell", "--module-path", "modules", "--sysroot", str(sysroot)]
    return [*argv, "--cluster", "cluster.toml", "--no-cache"]


def tell(vm: Vm) -> tuple[str, dict[str, str]]:
    """The command line and every file's digest that the system tells."""
    vm.wait_text("told: all", BOOT)
    said = vm.text().decode(errors="replace").replace("\r", "")
    [cmdline] = re.findall(r"^told: cmdline (.*)$", said, re.MULTILINE)
    files = re.findall(r"^told: file ([0-9a-f]{64})  (.*)$", said, re.MULTILINE)
    return cmdline, {name: digest for digest, name in files}
