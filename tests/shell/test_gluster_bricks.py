"""Bricks on a node: its disk, glusterd and its peers, and the end of them."""

from __future__ import annotations

import subprocess

import pytest

from support.shells import Machine

HEAD = "UUID\tHostname\tState\nu0\tlocalhost\tConnected\n"
PEER = "u2\tn2\tConnected\n"
GONE = "u2\tn2\tDisconnected\n"


def disk(
    machine: Machine,
    kind: str = "ext4",
    device: str = "/dev/vda",
    mounts: str = "",
    **options: str,
) -> subprocess.CompletedProcess[str]:
    """Run disk.sh with a disk that holds a file system of the type `kind`."""
    machine.write("dev/vda", "")
    machine.write("proc/self/mountinfo", mounts)
    machine.fake("blkid", f"echo {kind}" if kind else "exit 2")
    (machine.root / "gluster").mkdir(exist_ok=True)
    given = {
        "SR_GLUSTER_BRICKS_DEVICE": f"{machine.root}{device}" if device else "",
        "SR_GLUSTER_BRICKS_OPTIONS": "noatime", "SR_GLUSTER_BRICKS_DISK_TIMEOUT": "1",
    }  # fmt: skip
    return machine.module("cluster/gluster-bricks", "disk.sh", **(given | options))


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_the_disk_is_mounted_and_keeps_glusterds_state(machine: Machine, kind: str) -> None:
    found = disk(machine, kind)
    assert found.returncode == 0, found.stderr
    root = machine.root
    assert f"mount -t {kind} -o noatime {root}/dev/vda {root}/gluster" in machine.calls
    for path, name in (("var/lib/glusterd", "glusterd"), ("var/log/glusterfs", "log")):
        assert f"mount -o bind {root}/gluster/{name} {root}/{path}" in machine.calls
        assert (root / path).is_dir()
    assert machine.state("GLUSTER_BRICKS") == f"{root}/dev/vda"


def test_a_disk_says_whether_it_was_left_cleanly(machine: Machine) -> None:
    mark = machine.write("gluster/.left-clean", "")
    assert disk(machine).returncode == 0
    assert not mark.exists()
    assert machine.state("GLUSTER_UNCLEAN") is None
    assert disk(machine).returncode == 0
    assert machine.state("GLUSTER_UNCLEAN") == "1"


def test_a_second_attempt_mounts_nothing_again(machine: Machine) -> None:
    places = ("gluster", "var/lib/glusterd", "var/log/glusterfs")
    lines = [f"30 20 254:0 / {machine.root}/{place} rw - ext4 x rw\n" for place in places]
    found = disk(machine, mounts="".join(lines))
    assert found.returncode == 0, found.stderr
    assert not [call for call in machine.calls if call.startswith("mount")]


@pytest.mark.parametrize(("kind", "said"), [("", "no file system"), ("gfs2", "gfs2")])
def test_a_disk_with_something_else_on_it(machine: Machine, kind: str, said: str) -> None:
    assert disk(machine, kind).returncode == 1
    assert said in machine.note("why")
    assert "mkfs.xfs" in machine.note("hint")
    assert not [call for call in machine.calls if call.startswith("mount ")]


def test_no_such_disk(machine: Machine) -> None:
    assert disk(machine, device="/dev/vdz").returncode == 1
    assert "/dev/vdz" in machine.note("why")


def test_a_node_without_a_disk_has_no_brick(machine: Machine) -> None:
    assert disk(machine, device="").returncode == 0
    assert machine.state("GLUSTER_BRICKS") is None
    assert start(machine, "", bricks=False).returncode == 0
    assert "gluster" not in " ".join(machine.calls)


def start(
    machine: Machine, pool: str, volume: bool = True, bricks: bool = True, **options: str
) -> subprocess.CompletedProcess[str]:
    """Run start.sh; `pool` is what glusterd says of its peers once it runs, a shell text."""
    up = machine.root / "up"
    machine.fake(
        "gluster",
        f"""[ -e "{up}" ] || exit 1
case "$*" in
    *'pool list'*) {pool or ":"} ;;
    *'heal root full') [ ! -e "{machine.root}/no-heal" ] ;;
    *force*) echo $$ >"$SR_ROOT/run/gluster/vols/root/n1.pid"; mkdir -p "$SR_ROOT/proc/$$" ;;
esac""",
    )
    for name in ("glusterd", "glusterfs", "glusterfsd"):
        machine.fake(name, f': >"{up}"')
    machine.fake("setsid", 'exec "$@"', record=False)
    machine.write("usr/lib/srbuild/survive", "glusterd\nglusterfs\nglusterfsd\n")
    if bricks:
        machine.write("run/srbuild/state/GLUSTER_BRICKS", "/dev/vda\n")
    if volume:
        machine.write(
            "var/lib/glusterd/vols/root/bricks/n1:-gluster-brick", "path=/gluster/brick\n"
        )
        (machine.root / "gluster/brick").mkdir(parents=True, exist_ok=True)
        machine.write("run/gluster/vols/root/n1.pid", "4242\n")
        (machine.root / "proc/4242").mkdir(exist_ok=True)
    given = {
        "SR_GLUSTER_BRICKS_WAIT_FOR_ALL": "1", "SR_GLUSTER_BRICKS_ABSENT_TIMEOUT": "1",
        "SR_GLUSTER_BRICKS_PEER_TIMEOUT": "1", "SR_GLUSTER_BRICKS_LOG_LEVEL": "WARNING",
        "SR_GLUSTERFS_VOLUME": "root", "SR_GLUSTERFS_SERVER": "", "SR_GLUSTERFS_ROOT": "",
    }  # fmt: skip
    return machine.module("cluster/gluster-bricks", "start.sh", **(given | options))


def says(*peers: str) -> str:
    return f"printf '{(HEAD + ''.join(peers)).replace(chr(10), chr(92) + 'n')}'"


def test_glusterd_has_met_its_peers(machine: Machine) -> None:
    found = start(machine, says(PEER))
    assert found.returncode == 0, found.stderr
    assert "1 peers" in found.stderr
    assert not [call for call in machine.calls if "force" in call]


def test_what_glusterd_starts_by_its_path_is_a_survivor(machine: Machine) -> None:
    assert start(machine, says(PEER)).returncode == 0
    machine.fake("real", 'echo "$0 $*"', record=False)
    kept = machine.home / "survivors/glusterfsd"
    kept.write_text((machine.fakes / "real").read_text())
    done = subprocess.run(
        [machine.fakes / "glusterfsd", "a b"], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "@/glusterfsd a b\n"


def test_absent_peers_are_waited_for(machine: Machine) -> None:
    assert start(machine, says(GONE)).returncode == 1
    assert "has not met n2 within 1 s" in machine.note("why")
    assert "wait_for_all=0" in machine.note("hint")


def test_a_node_may_go_on_alone(machine: Machine) -> None:
    found = start(machine, says(GONE), SR_GLUSTER_BRICKS_WAIT_FOR_ALL="0")
    assert found.returncode == 0, found.stderr
    assert "going on without n2" in found.stderr


def test_a_volume_that_glusterd_does_not_know(machine: Machine) -> None:
    assert start(machine, says(PEER), volume=False).returncode == 1
    assert "no volume 'root'" in machine.note("why")
    assert "gluster volume create root" in machine.note("hint")


def test_a_brick_that_was_not_left_cleanly_is_healed(machine: Machine) -> None:
    machine.write("run/srbuild/state/GLUSTER_UNCLEAN", "1\n")
    found = start(machine, says(PEER))
    assert found.returncode == 0, found.stderr
    assert "gluster --mode=script volume heal root full" in machine.calls


def test_a_heal_that_does_not_begin_holds_up_nothing(machine: Machine) -> None:
    machine.write("run/srbuild/state/GLUSTER_UNCLEAN", "1\n")
    machine.write("no-heal", "")
    found = start(machine, says(PEER))
    assert found.returncode == 0, found.stderr
    assert "once all bricks are there: gluster volume heal root full" in found.stderr


def test_a_clean_brick_is_not_healed(machine: Machine) -> None:
    assert start(machine, says(PEER)).returncode == 0
    assert not [call for call in machine.calls if " heal " in call]


def test_the_volume_of_other_servers_is_no_matter(machine: Machine) -> None:
    found = start(machine, says(PEER), volume=False, SR_GLUSTERFS_SERVER="10.9.0.1")
    assert found.returncode == 0, found.stderr


def test_the_kernel_lines_volume_counts(machine: Machine) -> None:
    line = "glusterfs:localhost:/other/folder"
    assert start(machine, says(PEER), SR_GLUSTERFS_ROOT=line).returncode == 1
    assert "no volume 'other'" in machine.note("why")


def test_the_end_of_the_bricks(machine: Machine) -> None:
    (machine.root / "gluster").mkdir()
    machine.fake("pidof", "exit 1")
    machine.fake("stat", "case $3 in gluster) echo 1 ;; *) echo 2 ;; esac", record=False)
    found = machine.module("cluster/gluster-bricks", "stop.sh")
    assert found.returncode == 0, found.stderr
    assert [call for call in machine.calls if call.startswith("umount")] == [
        "umount ./var/lib/glusterd", "umount ./var/log/glusterfs", "umount ./gluster",
    ]  # fmt: skip
    assert (machine.root / "gluster/.left-clean").exists()


def test_a_disk_that_stays_in_use_is_made_read_only(machine: Machine) -> None:
    (machine.root / "gluster").mkdir()
    machine.fake("pidof", "exit 1")
    machine.fake("stat", "case $3 in gluster) echo 1 ;; *) echo 2 ;; esac", record=False)
    machine.fake("umount", "exit 1")
    found = machine.module("cluster/gluster-bricks", "stop.sh")
    assert found.returncode == 0, found.stderr
    assert "mount -o remount,ro ./gluster" in machine.calls


def test_there_is_nothing_to_end(machine: Machine) -> None:
    machine.fake("pidof", "exit 1")
    assert machine.module("cluster/gluster-bricks", "stop.sh").returncode == 0
    assert not [call for call in machine.calls if call.startswith("umount")]
