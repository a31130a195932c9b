"""A machine of files for the boot scripts: they run for real, under dash and under busybox ash.

`SR_ROOT` stands before every path that the scripts use. Commands that would touch the machine
are small fakes at the front of PATH that write down how they were called; the scripts run them
through timeout(1), so busybox' own applets don't get in between.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SHELLS = {"dash": ("dash",), "busybox": ("busybox", "ash")}


class Machine:
    """The files below `root`, and the shell that runs scripts there."""

    def __init__(self, root: Path, shell: Sequence[str]) -> None:
        self.root = root
        self.shell = tuple(shell)
        self.home = root / "usr/lib/srbuild"
        self.run_dir = root / "run/srbuild"
        self.fakes = root / "fakes"
        for folder in ("etc/srbuild/nodes.d", "etc/iscsi", "proc/self", "proc/sys/kernel",
                       "sys/class/net", "sys/devices", "dev", "sysroot", "run/srbuild/state",
                       "fakes", "usr/lib/srbuild"):  # fmt: skip
            (root / folder).mkdir(parents=True)
        (root / "proc/uptime").symlink_to("/proc/uptime")
        shutil.copytree(PROJECT / "hooks/lib", self.home / "lib")
        self.write(
            "usr/lib/srbuild/survive",
            "iscsid\nmultipathd\nsh\nlvmlockd\ncorosync\ndlm_controld\nudhcpc\n",
        )
        self.write("run/srbuild/cmdline", "")
        # The scripts call `sh`; here that is the shell under test.
        self.fake("sh", f'exec {" ".join(self.shell)} "$@"', record=False)
        for name in ("modprobe", "mount", "umount", "ip"):
            self.fake(name)

    def write(self, path: str, text: str) -> Path:
        """Write `text` to `path` below the root."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def fake(self, name: str, body: str = "", *, record: bool = True) -> None:
        """Make a command `name` that runs the shell text `body`."""
        note = f'echo "{name} $*" >>"{self.root}/calls"\n' if record else ""
        target = self.fakes / name
        target.write_text(f"#!/bin/sh\n{note}{body}\n")
        target.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """What the fakes were called with, in order."""
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def state(self, name: str) -> str | None:
        """The value that a script put under `name`."""
        path = self.run_dir / "state" / name
        return path.read_text().rstrip("\n") if path.exists() else None

    def note(self, name: str) -> str:
        """What a failing script left for the summary: why, hint or command."""
        path = self.run_dir / name
        return path.read_text().rstrip("\n") if path.exists() else ""

    def card(self, name: str, mac: str, *, link: bool = True) -> None:
        """A network card in sysfs."""
        self.write(f"sys/class/net/{name}/address", f"{mac}\n")
        self.write(f"sys/class/net/{name}/carrier", f"{int(link)}\n")
        (self.root / f"sys/class/net/{name}/device").mkdir()

    def run(
        self, *args: str, stdin: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the shell with `args` and, of the environment, nothing but `variables`."""
        env = {
            "PATH": f"{self.fakes}:{os.environ['PATH']}",
            "LC_ALL": "C",
            "SR_ROOT": str(self.root),
            "SR_HOME": str(self.home),
            "SR_RUN": str(self.run_dir),
            **variables,
        }
        return subprocess.run(
            [*self.shell, *args], input=stdin, capture_output=True, text=True, timeout=60,
            env=env, check=False,
        )  # fmt: skip

    def lib(
        self, text: str, *args: str, stdin: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `text` with the library loaded; `args` are its positional parameters."""
        script = f'. "$SR_HOME/lib/base.sh"\n{text}'
        return self.run("-eu", "-c", script, "test", *args, stdin=stdin, **variables)

    def module(
        self, module: str, script: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the script of the boot module `module` ("block/iscsi") with its options' values."""
        path = PROJECT / "modules" / module / script
        name = module.split("/")[1]
        return self.run("-eu", str(path), SR_MODULE=name, **variables)
