"""Libraries for better processors: which are shipped, and that the real loader finds them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from srbuild.choices import check_cpu, check_features
from srbuild.closure.closer import ElfCloser
from srbuild.closure.hwcaps import LEVELS, shipped_levels
from srbuild.closure.search import Abi
from srbuild.config.load import Wish
from srbuild.errors import Origin
from srbuild.formats.ldcache import CacheEntry, build_ldcache
from srbuild.paths import SysrootPath, to_image
from support.trees import Tree, files, seeds

AMD64 = Abi(64, "little", 62)
HERE = Origin("--cpu")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


def conf_tree(tree: Tree) -> None:
    """A library in a directory of ld.so.conf and in variants, one of them in a default one."""
    tree.file("/etc/ld.so.conf", "/opt/l\n")
    tree.lib("/opt/l/liba.so.1")
    for level in ("x86-64-v2", "x86-64-v3"):
        tree.lib(f"/opt/l/glibc-hwcaps/{level}/liba.so.1")
    tree.lib("/usr/lib/glibc-hwcaps/x86-64-v4/liba.so.1")
    tree.lib("/usr/lib/liba.so.1")
    tree.program("/bin/p", "liba.so.1")


def supported_levels(tree: Tree) -> list[str]:
    """What this machine's processor has, best first, as the loader itself says."""
    text = subprocess.run(
        [tree.root / tree.loader.lstrip("/"), "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    return re.findall(r"^  (x86-64-v[234]) \(supported", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("cpu", "want"),
    [
        (None, {"x86-64-v2", "x86-64-v3", "x86-64-v4"}),
        ("x86-64-v3", {"x86-64-v2", "x86-64-v3"}),
        ("x86-64-v2", {"x86-64-v2"}),
        ("x86-64", set()),
    ],
)
def test_levels_above_the_chosen_one_are_left_out(
    tree: Tree, cpu: str | None, want: set[str]
) -> None:
    conf_tree(tree)
    closer = ElfCloser(tree.sysroot, cpu=cpu)
    closure = closer.close(seeds("/bin/p"))
    assert closure.missing == ()
    shipped = {path.split("/")[-2] for path in files(closure) if "glibc-hwcaps" in path}
    assert shipped == want
    assert {entry.level for entry in closer.cache_entries} == {*want, ""}


@pytest.mark.parametrize("cpu", [None, "x86-64-v2", "x86-64"])
def test_the_loader_finds_the_best_variant_through_our_cache(
    tree: Tree, tmp_path: Path, cpu: str | None
) -> None:
    conf_tree(tree)
    closer = ElfCloser(tree.sysroot, cpu=cpu)
    image = tree.image(closer.close(seeds("/bin/p")), tmp_path / "image")
    image.file("/etc/ld.so.cache", build_ldcache(closer.cache_entries))
    loaded, missing = image.loaded("/bin/p")
    assert missing == set()
    usable = [level for level in shipped_levels(62, cpu) if level in supported_levels(tree)]
    folder = "/usr/lib" if usable[:1] == ["x86-64-v4"] else "/opt/l"
    below = f"/glibc-hwcaps/{usable[0]}" if usable else ""
    assert f"{folder}{below}/liba.so.1" in loaded
    if cpu is None:  # as it does in the sysroot, with the cache that ldconfig writes there
        subprocess.run(["ldconfig", "-r", tree.root, "-X"], check=True, timeout=60)
        assert {to_image(SysrootPath(path)) for path in tree.loaded("/bin/p")[0]} == loaded


def test_variants_in_an_objects_own_directory(tree: Tree) -> None:
    tree.lib("/opt/x/glibc-hwcaps/x86-64-v2/liba.so")
    tree.lib("/opt/y/liba.so")
    tree.program("/bin/p", "liba.so", flags="-Wl,--enable-new-dtags,-rpath,/opt/x:/opt/y")
    closer = ElfCloser(tree.sysroot)
    found = files(closer.close(seeds("/bin/p")))
    assert {"/opt/x/glibc-hwcaps/x86-64-v2/liba.so", "/opt/y/liba.so"} <= found
    assert tree.loaded("/bin/p")[0] <= found
    assert closer.cache_entries == ()


def test_a_variant_alone_is_not_enough(tree: Tree) -> None:
    """A processor below its level would find nothing."""
    tree.lib("/usr/lib/glibc-hwcaps/x86-64-v2/liba.so")
    tree.program("/bin/p", "liba.so")
    assert [item.name for item in tree.close("/bin/p").missing] == ["liba.so"]


def test_ldconfig_prints_the_levels_of_our_cache(tmp_path: Path) -> None:
    entries = [
        CacheEntry("liba.so.1", "/opt/a", 0x0303),
        CacheEntry("liba.so.1", "/opt/v3", 0x0303, "x86-64-v3"),
        CacheEntry("liba.so.1", "/opt/v2", 0x0303, "x86-64-v2"),
    ]
    (tmp_path / "cache").write_bytes(build_ldcache(entries))
    command = ["ldconfig", "-p", "-C", str(tmp_path / "cache")]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert re.findall(r"\(libc6,x86-64(.*)\) => (/opt/\w+)", text) == [
        (', hwcap: "x86-64-v2"', "/opt/v2"),
        (', hwcap: "x86-64-v3"', "/opt/v3"),
        ("", "/opt/a"),
    ]


def test_levels_that_mean_nothing() -> None:
    assert check_cpu(Wish("x86-64-v3", HERE), AMD64) == []
    (unknown,) = check_cpu(Wish("x86-64-v5", HERE), AMD64)
    assert "x86-64-v4" in unknown.hint
    (other,) = check_cpu(Wish("power9", HERE), AMD64)
    assert "another processor" in other.message
    assert all(shipped_levels(LEVELS[level], level)[:1] in {(), (level,)} for level in LEVELS)
    assert shipped_levels(183, "x86-64-v3") == ()


def test_features_that_nothing_has() -> None:
    wishes = [Wish("tpm", HERE), Wish("zstdd", HERE)]
    (error,) = check_features(wishes, {"tpm", "zstd"})
    assert "zstdd" in error.message
    assert error.hint == "did you mean 'zstd'?"
