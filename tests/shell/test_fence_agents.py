"""The fence agents that need no Python: IPMI against a controller of files, sbd, the lab's."""

from __future__ import annotations

import subprocess

import pytest

from support.shells import PROJECT, Machine

SECRET = "a b'c"


def run(machine: Machine, module: str, **keys: str) -> subprocess.CompletedProcess[str]:
    """Run the agent of `module` with these keys on its stdin."""
    path = PROJECT / f"modules/cluster/{module}/agent.sh"
    words = "".join(f"{key}={value}\n" for key, value in keys.items())
    return machine.run("-eu", str(path), stdin=words)


# --- IPMI -------------------------------------------------------------------------------------


def controller(machine: Machine, power: str = "on", body: str = "") -> None:
    """An ipmitool whose controller keeps its power in the file `power`; `body` runs first."""
    machine.write("power", power)
    machine.fake(
        "ipmitool",
        f"""
printf '%s' "$IPMI_PASSWORD" >"{machine.root}/password"
{body}
case "$*" in
    *'power status') echo "Chassis Power is $(cat "{machine.root}/power")" ;;
    *'power off') echo off >"{machine.root}/power" ;;
    *'power on') echo on >"{machine.root}/power" ;;
    *) exit 9 ;;
esac""",
    )


def ipmi(machine: Machine, action: str, **keys: str) -> subprocess.CompletedProcess[str]:
    given = {"ip": "10.9.1.2", "username": "fencer", "password": SECRET, "action": action}
    return run(machine, "fence-ipmi", **(given | keys))


@pytest.mark.parametrize("power", ["on", "off"])
@pytest.mark.parametrize(
    ("action", "after", "status"), [("off", "off", 0), ("reboot", "on", 0), ("on", "on", 0)]
)
def test_ipmi_turns_a_node_off_and_on(
    machine: Machine, power: str, action: str, after: str, status: int
) -> None:
    controller(machine, power)
    found = ipmi(machine, action)
    assert found.returncode == status, found.stdout + found.stderr
    assert (machine.root / "power").read_text().strip() == after
    if action == "reboot" and power == "on":
        words = [call.rpartition("power ")[2] for call in machine.calls]
        assert words.index("off") < len(words) - 1 - words[::-1].index("on")


@pytest.mark.parametrize(("power", "status"), [("on", 0), ("off", 2)])
def test_ipmi_says_whether_a_node_is_on(machine: Machine, power: str, status: int) -> None:
    controller(machine, power)
    assert ipmi(machine, "status").returncode == status
    assert ipmi(machine, "monitor").returncode == status


def test_an_off_that_is_lost_is_given_again(machine: Machine) -> None:
    first = f"[ -f {machine.root}/1 ] || {{ : >{machine.root}/1; exit 1; }}"
    lost = f'case "$*" in *"power off") {first} ;; esac'
    controller(machine, "on", lost)
    assert ipmi(machine, "off").returncode == 0
    assert (machine.root / "power").read_text().strip() == "off"


def test_a_controller_that_does_nothing_fences_nobody(machine: Machine) -> None:
    clock = machine.root / "proc/uptime"
    clock.unlink()
    clock.write_text("100 0\n")
    # Time that runs fast: 20 seconds a look at the power.
    tick = f'read t _ <"{clock}"; echo "$((t + 20)) 0" >"{clock}"'
    controller(machine, "on", f'{tick}; case "$*" in *"power off") exit 0 ;; esac')
    found = ipmi(machine, "off")
    assert found.returncode == 1
    assert "the power is not off: Chassis Power is on" in found.stdout


def test_a_controller_that_cannot_be_reached_is_told_in_its_words(machine: Machine) -> None:
    controller(machine, "on", 'echo "Error: Unable to establish IPMI v2 / RMCP+ session"; exit 1')
    found = ipmi(machine, "status")
    assert found.returncode == 1
    assert "Unable to establish" in found.stdout


def test_off_counts_even_if_on_fails(machine: Machine) -> None:
    controller(machine, "on", 'case "$*" in *"power on") exit 1 ;; esac')
    found = ipmi(machine, "reboot")
    assert found.returncode == 0
    assert "could not be turned on again" in found.stdout


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "-H 10.9.1.2 -p 623 -R 2 -N 2 -I lanplus -U fencer -E"),
        ({"ip": "bmc:6230"}, "-H bmc -p 6230 "),
        ({"ip": "[fd00::2]:624"}, "-H fd00::2 -p 624 "),
        ({"ip": "fd00::2"}, "-H fd00::2 -p 623 "),
        ({"lanplus": "0"}, "-I lan "),
        ({"cipher": "17", "privlvl": "operator"}, "-L operator -C 17 "),
    ],
)
def test_what_ipmitool_is_told(machine: Machine, keys: dict[str, str], words: str) -> None:
    controller(machine)
    assert ipmi(machine, "status", **keys).returncode == 0
    (call,) = machine.calls
    assert words in call
    assert SECRET not in call
    assert (machine.root / "password").read_text() == SECRET


@pytest.mark.parametrize("keys", [{"ip": ""}, {"action": "explode"}])
def test_ipmi_refuses_what_it_does_not_know(machine: Machine, keys: dict[str, str]) -> None:
    controller(machine)
    assert ipmi(machine, **({"action": "off"} | keys)).returncode == 1
    assert machine.calls == []


# --- sbd --------------------------------------------------------------------------------------

SLOTS = "0\\tn1\\tclear\\t\\n1\\tn2\\tclear\\t\\n"


def sbd(machine: Machine, body: str = "exit 0") -> None:
    machine.write("run/srbuild/state/SBD_DISKS", " /dev/sdb /dev/sdc\n")
    machine.fake("sbd", body)


@pytest.mark.parametrize(("action", "message"), [("reboot", "reset"), ("off", "off")])
def test_sbd_leaves_a_message_on_every_disk(machine: Machine, action: str, message: str) -> None:
    sbd(machine)
    assert run(machine, "fence-sbd", name="n2", action=action).returncode == 0
    assert machine.calls == [f"sbd -d /dev/sdb -d /dev/sdc message n2 {message}"]


def test_a_message_that_cannot_be_left_fences_nobody(machine: Machine) -> None:
    sbd(machine, "echo 'slot_msg failed'; exit 1")
    assert run(machine, "fence-sbd", name="n2", action="off").returncode == 1


@pytest.mark.parametrize(("name", "status"), [("n2", 0), ("n3", 1), ("n", 1)])
def test_a_node_without_a_slot_would_read_no_message(
    machine: Machine, name: str, status: int
) -> None:
    sbd(machine, f"printf '{SLOTS}'")
    assert run(machine, "fence-sbd", name=name, action="status").returncode == status


def test_sbd_that_does_not_run_fences_nobody(machine: Machine) -> None:
    machine.fake("sbd")
    assert run(machine, "fence-sbd", name="n2", action="off").returncode == 1
    assert machine.calls == []


def watch(machine: Machine, **options: str) -> subprocess.CompletedProcess[str]:
    """Run watch.sh; the watchdog is whatever character device the tests' machine has."""
    machine.write("run/srbuild/state/NODE_NAME", "n1\n")
    machine.write("usr/lib/srbuild/survive", "sbd\n")
    machine.fake("setsid", 'exec "$@"', record=False)
    given = {
        "SR_FENCE_SBD_DEVICE": "",
        "SR_FENCE_SBD_WATCHDOG": "/dev/null",
        "SR_FENCE_SBD_SOFTDOG": "0",
        "SR_FENCE_SBD_TIMEOUT": "1",
        "SR_FENCE_TIMEOUT": "60",
    }
    return machine.module("cluster/fence-sbd", "watch.sh", **(given | options))


def marked_disk(machine: Machine, name: str = "sdb", mark: str = "SBD_SBD_") -> None:
    (machine.root / f"sys/block/{name}").mkdir(parents=True)
    machine.write(f"dev/{name}", f"{mark}rest")


def daemon(machine: Machine, wait: int = 30, slots: str = SLOTS) -> None:
    """sbd: its header, and a daemon that leaves a pid."""
    machine.fake(
        "sbd",
        f"""
case "$*" in
    *dump) echo "Timeout (msgwait)   : {wait}" ;;
    *list) printf '{slots}' ;;
    *watch) echo 4242 >"{machine.run_dir}/sbd.pid"; env >"{machine.root}/env" ;;
esac""",
    )
    (machine.root / "proc/4242").mkdir()


def test_sbd_watches_the_disks_that_carry_its_mark(machine: Machine) -> None:
    marked_disk(machine)
    marked_disk(machine, "sda", "GFS2root")
    daemon(machine)
    found = watch(machine)
    assert found.returncode == 0, found.stderr
    disk = machine.root / "dev/sdb"
    started = [call for call in machine.calls if call.endswith("watch")]
    assert started == [
        f"sbd -d {disk} -r noflush,reboot -n n1 -w /dev/null -p {machine.run_dir}/sbd.pid watch"
    ]
    assert "SBD_PACEMAKER=no" in (machine.root / "env").read_text().splitlines()
    assert machine.state("SBD_DISKS") == f" {disk}"


def test_without_a_marked_disk_the_boot_stops_with_the_way_out(machine: Machine) -> None:
    marked_disk(machine, "sda", "GFS2root")
    daemon(machine)
    assert watch(machine).returncode == 1
    assert "sbd -d DISK -1 15 -4 30 create" in machine.note("hint")


def test_a_named_disk_is_waited_for(machine: Machine) -> None:
    daemon(machine)
    assert watch(machine, SR_FENCE_SBD_DEVICE="/dev/gone").returncode == 1
    assert "/dev/gone" in machine.note("why")


def test_without_a_watchdog_the_boot_stops(machine: Machine) -> None:
    marked_disk(machine)
    daemon(machine)
    gone = str(machine.root / "dev/watchdog")
    assert watch(machine, SR_FENCE_SBD_WATCHDOG=gone).returncode == 1
    assert "softdog" in machine.note("hint")
    assert not [call for call in machine.calls if "softdog" in call]
    watch(machine, SR_FENCE_SBD_WATCHDOG=gone, SR_FENCE_SBD_SOFTDOG="1")
    assert "modprobe -a softdog" in machine.calls


@pytest.mark.parametrize("slots", ["", "0\\tn2\\tclear\\t\\n", SLOTS + SLOTS])
def test_a_node_without_a_slot_of_its_own_stops(machine: Machine, slots: str) -> None:
    """Two nodes that take a free slot at the same time take the same one."""
    marked_disk(machine)
    daemon(machine, slots=slots)
    assert watch(machine).returncode == 1
    assert "slots for messages to n1" in machine.note("why")
    assert "allocate n1" in machine.note("hint")
    assert not [call for call in machine.calls if call.endswith("watch")]


@pytest.mark.parametrize("wait", [60, 90])
def test_a_message_that_counts_too_late_is_refused(machine: Machine, wait: int) -> None:
    marked_disk(machine)
    daemon(machine, wait)
    assert watch(machine).returncode == 1
    assert f"takes {wait} s to count" in machine.note("why")


def test_a_repair_arms_no_watchdog(machine: Machine) -> None:
    machine.write("run/srbuild/state/ALONE", "ro\n")
    daemon(machine)
    assert watch(machine).returncode == 0
    assert machine.calls == []
