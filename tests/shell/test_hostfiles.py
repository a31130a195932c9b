"""Host-specific files: what a node finds on a shared root, makes, mounts and checks."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from support.sharedroot import APPLY, PREPARE, Node, can_mount, debian, ok
from support.shells import Machine

pytestmark = pytest.mark.skipif(not can_mount(), reason="no mount namespaces here")


@pytest.fixture
def node(machine: Machine) -> Node:
    one = Node(machine)
    debian(one)
    return one


WRITE = """
cd "$SR_SYSROOT"
echo own >>etc/hostname
echo own >>etc/adjtime
echo own >>var/log/syslog
echo own >tmp/scratch
echo own >>etc/ssh/sshd_config
"""


def test_two_nodes_write_each_its_own(node: Node) -> None:
    other = node.peer("n2", 2)
    for one in (node, other):
        ok(one.go(PREPARE + APPLY + WRITE))
    for one in (node, other):
        assert (one.own / "etc/hostname").read_text() == f"{one.name}\nown\n"
        assert (one.own / "etc/adjtime").read_text() == "own\n"
        assert (one.own / "var/log/syslog").read_text() == "own\n"
        assert (one.own / "tmp/scratch").read_text() == "own\n"
        assert re.fullmatch(r"[0-9a-f]{32}\n", (one.own / "etc/machine-id").read_text())
    ids = {(one.own / "etc/machine-id").read_text() for one in (node, other)}
    assert len(ids) == 2
    root = node.root
    assert (root / "etc/hostname").read_text() == "shared\n"
    assert (root / "etc/machine-id").read_text() == "f" * 32 + "\n"
    assert (root / "etc/adjtime").read_text() == ""
    assert (root / "var/log/syslog").read_text() == "shared\n"
    assert not [*(root / "tmp").iterdir()]
    assert (root / "etc/ssh/sshd_config").read_text() == "shared\nown\nown\n"


def test_a_second_boot_finds_what_the_first_has_made(node: Node) -> None:
    ok(node.prepare())
    before = (node.own / "etc/machine-id").read_text()
    (node.own / "etc/hostname").write_text("renamed\n")
    mounts = node.mounts
    said = node.prepare()
    ok(said)
    assert "made for this node" not in said.stderr
    assert (node.own / "etc/machine-id").read_text() == before
    assert (node.own / "etc/hostname").read_text() == "renamed\n"
    assert node.mounts == mounts


def test_modes_and_directories_are_the_shared_roots_files_are_not(node: Node) -> None:
    ok(node.prepare())
    assert (node.own / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (node.own / "var/log/nginx").stat().st_mode & 0o7777 == 0o750
    assert not (node.own / "var/log/syslog").exists()
    assert (node.own / "etc/machine-id").stat().st_mode & 0o7777 == 0o444
    key = node.own / "etc/ssh/ssh_host_rsa_key"
    assert (key.read_text(), key.stat().st_mode & 0o7777) == ("key\n", 0o600)
    assert not [*(node.own / ".new").iterdir()]


def test_the_template_comes_first_but_for_what_makes_nodes_differ(node: Node) -> None:
    node.write(".srbuild/template/etc/adjtime", "0.0 0 0.0\n")
    node.write(".srbuild/template/etc/machine-id", "e" * 32 + "\n")
    node.write(".srbuild/template/var/log/began/here", "yes\n")
    ok(node.prepare())
    assert (node.own / "etc/adjtime").read_text() == "0.0 0 0.0\n"
    assert (node.own / "etc/machine-id").read_text() != "e" * 32 + "\n"
    assert (node.own / "var/log/began/here").read_text() == "yes\n"


def test_other_modules_have_lists_of_their_own(node: Node) -> None:
    line = "/etc/of-runtime file any must empty what a runtime writes\n"
    node.machine.write("usr/lib/srbuild/modules/runtime/hostfiles.list", line)
    node.machine.write("usr/lib/srbuild/modules/local/hostfiles.list", "not read twice\n")
    ok(node.prepare())
    assert (node.own / "etc/of-runtime").is_file()
    assert "etc/of-runtime" in node.targets
    assert len(node.targets) == len({*node.targets})


def test_links_to_this_boots_state_are_left_alone_and_said(node: Node) -> None:
    said = node.prepare()
    ok(said)
    for name, leads in (("/var/run", "/run"), ("/var/lock", "/run"), ("/etc/mtab", "/proc")):
        assert f"{name} leads to {leads}, which is this boot's own: left alone" in said.stderr
    assert not {"var/run", "var/lock", "etc/mtab", "run", "proc"} & {*node.targets}


def test_the_lines_are_sorted_and_seen_from_the_bootstrap(node: Node) -> None:
    ok(node.go(PREPARE + APPLY, add="tmpfs:/var/log/fast readonly:/usr/lib/systemd"))
    targets = node.targets
    assert targets.index("var/log") < targets.index("var/log/fast")
    kinds = {target: (kind, source) for kind, source, target in node.mounts}
    assert kinds["var/log"] == ("dir", str(node.own / "var/log"))
    assert kinds["etc/hostname"] == ("file", str(node.own / "etc/hostname"))
    assert kinds["var/log/fast"] == ("tmpfs", "mode=755,nosuid,nodev")
    assert kinds["usr/lib/systemd"] == ("readonly", "-")


def test_what_a_containers_init_is_told(node: Node) -> None:
    ok(node.prepare())
    assert "systemd.hostname=n1" in node.words
    assert "systemd.mask=run-rpc_pipefs.mount" in node.words
    (node.root / "usr/lib/systemd/systemd").unlink()
    ok(node.prepare())
    assert node.words == []


@pytest.mark.parametrize(
    ("release", "there", "absent"),
    [
        ("ID=debian\n", "etc/network/interfaces", "etc/sysconfig/network"),
        ('ID="r"\nID_LIKE="rhel fedora"\n', "etc/sysconfig/network", "etc/network/interfaces"),
        ("ID='ubuntu'\n", "etc/network/interfaces", "etc/sysconfig/network"),
        ("ID=other\n", "etc/network/interfaces", ""),
        ("ID=other\n", "etc/sysconfig/network", ""),
    ],
)  # fmt: skip
def test_the_list_follows_the_distribution(
    node: Node, release: str, there: str, absent: str
) -> None:
    for path in ("etc/sysconfig/network", "etc/network/interfaces"):
        node.write(path, "shared\n")
    node.write("etc/os-release", release)
    ok(node.prepare())
    assert there in node.targets
    assert absent not in node.targets


def test_added_and_removed_paths(node: Node) -> None:
    node.write("srv/own/data", "x\n")
    node.write("etc/one.conf", "1\n")
    node.write("etc/two.conf", "2\n")
    ok(node.prepare(add="/srv/own file:/etc/*.conf", remove="/etc/machine-id /tmp"))
    assert {"srv/own", "etc/one.conf", "etc/two.conf"} <= {*node.targets}
    assert not {"etc/machine-id", "tmp"} & {*node.targets}
    assert (node.own / "srv/own/data").read_text() == "x\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"add": "pipe:/etc/x"}, ["pipe:/etc/x", "dir, state, file"]),
        ({"add": "etc/x"}, ["etc/x", "whose path is none"]),
        ({"add": "/etc/../proc"}, ["whose path is none"]),
        ({"add": "/"}, ["cannot be one node's own"]),
        ({"add": "/proc/self"}, ["cannot be one node's own"]),
        ({"add": "/.srbuild/nodes"}, ["cannot be one node's own"]),
        ({"add": "/srv/nothing"}, ["/srv/nothing", "does not have"]),
        ({"add": "tmpfs:/etc/hostname"}, ["tmpfs:/etc/hostname", "a file"]),
        ({"add": "/et*/hostname"}, ["only the last name"]),
        ({"remove": "/etc/passwd"}, ["/etc/passwd", "not host-specific"]),
        ({"add": "/srv", "remove": "/srv"}, ["adds /srv and removes it"]),
        ({"state": "tmpfs", "state_size": "1,mode=7777"}, ["state_size"]),
    ],
)
def test_what_the_cluster_file_must_not_say(
    node: Node, options: dict[str, str], words: list[str]
) -> None:
    (node.root / "srv").mkdir()
    found = node.prepare(**options)
    assert found.returncode == 1
    for word in words:
        assert word in node.why() + (node.run_dir / "hint").read_text()
    assert not (node.run_dir / "local/mounts").exists()


def test_state_in_memory_leaves_the_shared_root_alone(node: Node) -> None:
    text = (
        PREPARE
        + APPLY
        + 'echo own >"$SR_SYSROOT/var/log/new"; echo own >>"$SR_SYSROOT/etc/hostname"'
    )
    ok(node.go(text, state="tmpfs", state_size="8m"))
    assert not (node.own / "var/log").exists()
    assert not (node.own / "tmp").exists()
    assert not (node.root / "var/log/new").exists()
    assert (node.own / "etc/hostname").read_text() == "n1\nown\n"


def test_a_root_that_is_read_only_is_not_written(node: Node) -> None:
    freeze = 'mount -o remount,bind,ro "$SR_SYSROOT"\n'
    text = (
        freeze + PREPARE + APPLY + 'echo own >"$SR_SYSROOT/tmp/x"; cat "$SR_SYSROOT/etc/hostname"'
    )
    assert ok(node.go(text)) == "n1\n"
    assert not (node.root / ".srbuild").exists()
    assert not (node.root / "etc/adjtime").exists()


def test_a_machine_that_is_no_node_keeps_nothing_apart(node: Node) -> None:
    (node.run_dir / "state/NODE_NAME").unlink()
    ok(node.go(PREPARE + APPLY))
    assert not (node.root / ".srbuild").exists()
    assert (node.run_dir / "local/mounts").read_text() == ""


# --- hostile roots ----------------------------------------------------------------------------


def test_nothing_is_written_where_links_lead_out(node: Node) -> None:
    outside = node.machine.root / "outside"
    outside.mkdir()
    (node.root / ".srbuild").symlink_to(outside)
    found = node.prepare()
    assert found.returncode == 1
    assert "is a link, which is not followed" in node.why()
    assert not [*outside.iterdir()]


@pytest.mark.parametrize(
    "part", ["nodes", "nodes/n1", "nodes/n1/.new", "nodes/n1/etc", "nodes/n1/etc/hostname"]
)
def test_no_part_of_the_nodes_tree_is_a_link(node: Node, part: str) -> None:
    outside = node.machine.root / "outside"
    outside.mkdir()
    link = node.root / ".srbuild" / part
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    found = node.prepare()
    assert found.returncode == 1
    assert "is a link" in node.why()
    assert not [*outside.iterdir()]


def test_a_template_that_leads_out_leads_nowhere(node: Node) -> None:
    secret = node.machine.write("secret", "of the bootstrap\n")
    folder = node.root / ".srbuild/template/etc"
    folder.mkdir(parents=True)
    (folder / "adjtime").symlink_to(secret)
    ok(node.prepare())
    assert (node.own / "etc/adjtime").read_text() == ""


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: (root / "etc/adjtime").symlink_to("adjtime"), ["/etc/adjtime", "itself"]),
        (lambda root: (root / "etc/adjtime").symlink_to("/no/where"), ["/etc/adjtime", "/no"]),
        (lambda root: os.mkfifo(root / "etc/adjtime"), ["/etc/adjtime", "neither a file"]),
        (lambda root: (root / "etc/adjtime").symlink_to("a\nb"), ["cannot be mounted on"]),
        (lambda root: (root / "etc/adjtime").symlink_to("/"), ["cannot be mounted on"]),
    ],
)  # fmt: skip
def test_what_must_be_kept_apart_and_cannot_be_stops_the_boot(
    node: Node, make: object, words: list[str]
) -> None:
    assert callable(make)
    make(node.root)
    found = node.prepare()
    assert found.returncode == 1
    for word in words:
        assert word in node.why()
    ok(node.prepare(remove="/etc/adjtime"))


def test_what_may_be_shared_is_passed_over_and_said(node: Node) -> None:
    (node.root / "var/spool").symlink_to("/data/spool")
    said = node.prepare()
    ok(said)
    assert "/var/spool is a link to /data, which is not there: passed over" in said.stderr


def test_links_are_followed_inside_the_root(node: Node) -> None:
    (node.root / "data").mkdir()
    (node.root / "var/log").rename(node.root / "data/log")
    (node.root / "var/log").symlink_to("/../../data/log")
    ok(node.go(PREPARE + APPLY + 'echo own >"$SR_SYSROOT/data/log/syslog"'))
    assert "data/log" in node.targets
    assert (node.own / "data/log/syslog").read_text() == "own\n"
    assert (node.root / "data/log/syslog").read_text() == "shared\n"


def test_names_with_blanks_and_backslashes_are_mounted_and_odd_ones_said(node: Node) -> None:
    for name in ("a b", "c\\d", "e\\040f", "-g", "h\ti", "j\nk"):
        node.write(f"etc/ssh/ssh_host_{name}", f"{name}\n")
    said = node.go(PREPARE + APPLY)
    ok(said)
    own = {path.name for path in (node.own / "etc/ssh").iterdir()}
    assert own == {f"ssh_host_{name}" for name in ("a b", "c\\d", "e\\040f", "-g", "rsa_key")}
    assert said.stderr.count("control characters: passed over") == 2


def test_links_into_the_nodes_directory_are_served(node: Node) -> None:
    (node.root / ".srbuild/local").mkdir(parents=True)
    (node.root / "etc/machine-id").unlink()
    (node.root / "etc/machine-id").symlink_to("../.srbuild/local/etc/machine-id")
    text = PREPARE + APPLY + 'cat "$SR_SYSROOT/etc/machine-id"'
    assert ok(node.go(text)) == (node.own / "etc/machine-id").read_text()
    assert ".srbuild/local" in node.targets
    assert "etc/machine-id" not in node.targets


def test_a_tree_of_osr_is_booted_as_it_is(node: Node) -> None:
    node.write(".cluster/cdsl/1/var/log/messages", "of 1\n")
    (node.root / ".cdsl.local").mkdir()
    subprocess.run(["rm", "-r", node.root / "var/log"], check=True)
    (node.root / "var/log").symlink_to("../.cdsl.local/var/log")
    assert ok(node.go(PREPARE + APPLY + 'cat "$SR_SYSROOT/var/log/messages"')) == "of 1\n"
    other = node.peer("n2", 2)
    assert other.prepare().returncode == 1
    assert "no /.cluster/cdsl/2" in other.why()


def test_a_mount_point_that_is_one_already_is_left_alone(node: Node) -> None:
    text = 'mount -t tmpfs none "$SR_SYSROOT/var/log"\n' + PREPARE
    said = node.go(text)
    ok(said)
    assert "/var/log is a mount point already: left alone" in said.stderr
    assert "var/log" not in node.targets
