"""srbuild.formats.deb against dpkg-deb."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbuild.formats.control import control_field
from srbuild.formats.deb import DebError, read_deb
from support.debs import make_deb

FILES = {"/usr/bin/tool": "x", "/etc/tool/a b\tc": "", "/usr/share/doc/tool/żółć": "long" * 9999}
LINKS = {
    "/usr/lib/libtool.so": "libtool.so.1",
    "/usr/share/" + "deep/" * 30 + "link": "/" + "t" * 150,
}


def listed_by_tar(deb: Path) -> list[str]:
    """The paths as GNU tar lists dpkg-deb's data member."""
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True)
    argv = ["tar", "-t", "--quoting-style=literal", "--show-transformed-names"]
    names = subprocess.run(argv, input=tar.stdout, check=True, capture_output=True).stdout
    lines = names.decode("utf-8", "surrogateescape").splitlines()
    return [line.removeprefix(".").rstrip("/") for line in lines if line != "./"]


@pytest.mark.parametrize("compression", ["xz", "gzip", "zstd", "none"])
def test_agrees_with_dpkg_and_tar(tmp_path: Path, compression: str) -> None:
    path = make_deb(tmp_path, "tool", FILES, links=LINKS, compression=compression)
    deb = read_deb(path)
    assert list(deb.paths) == listed_by_tar(path)
    assert {*FILES, *LINKS} < set(deb.paths)
    told = subprocess.run(["dpkg-deb", "-f", path], check=True, capture_output=True, text=True)
    assert deb.control == told.stdout
    assert deb.field("version") == "1.0-1"
    assert deb.field("Description") == "a package"
    assert deb.field("Depends") == ""


def test_fields_are_found_at_line_starts_only() -> None:
    stanza = (
        "Package: a\nDescription: b\n Version: wrong\nX-Version: 1\nVersion:  2 \nEmpty:\nNext: n\n"
    )
    assert control_field(stanza, "Version") == "2"
    assert control_field(stanza, "Empty") == ""
    assert control_field(stanza, "Ver.ion") == ""


def test_not_a_package(tmp_path: Path) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(DebError, match=r"x\.deb: not a Debian package"):
        read_deb(path)


def test_an_archive_without_the_members(tmp_path: Path) -> None:
    (tmp_path / "readme").write_text("hello")
    subprocess.run(["ar", "rc", "x.deb", "readme"], cwd=tmp_path, check=True)
    with pytest.raises(DebError, match=r"no control\.tar inside"):
        read_deb(tmp_path / "x.deb")


def test_an_unknown_compression(tmp_path: Path) -> None:
    for name in ("control.tar.lzh", "data.tar.lzh"):
        (tmp_path / name).write_text("hello")
    argv = ["ar", "rc", "x.deb", "control.tar.lzh", "data.tar.lzh"]
    subprocess.run(argv, cwd=tmp_path, check=True)
    with pytest.raises(DebError, match="unknown compression lzh"):
        read_deb(tmp_path / "x.deb")


@pytest.fixture(scope="module", params=["xz", "gzip", "zstd", "none"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    where = tmp_path_factory.mktemp("deb")
    return make_deb(where, "tool", FILES, links=LINKS, compression=request.param).read_bytes()


@given(data=st.data())
def test_a_cut_package_is_an_error(whole: bytes, data: st.DataObject) -> None:
    keep = data.draw(st.integers(0, len(whole) - 2))
    assert_damaged_or_same(whole[:keep], whole, must_fail=True)


@given(data=st.data())
def test_a_flipped_byte_never_escapes_as_another_exception(
    whole: bytes, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[place] ^= data.draw(st.integers(1, 255))
    assert_damaged_or_same(bytes(flipped), whole, must_fail=False)


def assert_damaged_or_same(damaged: bytes, whole: bytes, *, must_fail: bool) -> None:
    with tempfile.NamedTemporaryFile(suffix=".deb") as file:
        file.write(damaged)
        file.flush()
        try:
            found = read_deb(file.name)
        except DebError:
            return
    assert not must_fail, found
