"""The closure of real ELF files in small trees, with the machine's own loader as oracle."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from srbuild.closure.closer import ElfCloser, Missing, Seed
from srbuild.closure.search import Abi
from srbuild.errors import Origin
from srbuild.formats.elf import ElfInfo
from srbuild.formats.ldcache import CacheEntry, build_ldcache
from srbuild.host.sysroot import Identity, Sysroot
from srbuild.manifest import Reason
from srbuild.paths import ImagePath, SysrootPath, to_image
from support.trees import ASKED, Tree, files, seeds

OLD = "-Wl,--disable-new-dtags,-rpath,"
NEW = "-Wl,--enable-new-dtags,-rpath,"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


def agree(tree: Tree, program: str = "/bin/p") -> tuple[set[str], set[str]]:
    """(Files, missing names) of the closure, after checking that the loader says the same."""
    closure = tree.close(program)
    loaded, missing = tree.loaded(program)
    names = {item.name for item in closure.missing}
    assert files(closure) - {program, tree.loader} == loaded - {tree.loader}
    assert names == missing
    return files(closure), names


def test_defaults_links_and_interpreter(tree: Tree) -> None:
    tree.lib(f"{tree.libdir}/liba.so.1.2", "libb.so", soname="liba.so.1")
    tree.link(f"{tree.libdir}/liba.so.1", "liba.so.1.2")
    tree.lib("/usr/lib/libb.so")
    tree.program("/bin/p", "liba.so.1")
    agree(tree)
    closure = tree.close("/bin/p")
    by_path = {str(found.path): found for found in closure.new}
    link = by_path[f"{tree.libdir}/liba.so.1"]
    assert (link.kind, link.target) == ("link", "liba.so.1.2")
    assert link.reasons == (Reason("DT_NEEDED", ImagePath("/usr/bin/p")),)
    assert by_path["/bin/p"].reasons == (ASKED,)
    real = by_path[f"{tree.libdir}/liba.so.1.2"]
    assert real.reasons == (Reason("link", to_image(link.path)),)
    assert by_path["/usr/lib/libb.so"].reasons == (Reason("DT_NEEDED", to_image(real.path)),)
    assert by_path[tree.interp].reasons == (Reason("PT_INTERP", ImagePath("/usr/bin/p")),)


@pytest.mark.parametrize("flag", [OLD, NEW])
def test_own_path_comes_before_defaults(tree: Tree, flag: str) -> None:
    tree.lib("/opt/x/liba.so")
    tree.lib("/usr/lib/liba.so")
    tree.program("/bin/p", "liba.so", flags=f"{flag}/nowhere:/opt/x")
    assert "/opt/x/liba.so" in agree(tree)[0]


def test_rpath_is_inherited_and_runpath_is_not(tree: Tree) -> None:
    tree.lib("/opt/x/liba.so", "libb.so")
    tree.lib("/opt/x/libb.so")
    tree.program("/bin/old", "liba.so", flags=OLD + "/opt/x")
    tree.program("/bin/new", "liba.so", flags=NEW + "/opt/x")
    assert agree(tree, "/bin/old")[1] == set()
    assert agree(tree, "/bin/new")[1] == {"libb.so"}


def test_own_runpath_shuts_out_inherited_rpath(tree: Tree) -> None:
    tree.lib("/opt/x/liba.so", "libb.so", flags=NEW + "/opt/y")
    tree.lib("/opt/x/libb.so")
    tree.program("/bin/p", "liba.so", flags=OLD + "/opt/x")
    assert agree(tree)[1] == {"libb.so"}


def test_rpath_is_inherited_across_a_runpath(tree: Tree) -> None:
    tree.lib("/opt/x/liba.so", "libb.so", flags=NEW + "/opt/y")
    tree.lib("/opt/y/libb.so", "libc1.so")
    tree.lib("/opt/x/libc1.so")
    tree.program("/bin/p", "liba.so", flags=OLD + "/opt/x")
    assert "/opt/x/libc1.so" in agree(tree)[0]


@pytest.mark.parametrize("origin", ["$ORIGIN", "${ORIGIN}"])
def test_origin_lib_and_platform(tree: Tree, origin: str) -> None:
    tree.program("/opt/p/bin/p", "liba.so", flags=f"{NEW}{origin}/../$LIB:/opt/$PLATFORM")
    tree.lib(f"/opt/p{tree.libdir}/liba.so", "libb.so", flags=f"{NEW}{origin}/sub")
    tree.lib(f"/opt/p{tree.libdir}/sub/libb.so")
    assert agree(tree, "/opt/p/bin/p")[1] == set()


def test_origin_is_where_a_library_was_opened(tree: Tree) -> None:
    tree.lib("/opt/real/liba.so", "libb.so", flags=NEW + "$ORIGIN")
    tree.link("/usr/lib/liba.so", "../../opt/real/liba.so")
    tree.lib("/opt/real/libb.so")
    tree.program("/bin/p", "liba.so")
    assert agree(tree)[1] == {"libb.so"}


def test_names_that_only_look_like_tokens_stay(tree: Tree) -> None:
    tree.lib("/opt/$ORIGINAL/liba.so")
    tree.program("/bin/p", "liba.so", flags=NEW + "/opt/$ORIGINAL")
    assert "/opt/$ORIGINAL/liba.so" in agree(tree)[0]


def test_directories_crossed_by_dotdot_are_kept(tree: Tree, tmp_path: Path) -> None:
    tree.path("/opt/cross/x")
    tree.lib("/opt/y/liba.so")
    tree.program("/bin/p", "liba.so", flags=NEW + "/opt/cross/../y")
    agree(tree)
    image = tree.image(tree.close("/bin/p"), tmp_path / "image")
    assert image.loaded("/bin/p")[1] == set()


def test_wrong_machine_is_passed_over(tree: Tree) -> None:
    tree.foreign("/opt/x/liba.so")
    tree.lib("/opt/z/liba.so")
    tree.patch("/opt/z/liba.so", 4, b"\1")
    tree.lib("/usr/lib/liba.so")
    tree.program("/bin/p", "liba.so", flags=NEW + "/opt/x:/opt/y")
    assert "/usr/lib/liba.so" in agree(tree)[0]


def test_loaded_soname_satisfies_a_name_found_nowhere(tree: Tree) -> None:
    tree.lib("/usr/lib/libfirst.so", soname="libalias.so")
    tree.lib("/usr/lib/libz.so", "libalias.so")
    tree.program("/bin/p", "libfirst.so", "libz.so")
    assert agree(tree)[1] == set()


def test_needed_with_a_directory(tree: Tree) -> None:
    tree.lib("/opt/odd/plug.so")
    tree.program("/bin/p", "/opt/odd/plug.so", "/opt/odd/none.so")
    paths, missing = agree(tree)
    assert "/opt/odd/plug.so" in paths
    assert missing == {"/opt/odd/none.so"}


def test_nodeflib_closes_the_defaults(tree: Tree) -> None:
    tree.lib("/usr/lib/liba.so")
    tree.program("/bin/p", "liba.so", flags="-Wl,-z,nodefaultlib")
    assert agree(tree)[1] == {"liba.so"}


def test_broken_library_stops_the_search(tree: Tree) -> None:
    tree.file("/opt/x/liba.so", "INPUT(liba.so.1)\n" * 80)
    tree.lib("/usr/lib/liba.so")
    tree.program("/bin/p", "liba.so", flags=NEW + "/opt/x")
    (missing,) = tree.close("/bin/p").missing
    assert missing.problem == "leads to /opt/x/liba.so, which is no ELF file"
    for size in (20, 3000):
        os.truncate(tree.path(tree.lib("/opt/x/liba.so")), size)
        (missing,) = tree.close("/bin/p").missing
        assert "/opt/x/liba.so, which cannot be used" in missing.problem


def test_executable_and_folder_are_no_libraries(tree: Tree) -> None:
    tree.program("/usr/lib/liba.so", flags="-no-pie")
    tree.path("/usr/lib/libb.so/x")
    tree.program("/bin/p", "liba.so", "libb.so")
    problems = [item.problem for item in tree.close("/bin/p").missing]
    assert [text.rpartition("which is ")[2] for text in problems] == [
        "no shared library",
        "no regular file",
    ]


def conf_tree(tree: Tree) -> None:
    tree.file("/etc/ld.so.conf", "# ours\ninclude ld.so.conf.d/*.conf\n/opt/last # late\n")
    tree.file("/etc/ld.so.conf.d/b.conf", "/opt/b\nhwcap 1 nosegneg\n")
    tree.file("/etc/ld.so.conf.d/a.conf", "/opt/a/\ninclude /etc/ld.so.conf\n")
    tree.lib("/opt/a/liba.so.10", "libb.so")
    tree.lib("/opt/b/liba.so.10")
    tree.lib("/opt/b/liba.so.9")
    tree.lib("/opt/b/libb.so")
    tree.lib("/usr/lib/libb.so")
    tree.lib("/opt/last/libl.so")
    tree.lib("/opt/last/plug.so")
    tree.lib("/usr/lib/libplain.so")
    tree.program("/bin/p", "liba.so.10", "liba.so.9", "libl.so", "libplain.so", "plug.so")
    outside = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]  # -r is a chroot
    subprocess.run([*outside, "ldconfig", "-r", tree.root, "-X"], check=True, timeout=60)


def test_ld_so_conf_as_ldconfig_reads_it(tree: Tree) -> None:
    conf_tree(tree)
    assert agree(tree)[1] == {"plug.so"}


def test_cache_in_the_image_leads_to_the_same_files(tree: Tree, tmp_path: Path) -> None:
    conf_tree(tree)
    closer = ElfCloser(tree.sysroot)
    closure = closer.close(seeds("/bin/p"))
    entries = closer.cache_entries
    assert [entry.name for entry in entries] == ["liba.so.10", "liba.so.9", "libb.so", "libl.so"]
    image = tree.image(closure, tmp_path / "image")
    assert image.loaded("/bin/p")[1] >= {"liba.so.10", "libl.so"}
    image.file("/etc/ld.so.cache", build_ldcache(entries))
    loaded, missing = image.loaded("/bin/p")
    assert missing == {"plug.so"}
    assert loaded == {to_image(SysrootPath(path)) for path in files(closure)} - {
        "/usr/bin/p",
        tree.loader,
    }


def test_ldconfig_prints_our_cache(tmp_path: Path) -> None:
    names = ["libz.so.1", "liba.so.9", "liba.so.10", "libA.so", "liba.so", "libm-2.0.so"]
    entries = [CacheEntry(name, f"/opt/{name}", 0x0303) for name in names]
    cache = build_ldcache(entries)
    assert build_ldcache(reversed(entries)) == cache
    (tmp_path / "cache").write_bytes(cache)
    command = ["ldconfig", "-p", "-C", str(tmp_path / "cache")]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    lines = text.splitlines()
    assert lines[0].startswith("6 libs found")
    printed = [line.split(" (libc6,x86-64) => ") for line in lines[1:7]]
    assert [tuple(line) for line in printed] == [
        (f"\t{name}", f"/opt/{name}")
        for name in ["libz.so.1", "libm-2.0.so", "liba.so.10", "liba.so.9", "liba.so", "libA.so"]
    ]


def test_better_processors_variants_are_shipped(tree: Tree) -> None:
    for level in ("x86-64-v2/", "x86-64-v3/", "unknown/"):
        tree.lib(f"/usr/lib/glibc-hwcaps/{level}liba.so", "libb.so")
    tree.lib("/usr/lib/liba.so")
    tree.lib("/usr/lib/libb.so")
    tree.program("/bin/p", "liba.so")
    closure = tree.close("/bin/p")
    assert tree.loaded("/bin/p")[0] <= files(closure)
    shipped = {path for path in files(closure) if path.endswith("lib/liba.so") or "hwcaps" in path}
    assert shipped == {
        "/usr/lib/liba.so",
        "/usr/lib/glibc-hwcaps/x86-64-v2/liba.so",
        "/usr/lib/glibc-hwcaps/x86-64-v3/liba.so",
    }
    assert "/usr/lib/libb.so" in files(closure)


def test_missing_are_all_reported_with_their_chains(tree: Tree) -> None:
    tree.lib("/usr/lib/liba.so", "libgone.so.1", "liblost.so.2")
    tree.program("/bin/p", "liba.so", "libp-only.so", flags=NEW + "/opt/x")
    missing = {item.name: item for item in tree.close("/bin/p", "/bin/absent").missing}
    assert set(missing) == {"libgone.so.1", "liblost.so.2", "libp-only.so", "/bin/absent"}
    by_lib = Reason("DT_NEEDED", ImagePath("/usr/lib/liba.so"))
    by_program = Reason("DT_NEEDED", ImagePath("/usr/bin/p"))
    assert missing["libgone.so.1"].chain == (by_lib, by_program, ASKED)
    assert missing["libp-only.so"].searched[0] == "/opt/x"
    assert missing["libp-only.so"].searched[-1] == "/usr/lib"
    assert missing["/bin/absent"] == Missing("/bin/absent", (ASKED,))
    tree.path(tree.interp).unlink()
    names = [item.name for item in tree.close("/bin/p").missing]
    assert tree.interp in names
    assert "liblost.so.2" in names


def test_links_loop_and_escape_inside_the_tree(tree: Tree) -> None:
    tree.link("/usr/lib/libloop.so", "libpool.so")
    tree.link("/usr/lib/libpool.so", "libloop.so")
    tree.lib("/opt/deep/libup.so")
    tree.link("/usr/lib/libup.so", "../../../../../../opt/deep/libup.so")
    tree.link("/usr/lib/libout.so", str(tree.root / "opt/deep/libup.so"))
    tree.program("/bin/p", "libloop.so", "libup.so", "libout.so")
    paths, missing = agree(tree)
    assert missing == {"libloop.so", "libout.so"}
    assert "/opt/deep/libup.so" in paths


def test_links_read_right_in_the_merged_image(tree: Tree, tmp_path: Path) -> None:
    tree.lib("/usr/lib/far/liba.so.1")
    tree.link("/lib/near/liba.so", "../../usr/lib/far/liba.so.1")
    tree.link("/usr/lib/libb.so", "/lib/libb.so")
    tree.lib("/lib/libb.so")
    tree.link("/opt/now", "then")
    tree.lib("/opt/then/libc1.so")
    tree.program("/bin/p", "liba.so", "libb.so", "libc1.so", flags=NEW + "/lib/near:/opt/now")
    agree(tree)
    image = tree.image(tree.close("/bin/p"), tmp_path / "image")
    loaded, missing = image.loaded("/bin/p")
    assert missing == set()
    assert {"/usr/lib/far/liba.so.1", "/usr/lib/libb.so", "/opt/then/libc1.so"} <= loaded


def test_calls_build_on_each_other(tree: Tree) -> None:
    tree.lib("/usr/lib/liba.so")
    tree.lib("/usr/lib/libb.so")
    tree.program("/bin/p", "liba.so")
    tree.program("/bin/q", "liba.so", "libb.so")
    closer = ElfCloser(tree.sysroot)
    first = closer.close(seeds("/bin/p"))
    again = Reason("binary", Origin("second"))
    second = closer.close([*seeds("/bin/q"), Seed(SysrootPath("/bin/p"), again)])
    assert files(second) == {"/bin/q", "/usr/lib/libb.so"}
    assert second.again == {
        "/usr/lib/liba.so": (Reason("DT_NEEDED", ImagePath("/usr/bin/q")),),
        tree.interp: (Reason("PT_INTERP", ImagePath("/usr/bin/q")),),
        "/bin/p": (again,),
    }
    assert closer.close(seeds("/bin/q")).new == ()
    assert not first.missing
    assert not second.missing


def test_static_programs_and_plugins(tree: Tree) -> None:
    tree.program("/bin/static", flags="-static -no-pie")
    tree.lib("/usr/lib/plugins/plug.so", "libp.so", flags=NEW + "$ORIGIN/..")
    tree.lib("/usr/lib/plugins/../libp.so")
    assert files(tree.close("/bin/static")) == {"/bin/static"}
    closure = tree.close("/usr/lib/plugins/plug.so")
    assert files(closure) == {"/usr/lib/plugins/plug.so", "/usr/lib/libp.so"}
    assert not closure.missing


def test_foreign_programs_are_refused(tree: Tree) -> None:
    tree.program("/bin/p")
    tree.program("/bin/sparc")
    tree.patch("/bin/sparc", 18, b"\2\0")
    (missing,) = tree.close("/bin/p", "/bin/sparc").missing
    assert missing.problem == "is for machine 2, 64 bit, the image for x86-64, 64 bit"
    closer = ElfCloser(tree.sysroot, machine=Abi(64, "little", 183))
    assert [item.name for item in closer.close(seeds("/bin/p")).missing] == ["/bin/p"]


class CountingSysroot(Sysroot):
    opened = 0

    def open(self, real: SysrootPath):  # type: ignore[no-untyped-def]
        self.opened += 1
        return super().open(real)


def test_known_facts_are_not_read_again(tree: Tree) -> None:
    tree.lib("/usr/lib/liba.so")
    tree.program("/bin/p", "liba.so")
    facts: dict[Identity, ElfInfo | None] = {}
    cold, warm = CountingSysroot(tree.root), CountingSysroot(tree.root)
    first = ElfCloser(cold, facts=facts).close(seeds("/bin/p"))
    assert (cold.opened, len(facts)) == (3, 3)
    assert ElfCloser(warm, facts=facts).close(seeds("/bin/p")) == first
    assert warm.opened == 0


# Random small worlds: every library in one of three folders, each object with any path tags.
FOLDERS = ("/opt/x", "/opt/y", "/usr/lib")
TAGS = ("", OLD + "/opt/x", OLD + "/opt/y", NEW + "/opt/x", NEW + "/opt/y", NEW + "$ORIGIN")
LIBS = ("liba.so", "libb.so", "libc1.so", "libd.so")
OBJECT = st.tuples(st.lists(st.sampled_from(LIBS), unique=True, max_size=3), st.sampled_from(TAGS))
PLACED = st.dictionaries(
    st.tuples(st.sampled_from(LIBS), st.sampled_from(FOLDERS)), OBJECT, min_size=3, max_size=7
)


@given(program=OBJECT, libs=PLACED)
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_random_worlds(
    tmp_path_factory: pytest.TempPathFactory,
    program: tuple[list[str], str],
    libs: dict[tuple[str, str], tuple[list[str], str]],
) -> None:
    tree = Tree(tmp_path_factory.mktemp("world") / "tree")
    for (name, folder), (needed, tags) in libs.items():
        tree.lib(f"{folder}/{name}", *needed, flags=tags)
    tree.program("/bin/p", *program[0], flags=program[1])
    agree(tree)
