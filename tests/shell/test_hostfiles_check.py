"""Host-specific files in place: the check, taking them off, and what keeps them until the end."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from support.sharedroot import APPLY, PREPARE, Node, can_mount, debian, ok
from support.shells import PROJECT, Machine

pytestmark = pytest.mark.skipif(not can_mount(), reason="no mount namespaces here")


# By its path: busybox' shell prefers its own, which knows less.
UNSHARE = shutil.which("unshare") or "unshare"
SETPRIV = shutil.which("setpriv") or "setpriv"


@pytest.fixture
def node(machine: Machine) -> Node:
    one = Node(machine)
    debian(one)
    return one


def test_the_check_sees_what_is_not_in_place(node: Node) -> None:
    check = 'sr_hostfiles_check "$SR_SYSROOT"'
    found = node.go(PREPARE + APPLY + f'umount "$SR_SYSROOT/etc/hostname"\n{check}')
    assert (found.returncode, node.why()) == (
        1,
        "not this node's own, but the shared root's: /etc/hostname\n",
    )


@pytest.mark.parametrize(
    "cover",
    [
        'mount -t tmpfs none "$SR_SYSROOT/var"',
        'mount -t tmpfs none "$SR_SYSROOT/var/log"',
        'mount --bind "$SR_SYSROOT/usr" "$SR_SYSROOT/var/log"',
        'mount --bind "$SR_SYSROOT/.srbuild/nodes/n2/var/log" "$SR_SYSROOT/var/log"',
    ],
)
def test_the_check_sees_what_hides_a_mount(node: Node, cover: str) -> None:
    ok(node.peer("n2", 2).prepare())
    found = node.go(PREPARE + APPLY + cover + '\nsr_hostfiles_check "$SR_SYSROOT"')
    assert found.returncode == 1
    assert "/var/log" in node.why()


def test_the_check_of_a_process_asks_for_its_own_view(node: Node) -> None:
    text = (
        PREPARE + APPLY + 'mkdir "$SR_ROOT/new" && mount --rbind "$SR_SYSROOT" "$SR_ROOT/new"\n'
        '%s --mount --root="$SR_ROOT/new" %s &\n'
        'child=$!\n'
        'sr_wait_for 10 "its root" test -e "$SR_SYSROOT/tmp/ready" || exit 98\n'
        'sr_hostfiles_check "$child" && echo seen\n'
        '(sr_hostfiles_check "$$") || echo not in this root\n'
        'kill "$child"\n'
    )  # fmt: skip
    busy = node.root / "busybox"
    subprocess.run(["cp", "/bin/busybox", busy], check=True)
    found = node.go(text % (UNSHARE, "/busybox sh -c 'echo >/tmp/ready; exec /busybox sleep 20'"))
    assert ok(found) == "seen\nnot in this root\n"


def test_applying_again_and_taking_off(node: Node) -> None:
    text = (
        PREPARE + APPLY + APPLY + 'grep -c " $SR_SYSROOT/" "$SR_PROC/self/mountinfo"\n'
        'sr_hostfiles_undo "$SR_SYSROOT"\n'
        'grep -c " $SR_SYSROOT/" "$SR_PROC/self/mountinfo" || :\n'
    )
    assert ok(node.go(text)).split() == [str(len(node.mounts)), "0"]


def test_what_was_taken_off_or_covered_is_applied_again(node: Node) -> None:
    text = (
        PREPARE + APPLY + 'umount "$SR_SYSROOT/etc/hostname"\n'
        'mount -t tmpfs none "$SR_SYSROOT/var/log"\n'
        + APPLY + 'umount "$SR_SYSROOT/var/log"\n'
        'cat "$SR_SYSROOT/etc/hostname"\n'
    )  # fmt: skip
    assert ok(node.go(text)) == "n1\n"


def test_a_list_that_is_not_there_is_no_empty_list(node: Node) -> None:
    (node.machine.home / "modules/local").mkdir(parents=True)
    for verb in ("apply", "check", "keep"):
        found = node.go(f'. "$SR_LIB/hostfiles.sh"\nsr_hostfiles_{verb} "$SR_SYSROOT"')
        assert found.returncode == 1
        assert "own files is not there" in node.why()
    # A boot that stopped before it was written has nothing to take off.
    ok(node.go('. "$SR_LIB/hostfiles.sh"\nsr_hostfiles_undo "$SR_SYSROOT"'))


HOOK = (
    PREPARE + APPLY + 'mkdir "$SR_ROOT/new" "$SR_RUN/lxc"\n'
    'mount --rbind "$SR_SYSROOT" "$SR_ROOT/new"\n'
    'export LXC_ROOTFS_MOUNT="$SR_ROOT/new"\n'
)  # fmt: skip
MOUNT_SH = f'sh -eu "{PROJECT / "modules/container/lxc/mount.sh"}"\n'


def test_lxcs_hook_looks_before_the_init_runs(node: Node) -> None:
    ok(node.go(HOOK + MOUNT_SH + '[ ! -e "$LXC_ROOTFS_MOUNT/run/systemd" ]\n'))
    shutil.rmtree(node.machine.root / "new")
    shutil.rmtree(node.run_dir / "lxc")
    found = node.go(HOOK + 'umount "$LXC_ROOTFS_MOUNT/etc/hostname"\n' + MOUNT_SH)
    assert (found.returncode, node.why()) == (
        1,
        "not this node's own, but the shared root's: /etc/hostname\n",
    )


def test_lxcs_hook_has_systemd_keep_the_mounts(node: Node) -> None:
    keeps = ': >"$SR_RUN/lxc/keeps"; mkdir -p "$LXC_ROOTFS_MOUNT/run"\n'
    shown = 'cat "$LXC_ROOTFS_MOUNT/run/systemd/system/var-log.mount.d/50-srbuild.conf"\n'
    assert "DefaultDependencies=no" in ok(node.go(HOOK + keeps + MOUNT_SH + shown))


def test_root_in_a_user_namespace_cannot_take_the_mounts_off(node: Node) -> None:
    """mount_namespaces(7): what a more powerful namespace has mounted together stays together."""
    inside = (
        'for how in "" -l; do umount $how "$SR_ROOT/new/var/log" && echo off; done\n'
        'mount --bind "$SR_ROOT/new" "$SR_ROOT/new/usr" && echo bare\n'
        'echo late >>"$SR_ROOT/new/var/log/syslog"\n'
    )
    text = (
        PREPARE + APPLY + 'mkdir "$SR_ROOT/new"; export inside\n'
        "unshare --user --map-root-user --mount sh -c '"
        'mount --rbind "$SR_SYSROOT" "$SR_ROOT/new" || exit 97\n' + inside + "'"
    )
    assert ok(node.go(text)) == ""
    assert (node.root / "var/log/syslog").read_text() == "shared\n"
    assert (node.own / "var/log/syslog").read_text() == "late\n"


def test_systemd_is_told_to_keep_the_mounts_under_its_own_names(node: Node) -> None:
    (node.root / "etc/ssh/ssh_host_a b").write_text("")
    ok(node.go(PREPARE + '. "$SR_LIB/hostfiles.sh"\nsr_hostfiles_keep "$SR_ROOT/run"'))
    folder = node.machine.root / "run/systemd/system"
    made = {path.name.removesuffix(".d") for path in folder.iterdir()}
    assert r"etc-ssh-ssh_host_a\x20b.mount" in made
    assert r"var-log.mount" in made
    for path in folder.iterdir():
        assert (path / "50-srbuild.conf").read_text() == "[Unit]\nDefaultDependencies=no\n"


SYSTEMD = shutil.which("systemd", path="/usr/lib/systemd:/lib/systemd")


@pytest.mark.skipif(
    not SYSTEMD or os.geteuid() != 0, reason="no systemd here, or not root to mount its /run"
)
@pytest.mark.parametrize("kept", [True, False])
def test_systemd_itself_leaves_a_kept_mount_alone(node: Node, kept: bool) -> None:
    """`systemd --test` reads this machine's mountinfo; it refuses to be root."""
    prepare = (
        # The targets stand below this node's view of the root.
        'sed -i "s|\\t\\([^\\t]*\\)$|\\t${SR_SYSROOT#/}/\\1|" "$SR_RUN/local/mounts"\n'
        "mount -t tmpfs none /run && mkdir -p /run/systemd/system\n"
        'printf "%s.mount" "$(echo "${SR_SYSROOT#/}/var/log" | _sr_host_units)" >/run/unit\n'
    )
    look = (
        f"{SETPRIV} --reuid 65534 --regid 65534 --clear-groups {SYSTEMD} --test --system "
        "--unit=basic.target >/run/units 2>/run/said || cat /run/said >&2\n"
        "cat /run/unit; echo; cat /run/units\n"
    )
    keep = "sr_hostfiles_keep /run\n" if kept else ""
    unit, *lines = ok(node.go(PREPARE + APPLY + prepare + keep + look)).splitlines()
    start = lines.index(f"\t-> Unit {unit}:")
    facts = [line.strip() for line in lines[start + 1 : start + 60]]
    if "-> Unit" in "".join(facts):
        facts = facts[: next(i for i, line in enumerate(facts) if line.startswith("-> Unit"))]
    early = [line for line in facts if line.startswith("Conflicts: umount.target")]
    assert len(early) == (0 if kept else 1)


NFS = """\
30 1 0:25 / / rw - rootfs none rw
40 30 0:44 / {root}/sysroot rw,relatime - nfs4 10.9.0.1:/srv/root rw
41 40 0:44 / {root}/sysroot/etc/hostname rw,relatime - nfs4 10.9.0.1:/srv/root rw
"""


@pytest.mark.parametrize("same", [True, False])
def test_on_nfs_whose_mounts_say_nothing_the_inodes_tell(machine: Machine, same: bool) -> None:
    own = machine.write("sysroot/.srbuild/nodes/n1/etc/hostname", "n1\n")
    bound = machine.root / "sysroot/etc/hostname"
    bound.parent.mkdir()
    if same:
        os.link(own, bound)
    else:
        bound.write_text("n1\n")
    machine.write("proc/self/mountinfo", NFS.format(root=machine.root))
    machine.write("run/srbuild/local/mounts", f"file\t{own}\tetc/hostname\n")
    found = machine.lib('. "$SR_LIB/hostfiles.sh"\nsr_hostfiles_check "$SR_SYSROOT"')
    assert found.returncode == (0 if same else 1), found.stderr
    assert ("/etc/hostname" in machine.note("why")) is not same
