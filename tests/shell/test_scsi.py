"""The block module scsi: the root's disk and the reservations on it."""

from __future__ import annotations

import subprocess

import pytest

from support.disks import add_disk
from support.shells import Machine

NONE = "  PR generation=0x0, there is NO reservation held"
HELD = """\
  PR generation=0x2, Reservation follows:
    Key=0xabc123
    scope: LU_SCOPE,  type: {type}"""
KEYS = "  PR generation=0x2, 1 registered reservation key follows:\n    0xabc123"
EXCLUSIVE = "Write Exclusive"
REGISTRANTS = "Write Exclusive, registrants only"


def persist(machine: Machine, held: str = "", *, ours: bool = False, status: int = 0) -> None:
    """An sg_persist that finds what `held` says until it is told to clear."""
    text = HELD.format(type=held) if held else NONE
    machine.fake(
        "sg_persist",
        f'case "$*" in\n'
        f'*" -i -r "*) [ {status} = 0 ] || {{ echo sg_persist: bad; exit {status}; }}\n'
        f'  [ -e "{machine.root}/cleared" ] && echo "{NONE}" || echo "{text}" ;;\n'
        f'*" -i -k "*) echo "{KEYS}" ;;\n'
        f'*--clear*) : >"{machine.root}/cleared" ;;\n'
        f"*--register-ignore*) ;;\n"
        f"*--register*) exit {0 if ours else 24} ;;\nesac",
    )


def find(machine: Machine, **options: str) -> subprocess.CompletedProcess[str]:
    if not (machine.root / "sys/class/block/sda").exists():
        add_disk(machine, "sda", content={"LABEL": "root"}, wwid="naa.5000c50000000001", serial="S")
    machine.write("usr/lib/srbuild/runs", "")
    machine.write("run/srbuild/state/NODE_ID", "7\n")
    given = {
        "SR_SCSI_DEVICE": "LABEL=root",
        "SR_SCSI_TIMEOUT": "1",
        "SR_SCSI_RESERVATION": "respect",
    }
    return machine.module("block/scsi", "find.sh", **(given | options))


def orders(machine: Machine) -> list[str]:
    return [call for call in machine.calls if "sg_persist" in call and " -i " not in call]


@pytest.mark.parametrize("status", [0, 5, 9])
def test_a_disk_that_nobody_has_reserved(machine: Machine, status: int) -> None:
    persist(machine, status=status)
    found = find(machine)
    assert found.returncode == 0, found.stderr
    assert machine.state("ROOT_DEVICE") == f"{machine.root}/dev/sda"
    assert orders(machine) == []


@pytest.mark.parametrize("kind", [EXCLUSIVE, REGISTRANTS, "Exclusive Access, all registrants"])
def test_a_foreign_reservation_stops_the_boot_and_is_not_touched(
    machine: Machine, kind: str
) -> None:
    persist(machine, kind)
    assert find(machine).returncode == 1
    assert f"reserved by the key 0xabc123 ({kind})" in machine.note("why")
    assert "rd.srb.scsi.reservation=clear" in machine.note("hint")
    assert machine.state("ROOT_DEVICE") is None
    assert not [
        order
        for order in orders(machine)
        if "--param-rk=0xabc123 --param-sark=0xabc123" not in order
    ]


@pytest.mark.parametrize("kind", [EXCLUSIVE, REGISTRANTS])
def test_a_reservation_that_admits_this_node(machine: Machine, kind: str) -> None:
    persist(machine, kind, ours=True)
    found = find(machine)
    assert found.returncode == 0, found.stderr
    assert "this node is admitted" in found.stderr


def test_a_reservation_is_cleared_when_told_so(machine: Machine) -> None:
    persist(machine, EXCLUSIVE)
    found = find(machine, SR_SCSI_RESERVATION="clear")
    assert found.returncode == 0, found.stderr
    assert "removing the reservation of 0xabc123" in found.stderr
    key, disk = "0x7372620000000007", f"{machine.root}/dev/sda"
    assert orders(machine)[-2:] == [
        f"sg_persist -n -o --register-ignore --param-sark={key} {disk}",
        f"sg_persist -n -o --clear --param-rk={key} {disk}",
    ]


def test_a_reservation_that_comes_back_is_not_fought_over(machine: Machine) -> None:
    persist(machine, EXCLUSIVE)
    text = (machine.fakes / "sg_persist").read_text().replace("--clear*) : >", "--clear*) echo ")
    (machine.fakes / "sg_persist").write_text(text)
    assert find(machine, SR_SCSI_RESERVATION="clear").returncode == 1
    assert "reserved again" in machine.note("why")


def test_a_disk_that_does_not_answer_is_an_error(machine: Machine) -> None:
    persist(machine, status=15)
    assert find(machine).returncode == 1
    assert "sg_persist status 15" in machine.note("why")


def test_a_partition_is_reserved_with_its_disk(machine: Machine) -> None:
    add_disk(machine, "sda", wwid="naa.5000c50000000001", serial="S")
    add_disk(machine, "sda1", path="sda", content={"LABEL": "root"})
    persist(machine)
    found = find(machine)
    assert found.returncode == 0, found.stderr
    assert machine.state("ROOT_DEVICE") == f"{machine.root}/dev/sda1"
    assert machine.calls[-1].endswith("/dev/sda")


def test_no_disk_is_named(machine: Machine) -> None:
    assert find(machine, SR_SCSI_DEVICE="").returncode == 1
    assert "[block]" in machine.note("hint")
    assert machine.calls == []
