"""LVM: the root's group alone, on the disks that were attached; shared groups under locks."""

from __future__ import annotations

import subprocess

import pytest

from support.disks import add_disk
from support.shells import Machine


def lvm(machine: Machine, *, lock: str = "", missing: str = "0", fail: str = "") -> None:
    """An lvm that knows the group rootvg with the volume root; `fail` is a command that fails."""
    machine.fake("setsid", 'exec "$@"', record=False)
    machine.fake(
        "lvm",
        f"""
[ "$1" != "{fail}" ] || exit 5
case "$*" in
    *othervg* | *nolv*) exit 5 ;;
    *lock_type\\ rootvg) echo "  {lock}" ;;
    *vg_missing_pv_count\\ rootvg) echo "  {missing}" ;;
    *,lock_type) echo "  rootvg 1 1 0" ;;
    lvchange\\ *-an*) rm -f "{machine.root}/dev/rootvg/root" ;;
    lvchange\\ *) mkdir -p "{machine.root}/dev/rootvg"; : >"{machine.root}/dev/rootvg/root" ;;
esac""",
    )


def activate(machine: Machine, **options: str) -> subprocess.CompletedProcess[str]:
    if not (machine.root / "sys/class/block/sda").exists():
        add_disk(machine, "sda", content={"TYPE": "LVM2_member"})
    machine.write("run/srbuild/state/ROOT_DEVICE", f"{machine.root}/dev/sda\n")
    if not (machine.home / "runs").exists():
        machine.write("usr/lib/srbuild/runs", "storage lvm /activate.sh 0\n")
    given = {
        "SR_LVM_VG": "rootvg",
        "SR_LVM_LV": "root",
        "SR_LVM_PV": "",
        "SR_LVM_TIMEOUT": "1",
    }
    return machine.module("volume/lvm", "activate.sh", **(given | options))


def changes(machine: Machine) -> list[str]:
    """What lvm was told to change."""
    return [call for call in machine.calls if "change" in call]


def test_the_roots_volume_and_no_other_is_activated(machine: Machine) -> None:
    lvm(machine)
    found = activate(machine)
    assert found.returncode == 0, found.stderr
    assert changes(machine) == ["lvm lvchange -K -ay rootvg/root"]
    assert machine.state("ROOT_DEVICE") == f"{machine.root}/dev/rootvg/root"


def test_no_disk_but_those_attached_is_looked_at(machine: Machine) -> None:
    lvm(machine)
    add_disk(machine, "sdb", path="pci0000:00/0000:00:05.0/host3/target3:0:0/3:0:0:0")
    assert activate(machine).returncode == 0
    text = (machine.root / "etc/lvm/lvmlocal.conf").read_text()
    assert "/dev/sda(" in text
    assert "sdb" not in text
    assert text.index("a|^") < text.index('"r|.*|"')


def test_volume_and_group_in_one_word(machine: Machine) -> None:
    lvm(machine)
    assert activate(machine, SR_LVM_VG="", SR_LVM_LV="rootvg/root").returncode == 0
    assert changes(machine) == ["lvm lvchange -K -ay rootvg/root"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"SR_LVM_VG": ""}, "no volume group is named"),
        ({"SR_LVM_LV": "root othervg/x"}, "two volume groups"),
        ({"SR_LVM_LV": "--help"}, "no name that LVM has"),
        ({"SR_LVM_VG": "$(id)"}, "no name that LVM has"),
        ({"SR_LVM_VG": "othervg"}, "no volume group othervg"),
        ({"SR_LVM_LV": "nolv"}, "no logical volume nolv"),
    ],
)
def test_a_wrong_name(machine: Machine, options: dict[str, str], why: str) -> None:
    lvm(machine)
    assert activate(machine, **options).returncode == 1
    assert why in machine.note("why")
    assert changes(machine) == []


def test_a_group_of_which_a_disk_is_missing(machine: Machine) -> None:
    lvm(machine, missing="1")
    assert activate(machine).returncode == 1
    assert "disks of the volume group rootvg are missing" in machine.note("why")
    assert changes(machine) == []


def test_a_group_on_an_encrypted_disk(machine: Machine) -> None:
    lvm(machine, fail="vgs")
    add_disk(machine, "sda", content={"TYPE": "crypto_LUKS"})
    assert activate(machine).returncode == 1
    assert "encrypted (LUKS)" in machine.note("why")


def test_a_volume_that_cannot_be_activated(machine: Machine) -> None:
    lvm(machine, fail="lvchange")
    assert activate(machine).returncode == 1
    assert "could not be activated" in machine.note("why")


def test_a_shared_group_waits_for_the_cluster(machine: Machine) -> None:
    lvm(machine, lock="dlm")
    machine.write("usr/lib/srbuild/runs", "cluster lvmlockd /start.sh 300\n")
    found = activate(machine)
    assert found.returncode == 0, found.stderr
    assert changes(machine) == []
    assert machine.state("ROOT_DEVICE") == f"{machine.root}/dev/rootvg/root"


@pytest.mark.parametrize(("lock", "word"), [("dlm", "--module lvmlockd"), ("sanlock", "dlm")])
def test_a_shared_group_without_its_locks(machine: Machine, lock: str, word: str) -> None:
    lvm(machine, lock=lock)
    assert activate(machine).returncode == 1
    assert word in machine.note("hint")
    assert changes(machine) == []


def lockd(machine: Machine, script: str) -> subprocess.CompletedProcess[str]:
    machine.fake("lvmlockctl")
    machine.fake(
        "lvmlockd",
        f'echo 4242 >"{machine.root}/run/lvmlockd.pid"; mkdir -p "{machine.root}/proc/4242"',
    )
    given = {"SR_LVM_VG": "rootvg", "SR_LVM_LV": "root", "SR_LVM_TIMEOUT": "5"}
    return machine.module("cluster/lvmlockd", script, SR_LVMLOCKD_TIMEOUT="5", **given)


def test_locks_come_before_the_volume_and_go_after_it(machine: Machine) -> None:
    lvm(machine, lock="dlm")
    found = lockd(machine, "start.sh")
    assert found.returncode == 0, found.stderr
    assert changes(machine) == [
        "lvm vgchange --lock-start --lock-opt wait rootvg",
        "lvm lvchange -K -asy rootvg/root",
    ]
    # The daemon looks for its lockspaces' devices here.
    assert (machine.root / "dev/misc/dlm_lvm_rootvg").is_symlink()


def test_locks_that_cannot_be_joined(machine: Machine) -> None:
    lvm(machine, lock="dlm", fail="vgchange")
    assert lockd(machine, "start.sh").returncode == 1
    assert "locks of the volume group rootvg" in machine.note("why")


def test_a_group_without_locks_needs_no_daemon(machine: Machine) -> None:
    lvm(machine)
    assert lockd(machine, "start.sh").returncode == 0
    assert not any("lvmlockd" in call for call in machine.calls)


def test_an_encrypted_root(machine: Machine) -> None:
    machine.write("dev/sda", "LUKS\0\1")
    machine.write("run/srbuild/state/ROOT_DEVICE", f"{machine.root}/dev/sda\n")
    assert machine.lib('. "$SR_LIB/root.sh"; sr_root_device').returncode == 1
    assert "encrypted (LUKS)" in machine.note("why")
