"""A root with sysvinit: how the bootstrap's shutdown comes to follow on its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.shells import PROJECT, Machine

LAST = "/run/initramfs/usr/lib/srbuild/modules/none/last.sh"
NONE = PROJECT / "modules/container/none"


def system(machine: Machine, init: str = "init", halt: str = "halt") -> None:
    """A root with merged /usr, whose programs say how they were called."""
    programs = machine.root / "sysroot/usr/sbin"
    programs.mkdir(parents=True)
    (machine.root / "sysroot/sbin").symlink_to("usr/sbin")
    for name, target in (("init", init), ("halt", halt)):
        (programs / target).write_text(
            f"#!/bin/sh\necho real ${{0##*/}} $* >>{machine.root}/calls\n"
        )
        (programs / target).chmod(0o755)
        if name != target:
            (programs / name).symlink_to(target)
    machine.write("run/srbuild/shutdown/guard", f"{os.getpid()}\n")
    (machine.root / f"proc/{os.getpid()}").mkdir()


def guard(machine: Machine) -> None:
    done = machine.module("container/none", "guard.sh")
    assert done.returncode == 0, done.stderr


def test_it_is_moved_over_halt_where_links_lead(machine: Machine) -> None:
    system(machine)
    guard(machine)
    root = machine.root
    assert machine.calls == [f"mount -o move {root}/run/srbuild/halt {root}/sysroot/usr/sbin/halt"]
    real = machine.home / "none/real"
    assert sorted(path.name for path in real.iterdir()) == ["halt", "poweroff", "reboot", "telinit"]
    assert (real / "reboot").readlink() == Path("halt")


@pytest.mark.parametrize(("init", "halt"), [("busybox", "busybox"), ("runit", "halt")])
def test_what_is_not_sysvinits_is_left_alone(machine: Machine, init: str, halt: str) -> None:
    system(machine, init, halt)
    guard(machine)
    assert machine.calls == []
    assert not (machine.home / "none").exists()


def test_a_root_with_systemd_is_told_in_its_own_way(machine: Machine) -> None:
    system(machine)
    machine.write("sysroot/usr/lib/systemd/systemd", "")
    guard(machine)
    assert machine.calls == []
    assert (machine.root / "run/systemd/system/srbuild-guard.service").exists()


def put(machine: Machine, script: str, target: Path) -> None:
    """A copy of `script` at `target` that the shell under test runs."""
    shell = machine.shell
    if script == "halt.sh" and "busybox" in shell:
        shell = ("bash",)  # roots with sysvinit have that or dash
    shell = (str(shutil.which(shell[0])), *shell[1:])
    text = (NONE / script).read_text().partition("\n")[2]
    target.write_text(f"#!{' '.join(shell)}\n{text}")
    target.chmod(0o755)


@pytest.fixture
def leaving(machine: Machine) -> Machine:
    """A machine whose root is sysvinit's, handed over; it is `root` that its paths begin with."""
    system(machine)
    guard(machine)
    root = machine.root
    (root / "calls").unlink()
    (root / "sbin").symlink_to("sysroot/usr/sbin")
    (root / "run/initramfs/bin").mkdir(parents=True)
    box = machine.write("run/initramfs/bin/busybox", BOX.format(root=root))
    box.chmod(0o755)
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/env").symlink_to("/usr/bin/env")
    machine.fake("timeout")
    (root / "overlay").mkdir()
    for name in ("halt", "reboot", "poweroff"):
        put(machine, "halt.sh", root / "overlay" / name)
    home = root / "run/initramfs/usr/lib/srbuild"
    home.parent.mkdir(parents=True)
    home.symlink_to(machine.home)
    (machine.home / "modules/none").mkdir(parents=True)
    put(machine, "last.sh", machine.home / "modules/none/last.sh")
    return machine


BOX = """#!/bin/sh
case $1 in
    true) exit ;;
esac
echo "busybox $*" >>{root}/calls
"""


def call(machine: Machine, *argv: str, runlevel: str) -> list[str]:
    """Run `argv`, a program of the root's, in `runlevel`; what was called."""
    path = f"{machine.fakes}:{os.environ['PATH']}"
    env = {"PATH": path, "SR_ROOT": str(machine.root), "RUNLEVEL": runlevel}
    program = str(machine.root / "overlay" / argv[0])
    subprocess.run([program, *argv[1:]], env=env, check=True, timeout=30)
    return [line.replace(str(machine.root), "") for line in machine.calls]


@pytest.mark.parametrize(
    ("argv", "verb"),
    [
        (["halt", "-d", "-f", "-i", "-p", "-h"], "poweroff"),
        (["halt", "-dhp"], "poweroff"),
        (["halt", "-d", "-f"], "halt"),
        (["poweroff", "-f"], "poweroff"),
        (["reboot", "-d", "-f", "-i"], "reboot"),
    ],
)
def test_the_last_act_has_init_execute_the_bootstraps_shutdown(
    leaving: Machine, argv: list[str], verb: str
) -> None:
    calls = call(leaving, *argv, runlevel="6" if verb == "reboot" else "0")
    assert calls[:3] == [
        f"mount -o bind {LAST} /sysroot/usr/sbin/init",
        "real telinit u",
        "timeout 20 tail -f /dev/null",
    ]
    # It was not ended in that time: then it is the real one's.
    assert calls[3:] == [f"real {' '.join(argv)}"]
    assert (leaving.home / "none/verb").read_text() == f"{verb}\n"


@pytest.mark.parametrize(
    ("argv", "runlevel"),
    [(["halt", "-w"], "0"), (["reboot"], "2"), (["halt", "-f"], "2"), (["poweroff"], "")],
)
def test_all_else_is_the_real_ones(leaving: Machine, argv: list[str], runlevel: str) -> None:
    assert call(leaving, *argv, runlevel=runlevel) == [f"real {' '.join(argv)}"]


def test_the_bootstrap_that_scripts_have_unmounted_is_found_by_the_guard(leaving: Machine) -> None:
    bootstrap = leaving.root / "run/initramfs"
    home = leaving.root / f"proc/{os.getpid()}/root"
    shutil.move(bootstrap, home)
    box = home / "bin/busybox"
    box.write_text(f'{box.read_text()}[ "$1" != mount ] || cp -a "$4" "$5"\n')
    calls = call(leaving, "reboot", "-f", runlevel="6")
    assert calls[0] == f"busybox mount -o bind /proc/{os.getpid()}/root /run/initramfs"
    assert calls[2] == "real telinit u"


def test_where_the_bootstrap_is_gone_the_real_one_is_uncovered(leaving: Machine) -> None:
    (leaving.root / "run/initramfs/bin/busybox").unlink()
    (leaving.run_dir / "shutdown/guard").unlink()
    (leaving.root / "run/initramfs/usr/lib/srbuild").unlink()
    below = leaving.root / "overlay/reboot"
    real = leaving.root / "sysroot/usr/sbin/halt"
    leaving.fake("umount", f'rm "$2" && ln -s "{real}" "$2"')
    assert call(leaving, "reboot", "-f", runlevel="6") == [
        "umount -l /overlay/reboot",
        "real reboot -f",
    ]
    assert below.is_symlink()


def test_without_an_env_that_unblocks_the_end_is_the_roots(leaving: Machine) -> None:
    (leaving.root / "usr/bin/env").unlink()
    assert call(leaving, "reboot", "-f", runlevel="6") == ["real reboot -f"]


BLOCKED = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_the_shutdown_is_begun_with_signals_that_come(leaving: Machine) -> None:
    (leaving.home / "none/verb").write_text("reboot\n")
    box = leaving.root / "run/initramfs/bin/busybox"
    box.write_text(f'#!/bin/sh\n[ "$1" = true ] && exit\necho "$*" >>{leaving.root}/calls\n'
                   f"grep SigBlk /proc/self/status >>{leaving.root}/calls\n")  # fmt: skip
    argv = [sys.executable, "-c", BLOCKED, f"{leaving.root}{LAST}"]
    subprocess.run([*argv, "--init"], env={"SR_ROOT": str(leaving.root)}, check=True, timeout=30)
    begun, mask = leaving.calls
    assert begun == f"sh {leaving.root}/run/initramfs/shutdown reboot"
    assert not int(mask.split()[1], 16) & 1 << (signal.SIGALRM - 1)
