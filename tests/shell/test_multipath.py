"""The paths to the root's disk: told to multipathd without udev, joined, and taken apart."""

from __future__ import annotations

import subprocess

import pytest

from support.disks import add_disk
from support.shells import PROJECT, Machine

WWID = "36001405aa"
PCI = "pci0000:00/0000:00:05.0"
PATHS = (PROJECT / "modules/volume/multipath/paths.sh").read_text()


def path(machine: Machine, name: str, number: str, wwid: str = "naa.6001405aa") -> None:
    """A SCSI disk with the device number `number`."""
    unit = ord(name[-1]) - ord("a")
    add_disk(machine, name, path=f"{PCI}/host{unit}/target{unit}:0:0/{unit}:0:0:0", wwid=wwid)
    home = (machine.root / "sys/class/block" / name).resolve()
    (home / "dev").write_text(f"{number}\n")
    (machine.root / "sys/block").mkdir(exist_ok=True)
    (machine.root / "sys/block" / name).symlink_to(home)


def join(machine: Machine, device: str = "sda", **options: str) -> subprocess.CompletedProcess[str]:
    """Run join.sh on what was attached; multipathd joins whatever is asked for."""
    machine.fake("setsid", 'case "$1" in @/sh) exit ;; esac; exec "$@"', record=False)
    mapped = machine.root / "dev/mapper"
    mapped.mkdir(exist_ok=True)
    name = options.get("SR_MULTIPATH_ALIAS") or WWID
    machine.fake(
        "multipathd",
        f'case "$*" in show*) exit ;; esac\necho 4242 >"{machine.root}/run/multipathd.pid"\n'
        f'mkdir -p "{machine.root}/proc/4242"; {options.pop("daemon", f": >{mapped}/{name}")}',
    )
    machine.fake("kpartx", f': >"{mapped}/{name}-part1"')
    machine.fake("partx")
    if device:
        machine.write("run/srbuild/state/ROOT_DEVICE", f"{machine.root}/dev/{device}\n")
    given = {
        "SR_MULTIPATH_WWID": "",
        "SR_MULTIPATH_ALIAS": "",
        "SR_MULTIPATH_TIMEOUT": "1",
        "SR_MULTIPATH_POLLING_INTERVAL": "1",
    }
    return machine.module("volume/multipath", "join.sh", **(given | options))


def test_both_paths_get_a_record_and_the_whole_is_published(machine: Machine) -> None:
    path(machine, "sda", "8:0")
    path(machine, "sdb", "8:16")
    path(machine, "sdc", "8:32", "naa.5000cca0")
    found = join(machine)
    assert found.returncode == 0, found.stderr
    assert machine.state("ROOT_DEVICE") == f"{machine.root}/dev/mapper/{WWID}"
    data = machine.root / "run/udev/data"
    assert {file.name for file in data.glob("b*")} == {"b8:0", "b8:16"}
    record = (data / "b8:16").read_text().splitlines()
    assert record[0].startswith("I:")
    assert f"E:ID_SERIAL={WWID}" in record
    assert "E:ID_WWN=0x6001405aa" in record
    # With it device-mapper would wait for a udev that does not run.
    assert not (machine.root / "run/udev/control").exists()


def test_no_disk_but_the_roots_and_the_named_ones_is_joined(machine: Machine) -> None:
    path(machine, "sda", "8:0")
    found = join(machine, SR_MULTIPATH_WWID="3600.ff 3600bb")
    assert found.returncode == 0, found.stderr
    lines = (machine.root / "etc/multipath/conf.d/root.conf").read_text().splitlines()
    start = lines.index("blacklist_exceptions {")
    assert [line for line in lines[:start] if "wwid" in line] == ['\twwid ".*"']
    wwids = [line.split('"')[1] for line in lines[start:] if "wwid" in line]
    assert set(wwids) == {f"^{WWID}$", "^3600.ff$", "^3600bb$"}


def test_a_name_of_ones_own(machine: Machine) -> None:
    path(machine, "sda", "8:0")
    found = join(machine, SR_MULTIPATH_ALIAS="root")
    assert found.returncode == 0, found.stderr
    assert machine.state("ROOT_DEVICE") == f"{machine.root}/dev/mapper/root"


def test_a_root_on_a_partition(machine: Machine) -> None:
    path(machine, "sda", "8:0")
    add_disk(machine, "sda1", path="sda")
    found = join(machine, "sda1")
    assert found.returncode == 0, found.stderr
    assert machine.state("ROOT_DEVICE") == f"{machine.root}/dev/mapper/{WWID}-part1"


@pytest.mark.parametrize(
    ("wwid", "written"),
    [("eui.0017380", "20017380"), ("t10.ATA     QEMU  HD ", "1ATA_QEMU_HD"), ("naa.5", "35")],
)
def test_a_wwid_is_written_as_udev_does(machine: Machine, wwid: str, written: str) -> None:
    path(machine, "sda", "8:0", wwid)
    text = f'. "{machine.home}/modules/paths.sh"; sr_path_wwid sda'
    (machine.home / "modules").mkdir()
    source = machine.home / "modules/paths.sh"
    source.write_text(PATHS)
    assert machine.lib(text).stdout.strip() == written


def test_a_disk_without_a_wwid(machine: Machine) -> None:
    path(machine, "sda", "8:0", "")
    assert join(machine).returncode == 1
    assert "no WWID" in machine.note("why")


def test_nothing_was_attached(machine: Machine) -> None:
    assert join(machine, "").returncode == 1
    assert "no block module" in machine.note("why")


def test_a_daemon_that_joins_nothing(machine: Machine) -> None:
    path(machine, "sda", "8:0")
    assert join(machine, daemon=":").returncode == 1
    assert WWID in machine.note("why")
    assert "multipath -v3" in machine.note("hint")


def test_paths_that_come_and_go(machine: Machine) -> None:
    path(machine, "sda", "8:0")
    machine.write("run/srbuild/paths/wwids", f"{WWID}\n")
    machine.fake("multipathd", "echo ok")
    (machine.home / "modules").mkdir()
    (machine.home / "modules/paths.sh").write_text(PATHS)
    gone = machine.root / "sys/block/sda"
    path(machine, "sdb", "8:16")
    text = (
        f'. "{machine.home}/modules/paths.sh"; sr_path_scan; paths_tell=1; sr_path_scan; '
        f'rm "{gone}"; sr_path_scan; '
        f'ln -s "{(machine.root / "sys/class/block/sda").resolve()}" "{gone}"; sr_path_scan'
    )
    found = machine.lib(text)
    assert found.returncode == 0, found.stderr
    assert machine.calls == ["multipathd del path sda", "multipathd add path sda"]
    assert (machine.root / "run/udev/data/b8:0").exists()
