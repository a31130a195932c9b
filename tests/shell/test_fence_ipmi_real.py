"""The IPMI agent with the real ipmitool against OpenIPMI's simulated controller, on loopback."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.shells import PROJECT, SHELLS, Machine

AGENT = str(PROJECT / "modules/cluster/fence-ipmi/agent.sh")
SECRET = "s3c'r3t$x"
CHASSIS = """\
#!/bin/sh
# chassis_control of ipmi_sim(1): MC get|set|check NAME [VALUE] …; the power is a file.
folder=${0%/*}
shift
verb=$1
shift
[ "$verb" != check ] || exit 0
while [ "$#" -gt 0 ]; do
    case $verb:$1 in
        get:power) echo "power:$(cat "$folder/power")" ;;
        get:*) echo "$1:0" ;;
        set:power) echo "$2" >"$folder/power" ;;
    esac
    [ "$verb" = get ] || shift
    shift
done
"""
LAN = """\
name "bmc"
set_working_mc 0x20
startlan 1
addr 127.0.0.1 {port}
priv_limit admin
allowed_auths_callback none md2 md5 straight
allowed_auths_user none md2 md5 straight
allowed_auths_operator none md2 md5 straight
allowed_auths_admin none md2 md5 straight
guid a123456789abcdefa123456789abcdef
endlan
chassis_control "{folder}/chassis 0x20"
user 1 true "" "" user 10 none md2 md5 straight
user 2 true "fencer" "{secret}" admin 10 none md2 md5 straight
"""
MC = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
"""


class Controller:
    """A management controller on a port of its own; its power is 0 or 1."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port

    @property
    def power(self) -> int:
        return int((self.folder / "power").read_text())

    def set_power(self, power: int) -> None:
        (self.folder / "power").write_text(f"{power}\n")


@contextmanager
def simulated(folder: Path) -> Iterator[Controller]:
    """Run ipmi_sim in `folder` until the block ends."""
    folder.mkdir()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(folder, port)
    controller.set_power(1)
    (folder / "chassis").write_text(CHASSIS)
    (folder / "chassis").chmod(0o755)
    (folder / "lan").write_text(LAN.format(port=port, folder=folder, secret=SECRET))
    (folder / "mc").write_text(MC)
    (folder / "state").mkdir()
    command = ["ipmi_sim", "-c", "lan", "-f", "mc", "-s", "state", "-n"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield controller
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    with simulated(tmp_path / "bmc") as made:
        deadline = time.monotonic() + 20
        while not _listens(made.port):
            assert time.monotonic() < deadline, (made.folder / "log").read_text()
            time.sleep(0.05)
        yield made


def _listens(port: int) -> bool:
    return f"0100007F:{port:04X}" in Path("/proc/net/udp").read_text()


def agent(
    machine: Machine, controller: Controller, action: str, **keys: str
) -> subprocess.CompletedProcess[str]:
    """Run the agent for `action`; cipher suite 3 is the one that the simulator knows."""
    given = {
        "action": action,
        "ip": f"127.0.0.1:{controller.port}",
        "username": "fencer",
        "password": SECRET,
        "cipher": "3",
    }
    words = "".join(f"{key}={value}\n" for key, value in (given | keys).items())
    return machine.run("-eu", AGENT, stdin=words)


@pytest.mark.parametrize("keys", [{}, {"lanplus": "0", "cipher": ""}], ids=["2.0", "1.5"])
def test_a_node_is_turned_off_and_on(
    machine: Machine, controller: Controller, keys: dict[str, str]
) -> None:
    assert agent(machine, controller, "status", **keys).returncode == 0
    done = agent(machine, controller, "off", **keys)
    assert done.returncode == 0, done.stdout + done.stderr
    assert controller.power == 0
    assert agent(machine, controller, "status", **keys).returncode == 2
    assert agent(machine, controller, "on", **keys).returncode == 0
    assert controller.power == 1


def test_a_reboot_ends_with_the_power_on(machine: Machine, controller: Controller) -> None:
    done = agent(machine, controller, "reboot")
    assert done.returncode == 0, done.stdout + done.stderr
    assert controller.power == 1


@pytest.mark.parametrize("keys", [{"password": "wrong"}, {"username": "nobody"}, {"cipher": "9"}])
def test_who_is_not_let_in_has_fenced_nobody(
    machine: Machine, controller: Controller, keys: dict[str, str]
) -> None:
    done = agent(machine, controller, "status", **keys)
    assert done.returncode == 1
    assert done.stdout.strip()
    assert SECRET not in done.stdout + done.stderr
    assert controller.power == 1


def test_a_controller_that_is_away_says_so(tmp_path: Path) -> None:
    with simulated(tmp_path / "gone") as controller:
        pass
    machine = Machine(tmp_path / "machine", SHELLS["dash"])  # 20 s: one shell is enough
    done = agent(machine, controller, "status")
    assert done.returncode == 1
    assert done.stdout.strip()
