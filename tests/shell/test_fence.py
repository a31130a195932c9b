"""Fencing at boot: the table of devices, the agents, what a person hears when one fails."""

from __future__ import annotations

import subprocess

import pytest

from support.shells import PROJECT, Machine

TABLE = """\
# a comment
1 0 0 name=n1
1 0 0 action=reboot
1 0 0 delay=0
1 0 0 unfence=no
1 1 1 agent=fake
1 1 1 ip=10.9.1.1
2 0 0 name=n2
2 0 0 action=reboot
2 0 0 delay=0
2 0 0 unfence=no
2 1 1 agent=fake
2 1 1 ip=10.9.1.2
2 1 1 username=fencer
2 1 1 password=a secret. [x]
"""
TWO_SUPPLIES = TABLE + "2 1 2 agent=fake\n2 1 2 ip=10.9.1.3\n"
TWO_LEVELS = TABLE + "2 2 1 agent=other\n2 2 1 ip=10.9.1.4\n"
NODE = PROJECT / "modules/cluster/fence/node.sh"
SECRET = "a secret. [x]"


@pytest.fixture(autouse=True)
def prepared(machine: Machine) -> None:
    machine.write("etc/srbuild/fence.devices", TABLE)
    machine.write("run/srbuild/state/NODE_ID", "1\n")
    machine.write("dev/kmsg", "")


def agent(machine: Machine, body: str, name: str = "fake") -> None:
    """An agent of our own; what it reads is kept in /asked, one line for each run."""
    note = f'asked=$(sort | tr "\\n" "|"); echo "$asked" >>"{machine.root}/asked"\n'
    machine.write(f"usr/lib/srbuild/modules/fence-{name}/agent.sh", f"{note}{body}\n")


def asked(machine: Machine) -> list[dict[str, str]]:
    path = machine.root / "asked"
    lines = path.read_text().splitlines() if path.exists() else []
    return [dict(w.split("=", 1) for w in line.split("|") if w) for line in lines]


def fence(
    machine: Machine, words: str = "node=2\n", limit: str = "5"
) -> subprocess.CompletedProcess[str]:
    """As dlm_controld calls it."""
    (machine.run_dir / "log").touch()
    return machine.run("-eu", str(NODE), stdin=words, SR_FENCE_TIMEOUT=limit, SR_FENCE_RETRY="0")


def said(machine: Machine) -> str:
    return (machine.run_dir / "log").read_text() + (machine.root / "dev/kmsg").read_text()


def test_a_node_is_fenced_by_its_own_device(machine: Machine) -> None:
    agent(machine, "exit 0")
    found = fence(machine, "fail_time=1\nnode=2\n")
    assert found.returncode == 0, said(machine)
    assert asked(machine) == [
        {"ip": "10.9.1.2", "username": "fencer", "password": SECRET, "action": "reboot",
         "node": "2", "name": "n2"}
    ]  # fmt: skip
    assert "n2 (node 2) is fenced, confirmed by fake at 10.9.1.2" in said(machine)


def test_a_failing_device_is_told_with_the_way_out_and_without_the_secret(
    machine: Machine,
) -> None:
    agent(machine, f'echo "login as fencer with {SECRET} failed"; echo "no route"; exit 1')
    found = fence(machine)
    assert found.returncode == 1
    text = said(machine) + found.stdout + found.stderr
    for word in ("FENCING FAILED: n2 (node 2)", "no route", "stands still", "dlm_tool fence_ack 2"):
        assert word in text
    left = [p.read_text() for p in machine.run_dir.rglob("*") if p.is_file()]
    assert not [one for one in [text, *left] if SECRET in one]


def test_a_failure_is_told_once_and_then_only_now_and_then(machine: Machine) -> None:
    agent(machine, "exit 1")
    assert [fence(machine).returncode, fence(machine).returncode] == [1, 1]
    assert len(asked(machine)) == 2
    kernel_log = (machine.root / "dev/kmsg").read_text()
    assert kernel_log.count("FENCING") <= 1


def test_an_agent_that_hangs_is_ended(machine: Machine) -> None:
    agent(machine, "exec tail -f /dev/null")
    assert fence(machine, limit="1").returncode == 1
    assert "no answer in time" in said(machine)


def test_an_agent_that_is_not_in_the_image_is_named(machine: Machine) -> None:
    assert fence(machine).returncode == 1
    assert "--module fence-fake" in said(machine)


def test_an_agent_of_the_family_is_found_by_its_name(machine: Machine) -> None:
    machine.fake("fence_fake", f'cat >"{machine.root}/stdin"')
    assert fence(machine).returncode == 0, said(machine)
    assert "action=reboot" in (machine.root / "stdin").read_text().splitlines()


def test_two_supplies_are_both_off_before_either_is_on(machine: Machine) -> None:
    machine.write("etc/srbuild/fence.devices", TWO_SUPPLIES)
    agent(machine, "exit 0")
    assert fence(machine).returncode == 0
    order = [(one["action"], one["ip"]) for one in asked(machine)]
    both = ["10.9.1.2", "10.9.1.3"]
    assert order == [("off", both[0]), ("off", both[1]), ("on", both[0]), ("on", both[1])]


def test_one_supply_that_stays_on_is_no_fenced_node(machine: Machine) -> None:
    machine.write("etc/srbuild/fence.devices", TWO_SUPPLIES)
    agent(machine, 'case $asked in *10.9.1.3*) echo "outlet stuck"; exit 1 ;; esac')
    assert fence(machine).returncode == 1
    assert "outlet stuck" in said(machine)
    assert "confirmed" not in said(machine)


def test_a_node_off_that_stays_off_is_fenced(machine: Machine) -> None:
    machine.write("etc/srbuild/fence.devices", TWO_SUPPLIES)
    agent(machine, "case $asked in *action=on*) exit 1 ;; esac")
    assert fence(machine).returncode == 0
    assert "could not be turned on again" in said(machine)


@pytest.mark.parametrize(("second", "status"), [(0, 0), (1, 1)])
def test_the_second_level_is_tried_when_the_first_fails(
    machine: Machine, second: int, status: int
) -> None:
    machine.write("etc/srbuild/fence.devices", TWO_LEVELS)
    agent(machine, "exit 1")
    agent(machine, f"exit {second}", "other")
    assert fence(machine).returncode == status
    assert [one["ip"] for one in asked(machine)] == ["10.9.1.2", "10.9.1.4"]
    assert ("confirmed by other at 10.9.1.4" in said(machine)) is (status == 0)


def test_the_favoured_node_is_given_its_head_start(machine: Machine) -> None:
    machine.write("etc/srbuild/fence.devices", TABLE.replace("2 0 0 delay=0", "2 0 0 delay=2"))
    agent(machine, f"cat /proc/uptime >{machine.root}/at")
    before = float((machine.root / "proc/uptime").read_text().split()[0])
    assert fence(machine).returncode == 0
    assert float((machine.root / "at").read_text().split()[0]) - before >= 1


@pytest.mark.parametrize("words", ["", "node=9\n", "node=x\n", "node=2;reboot\n", "node=.*\n"])
def test_whom_the_table_does_not_know_is_not_fenced(machine: Machine, words: str) -> None:
    agent(machine, "exit 0")
    assert fence(machine, words).returncode == 1
    assert asked(machine) == []


# --- the check before the cluster is joined ---------------------------------------------------


def check(machine: Machine, **options: str) -> subprocess.CompletedProcess[str]:
    given = {"SR_FENCE_METHOD": "agent", "SR_FENCE_CHECK": "warn", "SR_FENCE_TIMEOUT": "5"}
    return machine.module("cluster/fence", "check.sh", **(given | options))


@pytest.mark.parametrize("status", [0, 2])
def test_peers_devices_that_answer_are_fine(machine: Machine, status: int) -> None:
    agent(machine, f"exit {status}")
    found = check(machine, SR_FENCE_CHECK="fail")
    assert found.returncode == 0, found.stderr
    assert [(one["name"], one["action"]) for one in asked(machine)] == [("n2", "status")]


def test_a_silent_device_is_warned_of_or_stops_the_boot(machine: Machine) -> None:
    agent(machine, "echo 'connection refused'; exit 1")
    found = check(machine)
    assert found.returncode == 0
    assert "the fence device of n2 does not answer" in found.stderr
    assert "connection refused" in found.stderr
    assert "stand still" in found.stderr
    assert check(machine, SR_FENCE_CHECK="fail").returncode == 1
    assert "address, user and secret" in machine.note("hint")


def test_nobody_is_asked_without_need(machine: Machine) -> None:
    agent(machine, "exit 1")
    assert check(machine, SR_FENCE_CHECK="no").returncode == 0
    machine.write("run/srbuild/state/ALONE", "ro\n")
    assert check(machine, SR_FENCE_CHECK="fail").returncode == 0
    assert asked(machine) == []


@pytest.mark.parametrize(("status", "goes_on"), [(2, True), (0, False), (1, False)])
def test_a_writing_repair_needs_every_peer_off(
    machine: Machine, status: int, goes_on: bool
) -> None:
    agent(machine, f"exit {status}")
    machine.write("run/srbuild/state/ALONE", "rw\n")
    assert (check(machine).returncode == 0) is goes_on
    if not goes_on:
        assert "n2" in machine.note("why")
        assert "peers-are-off" in machine.note("hint")
        machine.write("run/srbuild/peers-are-off", "")
        assert check(machine).returncode == 0


def test_a_writing_repair_without_devices_needs_a_persons_word(machine: Machine) -> None:
    machine.write("run/srbuild/state/ALONE", "rw\n")
    assert check(machine, SR_FENCE_METHOD="unsafe-none").returncode == 1
    machine.write("run/srbuild/peers-are-off", "")
    assert check(machine, SR_FENCE_METHOD="unsafe-none").returncode == 0


@pytest.mark.parametrize(("method", "is_said"), [("unsafe-none", True), ("", False)])
def test_no_fencing_is_announced_at_every_boot(
    machine: Machine, method: str, is_said: bool
) -> None:
    found = check(machine, SR_FENCE_METHOD=method)
    assert found.returncode == 0
    assert ("FENCING IS OFF" in found.stderr) is is_said


@pytest.mark.parametrize(
    ("unfence", "early", "late"),
    [("no", 0, 0), ("before-storage", 1, 0), ("after-storage", 0, 1)],
)
def test_a_node_lets_itself_in_again_where_it_is_cut_off(
    machine: Machine, unfence: str, early: int, late: int
) -> None:
    machine.write(
        "etc/srbuild/fence.devices", TABLE.replace("1 0 0 unfence=no", f"1 0 0 unfence={unfence}")
    )
    agent(machine, "exit 0")
    for script, count in (("unfence-early.sh", early), ("unfence-late.sh", late)):
        (machine.root / "asked").unlink(missing_ok=True)
        given = {"SR_FENCE_METHOD": "agent", "SR_FENCE_TIMEOUT": "5"}
        assert machine.module("cluster/fence", script, **given).returncode == 0
        assert [(one["name"], one["action"]) for one in asked(machine)] == [("n1", "on")] * count
    if unfence != "no":
        agent(machine, "exit 1")
        script = "unfence-early.sh" if early else "unfence-late.sh"
        assert machine.module("cluster/fence", script, **given).returncode == 1
        assert "does not let it in" in machine.note("why")
