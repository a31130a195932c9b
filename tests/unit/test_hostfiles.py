"""The default list of host-specific paths, and what is no such list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from srbuild.errors import ConfigError, SrbuildError
from srbuild.hostfiles import LIST, HostEntry, load_host_entries, parse_host_entries
from srbuild.paths import data_dir
from support.shells import PROJECT, SHELLS, Machine

FILE = data_dir() / "modules" / LIST
GOOD = "/etc/a file any must empty what it is"


def test_the_list_holds_what_the_product_names() -> None:
    names = {entry.name for entry in load_host_entries(FILE)}
    wanted = """
        /etc/adjtime /etc/blkid /etc/csync2/csync2_ssl_* /etc/mtab /etc/glusterfs
        /etc/sysconfig/hwconf /etc/sysconfig/network /etc/sysconfig/network-scripts/ifcfg-*
        /etc/sysconfig/networking /etc/sysconfig/vz-scripts /etc/network/interfaces
        /etc/systemd/network /etc/hostname /etc/machine-id /etc/ssh/ssh_host_*
        /etc/iscsi/initiatorname.iscsi /etc/nvme/hostnqn /var/lib/systemd/random-seed
        /dev /proc /sys /gluster /vz /vz/template
        /tmp /var/tmp /var/run /var/lock /var/log /var/spool /var/cache /var/csync2/backup
        /var/lib/csync2 /var/lib/nfs/rpc_pipefs /var/lib/openais /var/lib/corosync /var/ftp
        /usr/libexec/hal*
    """
    assert {*wanted.split()} <= names


def test_what_no_bind_may_cover_is_not_in_it() -> None:
    names = {entry.name for entry in load_host_entries(FILE)}
    assert not {"/etc/shadow", "/etc/passwd", "/etc/localtime"} & names


def test_what_must_be_apart_is_so_by_name() -> None:
    must = {entry.name for entry in load_host_entries(FILE) if entry.must}
    assert {"/etc/hostname", "/etc/machine-id", "/etc/adjtime", "/etc/ssh/ssh_host_*"} <= must


def test_an_entry() -> None:
    entry = parse_host_entries(f"# head\n\n{GOOD}\n", "list")[0]
    assert entry == HostEntry("/etc/a", "file", ("any",), True, "empty", "what it is")
    both = parse_host_entries("/etc/a file debian+sysv may none x", "list")[0]
    assert both.concerns({"debian", "sysv"})
    assert not both.concerns({"debian", "systemd"})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/etc/a file any must empty", "5 columns of 6"),
        ("/etc/a fifo any must empty x", "'fifo' is no WHAT"),
        ("/etc/a file suse must empty x", "'suse' is no WHERE"),
        ("/etc/a file any+ must empty x", "'' is no WHERE"),
        ("/etc/a file any should empty x", "'should' is no NEED"),
        ("/etc/a file any must full x", "'full' is no FIRST"),
        ("etc/a file any must empty x", "'etc/a' is no absolute path"),
        ("/etc/../a file any must empty x", "must not go up"),
        ("/etc//a file any must empty x", "no absolute path"),
        ("x mask systemd may none x", "'x' is no unit"),
    ],
)
def test_what_is_no_entry(line: str, words: str) -> None:
    with pytest.raises(SrbuildError, match=re.escape(words)) as found:
        parse_host_entries(f"{GOOD}\n{line}\n", "list")
    assert str(found.value.origin) == "list: line 2"


def test_a_path_twice_is_an_error() -> None:
    with pytest.raises(SrbuildError, match="/etc/a is there twice"):
        parse_host_entries(f"{GOOD}\n{GOOD}\n", "list")


def test_no_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no list of host-specific paths"):
        load_host_entries(tmp_path / "none")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("family", ["debian", "rhel"])
def test_the_boot_reads_the_same(tmp_path: Path, shell: str, family: str) -> None:
    machine = Machine(tmp_path, SHELLS[shell])
    machine.write("sysroot/etc/os-release", f"ID={family}\n")
    machine.write("sysroot/lib/systemd/systemd", "")
    text = (
        '. "$SR_LIB/hostlist.sh"\nsr_host_families\n'
        'sr_host_entries "$1" "" "" && printf "%s\\n" "$host_families"'
    )
    said = machine.lib(text, str(PROJECT / "modules" / LIST)).stdout.splitlines()
    assert said.pop().split() == [family, "systemd"]
    assert said == [
        f"{entry.what} {'must' if entry.must else 'may'} {entry.first} {entry.name}"
        for entry in load_host_entries(FILE)
        if entry.concerns({family, "systemd"})
    ]
