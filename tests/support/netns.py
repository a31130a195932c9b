"""A machine whose network is real: the scripts run in a network namespace of their own.

Nothing of the host's network is touched, and no privilege is needed where user namespaces are
allowed. `near` and `far` ends of veth pairs stand for cables; the far ends live in a second
namespace, where servers run. All of it ends with the process that made it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.shells import PROJECT, Machine

# What the tests need of unshare(1): a host that forbids it can't run them.
UNSHARE = ("unshare", "--map-root-user", "--net", "--mount", "--kill-child", "--fork", "--pid")
ADVERTISE = Path(__file__).with_name("advertise.py")
TIMEOUTS = {
    "NIC_TIMEOUT": "2", "CARRIER_TIMEOUT": "5", "DHCP_TIMEOUT": "20", "DHCP_RETRY": "1",
    "DAD_TIMEOUT": "10", "AUTO6_TIMEOUT": "10", "ROUTE_TIMEOUT": "2", "USE_BOOTIF": "1",
    "PEERDNS": "1", "REST_TIMEOUT": "3",
}  # fmt: skip
OPTIONS = ("INTERFACE", "ADDRESS", "GATEWAY", "NAMESERVER", "MTU", "IP", "BOND", "VLAN", "BRIDGE",
           "ROUTE", "IFNAME", "RELEASE", "BOOTIF")  # fmt: skip
_PROLOGUE = """
set -e
mount -t proc proc /proc
mount --rbind /proc "$SR_ROOT/proc"
mount -t sysfs sysfs "$SR_ROOT/sys"
mkfifo "$SR_ROOT/up"
touch "$SR_ROOT/far"
unshare --net sh -c 'mount --bind /proc/self/ns/net "$SR_ROOT/far"
    echo >"$SR_ROOT/up"
    exec sleep 100' &
far=$!
read -r _ <"$SR_ROOT/up"
cable() {
    "$IP" link add "$1" type veth peer name "far-$1"
    "$IP" link set "far-$1" netns "$far"
    at_far ip link set "far-$1" up
}
at_far() { nsenter --net="$SR_ROOT/far" "$@"; }
at_far ip link set lo up
"""
_EPILOGUE = """
status=0
"$@" || status=$?
for what in addr route '-6 route'; do echo; "$IP" -json $what; done >"$SR_ROOT/seen"
exit "$status"
"""


def options(**given: str) -> dict[str, str]:
    """The environment that the spine makes of the options of the module `network`."""
    values = dict.fromkeys(OPTIONS, "") | TIMEOUTS | given
    return {f"SR_NETWORK_{name}": value for name, value in values.items()}


class Network:
    """What the kernel of the namespace said once the script had run."""

    def __init__(self, machine: Machine, done: subprocess.CompletedProcess[str]) -> None:
        self.done = done
        seen = machine.root / "seen"
        assert seen.exists(), done.stderr
        rows = [json.loads(row) for row in seen.read_text().splitlines() if row]
        self.links: dict[str, dict[str, Any]] = {link["ifname"]: link for link in rows[0] if link}
        self.routes: list[dict[str, Any]] = rows[1] + rows[2]

    def addresses(self, name: str) -> list[str]:
        """The interface's addresses with prefix lengths, link-local ones left out."""
        found = self.links[name]["addr_info"]
        return [f"{a['local']}/{a['prefixlen']}" for a in found if a["scope"] == "global"]

    def route(self, to: str) -> list[tuple[str, str, int]]:
        """The routes to `to`, as (gateway, interface, metric)."""
        return [
            (route.get("gateway", ""), route["dev"], route.get("metric", 0))
            for route in self.routes
            if route["dst"] == to
        ]


def run_in_network(machine: Machine, cables: str, script: str, **given: str) -> Network:
    """Run a script of the module `network` where the shell text `cables` has been.

    `cables` may call `cable NAME` (an interface NAME with a far end far-NAME, up) and `at_far
    COMMAND…`. `given` are the module's options by their names in upper case. `ip` and udhcpc are
    busybox', as in an image.
    """
    busybox = shutil.which("busybox")
    assert busybox
    for name in ("ip", "udhcpc"):
        (machine.fakes / name).unlink(missing_ok=True)
        (machine.fakes / name).symlink_to(busybox)
    for name in ("mount", "umount"):
        (machine.fakes / name).unlink()
    for name in ("udhcpc", "dhclient6"):
        hook = machine.home / name
        shutil.copy(PROJECT / f"hooks/{name}.sh", hook)
        hook.chmod(0o755)
    (machine.root / "proc/uptime").unlink(missing_ok=True)
    inner = [*machine.shell, "-eu", str(PROJECT / "modules/net/network" / script)]
    text = f"{_PROLOGUE}\n{cables}\n{_EPILOGUE}"
    env = {
        "PATH": f"{machine.fakes}:{os.environ['PATH']}", "LC_ALL": "C", "SR_MODULE": "network",
        "SR_ROOT": str(machine.root), "SR_HOME": str(machine.home), "IP": shutil.which("ip") or "",
        "SR_RUN": str(machine.run_dir), "PYTHON": sys.executable, "ADVERTISE": str(ADVERTISE),
        **options(**given),
    }  # fmt: skip
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", text, "net", *inner], capture_output=True, text=True, timeout=90,
        env=env, check=False,
    )  # fmt: skip
    return Network(machine, done)
