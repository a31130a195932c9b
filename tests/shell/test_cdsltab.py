"""OSR's cdsltab on a shared root: what is mounted for it, and what stops the boot."""

from __future__ import annotations

import pytest

from support.sharedroot import APPLY, PREPARE, Node, can_mount, debian, ok
from support.shells import Machine

pytestmark = pytest.mark.skipif(not can_mount(), reason="no mount namespaces here")


CDSLTAB = """\
# what OSR's initrd mounted, and what a script of the root's did
/.cluster/cdsl/%(nodeid)s/var/spool /var/spool bind defaults,__initrd
bind /.cluster/cdsl/%(nodeid)s/var/log var/log defaults 3 5
rbind /.cluster/shared/opt /opt
/srv __initrd
nfs filer:/x /mnt/x defaults
bind /srv /var/run/x
"""


@pytest.fixture
def osr(machine: Machine) -> Node:
    """A root with OSR's own tree, one more below /srv, and binds."""
    node = Node(machine)
    debian(node)
    node.write("etc/cdsltab", CDSLTAB)
    for number in "12":
        node.write(f".cluster/cdsl/{number}/var/spool/job", f"job of {number}\n")
        node.write(f".cluster/cdsl/{number}/var/log/messages", f"log of {number}\n")
        node.write(f"srv/.cluster/cdsl/{number}/data", f"srv of {number}\n")
    node.write(".cluster/shared/opt/tool", "common\n")
    for folder in ("srv/.cdsl.local", "opt", "var/spool"):
        (node.root / folder).mkdir(exist_ok=True)
    if not (node.root / "var/run").exists():
        (node.root / "var/run").symlink_to("/run")
    return node


def test_osrs_cdsltab_is_obeyed(osr: Node) -> None:
    told = "cat var/spool/job var/log/messages opt/tool srv/.cdsl.local/data"
    text = f'{PREPARE}{APPLY}cd "$SR_SYSROOT"\n{told}\necho own >>var/log/messages\n'
    for one in (osr, osr.peer("n2", 2)):
        number = one.name[1]
        said = one.go(text)
        assert ok(said) == f"job of {number}\nlog of {number}\ncommon\nsrv of {number}\n"
        assert "/etc/cdsltab, line 6: left to the root's own system" in said.stderr
        assert "line 7: /var/run/x leads to /run" in said.stderr
        own = osr.root / f".cluster/cdsl/{number}/var/log/messages"
        assert own.read_text() == f"log of {number}\nown\n"
        # It is the node's own already: the default list does not hide it.
        assert one.targets.count("var/log") == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("bind /.cluster/cdsl/%(nodeid)s/none /opt", "/.cluster/cdsl/1/none is not there"),
        ("bind /escape /opt", "a link leads to /escape"),
        ("bind /../../etc /opt", "a link leads to /../../etc"),
        ("bind / /opt", "/ is the root itself"),
        ("bind /srv /none", "nothing can be mounted on /none"),
        ("bind /srv /etc/hostname", "not both directories, nor both files"),
        ("bind /srv", "neither a mount point nor a bind"),
        ("/srv/none __initrd", "/srv/none is not there"),
        ("/opt", "there is no /opt/.cluster/cdsl/1"),
        ("ext4 /dev/sda /opt defaults,__initrd", "mounts no other file system"),
        ("bind /srv\x1b /opt", "control characters"),
    ],
)
def test_what_cdsltab_must_not_have_stops_the_boot(osr: Node, line: str, said: str) -> None:
    (osr.root / "escape").symlink_to("/etc")
    osr.write("etc/cdsltab", f"{CDSLTAB}{line}\n")
    assert osr.prepare().returncode == 1
    assert said in osr.why()
    assert "/etc/cdsltab of the shared root, line 8" in osr.why()


def test_a_cdsltab_that_is_a_link_is_not_read(osr: Node) -> None:
    (osr.root / "etc/cdsltab").rename(osr.root / "etc/other")
    (osr.root / "etc/cdsltab").symlink_to("other")
    ok(osr.prepare())
    assert "opt" not in osr.targets
