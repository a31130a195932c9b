"""The shared root's own list of host-specific paths, /.srbuild/list, as the boot reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.errors import ConfigError
from srbuild.host.confined import Tree
from srbuild.local.layout import site_entries, site_text
from support.localroot import call
from support.sharedroot import APPLY, PREPARE, Node, can_mount, debian, ok
from support.shells import Machine

pytestmark = pytest.mark.skipif(not can_mount(), reason="no mount namespaces here")


@pytest.fixture
def node(machine: Machine) -> Node:
    one = Node(machine)
    debian(one)
    return one


def site(node: Node, *lines: str) -> None:
    node.write(".srbuild/list", "# a comment\n\n" + "".join(f"{line}\n" for line in lines))


def test_it_adds_and_shares(node: Node) -> None:
    node.write("srv/app/conf", "shared\n")
    site(
        node,
        "/srv/app dir any make shared the application's own",
        "/srv/new file any make empty made where it is not",
        "/var/log shared any may none all nodes log together",
    )
    ok(node.go(PREPARE + APPLY))
    assert (node.own / "srv/app/conf").read_text() == "shared\n"
    assert {"srv/app", "srv/new"} <= {*node.targets}
    assert "var/log" not in node.targets
    assert (node.root / "srv/new").read_text() == ""
    assert "etc/hostname" in node.targets


def test_the_cluster_file_comes_before_it(node: Node) -> None:
    node.write("srv/app/conf", "shared\n")
    site(
        node, "/srv/app dir any make shared own", "/var/log shared any may none together"
    )  # fmt: skip
    ok(node.prepare(remove="/srv/app", add="state:/var/log"))
    assert "srv/app" not in node.targets
    assert "var/log" in node.targets


def test_what_all_share_below_what_is_each_nodes_own(node: Node) -> None:
    other = node.peer("n2", 2)
    node.write(".srbuild/shared/var/log/audit/first", "both\n")
    node.write(".srbuild/shared/var/log/one", "file\n")
    site(
        node,
        "/var/log/audit shared any may none one audit log",
        "/var/log/one shared any may none one file",
    )
    write = 'cd "$SR_SYSROOT/var/log"; cat audit/first one; echo x >>audit/added; echo own >mine\n'
    for one in (node, other):
        assert ok(one.go(PREPARE + APPLY + write)) == "both\nfile\n"
    assert (node.root / ".srbuild/shared/var/log/audit/added").read_text() == "x\nx\n"
    assert (node.own / "var/log/mine").read_text() == "own\n"
    assert [*(node.own / "var/log/audit").iterdir()] == []


def test_nothing_is_kept_apart_below_what_is_shared(node: Node) -> None:
    node.write(".srbuild/shared/var/log/audit/n/first", "both\n")
    (node.root / "var/log/audit/n").mkdir(parents=True)
    site(
        node,
        "/var/log/audit shared any may none one audit log",
        "/var/log/audit/n dir any make shared own",
    )
    assert node.prepare().returncode
    assert "/var/log/audit/n is to be kept apart, but /var/log/audit" in node.why()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/srv/app dir any make shared", "5 columns of 6"),
        ("srv/app dir any make shared own", "srv/app is no absolute path"),
        ("/srv/../etc dir any make shared own", "/srv/../etc is no absolute path"),
        ("/srv/*/app dir any make shared own", "only the last name may hold * or ?"),
        ("/proc/app dir any make shared own", "/proc/app cannot be one node's own"),
        ("/.srbuild/nodes dir any make shared own", "/.srbuild/nodes cannot be one node's own"),
        ("/srv/app identity any make shared own", "identity is no kind"),
        ("/srv/app dir rhel make shared own", "WHERE is rhel, not any"),
        ("/srv/app dir any often shared own", "often is no NEED"),
        ("/srv/app dir any make machine-id own", "machine-id is no FIRST"),
        ("/srv/\033c dir any make shared own", "control characters"),
        ("/a dir any make shared own\n/a dir any make shared own", "/a is there twice"),
        ("/a dir any make shared " + "x" * 65536, "longer than 64 KiB"),
    ],
)  # fmt: skip
def test_what_is_no_list_stops_the_boot(node: Node, line: str, said: str) -> None:
    site(node, line)
    assert node.prepare().returncode
    assert f"{said}" in node.why()
    assert "/.srbuild/list on the shared root" in node.why()
    with pytest.raises(ConfigError):
        site_entries(site_text(Tree(node.root)))


@pytest.mark.parametrize("target", ["../etc/hostname", "/nowhere"])
def test_a_list_that_is_a_link_is_not_followed(node: Node, target: str) -> None:
    (node.root / ".srbuild").mkdir()
    (node.root / ".srbuild/list").symlink_to(target)
    assert node.prepare().returncode
    assert "/.srbuild/list on the shared root is a link or no file" in node.why()
    (node.root / ".srbuild/list").unlink()
    (node.root / ".srbuild/list").mkdir()
    assert node.prepare().returncode
    assert "/.srbuild/list on the shared root is a link or no file" in node.why()


def test_a_shared_path_that_is_a_link_is_not_followed(node: Node) -> None:
    (node.root / ".srbuild/shared/var/log").mkdir(parents=True)
    (node.root / ".srbuild/shared/var/log/audit").symlink_to("/etc")
    site(node, "/var/log/audit shared any may none one audit log")
    assert node.prepare().returncode
    assert "/.srbuild/shared/var/log/audit is a link, which is not followed" in node.why()


def test_the_boot_takes_what_the_command_has_prepared(node: Node) -> None:
    node.write("srv/app/conf", "shared\n")
    node.write("var/log/audit/first", "both\n")
    root = node.root
    call(root, "init")
    call(root, "add", "/srv/app")
    call(root, "add", "/srv/new", "--kind", "file")
    call(root, "share", "/var/log/audit")
    call(root, "remove", "/var/cache")
    ok(node.peer("n2", 2).go(PREPARE + APPLY))
    call(root, "add-node", "n1")
    (node.own / "srv/app/conf").write_text("n1's\n")
    machine_id = (node.own / "etc/machine-id").read_text()
    write = 'cd "$SR_SYSROOT"; cat srv/app/conf var/log/audit/first etc/machine-id etc/hostname\n'
    said = node.go(PREPARE + APPLY + write)
    assert ok(said) == f"n1's\nboth\n{machine_id}n1\n"
    made = {line for line in said.stderr.splitlines() if "made for this node" in line}
    assert not any(name in line for line in made for name in ("/srv/app", "hostname", "var/log"))
    assert "var/cache" not in node.targets
    assert "srv/new" in node.targets
    call(root, "check")
    made_by_boot = {path for path in files(root, "n2") if not path.startswith("etc/adjtime")}
    assert made_by_boot - files(root, "n1") <= {"srv/new", "var/lib/systemd/random-seed"}
    assert files(root, "n1") <= files(root, "n2")


def files(root: Path, name: str) -> set[str]:
    own = root / ".srbuild/nodes" / name
    return {str(path.relative_to(own)) for path in own.rglob("*")} - {".new"}
