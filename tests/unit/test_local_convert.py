"""OSR's trees of CDSLs, converted by `srbuild local convert`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from srbuild.errors import ConfigError, ConflictError, MissingInputError, SrbuildError, UsageError
from support.localroot import call, call_and_kill, make_root, texts

INVENTORY = """<?xml version="1.0"?>
<cdsls version="2.0" tree=".cluster/cdsl" sharedtree=".cluster/shared" link=".cdsl.local"
       default_dir="default" use_nodeids="True" node_prefix="" mountpoint="" root="/">
  <cdsl src="var/log" type="hostdependent"><nodes><noderef ref="id_1"/></nodes></cdsl>
  <cdsl src="srv/app" type="hostdependent" timestamp="1.0"/>
  <cdsl src="etc/hostname" type="hostdependent" timestamp="1.0"/>
  <cdsl src="var/log/audit" type="shared" timestamp="1.0"/>
</cdsls>
"""
NODES = ("--node", "1=n1", "--node", "2=n2")


@pytest.fixture(autouse=True)
def no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = make_root(tmp_path / "root")
    (made / ".cluster/shared/var/log").mkdir(parents=True)
    (made / "var/log/audit").rename(made / ".cluster/shared/var/log/audit")
    (made / ".cdsl.local").mkdir()
    for name in ("default", "1", "2"):
        tree = made / ".cluster/cdsl" / name
        for folder in ("var/log", "srv/app", "etc"):
            (tree / folder).mkdir(parents=True)
        (tree / "var/log/syslog").write_text(f"log of {name}\n")
        (tree / "srv/app/conf").write_text(f"conf of {name}\n")
        (tree / "etc/hostname").write_text(f"{name}\n")
        (tree / "var/log/audit").symlink_to("../../../.cluster/shared/var/log/audit")
    for path in ("var/log/syslog", "srv/app/conf", "srv/app/data", "srv/app/link", "etc/hostname"):
        (made / path).unlink()
    for path in ("var/log", "srv/app"):
        (made / path).rmdir()
        (made / path).symlink_to(f"../.cdsl.local/{path}")
    (made / "etc/hostname").symlink_to("../.cdsl.local/etc/hostname")
    (made / ".cdsl_inventory.xml").write_text(INVENTORY)
    call(made, "init")
    return made


def check_converted(root: Path) -> None:
    for number in ("1", "2"):
        own = root / ".srbuild/nodes" / f"n{number}"
        assert (own / "var/log/syslog").read_text() == f"log of {number}\n"
        assert (own / "srv/app/conf").read_text() == f"conf of {number}\n"
        assert not (own / "var/log/audit").is_symlink()
    assert (root / ".srbuild/template/srv/app/conf").read_text() == "conf of default\n"
    assert (root / ".srbuild/shared/var/log/audit/first").read_text() == "audit\n"
    assert not (root / "var/log").is_symlink()
    assert [*(root / "srv/app").iterdir()] == []
    assert (root / "etc/hostname").read_text() == ""
    lines = (root / ".srbuild/list").read_text().splitlines()
    assert "/srv/app dir any make shared host-dependent, as OSR had it" in lines
    assert any(line.startswith("/var/log/audit shared any may none") for line in lines)
    assert not any(line.startswith("/var/log ") for line in lines)
    [kept] = (root / ".srbuild/kept").glob("*/osr/.cluster/cdsl/1/srv/app/conf")
    assert kept.read_text() == "conf of 1\n"
    assert not (root / ".cluster").exists()
    assert not (root / ".cdsl.local").exists()
    assert "nothing to fight over" in call(root, "check")


def test_what_would_be_done_is_shown_first(root: Path) -> None:
    before = [*texts(root)]
    said = call(root, "convert", *NODES)
    assert "copy  /.cluster/cdsl/1/srv/app to /.srbuild/nodes/n1/srv/app" in said
    assert "add --yes" in said
    assert [*texts(root)] == before


def test_it_is_converted(root: Path) -> None:
    call(root, "convert", *NODES, "--yes")
    check_converted(root)
    with pytest.raises(MissingInputError, match="no inventory"):
        call(root, "convert", *NODES, "--yes")


@pytest.mark.parametrize("at", range(6, 68, 8))
def test_killed_and_finished(root: Path, at: int) -> None:
    before = {text for _, text in texts(root)}
    assert call_and_kill(root, at, "convert", *NODES, "--yes")
    assert before <= {text for _, text in texts(root)}
    call(root, "check")
    if (root / ".cluster").exists():
        call(root, "convert", *NODES, "--yes")
    check_converted(root)
    assert before <= {text for _, text in texts(root)}


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ([], ConfigError, "nodes 1, 2 have no names"),
        (["--node", "1=n1"], ConfigError, "nodes 2 have no names"),
        (["--node", "1=n1", "--node", "2=n1"], ConfigError, "one name for several"),
        (["--node", "1=N!", "--node", "2=n2"], ConfigError, "no node's name"),
        (["--node", "x=n1"], UsageError, "a number and a name"),
    ],
)
def test_nodes_need_names(
    root: Path, words: list[str], error: type[SrbuildError], said: str
) -> None:
    with pytest.raises(error, match=said):
        call(root, "convert", *words)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<cdsls", "<cdsls><", "no XML"),
        ("<cdsls", "<!DOCTYPE x><cdsls", "declares a document type"),
        ('type="shared"', 'type="odd"', "of the type 'odd'"),
        ('src="srv/app"', 'src="../etc"', "no absolute path"),
        ('src="srv/app"', 'src="usr/lib"', "no link into /.cdsl.local"),
        ('tree=".cluster/cdsl"', 'tree="../x"', "names the folder"),
        ('src="var/log/audit" type="shared"', 'src="srv/app/x" type="shared"', "leads into"),
        ('src="srv/app"', 'src="var/log/audit/own"', "host-dependent below"),
        ('src="var/log/audit"', 'src="usr/x"', "below nothing host-dependent"),
    ],
)
def test_what_cannot_be_converted_is_said_before(root: Path, old: str, new: str, said: str) -> None:
    (root / ".cdsl_inventory.xml").write_text(INVENTORY.replace(old, new, 1))
    before = [*texts(root)]
    with pytest.raises(SrbuildError, match=said):
        call(root, "convert", *NODES, "--yes")
    assert [*texts(root)] == before
    assert not (root / ".srbuild/journal").exists()


def test_a_running_node_is_seen(root: Path) -> None:
    (root / ".cdsl.local/etc").mkdir()
    with pytest.raises(ConflictError, match="in use"):
        call(root, "convert", *NODES, "--yes")


# --- what OSR's cdsltab binds -------------------------------------------------------------------

BINDS = """\
# comment
/.cluster/cdsl/%(nodeid)s/var/spool /var/spool bind defaults,__initrd
bind /.cluster/cdsl/%(nodeid)s/etc/own.conf etc/own.conf defaults
nfs filer:/x /mnt/x defaults
"""


@pytest.fixture
def bound(root: Path) -> Path:
    (root / "etc/cdsltab").write_text(BINDS)
    (root / "var/spool").mkdir(exist_ok=True)
    (root / "etc/own.conf").write_text("")
    for name in ("default", "1", "2"):
        tree = root / ".cluster/cdsl" / name
        (tree / "var/spool").mkdir()
        (tree / "var/spool/job").write_text(f"job of {name}\n")
        (tree / "etc/own.conf").write_text(f"own of {name}\n")
    return root


def test_what_cdsltab_binds_is_the_nodes_own_afterwards(bound: Path) -> None:
    said = call(bound, "convert", *NODES, "--yes")
    assert "/etc/cdsltab goes with it" in said
    check_converted(bound)
    for number in ("1", "2"):
        own = bound / ".srbuild/nodes" / f"n{number}"
        assert (own / "var/spool/job").read_text() == f"job of {number}\n"
        assert (own / "etc/own.conf").read_text() == f"own of {number}\n"
    assert (bound / "var/spool").is_dir()
    assert (bound / "etc/own.conf").read_text() == ""
    lines = (bound / ".srbuild/list").read_text().splitlines()
    assert "/etc/own.conf file any make shared host-dependent, as OSR had it" in lines
    assert not (bound / "etc/cdsltab").exists()
    [kept] = (bound / ".srbuild/kept").glob("*/osr/etc/cdsltab")
    assert kept.read_text() == BINDS


@pytest.mark.parametrize(
    "line",
    [
        "/mnt/tree __initrd",
        "bind /.cluster/shared/opt /opt",
        "bind /.cluster/cdsl/%(nodeid)s/a /b",
        "bind /.cluster/cdsl/1/var/spool /var/spool",
        "bind /only",
    ],
)
def test_what_cdsltab_has_without_a_counterpart_is_refused(bound: Path, line: str) -> None:
    before = sorted(texts(bound))
    (bound / "etc/cdsltab").write_text(f"{BINDS}{line}\n")
    with pytest.raises(ConflictError, match=r"cdsltab, line 5: .* has no counterpart"):
        call(bound, "convert", *NODES, "--yes")
    (bound / "etc/cdsltab").write_text(BINDS)
    assert sorted(texts(bound)) == before
