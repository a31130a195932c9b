"""The module `lxc` at handover: LXC's configuration from checked values, and what is refused."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from support.containers import LXC
from support.shells import Machine

DEFAULTS = {
    "INIT": "/sbin/init", "HOSTNAME": "", "NETWORK": "none", "BRIDGE": "", "LINK": "",
    "ADDRESSES": "", "GATEWAY": "", "HWADDR": "", "USER_NAMESPACE": "identity", "CGROUP": "v2",
    "MASK": "a.mount b.service", "DEVICES": "", "CONSOLE": "own", "START_SECONDS": "20",
}  # fmt: skip


@pytest.fixture
def node(machine: Machine) -> Machine:
    shutil.copytree(LXC, machine.home / "modules/lxc")
    root = machine.root
    machine.write("sysroot/usr/lib/systemd/systemd", "").chmod(0o755)
    (root / "sysroot/sbin").mkdir()
    (root / "sysroot/sbin/init").symlink_to("/usr/lib/systemd/systemd")
    for name in ("dev", "proc", "sys", "run", "tmp"):
        (root / "sysroot" / name).mkdir()
    machine.write("proc/self/mountinfo", f"1 0 8:1 / {root}/sysroot rw - ext4 /dev/sda rw\n")
    machine.write("proc/mounts", f"/dev/sda {root}/sysroot ext4 rw 0 0\n")
    machine.write("proc/filesystems", "nodev\tcgroup2\n")
    machine.write("proc/sys/kernel/osrelease", "6.1.0-56-amd64\n")
    machine.write("proc/self/ns/user", "")
    (root / "sys/fs/cgroup").mkdir(parents=True)
    for name, value in {"NODE_NAME": "n1", "CLUSTER_NAME": "lab"}.items():
        machine.write(f"run/srbuild/state/{name}", f"{value}\n")
    return machine


def hand_over(node: Machine, **values: str) -> subprocess.CompletedProcess[str]:
    """Run handover.sh with the options `values`; those of [ve] begin with VE_."""
    named = {f"SR_LXC_{name}": value for name, value in DEFAULTS.items()}
    for name, value in values.items():
        own = name.startswith(("VE_", "NETWORK_"))
        named[f"SR_{name}" if own else f"SR_LXC_{name}"] = value
    script = node.home / "modules/lxc/handover.sh"
    return node.run("-eu", str(script), SR_MODULE="lxc", **named)


def config(node: Machine, **values: str) -> list[str]:
    """LXC's configuration, line by line, with the machine's root left out."""
    found = hand_over(node, **values)
    assert found.returncode == 0, found.stderr
    text = (node.run_dir / "lxc/config").read_text()
    return text.replace(str(node.root), "").splitlines()


def refused(node: Machine, **values: str) -> str:
    """Why the handover failed, with the hint."""
    assert hand_over(node, **values).returncode == 1
    assert not (node.run_dir / "handover").exists()
    return f"{node.note('why')} {node.note('hint')}"


def test_the_defaults(node: Machine) -> None:
    lines = config(node)
    assert "lxc.rootfs.path = dir:/sysroot" in lines
    assert "lxc.uts.name = n1" in lines
    assert "lxc.cap.drop = mac_admin mac_override sys_module sys_rawio sys_time" in lines
    assert "lxc.idmap = u 0 0 4294967295" in lines
    assert "lxc.cgroup2.devices.deny = a" in lines
    assert "lxc.mount.auto = proc:mixed sys:ro cgroup:mixed" in lines
    assert "lxc.net.0.type = empty" in lines
    words = "systemd.mask=a.mount systemd.mask=b.service systemd.hostname=n1"
    assert f"lxc.init.cmd = /sbin/init {words}" in lines
    assert (node.run_dir / "handover").read_text() == "supervise\n"
    assert (node.run_dir / "ct/runtime").read_text() == "lxc\n"


def test_another_init_gets_no_words_of_systemds_and_has_terminals(node: Machine) -> None:
    node.write("sysroot/sbin/sysv", "").chmod(0o755)
    lines = config(node, INIT="/sbin/sysv")
    assert "lxc.init.cmd = /sbin/sysv" in lines
    assert "lxc.tty.max = 6" in lines


def test_what_is_host_specific_is_left_to_the_start(node: Machine) -> None:
    rows = "dir\t/sysroot/.srbuild/nodes/n1/var/log\tvar/log\ntmpfs\tmode=1777\ttmp\n"
    node.write("run/srbuild/local/mounts", rows)
    node.write("run/srbuild/local/init-words", "systemd.hostname=other\nsystemd.mask=x.service\n")
    lines = config(node)
    entries = [line.removeprefix("lxc.mount.entry = ") for line in lines if "mount.entry" in line]
    assert entries == ["tmpfs run tmpfs rw,nosuid,nodev,mode=755 0 0"]
    assert "lxc.hook.mount = /usr/lib/srbuild/modules/lxc/mount.sh" in lines
    command = next(line for line in lines if line.startswith("lxc.init.cmd"))
    assert command.endswith("systemd.hostname=other systemd.mask=x.service")
    assert command.count("systemd.hostname=") == 1


def test_shifted_maps_the_root_and_what_is_mounted_on_it(node: Machine) -> None:
    node.write("run/srbuild/local/mounts", "dir\t/sysroot/x\tvar/log\n")
    lines = config(node, USER_NAMESPACE="shifted")
    assert "lxc.rootfs.options = idmap=container" in lines
    assert "lxc.idmap = u 0 1000000 65536" in lines


@pytest.mark.parametrize("row", ["tmpfs\tmode=1777\ttmp", "dir\t{run}/local/state/x\tvar/log"])
@pytest.mark.parametrize(("kernel", "goes"), [("6.1.0-56-amd64", False), ("6.12.3", True)])
def test_shifted_maps_what_is_in_memory_on_newer_kernels(
    node: Machine, row: str, kernel: str, goes: bool
) -> None:
    node.write("run/srbuild/local/mounts", row.format(run=node.run_dir) + "\n")
    node.write("proc/sys/kernel/osrelease", f"{kernel}\n")
    if goes:
        assert "lxc.rootfs.options = idmap=container" in config(node, USER_NAMESPACE="shifted")
    else:
        assert "maps no tmpfs" in refused(node, USER_NAMESPACE="shifted")


def test_macvlan_lies_on_the_roots_card_and_leaves_it(node: Machine) -> None:
    node.card("eth0", "52:54:00:00:00:01")
    node.write("run/srbuild/state/NET_INTERFACE", "eth0\n")
    node.write("run/srbuild/state/NET_ADDRESS", "10.9.0.21/24\n")
    lines = config(node, NETWORK="auto", VE_IP_ADDRESS="10.9.0.51", NETWORK_GATEWAY="10.9.0.254")
    assert "lxc.net.0.type = macvlan" in lines
    assert "lxc.net.0.link = eth0" in lines
    assert "lxc.net.0.ipv4.address = 10.9.0.51/24" in lines
    assert "lxc.net.0.ipv4.gateway = 10.9.0.254" in lines
    assert not [line for line in lines if "phys" in line]
    again = config(node, NETWORK="auto")
    made = [line for line in again if "hwaddr" in line]
    assert made == [line for line in lines if "hwaddr" in line]
    assert made[0].startswith("lxc.net.0.hwaddr = 02:53:")
    assert "modprobe -a macvlan" in node.calls


def test_veth_on_a_bridge(node: Machine) -> None:
    node.card("br0", "52:54:00:00:00:09")
    (node.root / "sys/class/net/br0/bridge").mkdir()
    addresses = "10.9.0.51/24 fd00::5/64"
    mac = "02:00:00:00:00:07"
    lines = config(node, NETWORK="veth", BRIDGE="br0", ADDRESSES=addresses, HWADDR=mac)
    assert "lxc.net.0.veth.pair = srct0" in lines
    assert "lxc.net.0.ipv6.address = fd00::5/64" in lines
    assert "lxc.net.0.hwaddr = 02:00:00:00:00:07" in lines


def test_the_nodes_network_needs_the_nodes_sysfs(node: Machine) -> None:
    lines = config(node, NETWORK="host")
    assert "lxc.net.0.type = none" in lines
    assert "lxc.mount.entry = /sys sys none rbind,ro 0 0" in lines
    assert "lxc.mount.auto = proc:mixed cgroup:mixed:force" in lines


def test_settings_of_ve(node: Machine) -> None:
    lines = config(
        node, VE_PHYSPAGES="0:2G", VE_SWAPPAGES="0:262144", VE_CPUS="2", VE_CPULIMIT="150",
        VE_CPUUNITS="2000", VE_NUMPROC="500:500", VE_CAPABILITY="SYS_TIME:on NET_RAW:off",
        VE_HOSTNAME="shop",
    )  # fmt: skip
    assert "lxc.cgroup2.memory.max = 2147483648" in lines
    assert "lxc.cgroup2.memory.swap.max = 1073741824" in lines
    assert "lxc.cgroup2.cpu.max = 150000 100000" in lines
    assert "lxc.cgroup2.cpu.weight = 200" in lines
    assert "lxc.cgroup2.pids.max = 500" in lines
    assert "lxc.cap.drop = mac_admin mac_override sys_module sys_rawio net_raw" in lines
    assert "lxc.uts.name = shop" in lines


def test_settings_of_ve_on_version_1(node: Machine) -> None:
    node.write("proc/cgroups", "#subsys_name\nmemory\t0\t1\t1\nhidden\t0\t1\t0\n")
    lines = config(node, CGROUP="v1", VE_PHYSPAGES="1024:1024", VE_SWAPPAGES="1024:1024")
    assert "lxc.cgroup.memory.limit_in_bytes = 4194304" in lines
    assert "lxc.cgroup.memory.memsw.limit_in_bytes = 8388608" in lines
    assert "lxc.cgroup.devices.deny = a" in lines
    mounted = [call for call in node.calls if call.startswith("mount")]
    assert any("none,name=systemd" in call for call in mounted)
    assert any("memory," in call for call in mounted)
    assert not any("hidden" in call for call in mounted)


def test_what_lxc_has_nothing_for_is_said(node: Machine) -> None:
    found = hand_over(node, VE_DISKSPACE="10G", VE_KMEMSIZE="1:1")
    assert "settings of [ve]: diskspace kmemsize" in found.stderr


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"INIT": "/sbin/none"}, "has no /sbin/none"),
        ({"NETWORK": "veth", "BRIDGE": ""}, "needs a bridge"),
        ({"NETWORK": "veth", "BRIDGE": "br7"}, "there is no bridge br7"),
        ({"NETWORK": "macvlan"}, "needs a card"),
        ({"NETWORK": "macvlan", "LINK": "eth7"}, "no interface eth7"),
        ({"ADDRESSES": "10.0.0.1/24"}, "a network of the container's own"),
        ({"DEVICES": "/etc/passwd"}, "does not lie in /dev"),
        ({"DEVICES": "/dev/../etc/passwd"}, "no device's path"),
        ({"DEVICES": "/dev/nothing"}, "there is no device"),
        ({"HOSTNAME": "a_b;c"}, "no host name"),
        ({"MASK": 'a"b'}, "no word for the container's init"),
        ({"VE_PHYSPAGES": "0:many"}, "no amount of memory"),
        ({"VE_CPUS": "-2"}, "no number"),
        ({"VE_CAPABILITY": "SYS_TIME"}, "neither on nor off"),
        ({"VE_CAPABILITY": "SYS;TIME:on"}, "is no capability"),
        ({"VE_CPUMASK": "0-3;x"}, "no list of processors"),
    ],
)
def test_what_cannot_be_is_refused(node: Machine, values: dict[str, str], part: str) -> None:
    assert part in refused(node, **values)


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ("link\t/a\tetc/a", "does not know"),
        ("dir\t/a\t/etc", "has the target"),
        ("dir\t/a\tetc/../../x", "has the target"),
    ],
)
def test_a_list_of_others_is_not_taken_on_trust(node: Machine, row: str, part: str) -> None:
    node.write("run/srbuild/local/mounts", f"{row}\n")
    assert part in refused(node)


def test_shifted_is_refused_where_the_kernel_would(node: Machine) -> None:
    node.write("proc/mounts", f"/dev/sda {node.root}/sysroot gfs2 rw 0 0\n")
    assert "does not go with gfs2" in refused(node, USER_NAMESPACE="shifted")


def test_version_2_of_control_groups_may_be_missing(node: Machine) -> None:
    node.write("proc/filesystems", "nodev\tproc\n")
    assert "no version 2" in refused(node)
