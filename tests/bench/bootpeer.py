"""Another tool's image that boots the same root: initramfs-tools', told to carry what that takes.

It is made in the tree that `make bench` makes, by Debian's own mkinitramfs with its own scripts for
iSCSI and NFS; two of ours say when its init began and when the root was mounted.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from srbuild.host.distro import DEFAULT_SUITE

from .measure import BenchError, check
from .root import Tree

FOLDER = "var/lib/bench-boot"  # inside the tree
SECONDS = 300.0  # for one image
_CONF = """\
MODULES=list
BUSYBOX=y
KEYMAP=n
COMPRESS=zstd
COMPRESSLEVEL=3
RESUME=none
"""
_HOOK = """\
#!/bin/sh
set -eu
[ "${1:-}" != prereqs ] || exit 0
. /usr/share/initramfs-tools/hook-functions
copy_exec /sbin/iscsistart /sbin
echo "InitiatorName=iqn.2026-01.lab:peer" >"$DESTDIR/etc/initiatorname.iscsi"
"""
_BEGIN = """\
#!/bin/sh
[ "${1:-}" != prereqs ] || exit 0
read -r begin _ </proc/uptime
echo "$begin" >/run/bench
"""
_END = """\
#!/bin/sh
[ "${1:-}" != prereqs ] || exit 0
read -r end _ </proc/uptime
read -r begin </run/bench
exec </dev/console >/dev/console 2>&1
echo "bench: init at $begin, root mounted at $end"
dmesg | grep -e 'npack.* initramfs' -e 'Freeing initrd'
grep " $rootmnt " /proc/mounts && echo "bench: done"
umount "$rootmnt"
poweroff -f
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """The image of one stack: its kernel modules, and the words that lead to its root."""

    kmods: tuple[str, ...]
    words: str


def why_not(version: str, root: Path) -> str:
    """Why there can be no image for the kernel `version`; empty when there can."""
    if os.geteuid():
        return "mkinitramfs is run in a chroot with /proc mounted, which needs root"
    tree = Tree(DEFAULT_SUITE, root)
    try:
        tree.make()
        found = tree.kernel()
    except BenchError as error:
        return str(error)
    if found != version:
        return f"{root} has the kernel {found}, the sysroot {version}: remove it, it is made anew"
    return ""


def write_image(target: Path, root: Path, version: str, peer: Peer) -> Path:
    """Have mkinitramfs write the image of `peer` to `target`. Raises BenchError."""
    own = root / FOLDER
    for folder in ("hooks", "scripts/init-top", "scripts/init-bottom", "conf.d"):
        (own / folder).mkdir(parents=True, exist_ok=True)
    (own / "initramfs.conf").write_text(_CONF)
    (own / "modules").write_text("".join(f"{name}\n" for name in peer.kmods))
    scripts = {"hooks/bench": _HOOK, "scripts/init-top/bench": _BEGIN}
    for name, text in {**scripts, "scripts/init-bottom/zz-bench": _END}.items():
        (own / name).write_text(text)
        (own / name).chmod(0o755)
    inside = f"mkinitramfs -d /{FOLDER} -o /{FOLDER}/image {version}"
    script = 'mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev" && exec chroot "$1" '
    argv = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script + inside, "sh")
    try:
        check((*argv, root), timeout=SECONDS)
        target.write_bytes((own / "image").read_bytes())
    finally:
        shutil.rmtree(own)
    return target
