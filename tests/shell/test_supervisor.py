"""The supervisor and srctl: policies, crashes, orders, and a supervisor that dies itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.containers import Supervised, wait_until
from support.shells import Machine

Make = Callable[..., Supervised]


@pytest.fixture
def supervised(machine: Machine) -> Iterator[Make]:
    made: list[Supervised] = []

    def make(**policy: str) -> Supervised:
        made.append(Supervised(machine, **policy))
        return made[0]

    yield make
    for one in made:
        one.close()


def aged(one: Supervised) -> None:
    """The container has run for long enough to reboot without suspicion."""
    (one.machine.run_dir / "ct/state").write_text("running 0\n")


def test_a_reboot_starts_the_container_again(supervised: Make) -> None:
    one = supervised()
    one.await_start(1)
    aged(one)
    one.end("reboot")
    one.await_start(2)
    assert "the container ended" in one.said
    assert "crash" not in one.said
    assert not one.left


@pytest.mark.parametrize(
    ("policy", "how", "verb"),
    [
        ({}, "halt", "poweroff"),
        ({"ON_HALT": "reboot"}, "halt", "reboot"),
        ({"ON_REBOOT": "reboot"}, "reboot", "reboot"),
        ({"ON_CRASH": "reboot"}, "crash its init was ended by signal Killed(9)", "reboot"),
    ],
)
def test_the_machine_ends_as_the_policy_says(
    supervised: Make, policy: dict[str, str], how: str, verb: str
) -> None:
    one = supervised(**policy)
    one.await_start(1)
    aged(one)
    one.end(how)
    wait_until("the shutdown", lambda: one.left == verb)


@pytest.mark.parametrize("how", ["crash by a bug", "nonsense", ""])
def test_a_crash_starts_it_again_until_the_limit(supervised: Make, how: str) -> None:
    one = supervised()
    for count in (1, 2, 3):
        one.await_start(count)
        one.end(how or " ")
    wait_until("the reboot that follows too many crashes", lambda: one.left == "reboot")
    assert "crash 1 of 2" in one.said
    assert "srbuild: the container does not run" in one.said
    assert "crash 3 within 900 s" in one.said


def test_a_reboot_at_once_is_a_crash(supervised: Make) -> None:
    one = supervised(ON_CRASH="stay")
    one.await_start(1)
    one.end("reboot")
    wait_until("the summary", lambda: "waiting for orders" in one.said)
    assert "it rebooted" in one.said
    assert not one.left


def test_a_container_that_cannot_start_is_said_with_the_reason(supervised: Make) -> None:
    one = supervised(ON_CRASH="stay")
    one.await_start(1)
    one.machine.write("fake-ct/broken", "")
    found = one.srctl("restart")
    assert found.returncode == 1
    assert "there is no init" in found.stderr
    wait_until("the summary", lambda: "there is no init" in one.said)
    (one.ct / "broken").unlink()
    assert one.srctl("start").returncode == 0
    one.await_start(2)


def test_halt_may_stay_in_the_bootstrap_until_start(supervised: Make) -> None:
    one = supervised(ON_HALT="stay")
    one.await_start(1)
    one.end("halt")
    wait_until("the summary", lambda: "it was halted or powered off" in one.said)
    status = one.srctl("status")
    assert status.returncode == 1
    assert "stopped" in status.stdout
    assert one.srctl("start").returncode == 0
    one.await_start(2)


@pytest.mark.parametrize("word", ["start", "restart"])
def test_an_order_that_comes_before_the_end_was_seen_is_not_lost(
    supervised: Make, word: str
) -> None:
    one = supervised(ON_HALT="stay")
    one.await_start(1)
    init = (one.ct / "init").read_text().strip()
    subprocess.run(["kill", "-9", init], check=True)
    wait_until("its end", lambda: not Path("/proc", init).exists())
    with ThreadPoolExecutor(1) as pool:
        ordered = pool.submit(one.srctl, word)
        wait_until("the order", lambda: any((one.machine.run_dir / "ct/orders").glob("[0-9]*")))
        one.end("halt")
        assert ordered.result(timeout=60).returncode == 0
    one.await_start(2)
    assert (one.machine.run_dir / "ct/last").read_text() == "halt\n"


def test_stop_and_start_by_order(supervised: Make) -> None:
    one = supervised()
    one.await_start(1)
    assert "stopped" in one.srctl("stop").stdout
    assert one.calls("stop 5") == 1
    assert "already" in one.srctl("stop").stdout
    assert one.srctl("enter").returncode == 1
    assert "runs" in one.srctl("start").stdout
    one.await_start(2)
    assert "already" in one.srctl("start").stdout


def test_restart_by_order_asks_no_policy(supervised: Make) -> None:
    one = supervised(ON_REBOOT="reboot", ON_CRASH="reboot")
    one.await_start(1)
    assert one.srctl("restart").returncode == 0
    one.await_start(2)
    assert not one.left


def test_a_supervisor_that_died_takes_the_container_over(supervised: Make) -> None:
    one = supervised()
    one.await_start(1)
    one.process.kill()
    one.process.wait(timeout=10)
    one.process = one.start()
    wait_until("the take-over", lambda: "taking over" in one.said)
    assert one.calls("start") == 1
    aged(one)
    one.end("reboot")
    one.await_start(2)


def test_an_end_that_nobody_saw_is_looked_at(supervised: Make) -> None:
    one = supervised()
    one.await_start(1)
    one.process.kill()
    one.process.wait(timeout=10)
    one.end("halt")
    wait_until("its end", lambda: not (one.ct / "init").exists())
    one.end("halt")  # for who asks next how it ended
    one.process = one.start()
    wait_until("the shutdown", lambda: one.left == "poweroff")


def test_status_as_json(supervised: Make) -> None:
    one = supervised()
    one.await_start(1)
    document = json.loads(one.srctl("status", "--json").stdout)
    assert document["schema"] == "srbuild.ct/1"
    assert (document["state"], document["runtime"], document["starts"]) == ("running", "fake", 1)
    assert document["init"] == int((one.ct / "init").read_text())


def test_enter_runs_a_command_in_the_container(supervised: Make) -> None:
    one = supervised()
    one.await_start(1)
    assert one.srctl("enter", "ls", "a b").stdout == "entered: ls a b\n"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ((), "a command is missing"),
        (("dance",), "there is no command dance"),
        (("restart", "now"), "takes no words"),
        (("status", "--yaml"), "--json or nothing"),
        (("logs", "many"), "a number of lines"),
        (("node",), "reboot or poweroff"),
        (("node", "halt"), "reboot or poweroff"),
    ],
)
def test_a_slip_shows_the_usage(supervised: Make, words: tuple[str, ...], part: str) -> None:
    found = supervised().srctl(*words)
    assert found.returncode == 2
    assert part in found.stderr
    assert "usage: srctl" in found.stderr


def test_without_a_container_srctl_says_so(machine: Machine) -> None:
    script = machine.home.parents[2] / "srctl"
    from support.shells import PROJECT

    script.write_text((PROJECT / "hooks/srctl.sh").read_text())
    found = machine.run(str(script), "status")
    assert found.returncode == 1
    assert "no container was handed over" in found.stderr
