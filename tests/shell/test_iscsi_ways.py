"""iSCSI with several portals and targets: all of them, the firmware's, the discovered ones."""

from __future__ import annotations

import subprocess

import pytest

from shell.test_iscsi import TARGET, attach, logins, session
from support.shells import Machine

OTHER = "iqn.2026-01.lab:other"
PORTALS = "10.9.0.1:3260 10.9.1.1:3260"


def joined(machine: Machine, login: str = "exit 0", **options: str) -> int:
    """Attach in an image that has multipath; the exit status."""
    machine.write("usr/lib/srbuild/runs", "storage multipath /join.sh 180\n")
    given = {"SR_ISCSI_PORTAL": PORTALS, **options}
    return attach(machine, login, **given).returncode


def test_with_multipath_every_portal_is_logged_in_to(machine: Machine) -> None:
    session(machine, 0)
    assert joined(machine) == 0
    assert sorted(logins(machine)) == [
        f"iscsiadm -m node -T {TARGET} -p {portal} --login" for portal in PORTALS.split()
    ]
    assert machine.state("BLOCK_DEVICES") == f"{machine.root}/dev/sda"


def test_without_it_one_portal_is_enough(machine: Machine) -> None:
    session(machine, 0)
    assert attach(machine, SR_ISCSI_PORTAL=PORTALS).returncode == 0
    assert len(logins(machine)) == 1


@pytest.mark.parametrize("bad", ["exit 19", "exit 24", "sleep 30"])
def test_one_bad_portal_does_not_stop_the_other(machine: Machine, bad: str) -> None:
    session(machine, 0)
    assert joined(machine, f'case "$*" in *10.9.1.1*) {bad} ;; esac') == 0
    assert machine.state("ROOT_DEVICE") == f"{machine.root}/dev/sda"


def test_when_every_portal_refuses_the_boot_stops_at_once(machine: Machine) -> None:
    assert joined(machine, "exit 24", SR_ISCSI_TIMEOUT="60") == 1
    assert "authorisation failed" in machine.note("why")
    assert len(logins(machine)) == 2


@pytest.mark.parametrize("bad", ["exit 19", "exit 8"])
def test_one_bad_target_does_not_stop_the_roots(machine: Machine, bad: str) -> None:
    session(machine, 0)
    login = f'case "$*" in *{OTHER}*) {bad} ;; esac'
    found = attach(machine, login, SR_ISCSI_TARGET=f"{TARGET} {OTHER}")
    assert found.returncode == 0, found.stderr
    assert machine.state("ROOT_DEVICE") == f"{machine.root}/dev/sda"


def test_the_first_targets_disk_is_the_roots_and_no_other(machine: Machine) -> None:
    session(machine, 0, target=OTHER)
    login = f'case "$*" in *{OTHER}*) exit 0 ;; esac; exit 8'
    assert attach(machine, login, SR_ISCSI_TARGET=f"{TARGET} {OTHER}").returncode == 1
    assert machine.state("ROOT_DEVICE") is None
    assert TARGET in machine.note("why")


def discovered(machine: Machine, text: str, **options: str) -> subprocess.CompletedProcess[str]:
    """Attach with discovery; `text` is what iscsiadm prints for a portal, or `exit N`."""
    body = text if text.startswith("exit") else f"printf '%s\\n' '{text}'"
    machine.write("discovery", body)
    rescan = f"exit 0 ;; *sendtargets*) . {machine.root}/discovery"
    given = {"SR_ISCSI_DISCOVERY": "sendtargets", "SR_ISCSI_TARGET": ""}
    return attach(machine, rescan=rescan, **(given | options))


def test_a_portal_says_what_it_has(machine: Machine) -> None:
    session(machine, 0)
    found = discovered(machine, f"10.9.3.1:3260,1 {TARGET}")
    assert found.returncode == 0, found.stderr
    assert logins(machine) == [f"iscsiadm -m node -T {TARGET} -p 10.9.3.1:3260 --login"]


def test_of_several_targets_the_root_is_not_guessed(machine: Machine) -> None:
    lines = f"10.9.0.1:3260,1 {TARGET}\n10.9.0.1:3260,1 {OTHER}"
    assert discovered(machine, lines).returncode == 1
    assert "several targets" in machine.note("why")
    assert logins(machine) == []


def test_the_named_one_of_several_targets(machine: Machine) -> None:
    session(machine, 0)
    lines = f"10.9.0.1:3260,1 {OTHER}\n10.9.0.1:3260,1 {TARGET}"
    assert discovered(machine, lines, SR_ISCSI_TARGET=TARGET).returncode == 0
    assert logins(machine) == [f"iscsiadm -m node -T {TARGET} -p 10.9.0.1:3260 --login"]


def test_a_target_that_no_portal_has(machine: Machine) -> None:
    found = discovered(machine, f"10.9.0.1:3260,1 {OTHER}", SR_ISCSI_TARGET=TARGET)
    assert found.returncode == 1
    assert TARGET in machine.note("why")
    assert OTHER in found.stderr


@pytest.mark.parametrize(("text", "word"), [("exit 24", "discovery_user"), ("exit 8", "ping")])
def test_portals_that_say_nothing(machine: Machine, text: str, word: str) -> None:
    assert discovered(machine, text).returncode == 1
    assert word in machine.note("hint")


def test_what_a_portal_says_is_not_taken_for_granted(machine: Machine) -> None:
    found = discovered(machine, f"$(id):3260,1 {TARGET}\n10.9.0.1:3260,1 --login")
    assert found.returncode == 1
    assert logins(machine) == []


def test_rootsource_names_portal_and_initiator(machine: Machine) -> None:
    session(machine, 0)
    source = "iscsi://10.9.0.7:3261/iqn.2026-01.lab:me"
    found = attach(machine, SR_ISCSI_ROOTSOURCE=source, SR_ISCSI_PORTAL="")
    assert found.returncode == 0, found.stderr
    assert logins(machine) == [f"iscsiadm -m node -T {TARGET} -p 10.9.0.7:3261 --login"]
    name = machine.root / "etc/iscsi/initiatorname.iscsi"
    assert name.read_text() == "InitiatorName=iqn.2026-01.lab:me\n"


@pytest.mark.parametrize("text", ["iscsi://10.9.0.7/me", "iscsi://$(id)/", "iscsi://a:b/"])
def test_a_rootsource_that_is_none(machine: Machine, text: str) -> None:
    assert attach(machine, SR_ISCSI_ROOTSOURCE=text).returncode == 1
    assert machine.note("why").startswith("rootsource=")
    assert machine.calls == []


def firmware(machine: Machine, index: int = 0, **values: str) -> None:
    """A target in the firmware's table, as the kernel shows it."""
    given = {
        "target-name": TARGET, "ip-addr": "10.9.0.5", "port": "3262", "lun": "00000000",
        "flags": "3",
    } | {key.replace("_", "-"): value for key, value in values.items()}  # fmt: skip
    for key, value in given.items():
        machine.write(f"sys/firmware/ibft/target{index}/{key}", f"{value}\n")
    machine.write("sys/firmware/ibft/initiator/initiator-name", "iqn.2026-01.lab:fw\n")
    machine.write(
        "etc/iscsi/iscsid.conf",
        "node.startup = manual\nnode.session.auth.authmethod = None\n",
    )


@pytest.mark.parametrize(("lun", "disk"), [("00000000", "sda"), ("01000000", "sdb")])
def test_the_firmwares_target(machine: Machine, lun: str, disk: str) -> None:
    session(machine, 0, 1)
    firmware(machine, lun=lun)
    found = attach(machine, SR_ISCSI_IBFT="1", SR_ISCSI_TARGET="", SR_ISCSI_PORTAL="")
    assert found.returncode == 0, found.stderr
    assert logins(machine) == [f"iscsiadm -m node -T {TARGET} -p 10.9.0.5:3262 --login"]
    assert machine.state("ROOT_DEVICE") == f"{machine.root}/dev/{disk}"
    name = machine.root / "etc/iscsi/initiatorname.iscsi"
    assert name.read_text() == "InitiatorName=iqn.2026-01.lab:fw\n"


def test_the_firmwares_secrets_reach_iscsid_and_nobody_else(machine: Machine) -> None:
    session(machine, 0)
    firmware(machine, chap_name="u", chap_secret="hush", rev_chap_name="t",
             rev_chap_name_secret="hush2")  # fmt: skip
    found = attach(machine, SR_ISCSI_IBFT="1")
    assert found.returncode == 0, found.stderr
    conf = machine.root / "etc/iscsi/iscsid.conf"
    assert conf.read_text().splitlines() == [
        "node.startup = manual",
        "node.session.auth.authmethod = CHAP",
        "node.session.auth.username = u",
        "node.session.auth.password = hush",
        "node.session.auth.username_in = t",
        "node.session.auth.password_in = hush2",
    ]
    assert conf.stat().st_mode & 0o777 == 0o600
    assert "hush" not in found.stderr + found.stdout + "".join(machine.calls)


def test_the_target_that_was_booted_from_is_the_roots(machine: Machine) -> None:
    session(machine, 0)
    firmware(machine, 0, target_name=OTHER, flags="1")
    firmware(machine, 1)
    found = attach(machine, SR_ISCSI_IBFT="1")
    assert found.returncode == 0, found.stderr
    assert machine.state("ROOT_DEVICE") == f"{machine.root}/dev/sda"


@pytest.mark.parametrize(
    "values",
    [{"target_name": "$(id)"}, {"ip_addr": "nowhere!"}, {"lun": "4fff000000"}, {"flags": "x"}],
)
def test_a_table_that_cannot_be_used(machine: Machine, values: dict[str, str]) -> None:
    firmware(machine, **values)
    assert attach(machine, SR_ISCSI_IBFT="1").returncode == 1
    assert "firmware" in machine.note("why")
    assert logins(machine) == []
