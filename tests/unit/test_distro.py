"""Making a sysroot: with small packages and a stand-in for mmdebstrap, but real dpkg and depmod.

The tree that `make test` makes with the real mmdebstrap is looked at in tests/image.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from srbuild.errors import ConflictError, MissingInputError, ToolError, UsageError
from srbuild.host.distro import (
    STAMP,
    SysrootRequest,
    create_sysroot,
    host_architecture,
    read_stamp,
)
from srbuild.host.packages import load_packages
from srbuild.host.sysroot import Sysroot
from srbuild.manifest import Package
from srbuild.paths import SysrootPath
from support.debs import make_deb, make_mmdebstrap

KERNEL = "9.9.9-test"
REQUEST = SysrootRequest(("tool",), "bookworm", "amd64")
SAME = "Multi-Arch: same\n"


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the fake mmdebstrap and its packages, first on PATH."""
    where = tmp_path / "archive"
    make_mmdebstrap(where)
    make_deb(where, "linux-image-test", {f"/lib/modules/{KERNEL}/modules.order": ""})
    make_deb(where, "libtool1", {"/lib/x86_64-linux-gnu/libtool.so.1": ""}, fields=SAME)
    make_deb(where, "tool", {"/usr/bin/tool": "one"}, links={"/usr/bin/t": "tool"})
    monkeypatch.setenv("PATH", f"{where}{os.pathsep}{os.environ['PATH']}")
    return where


def calls(archive: Path) -> list[list[str]]:
    path = archive / "calls"
    return [line.split("\t") for line in path.read_text().splitlines()] if path.exists() else []


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_makes_a_tree_with_index_database_and_stamp(tmp_path: Path, archive: Path) -> None:
    root = tmp_path / "deep" / "root"
    made = create_sysroot(root, REQUEST)
    assert made.kernels == (KERNEL,)
    assert not made.cached
    assert (root / "usr/bin/tool").read_text() == "one"
    assert (root / "lib/modules" / KERNEL / "modules.dep.bin").stat().st_size > 0
    assert not list(root.rglob("*.deb"))
    assert names(root.parent) == {"root"}, "nothing is left beside the tree"
    assert root.stat().st_mode & 0o777 == 0o755
    stamp = read_stamp(root)
    assert stamp
    assert stamp.packages == ("busybox-static", "kmod", "linux-image-amd64", "tool")


def test_asks_mmdebstrap_for_what_was_requested(tmp_path: Path, archive: Path) -> None:
    request = SysrootRequest(("pb", "pa"), "sid", "arm64", "http://mirror.invalid/debian")
    create_sysroot(tmp_path / "root", request)
    (argv,) = calls(archive)
    assert argv[-3] == "sid"
    assert argv[-1] == "http://mirror.invalid/debian"
    assert {"--mode=chrootless", "--variant=extract", "--architectures=arm64"} <= set(argv)
    assert "--include=busybox-static,kmod,linux-image-arm64,pa,pb" in argv
    assert '--aptopt=Acquire::Check-Valid-Until "false"' in argv


def test_only_rolling_suites_may_have_an_old_release(tmp_path: Path, archive: Path) -> None:
    create_sysroot(tmp_path / "root", REQUEST)
    assert not [word for word in calls(archive)[0] if "Valid-Until" in word]
    assert calls(archive)[0][-2] == "bookworm", "without a mirror none is named"


def test_provenance_is_what_dpkg_itself_reads(tmp_path: Path, archive: Path) -> None:
    root = tmp_path / "root"
    create_sysroot(root, REQUEST)
    admin = f"--admindir={root}/var/lib/dpkg"

    def ask(*words: str) -> str:
        argv = ["dpkg-query", admin, *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    assert ask("-W", "-f", "${binary:Package} ${Version} ${Status}\n").splitlines() == [
        "libtool1:amd64 1.0-1 install ok unpacked",
        "linux-image-test 1.0-1 install ok unpacked",
        "tool 1.0-1 install ok unpacked",
    ]
    assert ask("-S", "/usr/bin/t") == "tool: /usr/bin/t\n"
    assert ask("-L", "libtool1").splitlines()[-1] == "/lib/x86_64-linux-gnu/libtool.so.1"


def test_packages_of_a_sysroot(tmp_path: Path, archive: Path) -> None:
    root = tmp_path / "root"
    create_sysroot(root, REQUEST)
    packages = load_packages(Sysroot(root))
    tool, library = Package("tool", "1.0-1", "amd64"), Package("libtool1", "1.0-1", "amd64")
    assert [package.name for package in packages.installed] == [
        "libtool1",
        "linux-image-test",
        "tool",
    ]
    shipped = SysrootPath("/lib/x86_64-linux-gnu/libtool.so.1")
    merged = SysrootPath(f"/usr{shipped}")
    assert packages.owners([shipped, merged, SysrootPath("/usr/bin/t"), SysrootPath("/no")]) == {
        shipped: library,
        merged: library,
        SysrootPath("/usr/bin/t"): tool,
    }
    (root / "usr/bin/tool").unlink()
    assert packages.owner(SysrootPath("/usr/bin/tool")) == tool, "a file that is gone has an owner"
    assert packages.owner(SysrootPath("/usr/bin/other")) is None
    assert packages.shipping("libtool.so.1") == (library,)
    assert packages.shipping("tool.so.1") == ()


def test_packages_that_are_gone_own_nothing(tmp_path: Path) -> None:
    info = tmp_path / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    stanzas = (
        "Package: {}\nStatus: {}\nArchitecture: all\nVersion: 1\n".format(*row)
        for row in (
            ("here", "install ok installed"),
            ("late", "install ok triggers-pending"),
            ("gone", "deinstall ok config-files"),
            ("odd", "install ok"),
        )
    )
    (info.parent / "status").write_text("\n".join(stanzas))
    for name in ("here", "late", "gone", "odd"):
        (info / f"{name}.list").write_text(f"/.\n/etc\n/etc/{name}\n")
    packages = load_packages(Sysroot(tmp_path))
    assert [package.name for package in packages.installed] == ["here", "late"]
    assert packages.owner(SysrootPath("/etc/gone")) is None
    assert packages.owner(SysrootPath("/etc")) == Package("here", "1", "all")


def test_a_tree_without_dpkg_has_no_packages(tmp_path: Path) -> None:
    packages = load_packages(Sysroot(tmp_path))
    assert packages.installed == ()
    assert packages.owner(SysrootPath("/bin/sh")) is None


def test_the_running_system_is_read_as_dpkg_reads_it() -> None:
    path = SysrootPath(os.path.realpath("/usr/bin/dpkg-deb"))
    owner = load_packages(Sysroot(Path("/"))).owner(path)
    told = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "dpkg"], check=True, capture_output=True, text=True
    )
    assert owner
    assert (owner.name, owner.version) == ("dpkg", told.stdout)


def test_the_second_run_does_nothing(tmp_path: Path, archive: Path) -> None:
    root = tmp_path / "root"
    create_sysroot(root, REQUEST)
    inode = root.stat().st_ino
    again = create_sysroot(root, REQUEST)
    assert again.cached
    assert again.kernels == (KERNEL,)
    assert (root.stat().st_ino, len(calls(archive))) == (inode, 1)


def test_a_tree_that_has_more_will_do(tmp_path: Path, archive: Path) -> None:
    create_sysroot(tmp_path / "root", SysrootRequest(("tool", "more"), "bookworm", "amd64"))
    assert create_sysroot(tmp_path / "root", REQUEST).cached


@pytest.mark.parametrize(
    "other",
    [
        SysrootRequest(("tool", "more"), "bookworm", "amd64"),
        SysrootRequest(("tool",), "trixie", "amd64"),
        SysrootRequest(("tool",), "bookworm", "arm64"),
        SysrootRequest(("tool",), "bookworm", "amd64", "http://mirror.invalid/"),
    ],
)
def test_another_request_replaces_the_whole_tree(
    tmp_path: Path, archive: Path, other: SysrootRequest
) -> None:
    root = tmp_path / "root"
    create_sysroot(root, REQUEST)
    (root / "usr/bin/stale").touch()
    (root / "usr").chmod(0o500)
    assert not create_sysroot(root, other).cached
    assert not (root / "usr/bin/stale").exists()
    assert names(tmp_path) == {"archive", "root"}
    assert create_sysroot(root, other).cached


@pytest.mark.parametrize("content", ["foreign", STAMP])
def test_what_srbuild_did_not_make_is_left_alone(
    tmp_path: Path, archive: Path, content: str
) -> None:
    root = tmp_path / "root"
    (root / content).parent.mkdir(parents=True)
    (root / content).write_text("mine")
    with pytest.raises(ConflictError, match="was not made by srbuild"):
        create_sysroot(root, REQUEST)
    assert (root / content).read_text() == "mine"
    assert not calls(archive)
    assert names(tmp_path) == {"archive", "root"}


def test_a_file_is_left_alone(tmp_path: Path, archive: Path) -> None:
    (tmp_path / "root").write_text("mine")
    with pytest.raises(ConflictError):
        create_sysroot(tmp_path / "root", REQUEST)
    assert (tmp_path / "root").read_text() == "mine"


def test_an_empty_directory_and_a_link_to_one_are_filled(tmp_path: Path, archive: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    create_sysroot(tmp_path / "link", REQUEST)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real/usr/bin/tool").exists()


def test_a_failure_leaves_the_old_tree(tmp_path: Path, archive: Path) -> None:
    root = tmp_path / "root"
    create_sysroot(root, REQUEST)
    (archive / "fail").write_text("E: the mirror is on fire\n")
    with pytest.raises(ToolError, match=r"status 25:\n +E: the mirror is on fire"):
        create_sysroot(root, SysrootRequest(("tool",), "trixie", "amd64"))
    assert create_sysroot(root, REQUEST).cached
    assert names(tmp_path) == {"archive", "root"}


def test_an_unknown_package_is_named(tmp_path: Path, archive: Path) -> None:
    (archive / "fail").write_text("E: Unable to locate package nope\nE: failed to run\n")
    with pytest.raises(MissingInputError, match="bookworm has no package nope for amd64"):
        create_sysroot(tmp_path / "root", REQUEST)
    assert names(tmp_path) == {"archive"}


def test_a_tree_without_kernel_is_refused(tmp_path: Path, archive: Path) -> None:
    next(archive.glob("linux-image-*.deb")).unlink()
    with pytest.raises(MissingInputError, match="no kernel"):
        create_sysroot(tmp_path / "root", REQUEST)
    assert names(tmp_path) == {"archive"}


def test_a_damaged_package_is_refused(tmp_path: Path, archive: Path) -> None:
    whole = archive / "tool_1.0-1_amd64.deb"
    script = (archive / "mmdebstrap").read_text()
    cut = '(cache / "cut.deb").write_bytes(deb.read_bytes()[:-9])\n(here / "unpacked").touch()'
    (archive / "mmdebstrap").write_text(script.replace('(here / "unpacked").touch()', cut))
    with pytest.raises(ToolError, match=r"cannot read a downloaded package: .*cut\.deb"):
        create_sysroot(tmp_path / "root", REQUEST)
    assert whole.exists()
    assert names(tmp_path) == {"archive"}


def test_what_a_killed_run_left_is_cleared(tmp_path: Path, archive: Path) -> None:
    debris = tmp_path / ".root.new" / "tree" / "sealed"
    debris.mkdir(parents=True)
    (debris / "file").touch()
    debris.chmod(0o500)
    create_sysroot(tmp_path / "root", REQUEST)
    assert names(tmp_path) == {"archive", "root"}


def test_two_at_a_time_are_refused(tmp_path: Path, archive: Path) -> None:
    (archive / "hold").touch()
    first = threading.Thread(target=create_sysroot, args=(tmp_path / "root", REQUEST))
    first.start()
    try:
        deadline = time.monotonic() + 20
        while not (archive / "unpacked").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(ConflictError, match="another srbuild"):
            create_sysroot(tmp_path / "root", REQUEST)
    finally:
        (archive / "hold").unlink()
        first.join()
    assert create_sysroot(tmp_path / "root", REQUEST).cached
    assert len(calls(archive)) == 1


def test_merged_usr_links_are_made_where_packages_rely_on_them(
    tmp_path: Path, archive: Path
) -> None:
    for deb in archive.glob("*.deb"):
        deb.unlink()
    make_deb(archive, "linux-image-new", {f"/usr/lib/modules/{KERNEL}/modules.order": ""})
    make_deb(archive, "libc", {"/usr/lib64/ld.so": "", "/sbin/own": ""})
    root = tmp_path / "root"
    assert create_sysroot(root, REQUEST).kernels == (KERNEL,)
    assert {n: os.readlink(root / n) for n in names(root) if (root / n).is_symlink()} == {
        "lib": "usr/lib",
        "lib64": "usr/lib64",
    }
    assert (root / "lib/modules" / KERNEL / "modules.dep").exists()
    assert (root / "sbin/own").exists()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (SysrootRequest(("a,b",), "bookworm", "amd64"), "'a,b' is no name"),
        (SysrootRequest(("--x",), "bookworm", "amd64"), "'--x' is no name"),
        (SysrootRequest(("/etc/passwd",), "bookworm", "amd64"), "is no name"),
        (SysrootRequest((), "--simulate", "amd64"), "'--simulate' is no name of a suite"),
        (SysrootRequest((), "bookworm", "x86_64"), "unknown architecture 'x86_64'"),
        (SysrootRequest((), "bookworm", "amd64", "mirror"), "no mirror's address"),
        (SysrootRequest((), "bookworm", "amd64", "http://a b/"), "no mirror's address"),
        (SysrootRequest((), "bookworm", "amd64", "--x=y://z"), "no mirror's address"),
    ],
)
def test_hostile_names_never_reach_mmdebstrap(
    tmp_path: Path, archive: Path, request_: SysrootRequest, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        create_sysroot(tmp_path / "root", request_)
    assert not calls(archive)


@pytest.mark.parametrize(("tool", "package"), [("mmdebstrap", "mmdebstrap"), ("depmod", "kmod")])
def test_a_missing_program_is_known_before_anything_is_downloaded(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch, tool: str, package: str
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    for name in {"mmdebstrap", "depmod"} - {tool}:
        (there / name).symlink_to(archive / "mmdebstrap")
    monkeypatch.setenv("PATH", str(there))
    monkeypatch.setattr("srbuild.host.tool.SBIN", ())
    with pytest.raises(ToolError, match=f"no program {tool}") as caught:
        create_sysroot(tmp_path / "root", REQUEST)
    assert caught.value.hint.endswith(f"apt-get install {package}")
    assert not calls(archive)


def test_the_host_architecture_is_dpkgs() -> None:
    argv = ["dpkg", "--print-architecture"]
    told = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    assert host_architecture() == told
