"""How the bench's trees are made and its subjects told what to do. No test asserts a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.measure import BenchError, Command
from bench.mkosi import CONFIGURATION, configure_mkosi
from bench.peers import FOLDER, Peer, configure
from bench.root import NEWEST, SUITES, WISHED, Tree
from bench.rounds import run_rounds
from bench.stage import find_unpackaged, works
from bench.subjects import Build, change_file

# --- subjects ---------------------------------------------------------------------------------


def test_every_tool_is_told_the_same(tmp_path: Path) -> None:
    (tmp_path / "etc/initramfs-tools/conf.d").mkdir(parents=True)
    peers = configure(tmp_path, "6.1.0", ["gfs2", "dlm"], ["/usr/sbin/corosync"], ["bonding"])
    written = {
        path.name: path.read_text()
        for path in (tmp_path / "var/lib/bench").rglob("*")
        if path.is_file()
    }
    assert written["modules"] == "gfs2\ndlm\n"
    assert written["programs"] == "/usr/sbin/corosync\n"
    assert "COMPRESSLEVEL=3" in written["initramfs.conf"]
    for name in ("dracut.conf", "dracut-least-modules.conf", "dracut-copying-only.conf"):
        assert 'drivers=" gfs2 dlm "' in written[name]
        assert 'install_items=" /usr/sbin/corosync "' in written[name]
        assert 'omit_drivers=" bonding "' in written[name]
        assert 'compress="zstd -3 ' in written[name]
    names = ["mkinitramfs", "dracut", "dracut, least modules", "dracut, copying only"]
    assert [peer.name for peer in peers] == names
    assert len({peer.image for peer in peers}) == 4
    for peer in peers:
        assert peer.command.argv[:2] == ("chroot", str(tmp_path))
        assert peer.command.argv[-1] == "6.1.0"
        assert f"/{peer.image.relative_to(tmp_path)}" in peer.command.argv


def test_the_network_script_is_asked_of_a_dracut_that_has_it_only(tmp_path: Path) -> None:
    (tmp_path / "etc/initramfs-tools/conf.d").mkdir(parents=True)
    least = tmp_path / FOLDER / "dracut-least-modules.conf"
    configure(tmp_path, "7.2", ["gfs2"], ["/usr/sbin/corosync"])
    assert "network-legacy" not in least.read_text()
    (tmp_path / "usr/lib/dracut/modules.d/35network-legacy").mkdir(parents=True)
    configure(tmp_path, "7.2", ["gfs2"], ["/usr/sbin/corosync"])
    assert " network network-legacy " in least.read_text()


def test_mkosi_is_told_kmods_by_name_and_packages(tmp_path: Path) -> None:
    tree = Tree(NEWEST, tmp_path)
    peer = configure_mkosi(tree, "7.2", ["gfs2", "dlm"])
    lines = (tmp_path / CONFIGURATION).read_text().splitlines()
    kmods = [line for line in lines if line.startswith("KernelModules=")]
    assert kmods == ["KernelModules=-*", "KernelModules=gfs2", "KernelModules=dlm"]
    assert {"Packages=corosync", "Packages=gfs2-utils", "CompressLevel=3"} <= {*lines}
    assert peer.slow
    assert f"/{FOLDER}" in peer.command.argv
    assert peer.command.argv[-1] == peer.image.name


# --- trees ------------------------------------------------------------------------------------


def test_only_the_newest_suite_has_mkosi_in_its_tree(tmp_path: Path) -> None:
    first, newest = (Tree(suite, tmp_path) for suite in SUITES)
    assert "mkosi" not in first.packages
    assert {"mkosi", *first.packages} < {*newest.packages}
    assert "open-iscsi" in first.asked
    assert "dracut-network" not in first.asked


def test_a_tree_that_has_all_packages_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []

    def make(argv: tuple[object, ...], **_more: object) -> str:
        asked.append(argv)
        Path(str(argv[-1]), "usr/lib").mkdir(parents=True)
        Path(str(argv[-1]), "var/lib").mkdir(parents=True)
        return ""

    monkeypatch.setattr("bench.root.check", make)
    for suite in SUITES:
        tree = Tree(suite, tmp_path / suite)
        tree.make()
        tree.make()
    assert len(asked) == 2
    stale = '--aptopt=Acquire::Check-Valid-Until "false"'
    assert [stale in argv for argv in asked] == [False, True]
    assert (tmp_path / NEWEST / "usr/lib/firmware").is_dir()
    (tmp_path / NEWEST / "var/lib/bench-packages").write_text("other")
    Tree(NEWEST, tmp_path / NEWEST).make()
    assert len(asked) == 3


def test_one_kernel_is_wanted_in_a_tree(tmp_path: Path) -> None:
    (tmp_path / "lib/modules/6.1").mkdir(parents=True)
    assert Tree(NEWEST, tmp_path).kernel() == "6.1"
    (tmp_path / "lib/modules/6.2").mkdir()
    with pytest.raises(BenchError, match="2 kernels where one is wanted"):
        Tree(NEWEST, tmp_path).kernel()


def test_a_first_tree_that_cannot_be_made_stops_the_bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_more: object) -> str:
        raise BenchError("mmdebstrap: no mirror")

    monkeypatch.setattr("bench.root.check", fail)
    trees = [Tree(suite, tmp_path / suite) for suite in SUITES]
    with pytest.raises(BenchError, match="no mirror"):
        run_rounds(trees, tmp_path, 1)


def test_what_the_suite_does_not_package_is_absent_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bench.root.check", lambda argv: "ugrd - x\n" if argv[-1] == "^ugrd$" else ""
    )
    absent = find_unpackaged(Tree(NEWEST, tmp_path))
    assert set(absent) == set(WISHED)
    assert absent["booster"] == "Debian sid has no package of that name"
    assert "does not know how to configure it" in absent["ugrd"]


def test_a_peer_that_fails_is_absent_with_its_last_words(tmp_path: Path) -> None:
    absent: dict[str, str] = {}
    broken = Peer(
        "mkosi-initrd", Command(("sh", "-c", "echo no user namespaces; exit 9")), tmp_path
    )
    assert not works(broken, tmp_path, absent)
    assert "status 9" in absent["mkosi-initrd"]
    assert "no user namespaces" in absent["mkosi-initrd"]
    assert works(Peer("fine", Command(("true",)), tmp_path), tmp_path, absent)
    assert set(absent) == {"mkosi-initrd"}


def test_a_changed_file_leaves_its_hard_links_alone(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"\x7fELF")
    (tmp_path / "one").chmod(0o755)
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    change_file(tmp_path / "two", 1)
    first = (tmp_path / "two").read_bytes()
    change_file(tmp_path / "two", 2)
    assert (tmp_path / "one").read_bytes() == b"\x7fELF"
    assert first.startswith(b"\x7fELF")
    assert len({first, (tmp_path / "two").read_bytes(), b"\x7fELF"}) == 3
    assert (tmp_path / "two").stat().st_mode & 0o777 == 0o755


def test_a_build_keeps_to_its_folder_and_forgets(tmp_path: Path) -> None:
    build = Build(tmp_path / "cold", tmp_path / "root")
    assert build.environment["XDG_CACHE_HOME"].startswith(str(tmp_path))
    before = build.cluster.read_text()
    build.set_token(4001)
    assert build.cluster.read_text() == before.replace("3000", "4001")
    (build.folder / "cache").mkdir()
    for name in ("image", "image.json"):
        (build.folder / name).write_bytes(b"")
    build.forget()
    assert [path.name for path in build.folder.iterdir()] == ["cluster.toml"]
