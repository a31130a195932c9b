"""mkosi-initrd: it installs the distribution's packages into the image and keeps some kmods.

It can be told kernel modules by name but packages, not programs: the image holds what srbuild's
does and all else that is in these packages and in those that they depend on.
"""

from __future__ import annotations

from collections.abc import Sequence

from .measure import Command
from .peers import FOLDER, LEVEL, Peer
from .root import Tree

NAME = "mkosi-initrd"
# Read by it as the system's configuration; in the tree /run is a file system of the bench's own.
CONFIGURATION = "run/mkosi-initrd/mkosi.conf"

# mkosi makes user namespaces, which the kernel refuses in a chroot: the tree has to become the
# root of a mount namespace.
_ENTER = """\
mount --rbind "$1" "$1"
cd "$1"
shift
pivot_root . .
umount -l .
cd /
exec "$@"
"""


def configure_mkosi(tree: Tree, kernel: str, kmods: Sequence[str]) -> Peer:
    """Write mkosi-initrd's configuration into `tree`, whose /run is mounted."""
    path = tree.root / CONFIGURATION
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_configuration(kmods, tree.asked))
    inside = ("unshare", "--mount", "sh", "-euc", _ENTER, NAME, str(tree.root))
    name = f"{NAME}.img"
    argv = (NAME, "--generic", "--profile", "network", "-k", kernel, "-O", f"/{FOLDER}", "-o", name)
    return Peer(NAME, Command((*inside, *argv), root=tree.root), tree.root / FOLDER / name, True)


def _configuration(kmods: Sequence[str], packages: Sequence[str]) -> str:
    """Of its own list of kernel modules nothing is kept: the last pattern that matches counts."""
    lines = [
        *("[Output]", "CompressOutput=zstd", f"CompressLevel={LEVEL}", "[Content]"),
        *(f"KernelModules={name}" for name in ("-*", *kmods)),
        *(f"Packages={name}" for name in packages),
    ]
    return "".join(f"{line}\n" for line in lines)
