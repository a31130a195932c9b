"""What vzctl writes in the private area by itself is each node's own, from its first start on."""

from __future__ import annotations

import pytest

from support.sharedroot import PREPARE, Node, can_mount, debian, ok
from support.shells import PROJECT, Machine

pytestmark = pytest.mark.skipif(not can_mount(), reason="no mount namespaces here")

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
