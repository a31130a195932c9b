"""The library's ground: state, waiting, bounded commands, failing, daemons that survive."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from support.shells import Machine


def test_state_is_kept_from_one_script_to_the_next(machine: Machine) -> None:
    machine.lib('sr_put ROOT_DEVICE "/dev/sd a"')
    assert machine.lib("sr_get ROOT_DEVICE").stdout == "/dev/sd a\n"
    assert machine.lib("sr_get NOTHING").returncode == 1
    assert machine.lib("sr_get NOTHING default").stdout == "default\n"


@pytest.mark.parametrize("name", ["", "a", "../X", "A-B", "A B", "A/B"])
def test_a_state_is_named_in_capitals_alone(machine: Machine, name: str) -> None:
    assert machine.lib('sr_put "$1" x', name).returncode == 1
    assert not list((machine.run_dir / "state").iterdir())


def test_a_wait_ends_with_its_test(machine: Machine) -> None:
    found = machine.lib('sr_wait_for 5 "the file" test -e "$SR_RUN/there"; echo "rc $?"')
    assert found.returncode == 1
    machine.write("run/srbuild/there", "")
    found = machine.lib('sr_wait_for 5 "the file" test -e "$SR_RUN/there"; echo "rc $?"')
    assert (found.stdout, found.stderr) == ("rc 0\n", "")


def test_a_wait_that_expires_says_what_it_waited_for(machine: Machine) -> None:
    start = time.monotonic()
    found = machine.lib('sr_wait_for 1 "the disk of n1" false')
    assert found.returncode == 1
    assert time.monotonic() - start < 5
    assert "the disk of n1" in found.stderr
    assert "the disk of n1" in machine.note("why")


def test_a_command_that_hangs_is_ended_and_named(machine: Machine) -> None:
    machine.fake("hang", "exec sleep 60")
    start = time.monotonic()
    found = machine.lib("sr_run -t 1 hang here")
    assert (found.returncode, machine.note("command")) == (124, "hang here")
    assert time.monotonic() - start < 10


def test_the_status_of_a_command_is_passed_on(machine: Machine) -> None:
    machine.fake("fails", "exit 24")
    assert machine.lib("sr_run fails").returncode == 24
    assert machine.lib("status=0; sr_run fails || status=$?; echo $status").stdout == "24\n"


def test_a_failure_leaves_reason_and_hint(machine: Machine) -> None:
    found = machine.lib('sr_fail "no target" "start it"; echo not reached')
    assert (found.returncode, found.stdout) == (1, "")
    assert (machine.note("why"), machine.note("hint")) == ("no target", "start it")


def test_messages_name_the_place_and_cannot_be_captured_by_accident(machine: Machine) -> None:
    found = machine.lib('sr_log "%s hello"', SR_POINT="storage", SR_MODULE="iscsi")
    assert found.stdout == ""
    assert found.stderr.endswith("] srbuild: storage: iscsi: %s hello\n")


def test_what_is_not_printable_stays_off_the_terminal(machine: Machine) -> None:
    assert machine.lib("sr_printable", stdin="a\x1b[2Jb\rc\n").stdout == "a[2Jbc\n"


def test_a_survivor_is_marked_for_systemd_and_in_a_session_of_its_own(machine: Machine) -> None:
    # A real binary: of a script the kernel puts the interpreter first.
    (machine.fakes / "corosync").symlink_to("/bin/sleep")
    machine.fake("setsid", f'exec {_setsid()} "$@" &')
    found = machine.lib("sr_survive corosync 60; pidof sleep >/dev/null || :")
    assert (found.returncode, found.stderr) == (0, "")
    pid = _find_process(b"@/corosync\x0060\x00")
    try:
        assert os.getsid(pid) != os.getsid(0)
    finally:
        os.kill(pid, signal.SIGKILL)


def _setsid() -> str:
    return "/usr/bin/setsid"


def _find_process(cmdline: bytes) -> int:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if path.read_bytes() == cmdline:
                    return int(path.parent.name)
            except OSError:
                continue
        time.sleep(0.05)
    raise AssertionError(f"no process {cmdline!r}")


def test_a_daemon_that_no_module_declares_is_not_started(machine: Machine) -> None:
    machine.fake("sshd")
    assert machine.lib("sr_survive sshd").returncode == 1
    assert (machine.calls, "sshd" in machine.note("why")) == ([], True)


def test_a_daemon_that_fails_says_why(machine: Machine) -> None:
    machine.fake("iscsid", 'echo "no such library" >&2; exit 127')
    found = machine.lib("sr_survive iscsid")
    assert found.returncode == 1
    assert "no such library" in found.stderr
    assert "iscsid did not start (status 127)" in machine.note("why")


@pytest.mark.parametrize("text", ["", "x\n", "1\n", "-5\n", "0\n", "99999999\n", "1 2 3\n"])
def test_a_pid_file_that_names_no_process(machine: Machine, text: str) -> None:
    machine.write("run/x.pid", text)
    assert machine.lib('sr_alive "$SR_ROOT/run/x.pid"').returncode != 0


def test_modules_kmods_are_loaded_in_one_call(machine: Machine) -> None:
    machine.write("usr/lib/srbuild/kmods/gfs2", "gfs2\ndlm\n")
    assert machine.lib("sr_modprobe", SR_MODULE="gfs2").returncode == 0
    assert machine.lib("sr_modprobe", SR_MODULE="none").returncode == 0
    assert machine.lib("sr_modprobe sd_mod").returncode == 0
    assert machine.calls == ["modprobe -a gfs2 dlm", "modprobe -a sd_mod"]


def test_cold_plug_asks_once_for_every_device_and_again_for_new_ones(machine: Machine) -> None:
    machine.write("sys/devices/pci/a/modalias", "pci:v00001AF4d00001041\n")
    machine.write("sys/devices/pci/b/modalias", "pci:v00001AF4d00001041\n")
    machine.write("sys/devices/evil/modalias", "-r gfs2\n$(reboot)\n")
    buses = machine.root / "sys/bus"
    for bus, device in (("pci", "pci/a"), ("pci", "pci/b"), ("platform", "evil")):
        link = buses / bus / "devices" / device.replace("/", "-")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(machine.root / "sys/devices" / device)
    child = machine.root / "sys/devices/pci/a/virtio0"
    machine.fake(
        "modprobe",
        f'mkdir -p "{child}" "{buses}/virtio/devices"\n'
        f'ln -sfn "{child}" "{buses}/virtio/devices/virtio0"\n'
        f'echo "virtio:d00000001v00001AF4" >"{child}/modalias"; exit 1',
    )
    assert machine.lib("sr_coldplug").returncode == 0
    assert machine.calls == [
        "modprobe -a -b -q pci:v00001AF4d00001041",
        "modprobe -a -b -q virtio:d00000001v00001AF4",
    ]


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/sbin/init", "/usr/lib/systemd/systemd"),
        ("/etc/up", "/usr"),
        ("/out", "/usr"),
        ("//usr/./sbin/", "/usr/sbin"),
        ("/", "/"),
        ("/loop", None),
        ("/missing", None),
        ("/usr/sbin/init/more", None),
    ],
)
def test_links_are_followed_inside_the_shared_root(
    machine: Machine, path: str, leads_to: str | None
) -> None:
    root = machine.root / "sysroot"
    (root / "usr/sbin").mkdir(parents=True)
    machine.write("sysroot/usr/lib/systemd/systemd", "")
    (root / "sbin").symlink_to("usr/sbin")
    (root / "usr/sbin/init").symlink_to("/lib/systemd/systemd")
    (root / "lib").symlink_to("/usr/lib")
    (root / "etc").mkdir()
    (root / "etc/up").symlink_to("../../../../usr")
    (root / "out").symlink_to("/../../usr")
    (root / "loop").symlink_to("loop")
    found = machine.lib('sr_resolve "$1"', path)
    assert (found.stdout, found.returncode) == (
        f"{leads_to}\n" if leads_to else "",
        int(not leads_to),
    )


@pytest.mark.parametrize(("unit", "disk"), [("", "sda"), ("0", "sda"), ("1", "sdb"), ("11", "")])
def test_the_disk_of_a_scsi_target(machine: Machine, unit: str, disk: str) -> None:
    target = machine.root / "sys/target0:0:0"
    (target / "0:0:0:0/block/sda").mkdir(parents=True)
    (target / "0:0:0:1/block/sdb").mkdir(parents=True)
    found = machine.lib('sr_block_of "$1" ${2:+"$2"}', str(target), unit)
    assert (found.stdout.strip(), found.returncode) == (disk, int(not disk))
