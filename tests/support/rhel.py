"""A root tree laid out as the RHEL family does: merged /usr, lib64, packed kmods, no busybox.

No real one of that family was at hand: the layout is what its packages document, the files
are compiled on the spot.
"""

from __future__ import annotations

import lzma
from pathlib import Path

from support.kernels import VERSION, FakeKmod, make_kernel
from support.kmod_root import compress_all
from support.trees import Tree

LIBDIR = "/usr/lib64"
LIBRARIES = {
    "libc.so.6": (),
    "libnss_files.so.2": ("libc.so.6",),
    "libqb.so.100": ("libc.so.6",),
    "libcpg.so.4": ("libqb.so.100",),
    "libopeniscsiusr.so.0": ("libc.so.6",),
    "libcrypto.so.3": ("libc.so.6",),
}
PROGRAMS = {
    "/usr/bin/timeout": ("libc.so.6",),
    "/usr/sbin/blkid": ("libc.so.6",),
    "/usr/sbin/iscsid": ("libopeniscsiusr.so.0",),
    "/usr/sbin/iscsiadm": ("libopeniscsiusr.so.0", "libvendor.so.1"),
    "/usr/sbin/corosync": ("libcpg.so.4",),
    "/usr/sbin/corosync-quorumtool": ("libcpg.so.4",),
    "/usr/sbin/corosync-cfgtool": ("libcpg.so.4",),
    "/usr/sbin/corosync-cmapctl": ("libcpg.so.4",),
    "/usr/sbin/dlm_controld": ("libcpg.so.4",),
    "/usr/sbin/dlm_tool": ("libcpg.so.4",),
    "/usr/sbin/fsck.gfs2": ("libc.so.6",),
    "/usr/sbin/gfs2_jadd": ("libc.so.6",),
}
KMODS = [
    FakeKmod("kernel/drivers/virtio/virtio_pci.ko"),
    FakeKmod("kernel/drivers/net/virtio_net.ko"),
    FakeKmod("kernel/drivers/net/ethernet/intel/e1000e.ko"),
    FakeKmod("kernel/drivers/scsi/iscsi_tcp.ko", imports=["iscsi_go"]),
    FakeKmod("kernel/drivers/scsi/libiscsi.ko", exports=["iscsi_go"]),
    FakeKmod("kernel/drivers/scsi/sd_mod.ko"),
    FakeKmod("kernel/fs/dlm/dlm.ko", exports=["dlm_lock"]),
    FakeKmod("kernel/fs/gfs2/gfs2.ko", imports=["dlm_lock"]),
]
_DEBIAN_DIRS = b"/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/"
_DIRS = b"/lib64/\0/usr/lib64/"
BUILTIN = ["kernel/fs/configfs/configfs.ko", "kernel/net/packet/af_packet.ko"]


def make_rhel(root: Path, *, busybox: bool = True) -> Tree:
    """The tree, with what `--fs gfs2 --blk iscsi` asks for; busybox is not of that family."""
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    tree = Tree(root)
    _move_loader(tree)
    for name, needed in LIBRARIES.items():
        tree.lib(f"{LIBDIR}/{name}", *needed)
    tree.lib(f"{LIBDIR}/glibc-hwcaps/x86-64-v3/libcrypto.so.3", "libc.so.6")
    tree.lib("/opt/vendor/lib64/libvendor.so.1", "libc.so.6")
    tree.file("/etc/ld.so.conf", "include ld.so.conf.d/*.conf\n")
    tree.file("/etc/ld.so.conf.d/vendor.conf", "/opt/vendor/lib64\n")
    for path, names in PROGRAMS.items():
        tree.program(path, *names)
    tree.lib(f"{LIBDIR}/kronosnet/crypto_openssl.so", "libcrypto.so.3")
    tree.file("/etc/redhat-release", "Example Enterprise Linux release 9.4\n")
    if busybox:
        tree.program("/usr/sbin/busybox")
    base = make_kernel(root, KMODS, VERSION, BUILTIN)
    compress_all(root, ".xz", lambda data: lzma.compress(data, check=lzma.CHECK_CRC32))
    (base / "vmlinuz").write_bytes(bytes(0x202) + b"HdrS" + bytes(100))
    return tree


def _move_loader(tree: Tree) -> None:
    """Put the loader where the family has it, beside the libraries, with its directories.

    Those stand in its file one after the other; this machine's own may be Debian's.
    """
    loader = tree.root / tree.loader.lstrip("/")
    data = loader.read_bytes().replace(_DEBIAN_DIRS, _DIRS.ljust(len(_DEBIAN_DIRS), b"\0"))
    for path in (loader, tree.root / tree.interp.lstrip("/")):
        path.unlink(missing_ok=True)
    if loader.parent.resolve() != (tree.root / "usr/lib64").resolve():
        loader.parent.rmdir()
    tree.file(tree.interp, data, 0o755)
