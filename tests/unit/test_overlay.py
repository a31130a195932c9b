"""Two trees read as one: files of the upper stand before the lower's, directories are merged."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.errors import MissingInputError
from srbuild.host.overlay import OverlaidSysroot
from srbuild.paths import SysrootPath


def tree(folder: Path, files: dict[str, str]) -> Path:
    """Files by path; a content that begins with `->` makes a link."""
    folder.mkdir()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("->"):
            path.symlink_to(content[2:])
        else:
            path.write_text(content)
    return folder


def laid(tmp_path: Path, lower: dict[str, str], upper: dict[str, str]) -> OverlaidSysroot:
    return OverlaidSysroot(tree(tmp_path / "lower", lower), tree(tmp_path / "upper", upper))


def test_the_upper_file_stands_before_the_lower(tmp_path: Path) -> None:
    root = laid(tmp_path, {"etc/a": "old", "etc/b": "kept"}, {"etc/a": "new", "usr/sbin/c": "c"})
    paths = [SysrootPath(path) for path in ("/etc/a", "/etc/b", "/usr/sbin/c")]
    assert [root.read(path) for path in paths] == [b"new", b"kept", b"c"]
    assert root.names(SysrootPath("/etc")) == ["a", "b"]
    assert root.glob("/**/c") == ["/usr/sbin/c"]
    assert root.host(SysrootPath("/etc/b")) == str(tmp_path / "lower/etc/b")


def test_links_of_either_tree_lead_into_both(tmp_path: Path) -> None:
    root = laid(
        tmp_path,
        {"usr/lib/libc.so": "c", "lib": "->usr/lib", "usr/lib/x": "->/etc/y"},
        {"usr/lib/libvz.so": "->libvz.so.1", "usr/lib/libvz.so.1": "vz", "etc/y": "y"},
    )
    assert root.read(SysrootPath("/lib/libvz.so")) == b"vz"
    assert root.read(SysrootPath("/lib/x")) == b"y"
    assert root.is_merged


def test_a_link_gives_way_to_a_file_above_and_a_file_to_a_link(tmp_path: Path) -> None:
    root = laid(tmp_path, {"a": "->b", "b": "b", "c": "c"}, {"a": "own", "c": "->b"})
    assert root.read(SysrootPath("/a")) == b"own"
    assert root.read(SysrootPath("/c")) == b"b"


@pytest.mark.parametrize("upper", [{"lib": "->usr/lib"}, {"lib": "a file"}])
def test_a_directory_below_stays_one(tmp_path: Path, upper: dict[str, str]) -> None:
    root = laid(tmp_path, {"lib/libc.so": "c"}, upper)
    assert root.read(SysrootPath("/lib/libc.so")) == b"c"
    assert not root.is_merged


def test_a_directory_above_a_link_is_not_looked_into(tmp_path: Path) -> None:
    lower = {"usr/lib/libc.so": "c", "lib": "->usr/lib"}
    root = laid(tmp_path, lower, {"lib/libvz.so": "vz"})
    assert root.exists(SysrootPath("/lib/libc.so"))
    assert not root.exists(SysrootPath("/lib/libvz.so"))


def test_what_is_in_neither_is_not_there(tmp_path: Path) -> None:
    root = laid(tmp_path, {"a": ""}, {"b": ""})
    with pytest.raises(MissingInputError, match="/c is not in the sysroot"):
        root.read(SysrootPath("/c"))


def test_both_must_be_directories(tmp_path: Path) -> None:
    lower = tree(tmp_path / "lower", {})
    with pytest.raises(MissingInputError, match="no sysroot at"):
        OverlaidSysroot(lower, tmp_path / "none")
