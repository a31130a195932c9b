from __future__ import annotations

import gzip
import lzma
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from srbuild.kernels.indexes import index_files
from support.kernels import VERSION, depmod, run
from support.kmod_root import (
    close,
    compress_all,
    install,
    kernel,
    make_root,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path / "root")


def assert_is_depmods(image: Path, base: Path, *, same_dep_order: bool = True) -> None:
    """The indexes below `base` are what depmod itself makes of the same files."""
    ours = indexes(base)
    depmod(image, base.name)
    made = indexes(base)
    assert ours.keys() == made.keys()
    if not same_dep_order:
        # Among several right orders of a line depmod's choice depends on all other kmods.
        assert_same_deps(ours.pop("modules.dep"), made.pop("modules.dep"))
        assert len(ours.pop("modules.dep.bin")) == len(made.pop("modules.dep.bin"))
    for name in ours:
        assert ours[name] == made[name], name


def indexes(base: Path) -> dict[str, bytes]:
    """depmod's files, modules.symbols (which depmod writes in no order) sorted."""
    files = {path.name: path.read_bytes() for path in base.glob("modules.*")}
    files["modules.symbols"] = b"\n".join(sorted(files["modules.symbols"].split(b"\n")))
    return files


def assert_same_deps(ours: bytes, made: bytes) -> None:
    """The same needs of the same kmods, each kmod before what it needs itself."""
    needs, others = (
        {line.split(b":")[0]: line.split(b":")[1].split() for line in text.splitlines()}
        for text in (ours, made)
    )
    assert list(needs) == list(others)
    for path, found in needs.items():
        assert sorted(found) == sorted(others[path])
        for place, one in enumerate(found):
            assert set(needs[one]) <= set(found[place + 1 :])


@pytest.mark.parametrize("wanted", [["acme-nic"], ["=drivers/net/ethernet", "fs-*"], ["*"], []])
def test_indexes_are_what_depmod_makes(root: Path, tmp_path: Path, wanted: list[str]) -> None:
    image = tmp_path / "image"
    assert_is_depmods(image, install(root, close(root, *wanted), image))


@pytest.mark.parametrize(
    ("suffix", "how", "pack"),
    [
        (".xz", "xz", lzma.compress),
        (".zst", "zstd", zstandard.compress),
        (".gz", "gzip", gzip.compress),
    ],
)
def test_compressed_kmods_are_stored_unpacked(
    root: Path, tmp_path: Path, suffix: str, how: str, pack: Callable[[bytes], bytes]
) -> None:
    plain = close(root, "acme-nic")
    before = index_files(kernel(root), plain)
    original = {kmod.image: (root / kmod.source[1:]).read_bytes() for kmod in plain.kmods}
    compress_all(root, suffix, pack)
    closure = close(root, "acme-nic")
    assert {kmod.unpack for kmod in closure.kmods} == {how}
    assert index_files(kernel(root), closure) == before
    image = tmp_path / "image"
    base = install(root, closure, image)
    for path, data in original.items():
        assert (image / path[1:]).read_bytes() == data
    assert_is_depmods(image, base)


# What scripts/sign-file.c of Linux appends: a signature, how long it is (struct module_signature),
# and a marker that the kernel looks for at the very end of the file.
SIGNED = bytes(range(256)) + b"\0\0\2\0\0\0\0\0" + b"\0\0\1\0" + b"~Module signature appended~\n"


@pytest.mark.parametrize("suffix", ["", ".xz", ".zst", ".gz"])
def test_a_kmods_signature_is_kept_to_the_last_byte(
    root: Path, tmp_path: Path, suffix: str
) -> None:
    packers = {".xz": lzma.compress, ".zst": zstandard.compress, ".gz": gzip.compress}
    signed = {}
    for path in (root / "lib/modules").rglob("*.ko"):
        path.write_bytes(path.read_bytes() + SIGNED)
        signed[path.name] = path.read_bytes()
    if suffix:
        compress_all(root, suffix, packers[suffix])
    image = tmp_path / "image"
    install(root, close(root, "acme-nic"), image)
    found = {path.name: path.read_bytes() for path in image.rglob("*.ko")}
    assert len(found) > 1
    assert found == {name: signed[name] for name in found}


def modprobe(root: Path, version: str, wish: str) -> list[str]:
    """The files that modprobe would load, in its order, relative to the modules directory."""
    out = run("modprobe", "-d", str(root), "-S", version, "--show-depends", wish)
    return [line.split("/modules/")[1].strip() for line in out.splitlines() if "insmod" in line]


@pytest.mark.parametrize(
    "wish",
    [
        "acme-nic",
        "mii",
        "crc32c",
        "pci:v00001AF4d00001041sv00001AF4sd00001100bc02sc00i00",
        "ipv6",
        "net-pf-10",
        "symbol:mii_check",
    ],
)
def test_modprobe_loads_the_same_from_the_image(root: Path, tmp_path: Path, wish: str) -> None:
    image = tmp_path / "image"
    install(root, close(root, "acme-nic"), image)
    expected = modprobe(root, VERSION, wish)
    assert modprobe(image, VERSION, wish) == expected
    assert bool(expected) == (wish not in {"ipv6", "net-pf-10"})


def test_modprobe_does_not_know_what_was_left_out(root: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    install(root, close(root, "acme-nic"), image)
    for wish in ("unrelated", "fs-unrelated", "plain"):
        with pytest.raises(AssertionError, match="not found"):
            modprobe(image, VERSION, wish)


def chroot(image: Path, *command: str) -> str:
    """Run the image's own busybox in it; an ordinary user needs a user namespace for that."""
    outside = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
    return run(*outside, "chroot", str(image), "/bin/busybox", *command)


def install_busybox(image: Path) -> None:
    busybox = shutil.which("busybox")
    assert busybox, "busybox is needed for this test"
    libraries = subprocess.run(("ldd", busybox), capture_output=True, text=True, check=False).stdout
    for path in (busybox, *re.findall(r"(/\S+) \(0x", libraries)):
        goal = image / ("bin/busybox" if path == busybox else path[1:])
        goal.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, goal)


@pytest.mark.parametrize(
    ("wish", "loaded"),
    [
        ("acme_nic", {"acme-nic", "mii", "bus"}),
        ("acme-nic", {"acme-nic", "mii", "bus"}),
        ("crypto-crc32c", {"crc32c_generic"}),
        ("pci:v00001AF4d00001041sv00001AF4sd00001100bc02sc00i00", {"acme-nic", "mii", "bus"}),
    ],
)
def test_busybox_modprobe_accepts_the_image(tmp_path: Path, wish: str, loaded: set[str]) -> None:
    release = os.uname().release  # the only version that busybox looks at
    root, image = tmp_path / "root", tmp_path / "image"
    make_root(root, release)
    install(root, close(root, "acme-nic"), image)
    install_busybox(image)
    out = chroot(image, "modprobe", "-D", wish)
    files = re.findall(r"insmod (\S+)", out)
    assert loaded <= {Path(file).stem for file in files}, out
    base = image / "lib/modules" / release
    assert all((base / file).is_file() or (image / file[1:]).is_file() for file in files)


# A real kernel, when the project has a sysroot


def real_sysroot() -> Path:
    path = Path(__file__).parents[2] / "build/sysroot"
    if not (path / "lib/modules").is_dir():
        pytest.skip("build/sysroot is not there; `make image` makes it")
    return path


REAL = ["virtio_net", "iscsi_tcp", "sd_mod", "gfs2", "dlm", "dm_multipath", "=drivers/net/ethernet"]


def test_a_real_kernels_indexes_are_what_depmod_makes(tmp_path: Path) -> None:
    root, image = real_sysroot(), tmp_path / "image"
    closure = close(root, *REAL)
    assert closure.missing == ()
    assert len(closure.kmods) > 100
    base = install(root, closure, image)
    for wish in ("gfs2", "virtio_net", "crc32c", "iscsi_tcp"):
        assert sorted(modprobe(image, base.name, wish)) == sorted(modprobe(root, base.name, wish))
    assert_is_depmods(image, base, same_dep_order=False)


def test_a_whole_real_kernels_indexes_are_depmods_own() -> None:
    root = real_sysroot()
    closure = close(root, "*")
    assert len(closure.kmods) > 1000
    base = root / "lib/modules" / closure.kernel
    for path, data in index_files(kernel(root), closure).items():
        name = path.rpartition("/")[2]
        if name != "modules.symbols":
            assert data == (base / name).read_bytes(), name
