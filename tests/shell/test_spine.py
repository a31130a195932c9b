"""The spine: points in order, one summary block at a failure, a shell, `resume`."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from srbuild.lab.times import read_times
from support.shells import PROJECT, Machine

POINTS = ("identity", "net", "storage", "mount", "handover", "cleanup")


@pytest.fixture
def spine(machine: Machine) -> Machine:
    machine.write("usr/lib/srbuild/points", "".join(f"{point}\n" for point in POINTS))
    machine.write("usr/lib/srbuild/options", "SR_NET_MTU\tint\t0\t0\tmtu\n")
    machine.write("usr/lib/srbuild/runs", "")
    shutil.copy(PROJECT / "hooks/spine.sh", machine.home / "spine")
    # The console: a session and a terminal are the machine's own matter.
    machine.write("usr/lib/srbuild/lib/console.sh", "exec sh -i\n")
    machine.write("usr/lib/srbuild/shutdown", f'echo "$@" >"{machine.root}/left"\nkill "$PPID"\n')
    return machine


def add(machine: Machine, point: str, module: str, text: str, seconds: int = 20) -> None:
    """A script of `module` at `point`."""
    path = machine.write(f"usr/lib/srbuild/modules/{module}/{point}.sh", text)
    with (machine.home / "runs").open("a") as runs:
        runs.write(f"{point} {module} {path} {seconds}\n")


def boot(machine: Machine, cmdline: str = "", typed: str = "") -> subprocess.CompletedProcess[str]:
    machine.write("proc/cmdline", f"quiet {cmdline}\n")
    return machine.run(str(machine.home / "spine"), stdin=typed)


FAILS_ONCE = """
. "$SR_HOME/lib/base.sh"
echo "before it"
[ -e "$SR_RUN/mended" ] || {
    : >"$SR_RUN/mended"
    sr_hint "mend it"
    sr_run sh -c 'echo "\033[2Jlast words" >&2; exit 7'
}
echo went on
"""


def test_scripts_run_in_the_order_of_the_points(spine: Machine) -> None:
    for point in ("handover", "identity", "cleanup", "storage"):
        add(spine, point, f"m-{point}", 'echo "ran $SR_POINT $SR_MODULE"')
    found = boot(spine)
    assert found.returncode == 0, found.stderr
    lines = [line for line in found.stdout.splitlines() if line.startswith("ran")]
    assert lines == ["ran identity m-identity", "ran storage m-storage", "ran handover m-handover"]
    assert "ran storage" in (spine.run_dir / "log").read_text()


def test_values_reach_the_scripts_and_the_nodes_own_after_identity(spine: Machine) -> None:
    spine.write("etc/srbuild/site.values", "SR_NET_MTU=1\n")
    add(
        spine,
        "identity",
        "core",
        'echo "mtu $SR_NET_MTU"; echo SR_NET_MTU=2 >"$SR_ETC/node.values"',
    )
    add(spine, "net", "net", 'echo "mtu $SR_NET_MTU"')
    assert boot(spine).stdout == "mtu 1\nmtu 2\n"
    assert "mtu 9\n" in boot(spine, "mtu=9").stdout


def test_a_failure_stops_with_one_block_and_resume_goes_on(spine: Machine) -> None:
    add(spine, "storage", "iscsi", FAILS_ONCE)
    add(spine, "mount", "gfs2", "echo mounted")
    found = boot(spine, typed="resume\n")
    assert found.returncode == 0, found.stderr
    for part in (
        "the boot stopped at the point 'storage', in the module 'iscsi'",
        "status   7",
        "command  sh -c",
        "hint     mend it",
        "    | before it\n    | [2Jlast words\n",
        "resume",
        "sr-log",
    ):
        assert part in found.stdout
    assert found.stdout.count("the boot stopped") == 1
    assert found.stdout.endswith("went on\nmounted\n")
    assert "the boot stopped" in (spine.run_dir / "log").read_text()


def test_a_script_that_hangs_is_ended(spine: Machine) -> None:
    add(
        spine,
        "net",
        "net",
        '[ -e "$SR_RUN/mended" ] && exit; : >"$SR_RUN/mended"; exec sleep 60',
        1,
    )
    found = boot(spine, typed="resume\n")
    assert found.returncode == 0
    assert "status   124 (no end after 1 s?)" in found.stdout


def test_a_daemon_that_holds_the_output_does_not_hold_the_boot(spine: Machine) -> None:
    add(spine, "net", "net", '(sleep 5; : >"$SR_RUN/ended") &\necho started')
    add(spine, "mount", "fs", '[ -e "$SR_RUN/ended" ] || echo mounted')
    assert boot(spine).stdout == "started\nmounted\n"


def test_an_exit_without_resume_stays(spine: Machine) -> None:
    add(spine, "storage", "iscsi", FAILS_ONCE)
    found = boot(spine, "rd.srb.reboot_delay=1", typed="")
    assert "type resume" in found.stdout
    assert "went on" not in found.stdout
    assert (spine.root / "left").read_text() == "reboot\n"


def test_without_a_shell_the_machine_leaves_and_reboots(spine: Machine) -> None:
    add(spine, "storage", "iscsi", FAILS_ONCE)
    found = boot(spine, "rd.shell=0 rd.srb.reboot_delay=1", typed="resume\n")
    assert "reboots in 1 s" in found.stdout
    assert "went on" not in found.stdout
    assert (spine.root / "left").read_text() == "reboot\n"


def test_break_points(spine: Machine) -> None:
    for point in ("net", "mount", "handover"):
        add(spine, point, point, f"echo ran {point}")
    found = boot(spine, "rd.break=mount", typed="echo shell\nresume\n")
    assert (
        found.stdout.index("ran net")
        < found.stdout.index("shell")
        < found.stdout.index("ran mount")
    )
    found = boot(spine, "rd.break", typed="echo shell\nresume\n")
    assert (
        found.stdout.index("ran mount")
        < found.stdout.index("shell")
        < found.stdout.index("ran handover")
    )


def test_a_wrong_value_stops_before_any_script(spine: Machine) -> None:
    add(spine, "net", "net", "echo ran")
    found = boot(spine, "mtu=$(reboot) rd.shell=0 rd.srb.reboot_delay=1")
    assert "kernel parameter mtu: `$(reboot)` is not of type int" in found.stdout
    assert "ran" not in found.stdout.splitlines()


def test_tracing_spares_what_handles_a_secret(spine: Machine) -> None:
    spine.write("usr/lib/srbuild/options", "SR_A_KEY\tstring\t0\t1\t\nSR_B_MTU\tint\t0\t0\t\n")
    spine.write("etc/srbuild/site.values", "SR_A_KEY=hush\nSR_B_MTU=1500\n")
    add(spine, "net", "a", ': "key $SR_A_KEY"')
    add(spine, "net", "b", ': "mtu $SR_B_MTU"')
    found = boot(spine, "rd.debug")
    assert "hush" not in found.stdout + (spine.run_dir / "log").read_text()
    assert "not traced" in found.stdout
    assert "mtu 1500" in found.stdout


DMESG = """
echo '[    0.500000] Trying to unpack rootfs image as initramfs...'
echo '[    1.750000] Freeing initrd memory: 20000K'
echo '[    2.000000] Run /init as init process'
"""


def test_the_seconds_of_each_point_and_script_are_said_at_the_end(spine: Machine) -> None:
    spine.fake("dmesg", DMESG)
    spine.write("run/srbuild/times", "kernel 0.00 0.10\n")
    add(spine, "storage", "iscsi", "sleep 0.3")
    add(spine, "storage", "multipath", "exit 0")
    add(spine, "mount", "gfs2", FAILS_ONCE)
    found = boot(spine, typed="resume\n")
    assert found.returncode == 0, found.stderr
    times = read_times(found.stderr)
    assert times is not None, found.stderr
    assert (times.kernel, times.unpacking) == (0.1, 1.25)
    assert list(times.points) == ["storage", "mount"]
    assert list(times.scripts["storage"]) == ["iscsi/storage", "multipath/storage"]
    assert 0.3 <= times.scripts["storage"]["iscsi/storage"] <= times.points["storage"]
    assert times.init is not None
    assert times.init >= sum(times.points.values()) - 0.05
    assert read_times((spine.run_dir / "log").read_text()) == times


def test_a_boot_without_a_root_and_a_kernel_that_says_nothing(spine: Machine) -> None:
    spine.fake("dmesg", "exit 1")
    add(spine, "net", "net", "exit 0")
    found = boot(spine)
    times = read_times(found.stderr)
    assert times is not None, found.stderr
    assert (times.unpacking, times.mounted, list(times.points)) == (None, None, ["net"])
