"""What vzctl writes in the private area by itself is each node's own, from its first start on."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from support.sharedroot import PREPARE, Node, can_mount, debian, ok
from support.shells import PROJECT, Machine

pytestmark = pytest.mark.skipif(not can_mount(), reason="no mount namespaces here")

MODULE = PROJECT / "modules/container/openvz"
LIST = "modules/container/openvz/hostfiles.list"
MOUNT = (PROJECT / "modules/container/openvz/mount.sh").as_posix()

# vzctl binds the private area on VE_ROOT and runs CTID.mount; then the file is made.
START = f"""
ve_root=$SR_RUN/ve_root
mkdir -p "$ve_root" "$SR_RUN/openvz"
printf '%s\\n' "$ve_root" >"$SR_RUN/openvz/root"
mount -o bind "$SR_SYSROOT" "$ve_root"
sh -eu "{MOUNT}"
printf '%s\\n' "$SR_RUN" >>"$ve_root/fastboot"
"""


# On a mainline kernel vzctl binds VE_ROOT over itself, without what is mounted in it, and makes
# that the root of the container; before its init is let go, place.sh is run on the node.
PIVOT = """
mount -o bind "$1" "$1" && cd "$1" && mount -o rbind /proc proc || exit
mkdir .old && pivot_root . .old && cd / && umount -l /.old && rmdir /.old || exit
echo ready >&3
read -r _ <&4
echo "$(hostname) wrote" >>/fastboot
echo "$(hostname) wrote" >"/var/log/it's own"
echo "$(hostname) wrote" >/srv/fast/x
cat /etc/hostname
grep -q " /proc/sys ro[ ,]" /proc/self/mountinfo && echo closed
(: >/opt/x) || echo readonly
"""
PLACE = f"""
ve_root=$SR_RUN/ve_root
mkdir -p "$ve_root" "$SR_RUN/openvz" "$SR_ROOT/var/lib/vzctl/vepid"
echo ct-of-n1 >"$SR_RUN/openvz/hostname"
: >"$SR_RUN/openvz/nameserver"
: >"$SR_RUN/openvz/searchdomain"
mount -o bind "$SR_SYSROOT" "$ve_root"
mkfifo "$SR_RUN/ready" "$SR_RUN/go"
exec 3<>"$SR_RUN/ready" 4<>"$SR_RUN/go"
unshare -m -u busybox sh -c "$PIVOT" sh "$ve_root" 2>/dev/null &
printf '%s' "$!" >"$SR_ROOT/var/lib/vzctl/vepid/101"
read -r _ <&3
placed=0
VNAME=srbuild VEID=101 sh -eu "{MODULE}/place.sh" || placed=$?
[ "$placed" -ne 0 ] || echo go >&4
[ "$placed" -eq 0 ] || kill -KILL "$!"
wait "$!" || :
exit "$placed"
"""


def with_list(node: Node) -> Node:
    """The node, with the module's list in its image."""
    content = (PROJECT / LIST).read_text()
    node.machine.write("usr/lib/srbuild/modules/openvz/hostfiles.list", content)
    return node


@pytest.fixture
def node(machine: Machine) -> Node:
    one = with_list(Node(machine))
    debian(one)
    return one


def test_nodes_do_not_race_for_what_vzctl_makes(node: Node) -> None:
    assert not (node.root / "fastboot").exists()
    nodes = (node, with_list(node.peer("n2", 2)))
    for one in nodes:
        ok(one.go(PREPARE + START))
    written = {(one.own / "fastboot").read_text() for one in nodes}
    assert "" not in written
    assert (node.root / "fastboot").read_text() == ""


def test_no_start_where_the_files_cannot_be_put_in_place(node: Node) -> None:
    ok(node.go(PREPARE))
    (node.own / "fastboot").unlink()
    found = node.go(START)
    assert found.returncode != 0
    assert "/fastboot could not be made this node's own" in found.stderr
    assert (node.root / "fastboot").read_text() == ""


def test_vzctls_file_stays_shared_only_if_the_cluster_file_says_so(node: Node) -> None:
    ok(node.go(PREPARE + START, remove="/fastboot"))
    assert not (node.own / "fastboot").exists()
    assert (node.root / "fastboot").exists()


def place(node: Node, after: str = "", **options: str) -> subprocess.CompletedProcess[str]:
    """Make a container this node's, and have its init look and write."""
    shutil.copytree(MODULE, node.machine.home / "modules/openvz", dirs_exist_ok=True)
    node.machine.fake("nsenter", 'exec busybox nsenter "$@"', record=False)
    for folder in ("srv/fast", "opt"):
        (node.root / folder).mkdir(parents=True)
    given = f"PIVOT='{PIVOT.replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}'\n"
    return node.go(PREPARE + after + given + PLACE, **options)


@pytest.mark.skipif(bool(os.geteuid()), reason="closing the kernel's settings wants root")
def test_the_container_of_a_mainline_kernel_has_this_nodes_own_files(node: Node) -> None:
    (node.root / "etc/hostname").write_text("shared\n")
    found = place(node, add="tmpfs:/srv/fast readonly:/opt")
    ok(found)
    assert found.stdout.splitlines()[-3:] == ["n1", "closed", "readonly"]
    assert (node.own / "fastboot").read_text() == "ct-of-n1 wrote\n"
    assert (node.own / "var/log/it's own").read_text() == "ct-of-n1 wrote\n"
    assert (node.root / "fastboot").read_text() == ""
    assert not (node.root / "var/log/it's own").exists()
    assert not list((node.root / "srv/fast").iterdir())
    assert (node.run_dir / "openvz/placed").exists()


def test_no_container_of_a_mainline_kernel_without_them(node: Node) -> None:
    found = place(node, 'rm "$SR_SYSROOT/.srbuild/nodes/n1/fastboot"\n')
    assert found.returncode == 79
    assert "could not be put in place in the container" in found.stderr
    assert not (node.run_dir / "openvz/placed").exists()
    assert (node.root / "fastboot").read_text() == ""
