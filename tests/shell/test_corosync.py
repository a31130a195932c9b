"""Leaving the cluster: corosync is asked, told, and made to end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.shells import SHELLS, Machine

SLICE = "proc/sys/kernel/sched_rt_runtime_us"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Under dash alone: busybox' own pidof would find what runs on this machine."""
    return Machine(tmp_path, SHELLS["dash"])


@pytest.fixture
def corosync(machine: Machine) -> Iterator[subprocess.Popen[bytes]]:
    """A process in its place, which ignores SIGTERM."""
    ignore = "import signal, sys; signal.signal(15, signal.SIG_IGN); "
    wait = "print(flush=True); signal.pause()"
    process = subprocess.Popen([sys.executable, "-c", ignore + wait], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"\n"
    machine.write(SLICE, "950000\n")
    alive = f'case $(cut -d " " -f 3 /proc/{process.pid}/stat) in Z) exit 1 ;; esac'
    machine.fake("pidof", f"{alive}\necho {process.pid}", record=False)
    yield process
    process.kill()
    process.communicate(timeout=10)


def leave(machine: Machine) -> subprocess.CompletedProcess[str]:
    return machine.module("cluster/corosync", "stop.sh")


def test_it_leaves_when_it_is_asked(machine: Machine, corosync: subprocess.Popen[bytes]) -> None:
    machine.fake("corosync-cfgtool", f"kill -KILL {corosync.pid}")
    done = leave(machine)
    assert done.returncode == 0, done.stderr
    assert "left the cluster" in done.stderr
    assert machine.calls == ["corosync-cfgtool -H"]
    assert (machine.root / SLICE).read_text() == "500000\n"


def test_one_that_takes_no_word_is_made_to_end(
    machine: Machine, corosync: subprocess.Popen[bytes]
) -> None:
    machine.fake("corosync-cfgtool", "exit 1")
    done = leave(machine)
    assert done.returncode == 0, done.stderr
    assert "corosync did not take leave" in done.stderr
    assert corosync.wait(timeout=10) == -signal.SIGKILL


def test_nothing_is_asked_where_it_does_not_run(machine: Machine) -> None:
    machine.fake("pidof", "exit 1")
    machine.write(SLICE, "950000\n")
    assert leave(machine).returncode == 0
    assert machine.calls == ["pidof corosync"]
    assert (machine.root / SLICE).read_text() == "950000\n"
