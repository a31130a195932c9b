"""`srbuild cluster`: check, show, render and schema, with the real programs as judges."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from srbuild.cli.cluster import cluster
from support.commands import Done
from support.corosync import corosync_test

FILE = """\
name = "lab"
[block]
type = "iscsi"
portal = ["10.9.0.1:3260"]
target = "iqn.2026-01.lab:root"
[fs]
type = "gfs2"
[container]
type = "none"
[fence]
method = "unsafe-none"
[[node]]
name = "n[01-03]"
id = "[1-3]"
address = "10.9.0.[1-3]/24"
[node.iscsi]
initiator = "iqn.2026-01.lab:{name}"
[[override]]
name = "n02"
[override.iscsi]
chap_user = "u2"
chap_secret = "not-for-the-others"
"""
SECRET = "not-for-the-others"

Run = Callable[..., Done]


@pytest.fixture
def here(srbuild: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the cluster file, in which commands run."""
    assert srbuild  # which has a folder of its own
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "c.toml").write_text(FILE)
    return folder


def test_check_renders_for_every_node(here: Path, srbuild: Run) -> None:
    done = srbuild("cluster", "check", "c.toml")
    assert done.code == 0, done.err
    assert done.out.startswith("c.toml: cluster lab of 3 nodes, ")
    row = json.loads(srbuild("cluster", "check", "c.toml", "--json").out)
    assert row["nodes"] == 3
    assert {"corosync", "iscsi", "gfs2"} <= set(row["modules"])
    assert [path.name for path in here.iterdir()] == ["c.toml"]


def test_check_tells_all_errors_with_file_and_line(here: Path, srbuild: Run) -> None:
    bad = FILE.replace("gfs2", "gfs3").replace("portal", "portl").replace("[1-3]/24", "[1-2]/24")
    (here / "c.toml").write_text(bad)
    done = srbuild("cluster", "check", "c.toml")
    assert done.code == 3
    lines = [line for line in done.err.splitlines() if "error:" in line]
    assert [line.split(": ")[2] for line in lines] == ["c.toml:7", "c.toml:4", "c.toml:15"]


def test_check_tells_what_modules_lack_and_what_they_refuse(here: Path, srbuild: Run) -> None:
    (here / "c.toml").write_text(FILE.replace("method =", "#"))
    done = srbuild("cluster", "check", "c.toml")
    assert done.code == 3
    assert "3 nodes need [fence] method" in done.err
    (here / "c.toml").write_text(
        FILE.replace("gfs2", "ext4").replace('[fence]\nmethod = "unsafe-none"', "")
    )
    done = srbuild("cluster", "check", "c.toml")
    assert done.code == 5
    assert "ext4 serves one node" in done.err


def test_show_writes_patterns_out(here: Path, srbuild: Run) -> None:
    done = srbuild("cluster", "show", "c.toml", "--json")
    document = json.loads(done.out)
    assert [node["name"] for node in document["nodes"]] == ["n01", "n02", "n03"]
    assert document["nodes"][1]["values"]["iscsi"] == {
        "initiator": "iqn.2026-01.lab:n02",
        "chap_user": "u2",
        "chap_secret": "(secret)",
    }
    assert document["fs"] == "gfs2"
    one = srbuild("cluster", "show", "c.toml", "n02")
    assert one.out.startswith("n02 2 - 10.9.0.2/24  c.toml:12: node[0](n02)\n")
    assert SECRET not in done.out + one.out + srbuild("cluster", "show", "c.toml").out


@pytest.mark.parametrize("words", [("show", "c.toml", "n4"), ("render", "n4", "c.toml")])
def test_there_is_no_such_node(here: Path, srbuild: Run, words: tuple[str, ...]) -> None:
    done = srbuild("cluster", *words)
    assert done.code == 3
    assert "has no node 'n4'" in done.err


def test_render_gives_a_node_what_its_image_does(here: Path, srbuild: Run) -> None:
    done = srbuild("cluster", "render", "n02", "c.toml", "/etc/hosts")
    assert done.out.splitlines()[2:] == ["10.9.0.1 n01", "10.9.0.2 n02", "10.9.0.3 n03"]
    whole = srbuild("cluster", "render", "n02", "c.toml").out
    assert "# /etc/iscsi/initiatorname.iscsi (0644)\nInitiatorName=iqn.2026-01.lab:n02\n" in whole
    assert "lab:n01" not in whole
    assert SECRET not in whole


def test_render_writes_secrets_for_their_owner(here: Path, srbuild: Run) -> None:
    assert srbuild("cluster", "render", "n02", "c.toml", "-o", "n02").code == 0
    conf = here / "n02/etc/iscsi/iscsid.conf"
    assert SECRET in conf.read_text()
    assert conf.stat().st_mode & 0o777 == 0o600
    assert (here / "n02").stat().st_mode & 0o777 == 0o700
    again = srbuild("cluster", "render", "n02", "c.toml", "-o", "n02")
    assert again.code == 1
    assert "n02" in again.err


def test_render_knows_its_files(here: Path, srbuild: Run) -> None:
    done = srbuild("cluster", "render", "n02", "c.toml", "/etc/host")
    assert done.code == 3
    assert "n02 gets no file '/etc/host'" in done.err
    assert "/etc/hosts" in done.err


def test_corosync_takes_what_is_rendered(here: Path, srbuild: Run, sysroot: Path) -> None:
    # Corosync looks for an address of this machine in its list.
    (here / "c.toml").write_text(FILE.replace("10.9.0.[1-3]/24", "127.0.0.[1-3]/8"))
    text = srbuild("cluster", "render", "n01", "c.toml", "/etc/corosync/corosync.conf").out
    assert "name: n03" in text
    own = f"system {{\n    state_dir: {here}\n}}\n"
    text = text.replace("/var/log/corosync/corosync.log", f"{here}/log")
    for text_now, good in ((text, True), (text.replace("knet", "pigeon"), False)):
        (here / "corosync.conf").write_text(own + text_now)
        assert (corosync_test(sysroot, here / "corosync.conf").returncode == 0) == good


def test_help_shows_every_verb() -> None:
    assert set(cluster.commands) == {"check", "show", "render", "schema"}
    assert all(f"srbuild cluster {verb}" in (cluster.help or "") for verb in cluster.commands)
