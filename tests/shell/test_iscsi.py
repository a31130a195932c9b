"""The iSCSI login: retried while nobody answers, at once an error when refused."""

from __future__ import annotations

import subprocess

import pytest

from support.shells import Machine

TARGET = "iqn.2026-01.lab:root"


def attach(
    machine: Machine,
    login: str = "exit 0",
    rescan: str = "exit 0",
    asked: str = "exit 8",
    **options: str,
) -> subprocess.CompletedProcess[str]:
    """Run attach.sh against an iscsiadm whose answers are these shell texts."""
    machine.write("etc/iscsi/initiatorname.iscsi", "InitiatorName=iqn.2026-01.lab:n1\n")
    machine.fake("setsid", 'exec "$@"', record=False)
    machine.fake("iscsid", f'echo 4242 >"{machine.root}/run/iscsid.pid"')
    (machine.root / "proc/4242").mkdir(exist_ok=True)
    socket = (
        "0000000000000000: 00000002 00000000 00010000 0001 01 20000 @ISCSIADM_ABSTRACT_NAMESPACE"
    )
    machine.write("proc/net/unix", f"{socket}\n")
    machine.fake(
        "iscsiadm",
        f"""
case "$*" in
    '-m session') exit 21 ;;
    *--login*) {login} ;;
    *--rescan*) {rescan} ;;
    '-m discovery'*) {asked} ;;
esac""",
    )
    given = {
        "SR_ISCSI_PORTAL": "10.9.0.1:3260",
        "SR_ISCSI_TARGET": TARGET,
        "SR_ISCSI_LUN": "",
        "SR_ISCSI_NETROOT": "",
        "SR_ISCSI_TIMEOUT": "2",
        "SR_ISCSI_REST_TIMEOUT": "1",
        "SR_ISCSI_DEVICE": "",
        "SR_ISCSI_DISCOVERY": "static",
        "SR_ISCSI_IBFT": "0",
        "SR_ISCSI_ROOTSOURCE": "",
        "SR_ISCSI_INITIATOR": "",
    }
    return machine.module("block/iscsi", "attach.sh", **(given | options))


def session(machine: Machine, *units: int, target: str = TARGET) -> None:
    """A session with disks in sysfs."""
    folder = machine.root / "sys/class/iscsi_session/session1"
    folder.mkdir(parents=True)
    (folder / "targetname").write_text(f"{target}\n")
    for unit in units:
        disk = f"sd{chr(ord('a') + unit)}"
        (folder / f"device/target0:0:0/0:0:0:{unit}/block" / disk).mkdir(parents=True)
        machine.write(f"dev/{disk}", "")


def logins(machine: Machine) -> list[str]:
    return [call for call in machine.calls if call.endswith("--login")]


def test_the_disk_is_published(machine: Machine) -> None:
    session(machine, 0, 1)
    found = attach(machine)
    assert found.returncode == 0, found.stderr
    assert machine.state("ROOT_DEVICE") == f"{machine.root}/dev/sda"
    assert f"iscsiadm -m node -T {TARGET} -p 10.9.0.1:3260 -o new" in machine.calls


def test_the_unit_that_was_asked_for(machine: Machine) -> None:
    session(machine, 0, 1)
    assert attach(machine, SR_ISCSI_LUN="1").returncode == 0
    assert machine.state("ROOT_DEVICE") == f"{machine.root}/dev/sdb"


def test_a_disk_that_the_target_offers_late(machine: Machine) -> None:
    session(machine)
    block = machine.root / "sys/class/iscsi_session/session1/device/target0:0:0/0:0:0:0/block/sda"
    found = attach(machine, rescan=f"mkdir -p {block}; : >{machine.root}/dev/sda")
    assert found.returncode == 0, found.stderr
    assert machine.state("ROOT_DEVICE") == f"{machine.root}/dev/sda"


def test_a_target_that_comes_up_late(machine: Machine) -> None:
    session(machine, 0)
    up = machine.root / "up"
    found = attach(machine, f'[ -e "{up}" ] && exit 0; : >"{up}"; exit 8', SR_ISCSI_TIMEOUT="20")
    assert found.returncode == 0, found.stderr
    assert len(logins(machine)) == 2


def test_a_target_that_never_comes_up(machine: Machine) -> None:
    assert attach(machine, "exit 8").returncode == 1
    why = machine.note("why")
    for part in (TARGET, "10.9.0.1:3260", "status 8", "2 s"):
        assert part in why
    assert machine.note("hint")


def test_a_name_that_the_portal_does_not_know(machine: Machine) -> None:
    """The server closes the connection, iscsiadm calls that a time-out."""
    asked = 'echo "10.9.0.1:3260,1 iqn.2026-01.lab:other"; printf "10.9.0.1:3260,1 iqn.\\033[2J\\n"'
    assert attach(machine, "exit 8", asked=asked).returncode == 1
    why = machine.note("why")
    assert why.strip() == (
        f"the portal 10.9.0.1:3260 answers, but has no target {TARGET} for this node;"
        " it has: iqn.2026-01.lab:other"
    )
    assert "iqn.2026-01.lab:n1" in machine.note("hint")
    assert any("-o nonpersistent -p 10.9.0.1:3260" in call for call in machine.calls)


def test_a_portal_that_has_nothing_for_this_node(machine: Machine) -> None:
    assert attach(machine, "exit 8", asked="exit 0").returncode == 1
    assert machine.note("why").strip().endswith(f"has no target {TARGET} for this node")


def test_a_target_that_is_offered_and_does_not_answer(machine: Machine) -> None:
    found = attach(machine, "exit 8", asked=f'echo "10.9.0.1:3260,1 {TARGET}"')
    assert found.returncode == 1
    assert "could not be reached within 2 s (iscsiadm status 8)" in machine.note("why")


@pytest.mark.parametrize(("status", "hint"), [(24, "chap_secret"), (19, "initiator")])
def test_a_refusal_is_final_and_says_what_to_compare(
    machine: Machine, status: int, hint: str
) -> None:
    assert attach(machine, f"exit {status}", SR_ISCSI_TIMEOUT="60").returncode == 1
    assert len(logins(machine)) == 1
    for part in (TARGET, "10.9.0.1:3260", f"status {status}"):
        assert part in machine.note("why")
    assert hint in machine.note("hint")


def test_a_session_that_is_there_already_will_do(machine: Machine) -> None:
    session(machine, 0)
    assert attach(machine, "exit 15").returncode == 0


def test_the_second_portal_when_the_first_is_dead(machine: Machine) -> None:
    session(machine, 0)
    found = attach(
        machine,
        'case "$*" in *10.9.1.1*) exit 0 ;; esac; exit 8',
        SR_ISCSI_PORTAL="10.9.0.1 10.9.1.1:3261",
    )
    assert found.returncode == 0, found.stderr
    assert "via 10.9.1.1:3261" in found.stderr


@pytest.mark.parametrize(
    ("text", "portal", "unit"),
    [
        (f"iscsi:10.9.0.7::::{TARGET}", "10.9.0.7:3260", "sda"),
        (f"iscsi:10.9.0.7:6:3261:1:{TARGET}", "10.9.0.7:3261", "sdb"),
        (f"iscsi:[fd00::1]:::0:{TARGET}", "[fd00::1]:3260", "sda"),
    ],
)
def test_netroot(machine: Machine, text: str, portal: str, unit: str) -> None:
    session(machine, 0, 1)
    found = attach(machine, SR_ISCSI_NETROOT=text, SR_ISCSI_TARGET="", SR_ISCSI_PORTAL="")
    assert found.returncode == 0, found.stderr
    assert logins(machine) == [f"iscsiadm -m node -T {TARGET} -p {portal} --login"]
    assert machine.state("ROOT_DEVICE") == f"{machine.root}/dev/{unit}"


@pytest.mark.parametrize(
    "text",
    ["nfs:10.9.0.7:/root", "iscsi:10.9.0.7", f"iscsi:10.9.0.7:17:::{TARGET}",
     f"iscsi:10.9.0.7:::x:{TARGET}", "iscsi:10.9.0.7::::notaname", f"iscsi:$(id)::::{TARGET}",
     f"iscsi:10.9.0.7::99999::{TARGET}", "iscsi:"],
)  # fmt: skip
def test_a_netroot_that_is_none(machine: Machine, text: str) -> None:
    assert attach(machine, SR_ISCSI_NETROOT=text).returncode == 1
    assert machine.note("why").startswith("netroot=")
    assert machine.calls == []


def test_secrets_have_no_place_in_netroot(machine: Machine) -> None:
    found = attach(machine, SR_ISCSI_NETROOT=f"iscsi:user:hush@10.9.0.7::::{TARGET}")
    assert found.returncode == 1
    assert "hush" not in found.stderr + machine.note("why") + machine.note("hint")


@pytest.mark.parametrize("option", [{"SR_ISCSI_TARGET": ""}, {"SR_ISCSI_PORTAL": ""}])
def test_nothing_to_attach(machine: Machine, option: dict[str, str]) -> None:
    assert attach(machine, **option).returncode == 1
    assert "[block]" in machine.note("hint")
