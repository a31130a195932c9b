"""The GlusterFS root: what the client is called with, which server, and when to stop trying."""

from __future__ import annotations

import subprocess

import pytest

from support.shells import Machine

SERVER = "10.9.0.1"
SAYS = 'printf "[2026-11-22 19:48:00.8] E [x.c:1:f] 0-mgmt: %s\\n"'
UP = 'echo "30 20 0:37 / $SR_ROOT/sysroot rw - fuse.glusterfs x rw" >"$SR_ROOT/proc/self/mountinfo"'
NO_VOLUME = f'{SAYS} "failed to fetch volume file (key:root)" >>"$log"; exit 2'
DOWN = f'{SAYS} "connection attempt failed, (No route to host)" >>"$log"; exit 107'
SILENT = "exit 107"


def mount(
    machine: Machine, client: str = UP, cmdline: str = "", usable: str = "exit 0", **options: str
) -> subprocess.CompletedProcess[str]:
    """Run mount.sh with a client that is the shell text `client`; `usable` is its `test -d`."""
    machine.write("usr/lib/srbuild/survive", "glusterfs\n")
    machine.write("run/srbuild/cmdline", cmdline)
    machine.write("proc/self/mountinfo", "")
    machine.fake("setsid", 'exec "$@"', record=False)
    machine.fake("test", usable)
    read = "for word; do case $word in --log-file=*) log=${word#*=} ;; esac; done"
    machine.fake("glusterfs", f"{read}\n{client}")
    given = {
        "SR_GLUSTERFS_SERVER": SERVER, "SR_GLUSTERFS_VOLUME": "root", "SR_GLUSTERFS_VOLFILE": "",
        "SR_GLUSTERFS_OPTIONS": "", "SR_GLUSTERFS_LOG_LEVEL": "WARNING",
        "SR_GLUSTERFS_TIMEOUT": "20", "SR_GLUSTERFS_TRY_TIMEOUT": "5", "SR_GLUSTERFS_PAUSE": "0",
        "SR_GLUSTERFS_ROOT": "",
    }  # fmt: skip
    return machine.module("fs/glusterfs", "mount.sh", **(given | options))


def clients(machine: Machine) -> list[list[str]]:
    """The words of each attempt, without those that are always the same."""
    fixed = ("--process-name=", "--log-", "--pid-file=")
    return [
        [word for word in call.split()[1:-1] if not word.startswith(fixed)]
        for call in machine.calls
        if call.startswith("glusterfs ")
    ]


def test_a_volume_of_a_server(machine: Machine) -> None:
    found = mount(machine)
    assert found.returncode == 0, found.stderr
    assert clients(machine) == [[f"--volfile-server={SERVER}", "--volfile-id=root"]]
    assert machine.state("GLUSTERFS_CONNECTION") == "37"


def test_all_servers_are_named_with_port_and_folder(machine: Machine) -> None:
    options = {"SR_GLUSTERFS_SERVER": f"{SERVER}:24008 10.9.0.2", "SR_GLUSTERFS_VOLUME": "root/a/b"}
    assert mount(machine, **options).returncode == 0
    assert clients(machine) == [[
        f"--volfile-server={SERVER}", "--volfile-server=10.9.0.2", "--volfile-server-port=24008",
        "--volfile-id=root", "--subdir-mount=/a/b",
    ]]  # fmt: skip


def test_options_of_the_client_and_of_an_fstab(machine: Machine) -> None:
    words = "noatime,_netdev,acl,attribute-timeout=2"
    assert mount(machine, cmdline="ro\n", SR_GLUSTERFS_OPTIONS=words).returncode == 0
    assert clients(machine)[0][:3] == ["--read-only", "--acl", "--attribute-timeout=2"]


@pytest.mark.parametrize("words", ["soft", "acl,dump-fuse=/etc/passwd", "acl=$(reboot)x,;reboot"])
def test_options_that_the_client_has_not(machine: Machine, words: str) -> None:
    assert mount(machine, SR_GLUSTERFS_OPTIONS=words).returncode == 1
    assert words in machine.note("why")
    assert not clients(machine)


def test_options_that_the_module_has_itself(machine: Machine) -> None:
    machine.write("usr/lib/srbuild/refused", "SR_GLUSTERFS_OPTIONS\tvolfile-id\tset it there\n")
    assert mount(machine, SR_GLUSTERFS_OPTIONS="acl,volfile-id=x").returncode == 1
    assert "set it there" in machine.note("why")


def test_a_volume_file(machine: Machine) -> None:
    machine.write("etc/glusterfs/root.vol", "volume x\nend-volume\n")
    path = "/etc/glusterfs/root.vol"
    assert mount(machine, SR_GLUSTERFS_VOLFILE=path, SR_GLUSTERFS_SERVER="").returncode == 0
    assert clients(machine) == [[f"--volfile={path}"]]


def test_a_volume_file_that_is_not_there(machine: Machine) -> None:
    assert mount(machine, SR_GLUSTERFS_VOLFILE="/etc/none.vol").returncode == 1
    assert "/etc/none.vol" in machine.note("why")


def test_the_kernel_line_comes_first(machine: Machine) -> None:
    found = mount(machine, SR_GLUSTERFS_ROOT="glusterfs:10.9.0.7,[fd00::1]:/other")
    assert found.returncode == 0, found.stderr
    wanted = ["--volfile-server=10.9.0.7", "--volfile-server=fd00::1", "--volfile-id=other"]
    assert clients(machine) == [wanted]


@pytest.mark.parametrize(
    "text",
    ["nfs:10.9.0.1:/root", "glusterfs:10.9.0.1", "glusterfs::/root",
     "glusterfs:-x:/root", "glusterfs:10.9.0.1:/", "glusterfs:10.9.0.1:/a;b",
     "glusterfs:10.9.0.1:/root/../x", "/dev/sda"],
)  # fmt: skip
def test_a_kernel_line_that_names_no_volume(machine: Machine, text: str) -> None:
    assert mount(machine, SR_GLUSTERFS_ROOT=text).returncode == 1
    assert machine.note("why")
    assert not clients(machine)


def test_bricks_of_its_own_need_no_server(machine: Machine) -> None:
    machine.write("run/srbuild/state/GLUSTER_BRICKS", "/dev/vda\n")
    assert mount(machine, SR_GLUSTERFS_SERVER="").returncode == 0
    assert clients(machine)[0][0] == "--volfile-server=localhost"


@pytest.mark.parametrize("missing", ["SR_GLUSTERFS_SERVER", "SR_GLUSTERFS_VOLUME"])
def test_nothing_is_named(machine: Machine, missing: str) -> None:
    assert mount(machine, **{missing: ""}).returncode == 1
    assert "no GlusterFS volume is named" in machine.note("why")
    assert "root=glusterfs:" in machine.note("hint")


def test_a_volume_that_is_not_there_is_an_error_at_once(machine: Machine) -> None:
    assert mount(machine, NO_VOLUME, SR_GLUSTERFS_TIMEOUT="0").returncode == 1
    assert "no volume 'root'" in machine.note("why")
    assert SERVER in machine.note("why")
    assert len(clients(machine)) == 1


def test_another_server_is_the_first_next_time(machine: Machine) -> None:
    once = machine.root / "once"
    late = f'[ -e "{once}" ] || {{ : >"{once}"; {DOWN}; }}; {UP}'
    found = mount(machine, late, SR_GLUSTERFS_SERVER=f"{SERVER} 10.9.0.2")
    assert found.returncode == 0, found.stderr
    assert [words[0] for words in clients(machine)] == [
        f"--volfile-server={SERVER}", "--volfile-server=10.9.0.2",
    ]  # fmt: skip
    assert "No route to host" in found.stderr


@pytest.mark.parametrize(
    ("client", "reason"), [(DOWN, "No route to host"), (SILENT, "no glusterd answers")]
)
def test_no_server_in_time(machine: Machine, client: str, reason: str) -> None:
    both = f"{SERVER} 10.9.0.2"
    options = {"SR_GLUSTERFS_SERVER": both, "SR_GLUSTERFS_TIMEOUT": "1"}
    assert mount(machine, client, **options).returncode == 1
    for word in (both, reason, "within 1 s"):
        assert word in machine.note("why")


def test_a_volume_without_enough_bricks_is_let_go_of_and_tried_again(machine: Machine) -> None:
    once = machine.root / "once"
    usable = f'[ -e "{once}" ] || {{ : >"{once}"; exit 1; }}'
    found = mount(machine, usable=usable)
    assert found.returncode == 0, found.stderr
    assert "too few of its bricks" in found.stderr
    assert len(clients(machine)) == 2
    assert f"umount {machine.root}/sysroot" in machine.calls


def unmount(machine: Machine, umount: str = ": >$SR_ROOT/proc/self/mountinfo") -> str:
    """Run unmount.sh with such an `umount`; what it said."""
    machine.fake("umount", umount)
    machine.write("run/srbuild/state/GLUSTERFS_CONNECTION", "37\n")
    found = machine.module("fs/glusterfs", "unmount.sh")
    assert found.returncode == 0, found.stderr
    return found.stderr


def test_it_is_unmounted(machine: Machine) -> None:
    machine.write("proc/self/mountinfo", f"30 20 0:37 / {machine.root}/sysroot rw - fuse.x y rw\n")
    assert "given up" not in unmount(machine)
    assert machine.calls == [f"umount {machine.root}/sysroot"]


def test_a_volume_that_is_gone_is_given_up(machine: Machine) -> None:
    machine.write("proc/self/mountinfo", f"30 20 0:37 / {machine.root}/sysroot rw - fuse.x y rw\n")
    switch = machine.write("sys/fs/fuse/connections/37/abort", "")
    clear = 'case $1 in -l) : >"$SR_ROOT/proc/self/mountinfo" ;; *) exit 1 ;; esac'
    assert "given up" in unmount(machine, clear)
    assert switch.read_text() == "1\n"
    assert f"umount -l {machine.root}/sysroot" in machine.calls
