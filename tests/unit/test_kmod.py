from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from srbuild.errors import MissingInputError, Origin
from srbuild.formats.modinfo import ModInfo
from srbuild.host.sysroot import Identity
from srbuild.kernels.indexes import index_files
from srbuild.kernels.kmods import Wish, close_kmods
from srbuild.manifest import Reason
from srbuild.paths import ImagePath
from support.kernels import VERSION, FakeKmod, depmod
from support.kmod_root import (
    NIC,
    NIC_CLOSURE,
    RECIPE,
    close,
    compress_all,
    kernel,
    make_root,
    names,
    wishes,
    write,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path / "root")


# What is followed


def test_closure_follows_deps_softdeps_of_softdeps_aliases_and_weakdeps(root: Path) -> None:
    closure = close(root, "acme-nic")
    assert names(closure) == NIC_CLOSURE
    assert closure.missing == ()
    assert closure.notes == (
        f"weakdep of acme_late: nobody is not in kernel {VERSION}",
        "the sysroot lacks firmware of 1 kmods: acme_nic (acme/gone.bin)",
    )


def test_every_file_says_who_wanted_it(root: Path) -> None:
    closure = close(root, "acme-nic")
    by_name = {kmod.name: kmod for kmod in closure.kmods}
    nic = ImagePath(f"/usr/lib/modules/{VERSION}/{NIC}")
    assert by_name["acme_nic"].image == nic
    assert by_name["acme_nic"].reasons == (RECIPE,)
    assert by_name["mii"].reasons == (Reason("depends", nic),)
    assert by_name["crc32c_intel"].reasons == (Reason("softdep", nic),)
    assert by_name["maybe"].reasons == (Reason("weakdep", by_name["acme_late"].image),)
    assert [file.reasons for file in closure.firmware] == [(Reason("firmware", nic),)]
    for kmod in closure.kmods:  # every chain of first reasons ends at the recipe
        seen, reason = set(), kmod.reasons[0]
        while not isinstance(reason.by, Origin):
            assert reason.by not in seen
            seen.add(reason.by)
            reason = next(k.reasons[0] for k in closure.kmods if k.image == reason.by)
        assert reason == RECIPE


def test_two_wishes_are_two_reasons(root: Path) -> None:
    other = Reason("kmod", Origin("cluster.toml"))
    closure = close_kmods(
        kernel(root), [Wish("bus", RECIPE), Wish("bus", other), Wish("bus", other)]
    )
    assert [kmod.reasons for kmod in closure.kmods] == [(RECIPE, other)]


def test_files_are_sorted_and_the_same_twice(root: Path) -> None:
    one = close(root, "acme-nic", "unrelated")
    assert one == close(root, "acme-nic", "unrelated")
    images = [kmod.image for kmod in one.kmods]
    assert images == sorted(images)
    again = close(root, "unrelated", "acme-nic")
    assert index_files(kernel(root), again) == index_files(kernel(root), one)


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        ("mii", {"mii", "softest", "other_way"}),
        ("crc32c-intel", {"crc32c_intel"}),
        ("crc32c_intel", {"crc32c_intel"}),
        ("crypto-crc32c", {"crc32c_generic"}),
        ("crypto_crc32c", {"crc32c_generic"}),
        ("crc32c", {"crc32c_generic", "crc32c_intel"}),
        ("pci:v00001AF4d00001041sv00001AF4sd00001100bc02sc00i00", NIC_CLOSURE),
        ("crc32c*", {"crc32c_generic", "crc32c_intel"}),
        ("crc32c-?ntel", {"crc32c_intel"}),
        ("=lib", {"softest", "other_way", "maybe"}),
        ("=drivers/net/ethernet", NIC_CLOSURE | {"plain"}),
        ("=/drivers/net/ethernet/acme/", NIC_CLOSURE),
        ("=fs", {"unrelated"}),
    ],
)
def test_ways_to_wish(root: Path, wish: str, found: set[str]) -> None:
    closure = close(root, wish)
    assert names(closure) == found
    assert closure.missing == ()


@pytest.mark.parametrize(
    ("wish", "builtin"),
    [
        ("ipv6", ("ipv6",)),
        ("net-pf-10", ("ipv6",)),
        ("built-in-fs", ("built_in_fs",)),
        ("fs-builtin", ("built_in_fs",)),
        ("shared-one", ("built_in_fs", "ipv6")),
        ("built_*", ("built_in_fs",)),
    ],
)
def test_what_is_built_in_needs_no_file(root: Path, wish: str, builtin: tuple[str, ...]) -> None:
    closure = close(root, wish)
    assert closure.builtin == builtin
    assert (closure.kmods, closure.missing, closure.notes) == ((), (), ())


@pytest.mark.parametrize(
    "wish", ["nothing", "no-alias:x", "zz*", "=drivers/nowhere", "=driver", "=", "", "kernel/fs"]
)
def test_all_that_is_missing_is_collected(root: Path, wish: str) -> None:
    closure = close(root, wish, "bus", "acme_nick")
    assert names(closure) == {"bus"}
    assert [one.name for one in closure.missing] == [wish, "acme_nick"]
    assert all(one.reason == RECIPE for one in closure.missing)
    assert f"kernel {VERSION} has no kmod, alias or built-in {wish}" in closure.missing[0].detail
    assert closure.missing[1].hint == "did you mean acme_nic?"


def test_an_optional_wish_may_be_absent(root: Path) -> None:
    closure = close_kmods(
        kernel(root), [Wish("nothing", RECIPE, optional=True), Wish("bus", RECIPE, optional=True)]
    )
    assert closure.missing == ()
    assert names(closure) == {"bus"}
    assert closure.notes == (f"nothing, which is optional, is not in kernel {VERSION}",)


def test_softdeps_and_weakdeps_that_only_depmods_files_have(root: Path) -> None:
    base = root / "lib/modules" / VERSION
    (base / "modules.softdep").write_text("softdep unrelated crc32c pre: bus post: maybe\n")
    (base / "modules.weakdep").write_text("weakdep unrelated plain\n")
    closure = close(root, "unrelated")
    soft = {"bus", "maybe", "crc32c_generic", "crc32c_intel"}
    assert names(closure) == {"unrelated", "plain"} | soft
    assert ImagePath(f"/usr/lib/modules/{VERSION}/modules.weakdep") in index_files(
        kernel(root), closure
    )


def test_a_kmod_that_replaces_one_below_the_folder_counts(root: Path) -> None:
    base = root / "lib/modules" / VERSION
    write(base / "updates/dkms/plain.ko", FakeKmod("", imports=["bus_find"]).elf())
    depmod(root)
    closure = close(root, "=drivers/net/ethernet")
    images = {kmod.name: kmod.image for kmod in closure.kmods}
    assert images["plain"] == f"/usr/lib/modules/{VERSION}/updates/dkms/plain.ko"


def test_kmods_of_an_extra_package_that_is_not_installed_are_left_out(root: Path) -> None:
    (root / "lib/modules" / VERSION / "kernel/drivers/net/ethernet/plain.ko").unlink()
    depmod(root)
    closure = close(root, "=drivers/net/ethernet")
    assert names(closure) == NIC_CLOSURE
    assert closure.missing == ()


def test_a_kmod_that_is_a_link_is_stored_as_the_file(root: Path) -> None:
    base = root / "lib/modules" / VERSION
    write(root / "lib/modules/6.0.0-old/extra/linked.ko", FakeKmod("").elf())
    (base / "weak-updates").mkdir()
    (base / "weak-updates/linked.ko").symlink_to("/lib/modules/6.0.0-old/extra/linked.ko")
    with (base / "modules.dep").open("a") as file:
        file.write("weak-updates/linked.ko:\n")
    (kmod,) = close(root, "linked").kmods
    assert kmod.source == "/lib/modules/6.0.0-old/extra/linked.ko"
    assert kmod.image == f"/usr/lib/modules/{VERSION}/weak-updates/linked.ko"


# Damage


def test_a_stale_modules_dep_is_missing_input(root: Path) -> None:
    (root / "lib/modules" / VERSION / "kernel/drivers/net/mii.ko").unlink()
    closure = close(root, "acme-nic")
    (one,) = closure.missing
    assert one.name == "mii"
    assert one.reason.how == "depends"
    assert one.hint == f"run: depmod -b {root} {VERSION}"


@pytest.mark.parametrize("data", [b"", b"not a kmod", FakeKmod(NIC).elf()[:200]])
def test_a_damaged_kmod_is_missing_input(root: Path, data: bytes) -> None:
    write(root / "lib/modules" / VERSION / "kernel/drivers/bus.ko", data)
    closure = close(root, "plain", "nothing")
    assert [one.name for one in closure.missing] == ["nothing", "bus"]
    assert "kernel/drivers/bus.ko is no readable kmod" in closure.missing[1].detail


def test_a_damaged_compressed_kmod_is_missing_input(root: Path) -> None:
    compress_all(root, ".xz", lzma.compress)
    path = root / "lib/modules" / VERSION / "kernel/drivers/bus.ko.xz"
    path.write_bytes(path.read_bytes()[:-20])
    (one,) = close(root, "plain").missing
    assert "xz data is cut short" in one.detail


@pytest.mark.parametrize("text", ["\x7fELF nonsense\n", "a.ko b.ko\n"])
def test_a_damaged_modules_dep_is_refused(root: Path, text: str) -> None:
    (root / "lib/modules" / VERSION / "modules.dep").write_text(text)
    with pytest.raises(MissingInputError, match="line 1") as caught:
        kernel(root)
    assert caught.value.hint == f"make it with: depmod -b {root} {VERSION}"


def test_a_kernel_that_depmod_has_not_seen_is_refused(root: Path) -> None:
    (root / "lib/modules" / VERSION / "modules.dep").unlink()
    with pytest.raises(MissingInputError, match=r"no modules\.dep") as caught:
        kernel(root)
    assert caught.value.hint == f"make it with: depmod -b {root} {VERSION}"


# Facts


def test_known_kmods_are_not_read_again(root: Path) -> None:
    facts: dict[Identity, ModInfo] = {}
    first = close_kmods(kernel(root), wishes("acme-nic"), facts=facts)
    assert len(facts) == len(NIC_CLOSURE)
    assert close_kmods(kernel(root), wishes("acme-nic"), facts=facts) == first
    for key in facts:
        facts[key] = ModInfo(aliases=("only-in-facts",))
    again = close_kmods(kernel(root), wishes("acme-nic"), facts=facts)
    alias = index_files(kernel(root), again)[ImagePath(f"/usr/lib/modules/{VERSION}/modules.alias")]
    assert b"alias only-in-facts acme_nic\n" in alias


def test_a_changed_kmod_is_read_again(root: Path) -> None:
    facts: dict[Identity, ModInfo] = {}
    close_kmods(kernel(root), wishes("unrelated"), facts=facts)
    path = root / "lib/modules" / VERSION / "kernel/fs/unrelated.ko"
    path.write_bytes(FakeKmod("", [("alias", "changed")]).elf())
    closure = close_kmods(kernel(root), wishes("unrelated"), facts=facts)
    alias = index_files(kernel(root), closure)[
        ImagePath(f"/usr/lib/modules/{VERSION}/modules.alias")
    ]
    assert b"alias changed unrelated\n" in alias
