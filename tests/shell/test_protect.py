"""What the system above is told about the interfaces that the root hangs on; in /run alone."""

from __future__ import annotations

import configparser

import pytest

from support.netns import options
from support.shells import Machine

SLAVES = ("eth0", "eth1")


@pytest.fixture
def bonded(machine: Machine) -> Machine:
    """bond0.20 on bond0 on eth0 and eth1, in use; eth2 beside it."""
    for index, name in enumerate((*SLAVES, "eth2")):
        machine.card(name, f"52:54:00:00:00:0{index}")
    for name in ("bond0", "bond0.20"):
        machine.write(f"sys/class/net/{name}/address", "52:54:00:00:00:00\n")
    net = machine.root / "sys/class/net"
    (net / "bond0.20/lower_bond0").symlink_to("../bond0")
    for name in SLAVES:
        (net / f"bond0/lower_{name}").symlink_to(f"../{name}")
    machine.write("run/srbuild/net/used", "bond0.20\n")
    machine.write("sysroot/usr/lib/systemd/systemd", "")
    return machine


def protect(machine: Machine, **given: str) -> None:
    before = set(machine.root.rglob("*"))
    done = machine.module("net/network", "protect.sh", **options(**given))
    assert done.returncode == 0, done.stderr
    new = {path.relative_to(machine.root).parts[0] for path in {*machine.root.rglob("*")} - before}
    assert new <= {"run"}  # nothing on the shared root


def text(machine: Machine, path: str) -> str:
    return (machine.root / "run" / path).read_text()


def kept(machine: Machine) -> set[str]:
    files = (machine.root / "run/systemd/network").glob("00-srbuild-*.network")
    return {path.name.removeprefix("00-srbuild-").removesuffix(".network") for path in files}


KEPT = {"bond0.20", "bond0", *SLAVES}


def test_networkd_leaves_them_alone_and_udev_keeps_their_names(bonded: Machine) -> None:
    protect(bonded)
    assert kept(bonded) == KEPT
    for name in KEPT:
        unit = configparser.ConfigParser()
        unit.read_string(text(bonded, f"systemd/network/00-srbuild-{name}.network"))
        assert unit["Match"]["Name"] == name
        assert unit["Link"]["Unmanaged"] == "yes"
        link = configparser.ConfigParser()
        link.read_string(text(bonded, f"systemd/network/00-srbuild-{name}.link"))
        assert (link["Match"]["OriginalName"], link["Link"]["Name"]) == (name, name)


def test_network_manager_leaves_them_alone(bonded: Machine) -> None:
    protect(bonded)
    config = configparser.ConfigParser(delimiters=("=",))
    lines = text(bonded, "NetworkManager/conf.d/00-srbuild.conf").replace("+=", "=")
    config.read_string(lines)
    listed = config["keyfile"]["unmanaged-devices"].strip(";").split(";")
    assert {entry.removeprefix("interface-name:=") for entry in listed} == KEPT
    for name in KEPT:
        device = config[f"device-srbuild-{name}"]
        assert device["match-device"] == f"interface-name:={name}"
        assert device["managed"] == "0"


def test_ifupdown_counts_them_as_up_and_never_takes_them_down(bonded: Machine) -> None:
    bonded.write("run/network/ifstate", "lo=lo\n")
    protect(bonded)
    protect(bonded)  # twice: resume
    state = text(bonded, "network/ifstate").splitlines()
    assert sorted(state) == sorted(["lo=lo", *(f"{name}={name}" for name in KEPT)])
    service = text(bonded, "systemd/system/networking.service.d/00-srbuild.conf")
    stop = [line for line in service.splitlines() if line.startswith("ExecStop=/")]
    assert all(f"--exclude={name}" in stop[0].split() for name in KEPT)
    for name in KEPT:
        mask = bonded.root / f"run/systemd/system/ifup@{name}.service"
        assert str(mask.readlink()) == "/dev/null"


WAIT = "systemd/system/systemd-networkd-wait-online.service.d/00-srbuild.conf"


def test_nobody_waits_for_an_interface_where_none_is_managed(bonded: Machine) -> None:
    protect(bonded)
    assert not (bonded.root / "run" / WAIT).exists()  # eth2 is networkd's
    bonded.write("run/srbuild/net/used", "bond0.20\neth2\n")
    protect(bonded)
    assert "ExecStart=\nExecStart=/bin/true" in text(bonded, WAIT)


@pytest.mark.parametrize("release", ["eth2", "52-54-00-00-00-02", "eth2 eth7"])
def test_what_is_released_is_the_systems_own(bonded: Machine, release: str) -> None:
    bonded.write("run/srbuild/net/used", "bond0.20\neth2\n")
    protect(bonded, RELEASE=release)
    assert kept(bonded) == KEPT


def test_a_root_without_systemd_does_not_seem_to_run_it(bonded: Machine) -> None:
    (bonded.root / "sysroot/usr/lib/systemd/systemd").unlink()
    bonded.write("sysroot/usr/lib/systemd/system/x.service", "")
    protect(bonded)
    assert not (bonded.root / "run/systemd/system").exists()
    assert kept(bonded) == KEPT  # for udevd, and what else reads it


def test_without_a_network_there_is_nothing_to_say(machine: Machine) -> None:
    protect(machine)
    assert not (machine.root / "run/systemd").exists()
