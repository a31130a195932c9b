"""The other tools: told to carry the same kernel modules and programs, at the same zstd level.

Each gets the smallest configuration that carries them and that can attach an iSCSI root, which
both know; what they don't know, they are told to copy. "dracut, copying only" is less than that:
an image that finds no network, as another floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .measure import Command

FOLDER = "var/lib/bench"  # inside the sysroot: configurations and images of the peers
LEVEL = 3  # of zstd, for every tool

# Of initramfs-tools' own iSCSI support only the program is taken (its scripts are always there):
# the hook would add kernel modules beyond those that were asked for.
NO_ISCSI = "etc/initramfs-tools/conf.d/open-iscsi"

_INITRAMFS_CONF = f"""\
MODULES=list
BUSYBOX=y
KEYMAP=n
COMPRESS=zstd
COMPRESSLEVEL={LEVEL}
RESUME=none
"""

_HOOK = f"""\
#!/bin/sh
set -eu
if [ "${{1:-}}" = prereqs ]; then
    exit 0
fi
. /usr/share/initramfs-tools/hook-functions
while read -r program; do
    copy_exec "$program"
done </{FOLDER}/programs
copy_exec /sbin/iscsistart
"""

# How dracut's own modules are chosen: as a user would, who adds to what dracut takes by itself;
# by hand the least that attaches an iSCSI root; and less than that.
# base: dracut's init; udev-rules: finds devices; shutdown: unmounts the root in the end.
# {network} is what brings the network up: a shell script in Debian 12's, networkd in dracut-ng,
# which has that script no more and takes networkd, where it is there, without being told.
_DRACUT_MODULES = {
    "dracut": 'add_dracutmodules=" iscsi network "',
    "dracut, least modules": (
        'dracutmodules=" base iscsi kernel-modules network {network} rootfs-block shutdown'
        ' udev-rules "'
    ),
    "dracut, copying only": (
        'dracutmodules=" base kernel-modules rootfs-block shutdown udev-rules "'
    ),
}
LEGACY = "network-legacy"


@dataclass(frozen=True, slots=True)
class Peer:
    """Another tool: its name, how it is run, and where its image then is (seen from outside).

    One that is `slow` is measured in the first rounds only.
    """

    name: str
    command: Command
    image: Path
    slow: bool = False


def configure(
    root: Path,
    kernel: str,
    kmods: Sequence[str],
    programs: Sequence[str],
    unwanted: Sequence[str] = (),
) -> tuple[Peer, ...]:
    """Write the peers' configurations into `root`.

    `kmods` are names of kernel modules, `programs` paths of programs and plug-ins in `root`;
    libraries and what kernel modules need are for every tool to find itself. dracut's network
    and iscsi modules add drivers of their own accord: `unwanted` are those to leave out.
    """
    folder = root / FOLDER
    initramfs = folder / "initramfs-tools"
    for path in (initramfs / "hooks", initramfs / "scripts", initramfs / "conf.d", folder / "none"):
        path.mkdir(parents=True, exist_ok=True)
    (folder / "programs").write_text("".join(f"{path}\n" for path in programs))
    (initramfs / "initramfs.conf").write_text(_INITRAMFS_CONF)
    (initramfs / "modules").write_text("".join(f"{name}\n" for name in kmods))
    hook = initramfs / "hooks/bench"
    hook.write_text(_HOOK)
    hook.chmod(0o755)
    (root / NO_ISCSI).write_text("NO_ISCSI_IN_INITRAMFS=yes\n")
    own = f"/{FOLDER}"
    found = [_peer(root, "mkinitramfs", ("mkinitramfs", "-d", f"{own}/initramfs-tools"), kernel)]
    modules_d = root / "usr/lib/dracut/modules.d"
    network = LEGACY if any(modules_d.glob(f"*{LEGACY}")) else ""
    for name, modules in _DRACUT_MODULES.items():
        conf = f"{name.replace(', ', '-').replace(' ', '-')}.conf"
        chosen = modules.format(network=network)
        (folder / conf).write_text(_dracut_conf(chosen, kmods, programs, unwanted))
        argv = ("dracut", "--force", "--quiet", "--conf", f"{own}/{conf}")
        found.append(_peer(root, name, (*argv, "--confdir", f"{own}/none"), kernel))
    return tuple(found)


def _peer(root: Path, name: str, argv: Sequence[str], kernel: str) -> Peer:
    """Both tools end their arguments in the image and the kernel, mkinitramfs after an -o."""
    image = f"{FOLDER}/{name.replace(', ', '-').replace(' ', '-')}.img"
    before = ("-o",) if argv[0] == "mkinitramfs" else ()
    command = Command(("chroot", str(root), *argv, *before, f"/{image}", kernel), root=root)
    return Peer(name, command, root / image)


def _dracut_conf(
    modules: str, kmods: Sequence[str], programs: Sequence[str], unwanted: Sequence[str]
) -> str:
    return f"""\
hostonly=no
hostonly_cmdline=no
early_microcode=no
{modules}
drivers=" {" ".join(kmods)} "
omit_drivers=" {" ".join(unwanted)} "
install_items=" {" ".join(programs)} "
compress="zstd -{LEVEL} -q -T0"
"""
