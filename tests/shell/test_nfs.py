"""The NFS root: what to mount, which server, which version, and when to stop trying."""

from __future__ import annotations

import subprocess

import pytest

from support.shells import Machine

SERVER = "10.9.0.1"
UP = "exit 0"


def fail(reason: str) -> str:
    return f"echo 'mount: mounting it on /sysroot failed: {reason}' >&2; exit 255"


REFUSED = fail("Permission denied")
DOWN = fail("Connection refused")
OLD = fail("Protocol not supported")


def mount(
    machine: Machine, how: str = UP, cmdline: str = "", writable: str = "exit 0", **options: str
) -> subprocess.CompletedProcess[str]:
    """Run mount.sh with a `mount` that is the shell text `how`, a `test -w` that is `writable`."""
    machine.fake("mount", how)
    machine.fake("test", writable)
    machine.write("run/srbuild/cmdline", cmdline)
    given = {
        "SR_NFS_SERVER": SERVER, "SR_NFS_PATH": "/srv/root", "SR_NFS_VERSION": "4.2",
        "SR_NFS_OPTIONS": "", "SR_NFS_OVERLAY": "0", "SR_NFS_TIMEOUT": "20",
        "SR_NFS_TRY_TIMEOUT": "5", "SR_NFS_PAUSE": "1", "SR_NFS_ROOT": "",
        "SR_NFS_NETROOT": "", "SR_NFS_NFSROOT": "", "SR_NETWORK_IP": "",
    }  # fmt: skip
    return machine.module("fs/nfs", "mount.sh", **(given | options))


def mounts(machine: Machine) -> list[str]:
    """Options and source of each attempt."""
    words = [call.split() for call in machine.calls if call.startswith("mount -i -t nfs ")]
    return [f"{call[5]} {call[6]}" for call in words]


def test_version_4(machine: Machine) -> None:
    found = mount(machine)
    assert found.returncode == 0, found.stderr
    assert mounts(machine) == ["rw,hard,vers=4.2,proto=tcp 10.9.0.1:/srv/root"]
    assert "modprobe -a nfs nfsv4" in machine.calls


def test_version_3_needs_no_helper(machine: Machine) -> None:
    assert mount(machine, SR_NFS_VERSION="3", SR_NFS_OPTIONS="rsize=8192").returncode == 0
    wanted = "rw,hard,vers=3,proto=tcp,nolock,mountproto=tcp,rsize=8192 10.9.0.1:/srv/root"
    assert mounts(machine) == [wanted]
    assert "modprobe -a nfs nfsv3" in machine.calls


def test_ipv6_and_a_port(machine: Machine) -> None:
    assert mount(machine, SR_NFS_SERVER="[fd00::1]:2050").returncode == 0
    assert mounts(machine) == ["rw,hard,vers=4.2,proto=tcp6,port=2050 [fd00::1]:/srv/root"]


def test_the_newest_version_that_the_server_takes(machine: Machine) -> None:
    how = f'case "$*" in *vers=4.0*) exit 0 ;; esac; {OLD}'
    assert mount(machine, how, SR_NFS_VERSION="").returncode == 0
    assert [text.split(",")[2] for text in mounts(machine)] == ["vers=4.2", "vers=4.1", "vers=4.0"]


def test_a_server_without_any_of_the_versions(machine: Machine) -> None:
    assert mount(machine, OLD, SR_NFS_VERSION="4").returncode == 1
    assert "none of the versions 4.2 4.1 4.0" in machine.note("why")


def test_the_second_server_when_the_first_is_down(machine: Machine) -> None:
    how = f'case "$*" in *10.9.0.2:*) exit 0 ;; esac; {DOWN}'
    found = mount(machine, how, SR_NFS_SERVER="10.9.0.1 10.9.0.2")
    assert found.returncode == 0, found.stderr
    assert "10.9.0.2:/srv/root is mounted" in found.stderr


def test_a_server_that_comes_up_late(machine: Machine) -> None:
    up = machine.root / "up"
    found = mount(machine, f'[ -e "{up}" ] && exit 0; : >"{up}"; {DOWN}')
    assert found.returncode == 0, found.stderr
    assert len(mounts(machine)) == 2
    assert "Connection refused" in found.stderr


def test_a_server_that_never_comes_up(machine: Machine) -> None:
    assert mount(machine, DOWN, SR_NFS_TIMEOUT="2").returncode == 1
    for part in ("/srv/root", "2 s", "10.9.0.1: Connection refused"):
        assert part in machine.note("why")
    assert machine.note("hint")


@pytest.mark.parametrize("reason", ["Permission denied", "No such file or directory", "Odd thing"])
def test_a_refusal_that_is_repeated_is_final(machine: Machine, reason: str) -> None:
    assert mount(machine, fail(reason)).returncode == 1
    assert len(mounts(machine)) == 2
    for part in ("/srv/root", f"10.9.0.1: {reason}"):
        assert part in machine.note("why")
    assert "exportfs" in machine.note("hint")


def test_one_server_refuses_and_another_may_still_come(machine: Machine) -> None:
    how = f'case "$*" in *10.9.0.2:*) {DOWN} ;; esac; {REFUSED}'
    assert (
        mount(machine, how, SR_NFS_SERVER="10.9.0.1 10.9.0.2", SR_NFS_TIMEOUT="3").returncode == 1
    )
    assert "within 3 s" in machine.note("why")
    assert len(mounts(machine)) >= 3


def test_a_mount_that_hangs_is_ended(machine: Machine) -> None:
    found = mount(machine, "sleep 60", SR_NFS_TRY_TIMEOUT="1", SR_NFS_TIMEOUT="3")
    assert found.returncode == 1
    assert "no answer within 1 s" in machine.note("why")


def test_a_name_without_an_address_may_get_one(machine: Machine) -> None:
    assert mount(machine, SR_NFS_SERVER="nas", SR_NFS_TIMEOUT="2").returncode == 1
    assert "nas: its name has no address" in machine.note("why")
    assert mounts(machine) == []


def test_a_root_that_may_not_write_is_unmounted_again(machine: Machine) -> None:
    info = machine.write("proc/self/mountinfo", f"1 2 3 4 {machine.root}/sysroot rw - nfs\n")
    machine.fake("umount", f': >"{info}"')
    assert mount(machine, writable="exit 1").returncode == 1
    assert "may not write" in machine.note("why")
    assert "no_root_squash" in machine.note("hint")
    assert machine.calls[-1] == f"umount {machine.root}/sysroot"


def test_the_overlay_is_over_a_read_only_mount(machine: Machine) -> None:
    found = mount(machine, cmdline="rw\n", SR_NFS_OVERLAY="1")
    assert found.returncode == 0, found.stderr
    assert mounts(machine)[0].startswith("ro,hard,")
    assert "modprobe -a nfs nfsv4 overlay" in machine.calls
    assert any(call.startswith("mount -t overlay -o lowerdir=") for call in machine.calls)


@pytest.mark.parametrize(
    ("option", "text", "wanted"),
    [
        ("ROOT", "nfs:10.0.0.7:/a", "vers=4.2,proto=tcp 10.0.0.7:/a"),
        ("ROOT", "nfs4:10.0.0.7:/a", "vers=4.2,proto=tcp 10.0.0.7:/a"),
        ("ROOT", "nfs:/a:vers=3,ro", "vers=3,proto=tcp,nolock,mountproto=tcp,ro 10.9.0.1:/a"),
        ("NETROOT", "nfs:[fd00::7]:/a/b:v4.1", "vers=4.1,proto=tcp6 [fd00::7]:/a/b"),
        ("NFSROOT", "10.0.0.7:/a,v3,nolock", "proto=tcp,nolock,mountproto=tcp,nolock 10.0.0.7:/a"),
        ("NFSROOT", "/a", "vers=4.2,proto=tcp 10.9.0.1:/a"),
    ],
)
def test_kernel_parameters(machine: Machine, option: str, text: str, wanted: str) -> None:
    found = mount(machine, **{f"SR_NFS_{option}": text})
    assert found.returncode == 0, found.stderr
    assert mounts(machine)[0].endswith(wanted)


@pytest.mark.parametrize(
    "text",
    ["/dev/sda1", "LABEL=x", "nfs:", "nfs:10.0.0.7", "nfs:10.0.0.7:a", "nfs:$(id):/a",
     "nfs:10.0.0.7:/a/../b", "nfs:10.0.0.7:/a:soft", "nfs:10.0.0.7:/a:vers=2", "iscsi:x::::y",
     "nfs:10.0.0.7:/a:ro,,x", "nfs:10.0.0.7:/%s", "nfs:10.0.0:/a"],
)  # fmt: skip
def test_parameters_that_mean_nothing(machine: Machine, text: str) -> None:
    machine.write("usr/lib/srbuild/refused", "SR_NFS_OPTIONS\tsoft\tit breaks\n")
    assert mount(machine, SR_NFS_ROOT=text).returncode == 1
    assert machine.note("why").startswith("root=")
    assert machine.calls == []


def test_the_boot_server_of_the_kernels_ip(machine: Machine) -> None:
    ip = "10.0.0.5:10.0.0.7:10.0.0.1:24:n1:eth0:none"
    found = mount(machine, SR_NFS_SERVER="", SR_NFS_NFSROOT="/a", SR_NETWORK_IP=ip)
    assert found.returncode == 0, found.stderr
    assert mounts(machine)[0].endswith(" 10.0.0.7:/a")


def test_the_dhcp_servers_root_is_used_when_asked_for(machine: Machine) -> None:
    machine.write("run/srbuild/state/DHCP_ROOT_PATH", "/a,v3\n")
    machine.write("run/srbuild/state/DHCP_SERVER", "10.0.0.7\n")
    assert mount(machine).returncode == 0
    assert mounts(machine)[0].endswith(" 10.9.0.1:/srv/root")
    assert mount(machine, SR_NFS_ROOT="dhcp", SR_NFS_SERVER="").returncode == 0
    assert mounts(machine)[1].endswith(",nolock,mountproto=tcp 10.0.0.7:/a")


@pytest.mark.parametrize("path", ["", "$(reboot)", "10.0.0.7:/a:soft", "x y:/a"])
def test_a_hostile_dhcp_servers_root_is_not(machine: Machine, path: str) -> None:
    machine.write("usr/lib/srbuild/refused", "SR_NFS_OPTIONS\tsoft\tit breaks\n")
    if path:
        machine.write("run/srbuild/state/DHCP_ROOT_PATH", f"{path}\n")
    assert mount(machine, SR_NFS_ROOT="dhcp").returncode == 1
    assert mounts(machine) == []


@pytest.mark.parametrize("option", ["SR_NFS_SERVER", "SR_NFS_PATH"])
def test_nothing_to_mount(machine: Machine, option: str) -> None:
    assert mount(machine, **{option: ""}).returncode == 1
    assert "[fs]" in machine.note("hint")


# --- letting go -------------------------------------------------------------------------------


def unmount(machine: Machine, needed: str) -> list[str]:
    """Run unmount.sh with a umount that only works with the words `needed`."""
    info = machine.write("proc/self/mountinfo", f"1 2 3 4 {machine.root}/sysroot rw - nfs\n")
    machine.fake("umount", f'case "$*" in "{needed}"*) : >"{info}" ;; *) exit 1 ;; esac')
    found = machine.module("fs/nfs", "unmount.sh")
    assert found.returncode == 0, found.stderr
    return [call.replace(str(machine.root), "") for call in machine.calls]


def test_a_root_is_unmounted(machine: Machine) -> None:
    assert unmount(machine, f"{machine.root}") == ["umount /sysroot"]


def test_a_dead_servers_root_is_let_go_of(machine: Machine) -> None:
    calls = unmount(machine, "-l")
    assert calls == ["umount /sysroot", "umount -f /sysroot", "umount -l /sysroot"]


def test_nothing_mounted_nothing_to_unmount(machine: Machine) -> None:
    machine.write("proc/self/mountinfo", "")
    assert machine.module("fs/nfs", "unmount.sh").returncode == 0
    assert machine.calls == []
