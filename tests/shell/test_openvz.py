"""The container by vzctl, from the handover to how it ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.openvz import CONF, INIT, SCRIPT, Node, running, see_processes
from support.shells import Machine

BOOT = "-1 [000] ..... 9.1: "
CALL = "sys_reboot(magic1: fee1dead, magic2: 28121969, cmd: {}, arg: 0)"


@pytest.fixture
def node(machine: Machine) -> Iterator[Node]:
    yield from running(machine)


@pytest.fixture
def alive(node: Node) -> Node:
    return see_processes(node)


def test_handover_puts_the_configuration_in_place_and_asks_for_the_supervisor(node: Node) -> None:
    found = node.run("handover.sh")
    assert found.returncode == 0, found.stderr
    root = node.machine.root
    assert (root / "run/srbuild/handover").read_text() == "supervise\n"
    conf = (root / "etc/vz/conf/101.conf").read_text()
    assert 'PHYSPAGES="512M:512M"' in conf  # upstream mode counts the barrier
    assert 'NETDEV="srbuild"' in conf
    assert os.access(root / SCRIPT, os.X_OK)
    assert not (root / "etc/vz/conf/101.mount").exists()
    assert f"mount -o move {root}/vz/over {root}/" in node.machine.calls


@pytest.mark.parametrize(
    ("path", "text", "variables", "why"),
    [
        ("sysroot/root.hdd", "", {}, "holds root.hdd"),
        ("sysroot/.ve.layout", "5", {}, "holds .ve.layout"),
        ("proc/mounts", "c /sys/fs/cgroup/unified cgroup2 rw 0 0\n", {}, "version 1 alone"),
        ("etc/srbuild/ct.conf", "", {}, "no configuration"),
        ("x", "", {"SR_OPENVZ_GENERATION": "4"}, "is not OpenVZ's: there is no /proc/vz"),
        ("proc/vz/version", "", {"SR_OPENVZ_GENERATION": "upstream"}, "is an OpenVZ kernel"),
        ("proc/vz/version", "", {"SR_OPENVZ_GENERATION": "7"}, "but vzctl is 4.11.1"),
        ("x", "", {"VZ_VERSION": "9.0.1"}, "does not run on a mainline kernel"),
        ("x", "", {"SR_OPENVZ_CTID": "11111111-2222-3333-4444-555555555555"}, "by number only"),
        ("proc/self/mountinfo", "", {}, "no root is mounted"),
    ],
)
def test_what_vzctl_could_not_run_is_refused_before(
    node: Node, path: str, text: str, variables: dict[str, str], why: str
) -> None:
    node.machine.write(path, text)
    assert node.run("handover.sh", **variables).returncode == 1
    assert why in node.machine.note("why")
    assert not (node.machine.run_dir / "handover").exists()


def test_no_init_on_the_root_is_refused(node: Node) -> None:
    (node.machine.root / "sysroot/sbin/init").unlink()
    assert node.run("handover.sh").returncode == 1
    assert "has no /sbin/init" in node.machine.note("why")


def test_a_missing_resolv_conf_is_made_for_vzctl_would_crash(alive: Node) -> None:
    (alive.machine.root / "etc/resolv.conf").unlink()
    alive.begin()
    assert (alive.machine.root / "etc/resolv.conf").exists()


def test_no_limit_is_a_barrier_of_0(node: Node) -> None:
    unlimited = CONF.replace('"0:512M"', '"9223372036854775807:9223372036854775807"')
    node.machine.write("etc/srbuild/ct.conf", unlimited)
    assert node.run("handover.sh").returncode == 0
    conf = (node.machine.root / "etc/vz/conf/101.conf").read_text()
    assert 'PHYSPAGES="0:9223372036854775807"' in conf


def test_only_what_vzctl_is_known_to_work_with_is_mounted(node: Node) -> None:
    names = ("blkio", "cpu", "cpuset", "devices", "freezer", "memory", "net_cls", "pids", "hugetlb")
    lines = [f"{name} 0 1 {int(name != 'cpuset')}\n" for name in names]
    node.machine.write(
        "proc/cgroups", "#subsys_name hierarchy num_cgroups enabled\n" + "".join(lines)
    )
    node.machine.write("proc/mounts", "")
    assert node.run("handover.sh").returncode == 0
    mounted = [call.split()[-1] for call in node.machine.calls if " -t cgroup " in call]
    assert [Path(path).name for path in mounted] == [
        "blkio", "cpu", "devices", "freezer", "memory", "pids",
    ]  # fmt: skip


def test_another_kernel_cannot_be_loaded_any_more(node: Node) -> None:
    lock = node.machine.write("proc/sys/kernel/kexec_load_disabled", "0\n")
    assert node.run("handover.sh").returncode == 0
    assert lock.read_text() == "1\n"


def test_settings_that_have_no_effect_are_said(node: Node) -> None:
    found = node.run("handover.sh", SR_VE_SWAPPAGES="1G", SR_VE_NUMPROC="100", SR_VE_CPUS="2")
    assert "has nothing for these settings of [ve]: swappages numproc" in found.stderr


def test_it_starts_tells_its_init_and_stops(alive: Node) -> None:
    pid = alive.begin()
    assert alive.verb("status").stdout == f"running {pid}\n"
    assert alive.verb("enter", "echo", "a  'b'").stdout == "a  'b'\n"
    assert alive.verb("enter", "sh", "-c", "exit 7").returncode == 7
    stopped = alive.verb("stop", "20")
    assert stopped.returncode == 0, stopped.stderr
    assert alive.verb("status").stdout == "stopped\n"
    assert alive.verb("clean").returncode == 0
    assert not (alive.machine.root / "var/lib/vzctl/vepid/101").exists()


def test_one_that_ignores_the_request_is_killed(alive: Node) -> None:
    init = alive.machine.root / "sysroot/sbin/init"
    init.write_text(INIT.replace("exit 0", ":"))
    alive.begin()
    stopped = alive.verb("stop", "2")
    assert stopped.returncode == 0, stopped.stderr
    assert "by force" in stopped.stderr
    assert alive.verb("status").stdout == "stopped\n"


def test_status_0_of_an_init_that_died_is_no_start(alive: Node) -> None:
    (alive.machine.root / "sysroot/sbin/init").write_text("#!/bin/sh\nexit 0\n")
    assert alive.run("handover.sh").returncode == 0
    alive.verb("start")
    assert alive.verb("status").stdout == "stopped\n"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('DISABLED="yes"', "status 105: the container is disabled"),
        ('VE_LAYOUT="ploop"', "status 99: the layout is ploop"),
        ('LOCAL_UID="100000"', "status 47"),
        ('VE_PRIVATE="/vz/private/none"', "status 43"),
        ("PHYSPAGES=", "status 28"),
    ],
)
def test_what_vzctl_refuses_is_said_in_words(node: Node, line: str, why: str) -> None:
    name = line.partition("=")[0]
    kept = [one for one in CONF.splitlines() if not one.startswith(f"{name}=")]
    node.machine.write("etc/srbuild/ct.conf", "\n".join([line, *kept]) + "\n")
    assert node.run("handover.sh").returncode == 0
    assert node.verb("start").returncode == 1
    assert why in node.machine.note("why")


def test_a_failing_mount_script_ends_the_start(node: Node) -> None:
    assert node.run("handover.sh").returncode == 0
    node.machine.write("etc/vz/conf/101.mount", "#!/bin/sh\nexit 1\n").chmod(0o755)
    assert node.verb("start").returncode == 1
    assert "own files could not be put in place" in node.machine.note("why")


@pytest.mark.parametrize("action", ["mount", "umount"])
def test_on_an_openvz_kernel_the_nodes_own_files_are_on_ve_root(node: Node, action: str) -> None:
    """And go before it: vzctl does not unmount a root that something is mounted in."""
    library = (
        'sr_hostfiles_apply() { echo "mount $1"; }\nsr_hostfiles_undo() { echo "umount $1"; }\n'
    )
    node.machine.write("usr/lib/srbuild/lib/hostfiles.sh", library)
    node.machine.write("run/srbuild/openvz/root", "/vz/root/101\n")
    assert node.run(f"{action}.sh").stdout == f"{action} /vz/root/101\n"


@pytest.mark.parametrize(
    ("lines", "how"),
    [
        ((f"reboot{BOOT}{CALL.format('1234567')}",), "reboot"),
        ((f"systemd-shutdow{BOOT}{CALL.format('a1b2c3d4')}",), "reboot"),
        ((f"poweroff{BOOT}{CALL.format('4321fedc')}",), "halt"),
        ((f"halt{BOOT}{CALL.format('cdef0123')}",), "halt"),
        ((), "crash"),
        # One that may not reboot comes back from the call; init was killed some other way.
        (
            (f"evil{BOOT}{CALL.format('1234567')}", f"evil{BOOT}sys_reboot -> 0xffffffffffffffff"),
            "crash",
        ),
        ((f"init{BOOT}{CALL.format('0')}", f"init{BOOT}sys_reboot -> 0x0"), "crash"),
        ((f"init{BOOT}{CALL.format('89abcdef')}",), "crash"),
        (("sys_reboot(magic1: 1, magic2: 2, cmd: 1234567, arg: 0)",), "crash"),
    ],
)
def test_its_end_is_told_from_the_system_call(node: Node, lines: tuple[str, ...], how: str) -> None:
    assert node.run("handover.sh").returncode == 0
    node.trace(*lines)
    assert node.verb("wait").stdout.split()[0] == how


def test_a_kernel_that_traces_nothing_knows_crashes_only(node: Node) -> None:
    assert node.run("handover.sh").returncode == 0
    assert node.verb("wait").stdout.startswith("crash how it ended could not be told")


@pytest.mark.parametrize(("name", "word"), [("vzevent-reboot", "reboot"), ("ve-stop", "halt")])
def test_vzeventd_s_word_is_taken(node: Node, name: str, word: str) -> None:
    node.machine.write("run/srbuild/openvz/generation", "4\n")
    event = node.home / name
    event.symlink_to("event.sh")
    node.machine.run("-eu", str(event))
    assert node.verb("wait").stdout == f"{word}\n"


def test_a_reboot_stays_one_when_the_stop_is_told_too(node: Node) -> None:
    node.machine.write("run/srbuild/openvz/generation", "7\n")
    for name in ("ve-reboot", "ve-stop"):
        (node.home / name).symlink_to("event.sh")
        node.machine.run("-eu", str(node.home / name))
    assert node.verb("wait").stdout == "reboot\n"


def test_the_init_of_an_openvz_kernel_is_found_by_its_number(node: Node) -> None:
    node.machine.write("run/srbuild/openvz/generation", "4\n")
    node.machine.write("proc/11/status", "Name: init\nenvID:\t102\nVPid:\t1\n")
    node.machine.write("proc/12/status", "Name: sh\nenvID:\t101\nVPid:\t7\n")
    node.machine.write("proc/13/status", "Name: init\nenvID:\t101\nVPid:\t1\n")
    found = node.machine.lib(
        f'. "{node.home}/common.sh"; find_init',
        SR_OPENVZ_CTID="101",
        SR_OPENVZ_PRIVATE="",
        SR_OPENVZ_ROOT="",
    )
    assert found.stdout == "13\n", found.stderr


@pytest.mark.parametrize("words", [("stop",), ("stop", "x"), ("dance",), ()])
def test_a_wrong_order_is_refused(node: Node, words: tuple[str, ...]) -> None:
    assert node.run("handover.sh").returncode == 0
    node.machine.run_dir.joinpath("why").unlink(missing_ok=True)
    assert node.verb(*words).returncode == 1
    assert node.machine.note("why")


def test_there_is_no_console_and_nothing_to_enter(node: Node) -> None:
    assert node.run("handover.sh").returncode == 0
    for verb in ("console", "enter"):
        assert node.verb(verb).returncode == 1
        assert "does not run" in node.machine.note("why")


def test_cleanup_lets_go_of_what_the_handover_bound(node: Node) -> None:
    assert node.run("handover.sh").returncode == 0
    assert node.run("cleanup.sh").returncode == 0
    assert node.machine.calls[-1] == "umount -l /"
    before = len(node.machine.calls)
    assert node.run("cleanup.sh").returncode == 0
    assert len(node.machine.calls) == before
