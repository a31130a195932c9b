"""A sysroot with one small kernel, and what is asked of it in tests of the kmod closure."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from srbuild.errors import Origin
from srbuild.formats.kmodfile import unpack
from srbuild.host.sysroot import Sysroot
from srbuild.kernels.indexes import index_files
from srbuild.kernels.kmods import KernelTree, KmodClosure, Wish, close_kmods, open_kernel
from srbuild.manifest import Reason
from support.kernels import VERSION, FakeKmod, make_kernel

RECIPE = Reason("kmod", Origin("recipe.toml", "install.kmods"))
NIC = "kernel/drivers/net/ethernet/acme/acme-nic.ko"
KMODS = [
    FakeKmod("kernel/arch/x86/crypto/crc32c-intel.ko", [("alias", "crc32c")]),
    FakeKmod("kernel/crypto/crc32c_generic.ko", [("alias", "crc32c"), ("alias", "crypto-crc32c")]),
    FakeKmod(
        NIC,
        [
            ("alias", "pci:v00001AF4d00001041sv*sd*bc*sc*i*"),
            ("firmware", "acme/nic.bin"),
            ("firmware", "acme/gone.bin"),
            ("softdep", "pre: crc32c post: acme_late"),
        ],
        exports=["nic_peek"],
        imports=["mii_check", "bus_find"],
    ),
    FakeKmod("kernel/drivers/net/ethernet/plain.ko", imports=["bus_find"]),
    FakeKmod("kernel/drivers/net/mii.ko", [("softdep", "pre: softest")], exports=["mii_check"]),
    FakeKmod("kernel/drivers/bus.ko", exports=["bus_find", "bus_drop"]),
    FakeKmod("kernel/drivers/acme-late.ko", [("weakdep", "maybe nobody")]),
    FakeKmod(
        "kernel/lib/softest.ko",
        [("softdep", "other-way"), ("alias", "devname:soft/est"), ("alias", "char-major-10-240")],
    ),
    FakeKmod("kernel/lib/other_way.ko", [("softdep", "post: softest")]),
    FakeKmod("kernel/lib/maybe.ko"),
    FakeKmod("kernel/fs/unrelated.ko", [("alias", "fs-unrelated"), ("firmware", "un.bin")]),
]
NIC_CLOSURE = {
    "acme_nic",
    "acme_late",
    "bus",
    "crc32c_generic",
    "crc32c_intel",
    "maybe",
    "mii",
    "other_way",
    "softest",
}
BUILTIN = ["kernel/net/ipv6/ipv6.ko", "kernel/fs/built-in-fs.ko"]
BUILTIN_INFO = [
    "ipv6.alias=net-pf-10",
    "ipv6.alias=shared-one",
    "ipv6.license=GPL",
    "built_in_fs.alias=fs-builtin",
    "built_in_fs.alias=shared-one",
]


def make_root(root: Path, version: str = VERSION) -> Path:
    """A sysroot with the kernel above and one firmware file."""
    make_kernel(root, KMODS, version, BUILTIN, BUILTIN_INFO)
    write(root / "lib/firmware/acme/nic.bin", b"nic")
    return root


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def kernel(root: Path, version: str = "") -> KernelTree:
    return open_kernel(Sysroot(root), version)


def wishes(*names: str) -> list[Wish]:
    return [Wish(name, RECIPE) for name in names]


def close(root: Path, *names: str) -> KmodClosure:
    return close_kmods(kernel(root), wishes(*names))


def names(closure: KmodClosure) -> set[str]:
    return {kmod.name for kmod in closure.kmods}


def install(root: Path, closure: KmodClosure, image: Path) -> Path:
    """Write the closure as the image would hold it; returns the modules directory."""
    sysroot = Sysroot(root)
    for file in (*closure.kmods, *closure.firmware):
        write(image / file.image[1:], unpack(sysroot.read(file.source), file.unpack))
    for path, data in index_files(open_kernel(sysroot, closure.kernel), closure).items():
        write(image / path[1:], data)
    for link in closure.links:
        (image / link.image[1:]).parent.mkdir(parents=True, exist_ok=True)
        (image / link.image[1:]).symlink_to(link.target)
    if not (image / "lib").is_symlink():
        (image / "lib").symlink_to("usr/lib")
    return image / "usr/lib/modules" / closure.kernel


def compress_all(root: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    """Compress every kmod as a distribution does; depmod's files name the new ones."""
    base = root / "lib/modules" / VERSION
    for path in list(base.rglob("*.ko")):
        path.with_name(path.name + suffix).write_bytes(pack(path.read_bytes()))
        path.unlink()
    dep = base / "modules.dep"
    dep.write_text(re.sub(r"\.ko\b", f".ko{suffix}", dep.read_text()))
