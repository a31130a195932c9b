"""The shutdown in the bootstrap: every step bounded, whatever hangs, and the whole as well."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from support.shells import PROJECT, Machine

ROOT = "21 1 0:2 / / rw - rootfs rootfs rw\n"
OLD = "30 21 0:40 / {old} rw - nfs4 server:/root rw\n31 30 0:5 / {old}/dev rw - devtmpfs dev rw\n"
# timeout(1) starts it, which a process of its own starts, whose parent is the shutdown.
END = """
parent() { ps -o ppid= -p "$1" | tr -d ' '; }
kill -KILL "$(parent "$(parent "$PPID")")"
"""
TICK = 0.03  # seconds for us that are one for the machine


@pytest.fixture
def ending(machine: Machine) -> Iterator[Machine]:
    """A bootstrap with the old root on /oldroot and two modules to clean up."""
    (machine.root / "proc/uptime").unlink()
    machine.write("proc/uptime", "100.00 0\n")
    machine.write("proc/meminfo", "Dirty: 10 kB\nWriteback: 0 kB\n")
    machine.write("proc/self/mountinfo", ROOT + OLD.format(old=f"{machine.root}/oldroot"))
    machine.write("usr/lib/srbuild/spine", "")
    machine.write("usr/lib/srbuild/guard", f'echo "guard $*" >>"{machine.root}/calls"\n')
    machine.write("usr/lib/srbuild/options", "")
    machine.write("run/srbuild/values", "")
    runs = ""
    for module in ("fs", "block"):
        path = machine.write(
            f"usr/lib/srbuild/modules/{module}/stop.sh",
            f'echo "clean $SR_MODULE" >>"{machine.root}/calls"\n',
        )
        runs += f"cleanup {module} {path} 20\n"
    machine.write("usr/lib/srbuild/runs", f"mount fs /x 20\n{runs}")
    mounts = machine.root / "proc/self/mountinfo"
    machine.fake(
        "umount",
        f'for last; do :; done\ngrep -v " $last " "{mounts}" >"{mounts}.new" || :\n'
        f'mv "{mounts}.new" "{mounts}"',
    )
    for name in ("sync", "kill"):
        machine.fake(name)
    for name in ("poweroff", "reboot", "halt"):
        machine.fake(name, END)
    over = threading.Event()
    clock = threading.Thread(target=tick, args=(machine, over))
    clock.start()
    yield machine
    over.set()
    clock.join()


def tick(machine: Machine, over: threading.Event) -> None:
    """The machine's clock, some thirty times as fast as ours."""
    path, new = machine.root / "proc/uptime", machine.root / "proc/.uptime"
    while not over.wait(TICK):
        now = float(path.read_text().split()[0])
        new.write_text(f"{now + 1:.2f} 0\n")
        new.rename(path)


@dataclass(frozen=True)
class Done:
    """What the shutdown said; in a file, for what hangs would hold a pipe open."""

    stderr: str


def shut_down(machine: Machine, verb: str = "poweroff", status: int = -9) -> Done:
    """Run the shutdown, begun at 100 s, until it ends the machine: a fake ends the script."""
    (machine.root / "proc/uptime").write_text("100.00 0\n")
    env = {
        "PATH": f"{machine.fakes}:{os.environ['PATH']}",
        "SR_ROOT": str(machine.root),
        "SR_HOME": str(machine.home),
    }
    said = machine.root / "said"
    with said.open("w") as out:
        words = [*machine.shell, str(PROJECT / "hooks/shutdown.sh"), verb]
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, timeout=60,
            check=False,
        )  # fmt: skip
    assert done.returncode == status, said.read_text()
    return Done(said.read_text())


def seconds(machine: Machine) -> int:
    """How long it took, by the machine's clock."""
    return int(float((machine.root / "proc/uptime").read_text().split()[0])) - 100


def module_stop(machine: Machine, module: str, text: str) -> None:
    machine.write(f"usr/lib/srbuild/modules/{module}/stop.sh", text)


@pytest.mark.parametrize("verb", ["poweroff", "reboot", "halt"])
def test_in_order_old_root_modules_machine(ending: Machine, verb: str) -> None:
    done = shut_down(ending, verb)
    old = f"{ending.root}/oldroot"
    assert ending.calls == [
        f"guard begin {verb}",
        "sync ",
        f"umount {old}/dev",
        f"umount {old}",
        "clean fs",
        "clean block",
        f"{verb} -n -f",
    ]
    assert "fs: cleanup: done in" in done.stderr
    assert "warning" not in done.stderr


def test_a_mount_point_with_a_blank_is_unmounted_by_its_name(ending: Machine) -> None:
    strange = f"32 30 0:6 / {ending.root}/oldroot/a\\040b rw - tmpfs t rw\n"
    with (ending.root / "proc/self/mountinfo").open("a") as file:
        file.write(strange)
    ending.fake(
        "umount",
        f'for last; do :; done\nm="{ending.root}/proc/self/mountinfo"\n'
        """last=$(printf '%s' "$last" | sed 's/ /\\\\\\\\040/')\n"""
        'grep -v -F " $last " "$m" >"$m.new" || :\nmv "$m.new" "$m"',
    )
    shut_down(ending)
    assert f"umount {ending.root}/oldroot/a b" in ending.calls


def test_a_storage_that_takes_nothing_is_found_out_and_not_waited_for(ending: Machine) -> None:
    ending.fake("sync", "exec sleep 30 >/dev/null 2>&1")
    module_stop(ending, "block", "exec sleep 30 >/dev/null 2>&1\n")
    done = shut_down(ending)
    assert "does not take what is to be written (10 KiB)" in done.stderr
    assert f"umount -f {ending.root}/oldroot" in ending.calls
    assert "clean fs" in ending.calls
    assert re.search(r"block: warning: cleanup: no end after 10 s", done.stderr)
    assert seconds(ending) < 90


def test_writing_that_goes_on_is_waited_for(ending: Machine) -> None:
    """As long as it gets less: 40 s here, when 10 s without would be given up."""
    ending.fake(
        "sync",
        f'for left in 9 8 7 6 5; do echo "Dirty: $left kB" >"{ending.root}/proc/meminfo"\n'
        "sleep 0.3\ndone",
    )
    done = shut_down(ending)
    assert "still to be written" in done.stderr
    assert "does not take" not in done.stderr
    assert f"umount {ending.root}/oldroot" in ending.calls


def test_a_mount_that_hangs_is_let_go_of(ending: Machine) -> None:
    ending.fake("umount", "case $1 in -*) ;; *) exec sleep 30 >/dev/null 2>&1 ;; esac")
    done = shut_down(ending)
    assert "letting go of it as it is" in done.stderr
    assert f"umount -f {ending.root}/oldroot" in ending.calls
    assert {"clean fs", "clean block"} <= set(ending.calls)
    assert seconds(ending) < 80


def test_a_mount_in_use_becomes_read_only_first(ending: Machine) -> None:
    """It is clean on the disk then, whoever has it open: a process that no signal ends."""
    ending.fake("umount", '[ "$1" = -l ]')
    shut_down(ending)
    old = f"{ending.root}/oldroot"
    calls = ending.calls
    assert calls.index(f"mount -o remount,ro {old}") < calls.index(f"umount -l {old}")
    assert "clean block" in calls


def test_a_cleanup_that_hangs_or_fails_stops_no_other(ending: Machine) -> None:
    module_stop(
        ending, "fs", "trap '' TERM\nexec >/dev/null 2>&1; while :; do /bin/sleep 1; done\n"
    )
    done = shut_down(ending)
    assert "fs: warning: cleanup: no end after" in done.stderr
    module_stop(ending, "fs", "exit 3\n")
    assert "clean block" in ending.calls
    assert "fs: warning: cleanup: failed (status 3)" in shut_down(ending).stderr


def test_no_step_goes_beyond_the_whole_limit(ending: Machine) -> None:
    ending.write("run/srbuild/shutdown/begun", "20\n")  # 80 s ago, of 120
    module_stop(ending, "fs", "exec sleep 30 >/dev/null 2>&1\n")
    done = shut_down(ending)
    assert seconds(ending) <= 40
    assert "clean block" in ending.calls
    assert "no end after" in done.stderr


def test_a_kernel_that_does_not_turn_off_is_made_to(ending: Machine) -> None:
    ending.fake("poweroff")
    trigger = ending.write("proc/sysrq-trigger", "")
    shut_down(ending, status=0)
    assert trigger.read_text() == "b\n"  # the last letter: a restart, where power off hangs
    assert seconds(ending) >= 20


def test_the_disks_of_a_dead_storage_are_turned_off(ending: Machine) -> None:
    state = ending.write("sys/block/sda/device/state", "running\n")
    shut_down(ending)
    assert state.read_text() == "running\n"
    ending.fake("sync", "exec sleep 30 >/dev/null 2>&1")
    shut_down(ending)
    assert state.read_text() == "offline\n"


def container(machine: Machine, text: str) -> None:
    machine.write("run/srbuild/ct/runtime", "lxc\n")
    machine.write("usr/lib/srbuild/modules/lxc/runtime.sh", text)


def test_the_container_is_stopped_first(ending: Machine) -> None:
    container(ending, f'echo "$SR_MODULE $*" >>"{ending.root}/calls"\n')
    shut_down(ending)
    assert re.fullmatch("lxc stop (5[0-2]|4[0-9])", ending.calls[1])  # half of what is left
    assert ending.calls[-1] == "poweroff -n -f"


def test_a_container_that_does_not_stop_holds_nothing(ending: Machine) -> None:
    container(ending, "trap '' TERM\nexec >/dev/null 2>&1; while :; do /bin/sleep 1; done\n")
    done = shut_down(ending)
    assert "stopping the container: no end after" in done.stderr
    assert "clean block" in ending.calls
    assert seconds(ending) < 120


def process(machine: Machine, pid: int, root: str, words: str) -> None:
    machine.write(f"proc/{pid}/mountinfo", f"40 1 {root} / / rw - x x rw\n41 40 0:9 / / rw - y y\n")
    machine.write(f"proc/{pid}/cmdline", words)


def test_strangers_are_known_by_their_root(machine: Machine) -> None:
    machine.write("proc/self/mountinfo", ROOT)
    process(machine, 1, "0:40", "/sbin/init\0")
    process(machine, 99999997, "0:40", "/usr/sbin/sshd\0-D\0")
    process(machine, 8, "0:40", "@/fuse\0")  # asks to be spared
    process(machine, 9, "0:2", "@/iscsid\0")  # the bootstrap's
    process(machine, 10, "0:2", "sh\0")
    process(machine, 11, "0:40", "")  # a kernel thread
    (machine.root / "proc/12").mkdir()  # gone by now
    found = machine.lib('. "$SR_LIB/strangers.sh"\nsr_strangers')
    assert (found.returncode, found.stdout.split()) == (0, ["99999997"])


def test_strangers_are_known_by_their_program_once_they_have_our_root(machine: Machine) -> None:
    """As pivot_root leaves them."""
    machine.write("proc/self/mountinfo", ROOT)
    programs = {
        1: "/oldroot/sbin/init", 7: "/oldroot/usr/bin/a -> b", 8: "/usr/sbin/iscsid",
        9: "/oldroot/bin/spared", 10: "/oldrooted/bin/x", 11: "/oldroot/bin/gone (deleted)",
    }  # fmt: skip
    for pid, program in programs.items():
        process(machine, pid, "0:2", "@spared" if pid == 9 else "word")
        (machine.root / f"proc/{pid}/exe").symlink_to(f"{machine.root}{program}")
    found = machine.lib('. "$SR_LIB/strangers.sh"\nsr_strangers')
    assert found.stdout.split() == ["7", "11"]


def test_strangers_that_ignore_sigterm_are_killed(machine: Machine) -> None:
    machine.write("proc/self/mountinfo", ROOT)
    process(machine, 99999997, "0:40", "/usr/sbin/sshd\0")
    gone = f'[ "$1" != -KILL ] || rm -r "{machine.root}/proc/99999997"'
    machine.fake("kill", gone)
    found = machine.lib('. "$SR_LIB/strangers.sh"\nsr_end_strangers 1')
    assert found.returncode == 0, found.stderr
    assert machine.calls == ["kill -TERM 99999997", "kill -KILL 99999997"]
    assert "their end" in found.stderr
