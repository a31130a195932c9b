"""`srbuild local`: what its commands leave on a shared root, and what they refuse."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from srbuild.errors import ConfigError, ConflictError, MissingInputError, SrbuildError, VerifyError
from srbuild.host.confined import Tree
from srbuild.host.treelock import Holder, held
from support.localroot import call, make_root


@pytest.fixture(autouse=True)
def no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = make_root(tmp_path / "root")
    call(made, "init")
    return made


def own(root: Path, node: str, path: str) -> Path:
    return root / ".srbuild/nodes" / node / path


def paths(root: Path) -> dict[str, dict[str, object]]:
    rows = json.loads(call(root, "list", "--json"))["paths"]
    return {row["path"]: row for row in rows}


def findings(root: Path) -> list[tuple[str, str]]:
    from srbuild.hostfiles import default_entries
    from srbuild.local.findings import check

    tree = Tree(root)
    found = check(tree, default_entries())
    tree.close()
    return [(one.weight, one.path) for one in found]


def test_init_makes_the_layout_and_leaves_what_is_there(root: Path) -> None:
    (root / ".srbuild/list").write_text("# mine\n")
    assert "was there" in call(root, "init")
    assert (root / ".srbuild/list").read_text() == "# mine\n"
    assert {path.name for path in (root / ".srbuild").iterdir()} == {
        "list", "nodes", "template", "shared", "kept",
    }  # fmt: skip
    call(root, "init", "--links")
    assert (root / ".srbuild/local").is_dir()
    assert (root / ".srbuild/kept").stat().st_mode & 0o777 == 0o700


def test_commands_need_init_first(tmp_path: Path) -> None:
    made = make_root(tmp_path / "root")
    for words in (["list"], ["add", "/srv/app"], ["check"], ["add-node", "n1"]):
        with pytest.raises(MissingInputError, match=r"no /\.srbuild"):
            call(made, *words)
    assert not (made / ".srbuild").exists()


def test_a_path_is_added_by_what_it_is_there(root: Path) -> None:
    call(root, "add", "/srv/app", "--meaning", "the application")
    call(root, "add", "/srv/new", "--kind", "file")
    call(root, "add", "/srv/fast", "--kind", "tmpfs")
    lines = (root / ".srbuild/list").read_text().splitlines()
    assert "/srv/app dir any make shared the application" in lines
    assert "/srv/new file any make shared added by srbuild local" in lines
    assert "/srv/fast tmpfs any make empty added by srbuild local" in lines
    assert paths(root)["/srv/app"]["from"] == "root"
    assert "already" in call(root, "add", "/srv/app")
    assert "already, with /srv/app" in call(root, "add", "/srv/app/data")
    assert (root / ".srbuild/list").read_text().splitlines() == lines


@pytest.mark.parametrize(
    ("path", "error", "said"),
    [
        ("srv/app", ConfigError, "no absolute path"),
        ("/srv/../etc", ConfigError, "no absolute path"),
        ("/srv//app", ConfigError, "no absolute path"),
        ("/", ConfigError, "no absolute path"),
        ("/srv/a b", ConfigError, "blanks"),
        ("/srv/\x1b", ConfigError, "control"),
        ("/s*/app", ConfigError, "only the last"),
        ("/proc/x", ConfigError, "cannot be one node's own"),
        ("/.srbuild/nodes", ConfigError, "cannot be one node's own"),
        ("/srv/none", MissingInputError, "no file or directory"),
        ("/srv/app/link", MissingInputError, "no file or directory"),
    ],
)
def test_what_cannot_be_added(root: Path, path: str, error: type[SrbuildError], said: str) -> None:
    before = (root / ".srbuild/list").read_text()
    with pytest.raises(error, match=said):
        call(root, "add", path)
    assert (root / ".srbuild/list").read_text() == before


def test_a_default_is_shared_and_kept_apart_again(root: Path) -> None:
    call(root, "remove", "/var/log")
    assert paths(root)["/var/log"]["what"] == "shared"
    with pytest.raises(MissingInputError, match="shared already"):
        call(root, "remove", "/var/log")
    call(root, "add", "/var/log")
    assert paths(root)["/var/log"]["from"] == "default"
    with pytest.raises(MissingInputError, match="not host-specific"):
        call(root, "remove", "/srv/app")


def test_remove_keeps_what_nodes_had(root: Path) -> None:
    call(root, "add", "/srv/app")
    call(root, "add-node", "n1")
    own(root, "n1", "srv/app/mine").write_text("mine\n")
    assert "/.srbuild/nodes/n1/srv/app" in call(root, "remove", "/srv/app")
    assert own(root, "n1", "srv/app/mine").read_text() == "mine\n"
    assert ("note", "/.srbuild/nodes/n1/srv/app") in [
        (weight, path) for weight, path in findings(root) if path.endswith("srv/app")
    ] or ("note", "/.srbuild/nodes/n1/srv") in findings(root)
    assert "keeps it: n1" in call(root, "add", "/srv/app")
    call(root, "remove", "/srv/app", "--put-aside")
    assert not own(root, "n1", "srv/app").exists()
    [kept] = (root / ".srbuild/kept").glob("*/n1/srv/app/mine")
    assert kept.read_text() == "mine\n"


def test_a_new_node_has_what_its_first_boot_would_make(root: Path) -> None:
    (root / ".srbuild/template/etc").mkdir()
    (root / ".srbuild/template/etc/machine-id").write_text("e" * 32)
    (root / ".srbuild/template/var/log/began").mkdir(parents=True)
    call(root, "add", "/srv/app")
    for name in ("n1", "n2"):
        call(root, "add-node", name)
        assert own(root, name, "etc/hostname").read_text() == f"{name}\n"
        assert own(root, name, "etc/ssh/ssh_host_rsa_key").read_text() == "key\n"
        assert own(root, name, "var/log/began").is_dir()
        assert own(root, name, "srv/app/data").read_text() == "data\n"
        assert os.readlink(own(root, name, "srv/app/link")) == "/etc/shadow"
    ids = {own(root, name, "etc/machine-id").read_text() for name in ("n1", "n2")}
    assert len(ids) == 2
    assert all(len(one) == 33 for one in ids)
    assert findings(root) == []
    with pytest.raises(ConflictError, match="already"):
        call(root, "add-node", "n1")
    for bad in ("N1", "../x", "a/b", "", "."):
        with pytest.raises(ConfigError):
            call(root, "add-node", bad)


def test_a_removed_nodes_files_are_kept(root: Path) -> None:
    call(root, "add-node", "n1")
    call(root, "remove-node", "n1")
    [kept] = (root / ".srbuild/kept").glob("*/n1/etc/hostname")
    assert kept.read_text() == "n1\n"
    with pytest.raises(MissingInputError, match="no node n1"):
        call(root, "remove-node", "n1")


def test_share_below_what_is_each_nodes_own(root: Path) -> None:
    call(root, "add-node", "n1")
    own(root, "n1", "var/log/audit").mkdir(exist_ok=True)
    own(root, "n1", "var/log/audit/of-n1").write_text("x")
    for path, said in (("/srv/app", "below no directory"), ("/var/log", "itself kept apart")):
        with pytest.raises(ConflictError, match=said):
            call(root, "share", path)
    with pytest.raises(MissingInputError, match="no node n9"):
        call(root, "share", "/var/log/audit", "--from", "n9")
    call(root, "share", "/var/log/audit", "--from", "n1")
    assert (root / ".srbuild/shared/var/log/audit/of-n1").read_text() == "x"
    assert paths(root)["/var/log/audit"]["what"] == "shared"
    with pytest.raises(ConflictError, match="which all nodes share"):
        call(root, "add", "/var/log/audit/first")
    assert findings(root) == []


def test_diff_says_what_differs(root: Path) -> None:
    for name in ("n1", "n2"):
        call(root, "add-node", name)
    own(root, "n1", "etc/only").write_text("x")
    own(root, "n2", "etc/ssh/ssh_host_rsa_key").chmod(0o600)
    said = call(root, "diff", "n1", "n2").splitlines()
    assert "/etc/only: only n1" in said
    assert "/etc/hostname: content" in said
    assert "/etc/ssh/ssh_host_rsa_key: mode 0644 and 0600" in said
    document = json.loads(call(root, "diff", "n1", "n2", "--json"))
    assert {"path": "/etc/only", "only": "n1", "how": []} in document["paths"]
    with pytest.raises(MissingInputError, match="no node n3"):
        call(root, "diff", "n1", "n3")


def test_check_finds_what_hosts_would_fight_over(root: Path) -> None:
    for name in ("n1", "n2", "n3"):
        call(root, "add-node", name)
    own(root, "n2", "etc/machine-id").write_text(own(root, "n1", "etc/machine-id").read_text())
    own(root, "n3", "etc/hostname").unlink()
    os.link(own(root, "n1", "etc/hostname"), own(root, "n3", "etc/hostname"))
    (root / "srv/app/daemon.pid").write_text("17")
    os.mkfifo(root / "var/pipe")
    (root / "var/log/of-one-host.pid").write_text("17")
    found = findings(root)
    for expected in (
        ("fight", "/etc/machine-id"),
        ("fight", "/.srbuild/nodes/n3/etc/hostname"),
        ("fight", "/srv/app/daemon.pid"),
        ("fight", "/var/pipe"),
    ):
        assert expected in found
    assert not any("of-one-host" in path for _, path in found)
    with pytest.raises(VerifyError, match="errors and fights"):
        call(root, "check")


def test_check_finds_what_would_stop_a_boot(root: Path) -> None:
    call(root, "add-node", "n1")
    own(root, "n1", "etc/hostname").unlink()
    own(root, "n1", "etc/hostname").symlink_to("/etc/shadow")
    own(root, "n1", "etc/machine-id").unlink()
    own(root, "n1", "etc/machine-id").mkdir()
    (root / "etc/adjtime").symlink_to("/nowhere/adjtime")
    (root / ".srbuild/template").chmod(0o777)
    found = findings(root)
    for path in (
        "/.srbuild/nodes/n1/etc/hostname",
        "/.srbuild/nodes/n1/etc/machine-id",
        "/etc/adjtime",
        "/.srbuild/template",
    ):
        assert ("error", path) in found
    (root / ".srbuild/list").write_text("/srv/app no any make shared x\n")
    assert findings(root) == [("error", "/.srbuild/list")]


@pytest.mark.parametrize("place", [".srbuild", ".srbuild/nodes", ".srbuild/kept"])
def test_no_link_is_followed_out_of_the_root(root: Path, tmp_path: Path, place: str) -> None:
    outside = tmp_path / "outside"
    (root / place).rename(outside)
    (root / place).symlink_to(outside)
    before = sorted(str(path) for path in outside.rglob("*"))
    for words in (["add-node", "n1"], ["add", "/srv/app"], ["remove-node", "n1"]):
        try:
            call(root, *words)
        except SrbuildError:
            pass
        else:
            assert place != ".srbuild"
    assert sorted(str(path) for path in outside.rglob("*")) == before


def test_a_link_in_a_path_leads_within_the_root(root: Path) -> None:
    (root / "data").symlink_to("../../../srv")
    call(root, "add", "/data/app")
    assert paths(root)["/data/app"]["real"] == "/srv/app"
    call(root, "add-node", "n1")
    assert own(root, "n1", "srv/app/conf").read_text() == "conf\n"


def test_who_holds_the_lock_is_said(root: Path) -> None:
    tree = Tree(root)
    with held(tree, "add"), pytest.raises(ConflictError) as caught:
        call(root, "add", "/srv/app")
    assert f"process {os.getpid()}" in caught.value.message
    assert "--break-lock" in caught.value.hint
    foreign = Holder("elsewhere", "another boot", "pid:[1]", 1, "1", "add")
    (root / ".srbuild/lock").write_bytes(foreign.text())
    with pytest.raises(ConflictError, match="elsewhere, process 1"):
        call(root, "add", "/srv/app")
    (root / ".srbuild/lock").write_text("{}")
    with pytest.raises(ConflictError, match=r"none of srbuild's"):
        call(root, "add", "/srv/app")
    call(root, "add", "/srv/app", "--break-lock")
    assert not [*(root / ".srbuild").glob("lock*")]
    tree.close()


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": "other"}', '{"schema": "x", "steps": 1}'])
def test_a_journal_that_is_none_is_refused(root: Path, text: str) -> None:
    (root / ".srbuild/journal").write_text(text)
    with pytest.raises(VerifyError, match="journal"):
        call(root, "add", "/srv/app")
    assert (root / ".srbuild/journal").read_text() == text


def test_a_journal_names_nothing_outside(root: Path, tmp_path: Path) -> None:
    step = {"do": "text", "at": "/../outside", "source": "", "text": "x", "mode": 420,
            "shape": "all", "without": []}  # fmt: skip
    document = {"schema": "srbuild.local-journal/1", "command": "add", "steps": [step]}
    (root / ".srbuild/journal").write_text(json.dumps(document))
    with pytest.raises(VerifyError, match="no path"):
        call(root, "check")
    assert not (tmp_path / "outside").exists()


def test_the_program_itself(root: Path) -> None:
    srbuild = str(Path(sys.executable).parent / "srbuild")
    argv = [srbuild, "local", "add", "--root", str(root), "/srv/none"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 4
    assert "hint: say what it is to be" in done.stderr
