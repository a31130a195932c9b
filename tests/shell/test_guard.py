"""What keeps the shutdown's limit: when it begins to count, what it does at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.shells import PROJECT, Machine

GUARD = str(PROJECT / "hooks/guard.sh")


@pytest.fixture
def guarded(machine: Machine) -> Iterator[Machine]:
    """A machine whose guard's naps are short; what is left of it is ended by process group."""
    machine.write("usr/lib/srbuild/options", "")
    machine.write("run/srbuild/values", "SR_CORE_SHUTDOWN_LIMIT\tseconds\t0\t0\tx\t12\n")
    machine.write("proc/sysrq-trigger", "")
    machine.write("proc/1/comm", "systemd\n")
    machine.write("proc/1/cmdline", "/sbin/init\0")
    machine.write("proc/self/mountinfo", "21 1 0:2 / / rw - rootfs rootfs rw\n")
    machine.write("dev/console", "")
    machine.write("dev/watchdog", "")
    short = '#!/bin/sh\ncase $2 in tail) exec sleep 0.05 ;; esac\nexec timeout "$@"\n'
    machine.write("usr/bin/timeout", short).chmod(0o755)
    machine.fake("sync")
    yield machine
    for path in (machine.root / "started").glob("*"):
        try:
            os.killpg(int(path.name), signal.SIGKILL)
        except ProcessLookupError:
            continue


def guard(machine: Machine, *words: str) -> None:
    """Start the guard; what it leaves in the background lives on for the test."""
    env = {
        "PATH": f"{machine.fakes}:{os.environ['PATH']}",
        "SR_ROOT": str(machine.root),
        "SR_HOME": str(machine.home),
        "SR_TIMEOUT": str(machine.root / "usr/bin/timeout"),
    }
    process = subprocess.Popen(
        [*machine.shell, GUARD, *words], env=env, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    machine.write(f"started/{process.pid}", "")
    if words[0] != "notice":
        assert process.wait(timeout=10) == 0


def state(machine: Machine, name: str) -> Path:
    return machine.run_dir / "shutdown" / name


def wait_for(what: str, path: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"{what}: {path} has no {text!r}"
        time.sleep(0.02)


def uptime(machine: Machine, seconds: int) -> None:
    # At once: a guard that reads nothing there knows no time.
    machine.write("proc/uptime.new", f"{seconds}.00 0\n").rename(machine.root / "proc/uptime")


@pytest.mark.parametrize(("verb", "letters"), [("reboot", "b"), ("poweroff", "b")])
def test_at_the_limit_the_kernel_ends_it(guarded: Machine, verb: str, letters: str) -> None:
    uptime(guarded, 100)
    guard(guarded, "begin", verb)
    assert state(guarded, "begun").read_text() == "100\n"
    wait_for("the watchdog hears of it", guarded.root / "dev/watchdog", "\n")
    assert (guarded.root / "proc/sysrq-trigger").read_text() == ""
    uptime(guarded, 103)  # of 12 s; the end takes 10
    trigger = guarded.root / "proc/sysrq-trigger"
    wait_for("the last word", trigger, letters)
    console = (guarded.root / "dev/console").read_text()
    assert "the limit of 12 s is near" in console
    assert ("turns the power off" in console) is (verb == "poweroff")
    assert "sync " in guarded.calls


def test_the_count_goes_on_from_where_it_began(guarded: Machine) -> None:
    """The root's own init took its time already when the bootstrap's shutdown begins."""
    uptime(guarded, 100)
    guarded.write("run/srbuild/shutdown/begun", "50\n")
    guard(guarded, "begin", "reboot")
    assert state(guarded, "begun").read_text() == "50\n"
    wait_for("the end at once", guarded.root / "proc/sysrq-trigger", "b")


@pytest.mark.parametrize(
    ("words", "verb"), [("init [0]", "poweroff"), ("init [6]", "reboot")]
)  # fmt: skip
def test_sysvinit_shows_that_it_goes_down(guarded: Machine, words: str, verb: str) -> None:
    guard(guarded, "watch")
    guarded.write("proc/1/cmdline", "init [2]\0")
    time.sleep(0.5)
    assert not state(guarded, "begun").exists()
    # sendsigs ends all but the guard itself: what is read by a child of it then may be nothing.
    (guarded.run_dir / "values").unlink()
    guarded.write("proc/1/cmdline", f"{words}\0")
    wait_for("it counts", guarded.root / "dev/console", "the machine goes down, in 12 s")
    assert state(guarded, "verb").read_text() == f"{verb}\n"


def test_systemd_tells_by_ending_a_unit_and_a_false_alarm_is_one(guarded: Machine) -> None:
    guard(guarded, "watch")
    guard(guarded, "notice")
    leader = max(int(path.name) for path in (guarded.root / "started").iterdir())
    time.sleep(0.5)
    os.kill(leader, signal.SIGTERM)
    wait_for("it counts", guarded.root / "dev/console", "the machine goes down")
    guard(guarded, "notice")  # systemd has started it again: it does not go down
    wait_for("it does not", guarded.root / "dev/console", "does not go down after all")
    wait_for("the watchdog is off", guarded.root / "dev/watchdog", "V")
    assert (guarded.root / "proc/sysrq-trigger").read_text() == ""


def test_a_root_that_takes_too_long_is_made_to_hurry(guarded: Machine) -> None:
    guarded.write("run/srbuild/values", "SR_CORE_SHUTDOWN_LIMIT\tseconds\t0\t0\tx\t80\n")
    guarded.write("proc/99999997/mountinfo", "40 1 0:40 / / rw - x x rw\n")
    guarded.write("proc/99999997/cmdline", "/usr/sbin/deaf\0")
    guarded.write("proc/1/comm", "other\n")  # the test must not signal this machine's own
    guarded.fake("kill", f'[ "$1" != -KILL ] || rm -r "{guarded.root}/proc/99999997"')
    uptime(guarded, 100)
    guard(guarded, "watch")
    guarded.write("run/srbuild/shutdown/noticed", "")
    wait_for("it counts", guarded.root / "dev/console", "in 80 s at the latest")
    uptime(guarded, 151)
    wait_for("the kill", guarded.root / "calls", "kill -TERM 99999997")
    assert "takes too long" in (guarded.root / "dev/console").read_text()


def test_the_watchdog_is_made_where_there_is_none(guarded: Machine) -> None:
    (guarded.root / "dev/watchdog").unlink()
    uptime(guarded, 100)
    guard(guarded, "begin", "reboot")
    wait_for("softdog is asked for", guarded.root / "calls", "modprobe softdog soft_margin=20")
    wait_for("it counts without, too", guarded.root / "dev/console", "the machine goes down")


def test_words_that_it_does_not_know(guarded: Machine) -> None:
    found = guarded.run(GUARD, "sleep")
    assert (found.returncode, "usage" in found.stderr) == (2, True)


def prepare(machine: Machine) -> None:
    before = set((machine.root / "sysroot").rglob("*"))
    machine.write("run/srbuild/shutdown/guard", "4242\n")
    machine.write("proc/4242/cmdline", "@/sh\0/usr/lib/srbuild/guard\0watch\0")
    done = machine.module("container/none", "guard.sh")
    assert done.returncode == 0, done.stderr
    assert set((machine.root / "sysroot").rglob("*")) == before


def test_systemd_is_given_units_in_run_alone(machine: Machine) -> None:
    machine.write("sysroot/lib/systemd/systemd", "")
    prepare(machine)
    units = machine.root / "run/systemd/system"
    unit = (units / "srbuild-guard.service").read_text()
    assert "Conflicts=shutdown.target" in unit
    assert "ExecStart=/proc/4242/root/bin/busybox chroot /proc/4242/root" in unit
    assert (units / "sysinit.target.wants/srbuild-guard.service").resolve().is_file()
    assert str((units / "systemd-machine-id-commit.service").readlink()) == "/dev/null"
    for verb in ("poweroff", "reboot", "halt", "kexec"):
        link = units / f"{verb}.target.wants/srbuild-verb@{verb}.service"
        assert link.resolve() == units / "srbuild-verb@.service"


def test_sendsigs_is_told_who_is_to_be_spared(machine: Machine) -> None:
    machine.write("proc/33/cmdline", "@/iscsid\0")
    machine.write("proc/34/cmdline", "udhcpc\0")
    prepare(machine)
    spared = (machine.root / "run/sendsigs.omit.d/srbuild").read_text().split()
    assert spared == ["33", "4242"]
    assert not (machine.root / "run/systemd").exists()
