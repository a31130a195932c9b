"""A shared root of files, and nodes that mount what is theirs on it in namespaces of their own.

The scripts run with the real mount(8) and the kernel's own mountinfo. Where the tests are not
root's, a user namespace lends the power to mount.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from support.shells import PROJECT, Machine

UNSHARE = (
    *("unshare", "--mount", "--propagation", "private"),
    *(() if os.geteuid() == 0 else ("--map-root-user",)),
)
PREPARE = 'sh -eu "$SR_PREPARE"\n'
APPLY = '. "$SR_LIB/hostfiles.sh"\nsr_hostfiles_apply "$SR_SYSROOT"\n'
_PROLOGUE = 'mount --bind "$SR_SHARED" "$SR_ROOT/sysroot" || exit 99\nexec "$@"\n'


def can_mount() -> bool:
    """Whether this machine lets the tests make a mount namespace."""
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


class Node:
    """The node `name`, number `number`, of `machine`, and the shared root that it mounts."""

    def __init__(
        self, machine: Machine, name: str = "n1", number: int = 1, root: Path | None = None
    ) -> None:
        self.machine = machine
        self.name = name
        self.root = root or machine.root / "sysroot"
        self.own = self.root / ".srbuild/nodes" / name
        self.run_dir = machine.run_dir
        (self.run_dir / "state/NODE_NAME").write_text(f"{name}\n")
        (self.run_dir / "state/NODE_ID").write_text(f"{number}\n")
        for fake in ("mount", "umount"):
            (machine.fakes / fake).unlink()
        proc = machine.root / "proc"
        (proc / "uptime").unlink()
        for folder in ("sys/kernel", "sys", "self", ""):
            (proc / folder).rmdir()
        proc.symlink_to("/proc")

    def peer(self, name: str, number: int) -> Node:
        """Another node with the same shared root."""
        return Node(Machine(self.machine.root / name, self.machine.shell), name, number, self.root)

    def write(self, path: str, text: str = "") -> Path:
        """Write a file of the shared root."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def command(self, text: str, prologue: str = "") -> list[str]:
        """The argv that runs `text`, the library loaded, before this node's view of the root."""
        script = f'. "$SR_HOME/lib/base.sh"\n{text}'
        start = f"{prologue}{_PROLOGUE}"
        return [*UNSHARE, "sh", "-c", start, "start", *self.machine.shell, "-eu", "-c", script]

    def environment(self, **options: str) -> dict[str, str]:
        """The environment of a boot script of the module, SR_LOCAL_* as `options` say."""
        given = {"add": "", "remove": "", "state": "shared-root", "state_device": "",
                 "state_size": "25%"} | options  # fmt: skip
        machine = self.machine
        return {
            "PATH": f"{machine.fakes}:{os.environ['PATH']}",
            "LC_ALL": "C",
            "SR_ROOT": str(machine.root),
            "SR_HOME": str(machine.home),
            "SR_SHARED": str(self.root),
            "SR_PREPARE": str(PROJECT / "modules/container/local/prepare.sh"),
            "SR_MODULE": "local",
            **{f"SR_LOCAL_{key.upper()}": value for key, value in given.items()},
        }

    def go(
        self, text: str, *, prologue: str = "", **options: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `text` with the library loaded, in a mount namespace that ends with it."""
        return subprocess.run(
            self.command(text, prologue), capture_output=True, text=True, timeout=120,
            env=self.environment(**options), check=False,
        )  # fmt: skip

    def prepare(self, **options: str) -> subprocess.CompletedProcess[str]:
        """Run the module's script for the point `local`."""
        return self.go(PREPARE, **options)

    @property
    def mounts(self) -> list[tuple[str, str, str]]:
        """What the script left to be mounted: kind, source, target."""
        lines = (self.run_dir / "local/mounts").read_text().splitlines()
        found = []
        for line in lines:
            kind, source, target = line.split("\t")
            found.append((kind, source, target))
        return found

    @property
    def targets(self) -> list[str]:
        """The targets of these."""
        return [target for _, _, target in self.mounts]

    @property
    def words(self) -> list[str]:
        """What the container's init is told."""
        return (self.run_dir / "local/init-words").read_text().split()

    def why(self) -> str:
        """What a failing script left for the summary."""
        path = self.run_dir / "why"
        return path.read_text() if path.exists() else ""


def debian(node: Node) -> None:
    """The shared root of a small Debian system with systemd."""
    for folder in ("proc", "sys", "dev", "run", "tmp", "var/log/nginx", "var/tmp", "var/cache/apt",
                   "var/lib/systemd", "etc/network/interfaces.d", "usr/lib/systemd"):  # fmt: skip
        (node.root / folder).mkdir(parents=True)
    (node.root / "tmp").chmod(0o1777)
    (node.root / "var/log/nginx").chmod(0o750)
    node.write("etc/os-release", 'NAME="Debian"\nID=debian\n')
    node.write("usr/lib/systemd/systemd", "")
    node.write("etc/hostname", "shared\n")
    node.write("etc/machine-id", "f" * 32 + "\n").chmod(0o444)
    node.write("etc/ssh/ssh_host_rsa_key", "key\n").chmod(0o600)
    node.write("etc/ssh/sshd_config", "shared\n")
    node.write("var/log/syslog", "shared\n")
    (node.root / "var/run").symlink_to("/run")
    (node.root / "var/lock").symlink_to("../run/lock")
    (node.root / "etc/mtab").symlink_to("../proc/self/mounts")


def ok(found: subprocess.CompletedProcess[str]) -> str:
    """What it said; it must have ended well."""
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout
