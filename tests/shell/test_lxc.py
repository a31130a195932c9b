"""The module `lxc` over doubles of LXC's programs: what runs, how it ends, what it leaves."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.containers import install_lxc, real_proc, wait_until
from support.shells import Machine


class Container:
    """A container of doubles; its runtime's verbs."""

    def __init__(self, machine: Machine) -> None:
        real_proc(machine)
        machine.fake("ip")
        self.machine = machine
        self.runtime = install_lxc(machine)
        self.folder = machine.run_dir / "lxc"

    def call(self, *words: str, seconds: str = "20") -> subprocess.CompletedProcess[str]:
        return self.machine.run(
            "-eu", str(self.runtime), *words, SR_MODULE="lxc", SR_LXC_START_SECONDS=seconds,
            SR_UNSHARE=str(self.machine.fakes / "unshare"),
        )  # fmt: skip

    def end(self, how: str) -> None:
        self.machine.write("end.new", how).rename(self.machine.root / "end")

    @property
    def init(self) -> int:
        return int((self.machine.root / "ct-init").read_text())

    def close(self) -> None:
        self.end("exit0")
        alive = self.machine.root / "ct-init"
        wait_until(
            "the doubles' end",
            lambda: not alive.exists() or not Path("/proc", alive.read_text().strip()).exists(),
        )


@pytest.fixture
def container(machine: Machine) -> Iterator[Container]:
    made = Container(machine)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("reboot", "reboot"),
        ("poweroff", "halt"),
        ("killed", "crash its init was ended by signal Killed(9)"),
        ("error255", "crash its init ended with status (255)"),
        ("exit0", "crash its init ended by itself (status 0), without halting"),
    ],
)
def test_endings_are_told_apart(container: Container, how: str, said: str) -> None:
    started = container.call("start")
    assert started.returncode == 0, started.stderr
    container.end(how)
    assert container.call("wait").stdout == f"{said}\n"
    assert container.call("status").stdout == "stopped\n"
    assert not (container.machine.root / "restarted").exists()


def test_who_asks_later_hears_the_same(container: Container) -> None:
    container.call("start")
    container.end("reboot")
    assert container.call("wait").stdout == "reboot\n"
    assert container.call("wait").stdout == "reboot\n"


def test_a_monitor_that_is_killed_is_a_crash(container: Container) -> None:
    container.call("start")
    monitor = int((container.folder / "pid").read_text())
    init = container.init
    subprocess.run(["kill", "-9", str(monitor), str(init)], check=True)
    assert container.call("wait").stdout == "crash lxc-start ended with status 137\n"


def test_a_container_that_ends_at_once_has_run(container: Container) -> None:
    container.end("poweroff")
    started = container.call("start")
    assert started.returncode == 0, started.stderr
    assert container.call("wait").stdout == "halt\n"


def test_without_the_nodes_own_files_in_place_nothing_is_started(container: Container) -> None:
    machine = container.machine
    machine.fake("mount")
    machine.write("run/srbuild/local/mounts", f"dir\t{machine.root}/own\tvar/log\n")
    assert container.call("start").returncode == 1
    assert "not this node's own" in machine.note("why")
    calls = machine.calls
    assert f"mount -o bind {machine.root}/own {machine.root}/sysroot/var/log" in calls
    assert not [call for call in calls if call.startswith("lxc-start")]


def test_status_names_the_init_and_start_refuses_a_second(container: Container) -> None:
    container.call("start")
    assert container.call("status").stdout == f"running {container.init}\n"
    found = container.call("start")
    assert found.returncode == 1
    assert "runs already" in container.machine.note("why")


def test_another_process_of_that_number_is_not_the_init(container: Container) -> None:
    container.call("start")
    (container.folder / "init").write_text(f"{container.init} 12345\n")
    assert container.call("status").stdout == "stopped\n"


def test_an_init_that_cannot_be_run_says_why(container: Container) -> None:
    container.machine.write("no-init", "")
    found = container.call("start")
    assert found.returncode == 1
    assert "status 1" in container.machine.note("why")
    assert 'Failed to exec "/no/such"' in container.machine.note("why")
    assert container.call("status").stdout == "stopped\n"


def test_an_init_that_never_runs_is_given_up(container: Container) -> None:
    container.machine.fake("lxc-info", "echo STARTING", record=False)
    found = container.call("start", seconds="2")
    assert found.returncode == 1
    assert "did not run within 2 s" in container.machine.note("why")


def test_stop_asks_first(container: Container) -> None:
    container.call("start")
    found = container.call("stop", "20")
    assert found.returncode == 0, found.stderr
    assert not [call for call in container.machine.calls if call.startswith("lxc-stop")]
    assert container.call("wait").stdout == "halt\n"


def test_stop_kills_what_does_not_hear(container: Container) -> None:
    container.machine.write("deaf", "")
    container.call("start")
    found = container.call("stop", "1")
    assert found.returncode == 0, found.stderr
    assert "by force" in found.stderr
    assert [call for call in container.machine.calls if "-k" in call]
    assert container.call("status").stdout == "stopped\n"


def test_stop_of_nothing_is_done_at_once(container: Container) -> None:
    assert container.call("stop", "20").returncode == 0


@pytest.mark.parametrize("words", [("stop",), ("stop", "soon"), ("dance",), ()])
def test_wrong_words_are_refused(container: Container, words: tuple[str, ...]) -> None:
    assert container.call(*words).returncode == 1


def test_clean_leaves_no_cgroup_and_no_card(container: Container) -> None:
    group = container.machine.root / "sys/fs/cgroup/lxc.payload.ct/system.slice"
    group.mkdir(parents=True)
    (container.machine.root / "sys/class/net/srct0").mkdir()
    found = container.call("clean")
    assert found.returncode == 0, found.stderr
    assert not group.parent.exists()
    assert "ip link del srct0" in container.machine.calls


def test_clean_does_not_touch_what_runs(container: Container) -> None:
    container.call("start")
    assert container.call("clean").returncode == 1
    assert container.call("status").stdout.startswith("running")


def test_what_enters_has_a_clean_environment(container: Container) -> None:
    container.call("start")
    container.machine.write("deaf", "")
    container.call("enter", "id", "-u")
    last = container.machine.calls[-1]
    assert "--clear-env" in last
    assert last.endswith("-- id -u")


def test_the_log_of_the_start_before_is_kept(container: Container) -> None:
    for how in ("reboot", "poweroff"):
        container.call("start")
        container.end(how)
        container.call("wait")
    assert "Hangup(1)" in Path(container.folder, "log.old").read_text()
    assert "Hangup(1)" not in Path(container.folder, "log").read_text()
