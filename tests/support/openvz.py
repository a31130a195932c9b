"""A machine with vzctl, whose double (lab/vzctl) refuses what the real one refuses."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator

from support.shells import PROJECT, Machine

CONF = (
    'VE_ROOT="/vz/root/$VEID"\nVE_PRIVATE="/vz/private/$VEID"\nVE_LAYOUT="simfs"\n'
    'LOCAL_UID="0"\nLOCAL_GID="0"\nHOSTNAME="n1"\nPHYSPAGES="0:512M"\nNAMESERVER="inherit"\n'
)
VZCTL = PROJECT / "builder/srbuild/lab/vzctl/usr/sbin/vzctl"
KERNEL = PROJECT / "tests/support/vzkernel.sh"
INIT = "#!/bin/sh\ntrap 'exit 0' USR2\n: >\"$SR_ROOT/begun\"\nwhile :; do sleep 0.1; done\n"
# In place of setpriv(1) and all that takes a command into the container: it runs here, but halt.
CONFINED = """#!/bin/sh
printf '%s\\n' "$*" >>"$SR_ROOT/confined"
while [ "$1" != /bin/sh ]; do shift; done
shift 4
[ "$1" != halt ] || exec kill -USR2 "$(cat "$SR_ROOT/var/lib/vzctl/vepid/101")"
exec "$@"
"""
SCRIPT = "usr/libexec/vzctl/scripts/vps-netns_dev_add"


class Node:
    """A machine with vzctl and a shared root; its private area is a link in place of a bind."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        if os.geteuid():
            # vzctl refuses a shared root that is not root's.
            machine.shell = ("unshare", "--map-root-user", *machine.shell)
        self.home = machine.home / "modules/openvz"
        shutil.copytree(PROJECT / "modules/container/openvz", self.home)
        (machine.home / "modules/supervisor").mkdir(parents=True)
        machine.fake(
            "vzctl", f'VZ_ROOT="{machine.root}" VZ_KERNEL="{KERNEL}" exec sh "{VZCTL}" "$@"'
        )
        machine.fake("chroot", 'shift; exec "$@"', record=False)
        machine.fake("nsenter", '[ ! -e "$SR_ROOT/begun" ] || exit 1', record=False)
        machine.write("usr/bin/setpriv", CONFINED).chmod(0o755)
        traced = "sys/kernel/tracing/instances/srbuild/events/syscalls"
        for folder in ("etc/vz/conf", "etc/vz/dists/scripts", "vz/private", "vz/lock",
                       "sysroot/sbin", "sysroot/dev", "sysroot/proc", "sysroot/sys",
                       "sysroot/run", "var/lib/vzctl/vepid", "sys/fs/cgroup",
                       "sys/kernel/tracing/events/syscalls/sys_enter_reboot",
                       f"{traced}/sys_enter_reboot",
                       f"{traced}/sys_exit_reboot"):  # fmt: skip
            (machine.root / folder).mkdir(parents=True, exist_ok=True)
        (machine.root / "vz/private/101").symlink_to(machine.root / "sysroot")
        init = machine.write("sysroot/sbin/init", INIT)
        init.chmod(0o755)
        machine.write("sysroot/bin/sh", "").chmod(0o755)
        machine.write("etc/vz/vz.conf", "VE_ROOT=/vz/root/$VEID\n")
        machine.write("etc/vz/dists/default", "")
        machine.write("etc/resolv.conf", "nameserver 10.9.0.1\n")
        machine.write("etc/srbuild/ct.conf", CONF)
        machine.write("proc/mounts", f"tmpfs {machine.root}/sys/fs/cgroup tmpfs rw 0 0\n")
        machine.write("proc/self/mountinfo", f"22 1 0:20 / {machine.root}/sysroot rw - gfs2 x rw\n")
        machine.write("proc/cgroups", "#subsys_name hierarchy num_cgroups enabled\nmemory 0 1 1\n")
        machine.write("usr/lib/srbuild/options", "")
        machine.write("run/srbuild/values", "")

    def run(self, script: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        given = {
            "CTID": "101",
            "PRIVATE": "",
            "ROOT": "",
            "GENERATION": "auto",
            "START_SECONDS": "20",
        }
        options = {f"SR_OPENVZ_{name}": value for name, value in given.items()}
        options |= {"SR_VE_IP_ADDRESS": "", "SR_VE_NETIF": "", "SR_MODULE": "openvz"}
        return self.machine.run("-eu", str(self.home / script), *words, **(options | variables))

    def verb(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("runtime.sh", *words)

    def begin(self) -> int:
        """Hand over and start; the process id of the container's init."""
        for found in (self.run("handover.sh"), self.verb("start")):
            assert found.returncode == 0, found.stderr
        return int((self.machine.run_dir / "openvz/init").read_text().split()[0])

    def trace(self, *lines: str) -> None:
        path = "sys/kernel/tracing/instances/srbuild/trace"
        self.machine.write(path, "# tracer: nop\n" + "".join(f"{line}\n" for line in lines))


def running(machine: Machine) -> Iterator[Node]:
    """A node, whose container is ended with it."""
    made = Node(machine)
    yield made
    pid = machine.root / "var/lib/vzctl/vepid/101"
    if pid.exists() and pid.read_text().isdigit() and int(pid.read_text()) > 1:
        try:
            os.kill(int(pid.read_text()), signal.SIGKILL)
        except ProcessLookupError:
            return


def see_processes(node: Node) -> Node:
    """Have the node's scripts look at the real /proc, for the container's real process."""
    for name, there in (("common.sh", "stat"), ("confined.sh", "status")):
        script = node.home / name
        text = script.read_text()
        assert f'"$SR_PROC/$1/{there}"' in text
        script.write_text(text.replace(f'"$SR_PROC/$1/{there}"', f'"/proc/$1/{there}"'))
    return node
