"""`srbuild import`: cluster.conf with com_info, each of its elements with what becomes of it."""

from __future__ import annotations

import stat
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbuild.cli.main import main
from srbuild.errors import SrbuildError
from srbuild.osr.clusterconf import import_cluster
from srbuild.pipeline import find_modules
from support.commands import Done

FOLDER = Path(__file__).resolve().parents[1] / "osr"
CONFS = sorted(FOLDER.glob("*.conf"))
FENCED = (FOLDER / "fencedevices.conf").read_text()
NFS = (FOLDER / "eth-static.conf").read_text()

Run = Callable[..., Done]


@pytest.fixture
def site(srbuild: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with DRBD's configuration, in which commands run."""
    assert srbuild  # which has a folder of its own
    folder = tmp_path / "site"
    (folder / "drbd.d").mkdir(parents=True)
    (folder / "drbd.d/r0.res").write_text((FOLDER / "drbd.d/r0.res").read_text())
    monkeypatch.chdir(folder)
    return folder


def refused(srbuild: Run, text: str, *more: str) -> str:
    """What is said of a cluster.conf that is not imported, and of which nothing is written."""
    Path("cluster.conf").write_text(text)
    done = srbuild("import", "cluster.conf", *more)
    assert done.code == 3, done.out
    assert not Path("cluster.toml").exists()
    assert list(Path.cwd().glob(".*")) == []
    return done.err


@pytest.mark.parametrize("path", CONFS, ids=lambda path: path.stem)
def test_every_element_becomes_what_is_written_down(
    site: Path, srbuild: Run, path: Path, pytestconfig: pytest.Config
) -> None:
    more = ("--drbd", "drbd.d") if "drbd" in path.stem else ()
    done = srbuild("import", str(path), *more)
    assert done.code == 0, done.err
    text = (site / "cluster.toml").read_text()
    golden = path.with_suffix(".toml")
    if pytestconfig.getoption("--update-golden"):
        golden.write_text(text)
    assert text == golden.read_text(), "write it anew with --update-golden once it is right"
    told = [line.partition(".conf: ")[2] for line in done.err.splitlines()]
    assert told == [line[4:] for line in text.splitlines() if line.startswith("# - ")]
    # The command that it names holds for the file as it is now.
    check = done.out.split("check it with srbuild ")[1].split()
    assert srbuild(*check).code == 0


def test_the_result_is_its_owners_and_is_not_replaced_unasked(site: Path, srbuild: Run) -> None:
    conf = str(FOLDER / "fencedevices.conf")
    assert srbuild("import", conf, "-o", "c.toml").code == 0
    assert stat.S_IMODE((site / "c.toml").stat().st_mode) == 0o600
    (site / "c.toml").write_text("mine\n")
    done = srbuild("import", conf, "-o", "c.toml")
    assert done.code == 5
    assert "is there already" in done.err
    assert (site / "c.toml").read_text() == "mine\n"
    assert srbuild("import", conf, "-o", "c.toml", "--force").code == 0


def test_passwords_are_not_shown(site: Path, srbuild: Run) -> None:
    for stem, secret in (("fencedevices", "controllers' own"), ("fenceackserver", "not-to-be")):
        done = srbuild("import", str(FOLDER / f"{stem}.conf"), "--force")
        assert done.code == 0
        assert secret not in done.out + done.err
    (site / "cluster.toml").unlink()
    said = refused(srbuild, FENCED.replace("controllers' own", "controllers'&#9;own"))
    assert "fence's secret: is not of the right form" in said
    assert "controllers" not in said


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "cluster.conf:1: is no XML: no element found"),
        ("<cluster>\n<a></cluster>", "cluster.conf:2: is no XML: mismatched tag"),
        ("<other/>", "cluster.conf:1: <other>: is not <cluster>"),
        (
            '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n<cluster name="&b;"/>',
            "declares a document type",
        ),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><cluster/>', "declares a document type"),
        ("<cluster>&own;</cluster>", "is no XML: undefined entity"),
        ('<?xml version="1.0" encoding="nonsense"?><cluster/>', "is no XML: unknown encoding"),
        ("<a>" * 100 + "</a>" * 100, "more than 64 deep"),
        ("<a>" + "<b/>" * 100_001 + "</a>", "more than 100000 elements"),
        ('<cluster name="lab"/>', "has no clusternode"),
        (NFS.replace('name="lab"', 'name="a b"'), "'a b' is no cluster's name"),
        (NFS.replace('nodeid="2"', ""), "node 'n2' has no number"),
        (NFS.replace('nodeid="2"', 'nodeid="1"'), "the id 1 is already that of node[0].id"),
        (NFS.replace('name="n2"', 'name="n_2"'), "'n_2' must be a host name"),
        (NFS.replace("00:02", "00:01"), "the MAC 52:54:00:00:00:01 is already that of"),
        (NFS.replace('mac="52:54:00:00:00:01"', 'mac="52:54"'), "'52:54' is not a MAC address"),
        (NFS.replace("10.9.0.22", "10.9.0.222.1"), "is not an IPv4 or IPv6 address"),
        (NFS.replace('mask="255.255.255.0"', ""), "10.9.0.21 has no mask"),
        (NFS.replace("255.255.255.0", "255.0.255.0"), "'255.0.255.0' is no netmask"),
        (NFS.replace('"nfs"', '"reiserfs"'), "no boot module mounts reiserfs"),
        (NFS.replace("/srv/root", "srv", 1), "all nodes share one root"),
        (NFS.replace(":/srv/root", ""), "'10.9.0.1' is not SERVER:/PATH"),
        (NFS.replace("rootvolume", "volume"), "no node has a com_info with a rootvolume"),
        (NFS.replace('name="eth0"', ""), "<eth>: has no name"),
        (NFS.replace('name="eth0"', 'name="vlan20"'), "on which interface vlan20 lies"),
        (NFS.replace("driver=", 'type="bridge" driver='), "no interface belongs to the bridge"),
        (FENCED.replace("fence_ipmilan", "fence_manual").replace("fence_apc", "fence_manual"),
         "n1 has no fence device that a boot module serves"),
        (FENCED.replace('name="ilo1" lan', 'name="ilo9" lan'), "no fencedevice is named 'ilo9'"),
        (
            NFS.replace("10.9.0.1:/srv/root", "/dev/x").replace('"nfs"', '"ocfs2"').replace(
                "</com_info>", '<rootsource name="gnbd"/></com_info>'
            ),
            "GNBD and pools are gone",
        ),
        ((FOLDER / "rootsource-drbd.conf").read_text(), "--drbd FOLDER"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_refused(site: Path, srbuild: Run, text: str, what: str) -> None:
    assert what in refused(srbuild, text)


def test_a_file_that_is_too_large_is_not_read(site: Path, srbuild: Run) -> None:
    assert "larger than 4 MiB" in refused(srbuild, f"<cluster>{' ' * (4 << 20)}</cluster>")


def test_two_nodes_without_fencing_only_when_told_so(site: Path, srbuild: Run) -> None:
    conf = FENCED.replace("fence_ipmilan", "fence_manual").replace("fence_apc", "fence_manual")
    refused(srbuild, conf)
    done = srbuild("import", "cluster.conf", "--unsafe-no-fencing")
    assert done.code == 0, done.err
    text = (site / "cluster.toml").read_text()
    assert 'method = "unsafe-none"' in text
    assert "agent =" not in text
    assert "n1: is not fenced, as you asked for" in done.err
    assert "agent fence_manual: no boot module brings this agent" in done.err


def test_a_method_with_one_unknown_device_does_not_count(site: Path, srbuild: Run) -> None:
    # An outlet less than the node has supplies would say that a running node is off.
    conf = FENCED.replace(
        'fencedevice name="pdu2" agent="fence_apc"', 'fencedevice name="pdu2" agent="fence_x"'
    )
    (site / "cluster.conf").write_text(conf)
    done = srbuild("import", "cluster.conf")
    assert done.code == 0, done.err
    assert "backup_agent" not in (site / "cluster.toml").read_text()
    other = conf.replace("fence_x", "fence_wti")
    (site / "cluster.conf").write_text(other)
    done = srbuild("import", "cluster.conf", "--force")
    assert "the devices of one method have one agent" in done.err
    assert "backup_agent" not in (site / "cluster.toml").read_text()


def mangled() -> st.SearchStrategy[bytes]:
    """Files of the golden ones with a few pieces cut, doubled, or replaced."""
    pieces = st.sampled_from(
        ['"', "<", ">", "/", "&amp;", "&#0;", "\x00", "é", "no", "\n", "=", " ", "eth0", "-1", "99"]
    )
    edits = st.lists(
        st.tuples(st.integers(0, 4000), st.integers(0, 40), st.one_of(st.just(""), pieces)),
        max_size=4,
    )
    return st.builds(mangle, st.sampled_from(CONFS), edits)


def mangle(path: Path, edits: list[tuple[int, int, str]]) -> bytes:
    text = path.read_text()
    for at, length, piece in edits:
        start = at % len(text)
        text = text[:start] + piece + text[start + length :]
    return text.encode()


CATALOG = find_modules()


@given(mangled())
def test_mangled_files_are_imported_or_refused(data: bytes) -> None:
    try:
        found = import_cluster(data, "cluster.conf", CATALOG, drbd="drbd.d")
    except SrbuildError:
        return
    table = tomllib.loads(found.text)
    assert table["name"]
    assert table["node"]
    assert table["fs"]["type"]


@given(st.binary(max_size=200))
def test_anything_is_refused(data: bytes) -> None:
    with pytest.raises(SrbuildError):
        import_cluster(b"<cluster " + data, "cluster.conf", CATALOG)


def test_the_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["import", "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "srbuild import /etc/cluster/cluster.conf" in out
    assert "docs/migration.md" in out
