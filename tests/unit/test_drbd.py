"""DRBD's configuration as it is made from the cluster file, read by the real drbdadm."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from srbuild.config.load import load_config
from srbuild.errors import ConfigError, ConflictError, ErrorGroup, MissingInputError
from srbuild.pipeline import find_modules, find_spine
from srbuild.plan import make_plan
from srbuild.render import RenderedFile, render_site

CATALOG = find_modules()
SECRET = "labsecret1234"
OWN = """\
# allow-two-primaries yes;
resource r0 { # the root
    protocol C;
    device /dev/drbd3;
    disk "/dev/disk#1";
    meta-disk internal;
    on n1 { address 10.9.0.21:7789; }
    on n2 { address 10.9.0.22:7789; }
}
"""
COMMON = (
    'global { usage-count no; disable-ip-verification; }\ncommon { net { shared-secret "x"; } }\n'
)


def node(number: int, *, address: str = "", disk: str = "/dev/sdb") -> str:
    address = address or f"10.9.0.2{number}/24"
    own = f'[node.drbd]\ndisk = "{disk}"\n' if disk else ""
    where = "" if address == "none" else f'address = "{address}"\n'
    return f'[[node]]\nname = "n{number}"\nid = {number}\n{where}{own}'


def render(folder: Path, fs: str, block: str = "", *nodes: str) -> dict[str, RenderedFile]:
    """What the cluster file leads to, by path."""
    more = "" if fs == "ext4" else '[fence]\nmethod = "unsafe-none"\n'
    parts = nodes or (node(1), node(2))
    text = f'name = "lab"\n[block]\ntype = "drbd"\n{block}\n[fs]\ntype = "{fs}"\n{more}'
    (folder / "cluster.toml").write_text(text + "".join(parts))
    given = {"cluster": folder / "cluster.toml"}
    if fs == "ocfs2":
        given["modules"] = ["ocfs2-pcmk"]
    config = load_config(given, {}, CATALOG)
    files = render_site(make_plan(config, CATALOG, find_spine()))
    return {str(file.target): file for file in files}


Dump = Callable[..., str]


@pytest.fixture
def dump(sysroot: Path, tmp_path: Path) -> Dump:
    """What drbdadm makes of a configuration, its white space made single spaces."""

    def run(data: bytes, version: str = "8.4") -> str:
        path = tmp_path / "drbd.conf"
        path.write_bytes(data)
        program = "lib/drbd/drbdadm-84" if version == "8.4" else "sbin/drbdadm"
        loader = [f"{sysroot}/lib64/ld-linux-x86-64.so.2", "--library-path"]
        done = subprocess.run(
            [
                *loader,
                f"{sysroot}/lib/x86_64-linux-gnu",
                f"{sysroot}/{program}",
                "-c",
                path,
                "dump",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={"DRBD_DRIVER_VERSION_OVERRIDE": "9.1.0"} if version == "9" else {},
        )
        assert done.returncode == 0, done.stderr
        return " ".join(done.stdout.split())

    return run


@pytest.mark.parametrize("fs", ["gfs2", "ocfs2"])
def test_nodes_that_share_a_file_system_are_both_primary(
    tmp_path: Path, dump: Dump, fs: str
) -> None:
    files = render(tmp_path, fs, f'shared_secret = "{SECRET}"')
    conf = files["/etc/drbd.conf"]
    assert (conf.mode, conf.secret) == (0o600, True)
    said = dump(conf.data)
    for word in (
        "allow-two-primaries yes;",
        "cram-hmac-alg sha256;",
        f"shared-secret {SECRET};",
        "protocol C;",
        "after-sb-0pri discard-zero-changes;",
        "after-sb-1pri disconnect;",
        "after-sb-2pri disconnect;",
        "fencing resource-only;",
        "on n1 { device /dev/drbd0 minor 0; disk /run/srbuild/drbd/r0; meta-disk internal;",
        "address ipv4 10.9.0.21:7788;",
        "address ipv4 10.9.0.22:7788;",
    ):
        assert word in said, word
    assert files["/etc/srbuild/drbd.primaries"].data == b"two\n"
    for path, file in files.items():
        assert path == "/etc/drbd.conf" or SECRET.encode() not in file.data


def test_one_node_at_a_time_has_one_primary(tmp_path: Path, dump: Dump) -> None:
    block = 'resource = "root"\nminor = 7\nport = 7000\nprotocol = "B"\non_io_error = "pass_on"'
    nodes = (node(1, address="fd00::21/64"), node(2, address="fd00::22/64"))
    files = render(tmp_path, "ext4", block, *nodes)
    said = dump(files["/etc/drbd.conf"].data)
    assert "allow-two-primaries" not in said
    assert "shared-secret" not in said
    for word in (
        "resource root {",
        "device /dev/drbd7 minor 7;",
        "address ipv6 [fd00::22]:7000;",
        "protocol B;",
        "on-io-error pass_on;",
        "disk /run/srbuild/drbd/root;",
    ):
        assert word in said, word
    assert files["/etc/srbuild/drbd.primaries"].data == b"one\n"
    assert not files["/etc/drbd.conf"].secret


def test_version_9_mirrors_between_three(tmp_path: Path, dump: Dump) -> None:
    nodes = (node(1), node(2), node(5))
    files = render(tmp_path, "ext4", 'version = "9"', *nodes)
    said = dump(files["/etc/drbd.conf"].data, "9")
    for word in ("node-id 5;", "quorum majority;", "on-no-quorum suspend-io;", "minor 0;",
                 "fencing resource-only;", "connection-mesh { hosts n1 n2 n5; }"):  # fmt: skip
        assert word in said, word


def test_version_9_with_two_primaries(tmp_path: Path, dump: Dump) -> None:
    said = dump(render(tmp_path, "gfs2", 'version = "9"')["/etc/drbd.conf"].data, "9")
    assert "allow-two-primaries yes;" in said
    assert "quorum" not in said


@pytest.mark.parametrize(
    ("fs", "block", "nodes", "message", "hint"),
    [
        ("gfs2", "allow_two_primaries = false", (), "with one primary", "allow_two_primaries"),
        ("ocfs2", "allow_two_primaries = false", (), "with one primary", "allow_two_primaries"),
        ("ext4", "allow_two_primaries = true", (), "destroy it", "use gfs2 or ocfs2"),
        ("gfs2", 'protocol = "A"', (), "protocol C, not A", "drop protocol"),
        ("gfs2", "", (node(1), node(2), node(3)), "DRBD 8.4 mirrors between two", 'version = "9"'),
        ("gfs2", 'version = "9"', (node(1), node(2), node(3)), "two primaries at most", "iSCSI"),
        ("ext4", "", (node(1),), "the cluster has one", 'type = "scsi"'),
        ("ext4", 'version = "9"', (node(1), node(32)), "has the id 32", "from 1"),
    ],
)
def test_what_cannot_work_is_refused(
    tmp_path: Path, fs: str, block: str, nodes: tuple[str, ...], message: str, hint: str
) -> None:
    with pytest.raises(ConflictError, match=message) as found:
        render(tmp_path, fs, block, *nodes)
    assert found.value.exit_code == 5
    assert hint in found.value.hint
    assert "cluster.toml" in str(found.value.origin)


@pytest.mark.parametrize(
    ("block", "nodes", "message"),
    [
        ("", (node(1), node(2, disk="")), "n2 has no disk"),
        ("", (node(1), node(2, address="none")), "n2 has no address"),
        (f'shared_secret = "{"x" * 65}"', (), "longer than DRBD's 64"),
        ("shared_secret = 'a\"b'", (), "cannot write a shared_secret"),
        ('resource = "r1"\nconfig = "drbd.d"', (), "has a resource r1"),
        ("minor = -1", (), "less than 0"),
        ('after_sb_1pri = "discard-all"', (), "is not one of"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, block: str, nodes: tuple[str, ...], message: str
) -> None:
    (tmp_path / "drbd.d").mkdir()
    (tmp_path / "drbd.d/r0.res").write_text(OWN)
    with pytest.raises((ConfigError, ErrorGroup), match=message) as found:
        render(tmp_path, "ext4", block, *nodes)
    assert found.value.exit_code == 3
    assert 'a"b' not in str(found.value)


def test_a_configuration_of_ones_own_is_taken_as_it_is(tmp_path: Path, dump: Dump) -> None:
    folder = tmp_path / "drbd.d"
    folder.mkdir()
    other = OWN.replace("r0", "data").replace("drbd3", "drbd4").replace("7789", "7790")
    (folder / "global_common.conf").write_text(COMMON)
    (folder / "r0.res").write_text(OWN)
    (folder / "data.res").write_text(other.replace("disk#1", "sdz"))
    (folder / "notes.txt").write_text("no configuration")
    files = render(tmp_path, "ext4", 'config = "drbd.d/"', node(1, disk=""), node(2, disk=""))
    conf = files["/etc/drbd.conf"]
    assert (conf.mode, conf.secret) == (0o600, True)
    for text in (COMMON, OWN):
        assert text.encode() in conf.data
    assert b"no configuration" not in conf.data
    said = dump(conf.data)
    for word in ("resource r0 {", "resource data {", 'disk "/dev/disk#1";', "shared-secret x;"):
        assert word in said, word
    assert "allow-two-primaries" not in said


def test_ones_own_must_suit_the_file_system(tmp_path: Path, dump: Dump) -> None:
    folder = tmp_path / "drbd.d"
    folder.mkdir()
    (folder / "r0.res").write_text(OWN)
    with pytest.raises(ConflictError, match="says allow-two-primaries"):
        render(tmp_path, "gfs2", 'config = "drbd.d"')
    (folder / "r0.res").write_text(OWN.replace("protocol", "net { allow-two-primaries; } protocol"))
    files = render(tmp_path, "gfs2", 'config = "drbd.d"')
    assert "allow-two-primaries" in dump(files["/etc/drbd.conf"].data)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="cannot read the folder"):
        render(tmp_path, "ext4", 'config = "drbd.d"')
    (tmp_path / "drbd.d").mkdir()
    with pytest.raises(MissingInputError, match="nothing here is called"):
        render(tmp_path, "ext4", 'config = "drbd.d"')
