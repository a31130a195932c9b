"""A container on a mainline kernel is made this node's from outside, or it does not start.

vzctl's own way, a shell in the container, has the capabilities of the node.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.openvz import CONF, SCRIPT, Node, running, see_processes
from support.shells import Machine

NAMES = ("hostname", "nameserver", "searchdomain")


@pytest.fixture
def node(machine: Machine) -> Iterator[Node]:
    yield from running(machine)


@pytest.fixture
def alive(node: Node) -> Node:
    return see_processes(node)


def test_vzctl_is_left_nothing_to_run_in_the_container(node: Node) -> None:
    """It would run it by the root's own shell, with all of the node's capabilities."""
    node.machine.write("etc/srbuild/ct.conf", CONF + 'SEARCHDOMAIN="a.example"\nNETDEV="eth5"\n')
    assert node.run("handover.sh").returncode == 0
    conf = (node.machine.root / "etc/vz/conf/101.conf").read_text()
    for name in ("HOSTNAME", "NAMESERVER", "SEARCHDOMAIN"):
        assert name not in conf
    assert [line for line in conf.splitlines() if "NETDEV" in line] == ['NETDEV="srbuild eth5"']
    dist = (node.machine.root / "etc/vz/dists/srbuild.conf").read_text()
    assert not [line for line in dist.splitlines() if not line.startswith("#")]
    kept = {name: node.machine.note(f"openvz/{name}").strip() for name in NAMES}
    assert kept == {"hostname": "n1", "nameserver": "10.9.0.1", "searchdomain": "a.example"}


def test_the_container_is_made_this_nodes_before_its_init_runs(alive: Node) -> None:
    alive.machine.fake("nsenter", '[ ! -e "$SR_ROOT/begun" ] || echo late >>"$SR_ROOT/calls"')
    pid = alive.begin()
    entered = [call for call in alive.machine.calls if call.startswith("nsenter ")]
    assert entered[0] == f"nsenter -t {pid} -u hostname n1"
    assert all(call.startswith(f"nsenter -t {pid} -m -p sh -c") for call in entered[1:])
    assert "late" not in alive.machine.calls
    assert "mount -o move /proc/tty /proc/sys/net" in alive.machine.calls


def test_a_container_that_cannot_be_made_this_nodes_does_not_start(alive: Node) -> None:
    alive.machine.fake("nsenter", "exit 1")
    assert alive.run("handover.sh").returncode == 0
    assert alive.verb("start").returncode == 1
    assert "status 79" in alive.machine.note("why")
    assert alive.verb("status").stdout == "stopped\n"
    assert not (alive.machine.root / "begun").exists()


def test_a_vzctl_that_does_not_ask_for_it_is_not_trusted(alive: Node) -> None:
    assert alive.run("handover.sh").returncode == 0
    conf = alive.machine.root / "etc/vz/conf/101.conf"
    conf.write_text(conf.read_text().replace('NETDEV="srbuild"\n', ""))
    assert alive.verb("start").returncode == 1
    assert "without this node's own files" in alive.machine.note("why")
    assert alive.verb("status").stdout == "stopped\n"


def test_a_device_of_its_own_needs_vzctls_own_script(alive: Node) -> None:
    alive.machine.write("etc/srbuild/ct.conf", CONF + 'NETDEV="eth5"\n')
    assert alive.run("handover.sh").returncode == 0
    assert alive.verb("start").returncode == 1
    note = alive.machine.root / "moved"
    own = alive.machine.write(f"{SCRIPT}.vzctl", f'#!/bin/sh\necho "$VEID $VNAME" >"{note}"\n')
    own.chmod(0o755)
    alive.begin()
    assert note.read_text() == "101 eth5\n"


def test_what_the_image_has_of_vzctls_script_is_kept(node: Node) -> None:
    node.machine.write(SCRIPT, "vzctl's")
    for _ in range(2):
        assert node.run("handover.sh").returncode == 0
        assert (node.machine.root / f"{SCRIPT}.vzctl").read_text() == "vzctl's"


@pytest.mark.parametrize("source", ["/run/srbuild/local/state/nodes/n1/var/log", "/sysroot2/x"])
def test_what_cannot_be_seen_in_the_container_is_refused(node: Node, source: str) -> None:
    node.machine.write("run/srbuild/local/mounts", f"dir\t{node.machine.root}{source}\tvar/log\n")
    assert node.run("handover.sh").returncode == 1
    assert "files of its own elsewhere" in node.machine.note("why")


def test_what_is_entered_has_no_more_capabilities_than_its_init(alive: Node) -> None:
    pid = alive.begin()
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(re.search(r"^CapBnd:\s*(\w+)$", status, re.MULTILINE)[1], 16)  # type: ignore[index]
    assert alive.verb("enter", "true").returncode == 0
    words = (alive.machine.root / "confined").read_text().split()
    (given,) = (word for word in words if word.startswith("--bounding-set="))
    numbers = [f"+cap_{number}" for number in range(64) if mask >> number & 1]
    assert given.removeprefix("--bounding-set=").split(",") == ["-all", *numbers]
    assert (
        words.index(given)
        < words.index("nsenter")
        < words.index("--inh-caps=-sys_admin,-sys_chroot")
    )
