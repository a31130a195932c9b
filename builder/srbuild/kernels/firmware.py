"""Firmware files of a sysroot: where the kernel would look for them."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from srbuild.formats.kmodfile import Unpack, split_suffix
from srbuild.frozen import frozen
from srbuild.host.sysroot import Link, Sysroot
from srbuild.paths import MERGED_DIRS, ImagePath, SysrootPath, to_image

# FW_LOADER_COMPRESS: the kernel tries the plain name first (drivers/base/firmware_loader).
_SUFFIXES = ("", ".zst", ".xz")
_ROOTS = ("/lib/firmware", "/usr/lib/firmware")


@frozen
class FirmwareFile:
    """A firmware file found: its content's place without any link, and its image path."""

    source: SysrootPath
    image: ImagePath
    unpack: Unpack


@frozen
class FirmwareLink:
    """A symlink on the way to a firmware file, as the image needs it."""

    image: ImagePath
    target: str


def firmware_dirs(sysroot: Sysroot, version: str) -> tuple[str, ...]:
    """Where kernel `version` looks for firmware, first hit first (fw_path in main.c).

    Only directories that the sysroot has; /usr/lib is for those without a /lib.
    """
    places = ("updates/" + version, "updates", version, "")
    paths = [f"{root}/{place}".rstrip("/") for place in places for root in _ROOTS]
    return tuple(path for path in paths if sysroot.names(SysrootPath(path)))


def find_firmware(
    sysroot: Sysroot, dirs: Sequence[str], name: str
) -> tuple[tuple[FirmwareFile, ...], tuple[FirmwareLink, ...]]:
    """All files that the firmware `name` (it may be a shell pattern) leads to, and the links.

    Compressed files are to be unpacked: the image holds them under the name that was asked
    for. Nothing at all when the sysroot has no such firmware.
    """
    parts = name.strip("/").split("/")
    if ".." in parts or not name.strip("/"):
        return (), ()
    files: dict[ImagePath, FirmwareFile] = {}
    links: dict[ImagePath, FirmwareLink] = {}
    for path in _candidates(sysroot, dirs, "/".join(parts)):
        found = sysroot.resolve(path)
        plain, unpack = _plain(path)
        ending = path[len(plain) :]
        image = to_image(SysrootPath(found.path.removesuffix(ending) if ending else found.path))
        files[image] = FirmwareFile(found.path, image, unpack)
        for link in found.links:
            if link.path.strip("/") not in MERGED_DIRS:
                made = _image_link(link, ending)
                links[made.image] = made
    return tuple(files.values()), tuple(links.values())


def _plain(path: SysrootPath) -> tuple[str, Unpack]:
    stem, unpack = split_suffix(path)
    return (stem, unpack) if path.endswith(_SUFFIXES[1:]) else (path, "")


def _candidates(sysroot: Sysroot, dirs: Sequence[str], name: str) -> Sequence[SysrootPath]:
    """The files for `name`, each under the first directory and suffix that have it."""
    chosen: dict[str, SysrootPath] = {}
    is_pattern = any(char in name for char in "*?[")
    for base in dirs:
        for suffix in _SUFFIXES:
            path = SysrootPath(f"{base}/{name}{suffix}")
            for hit in sysroot.glob(path) if is_pattern else [path]:
                relative = _plain(hit)[0].removeprefix(f"{base}/")
                if relative not in chosen and sysroot.is_file(hit):
                    chosen[relative] = hit
        if chosen and not is_pattern:
            break
    return list(chosen.values())


def _image_link(link: Link, ending: str) -> FirmwareLink:
    """`link` at its place in the image; a compressed file's suffix is gone at both ends."""
    here = posixpath.dirname(link.path)
    ends = bool(ending) and link.path.endswith(ending) and link.target.endswith(ending)
    path = link.path.removesuffix(ending) if ends else link.path
    target = link.target.removesuffix(ending) if ends else link.target
    image = to_image(SysrootPath(path))
    goal = to_image(SysrootPath(posixpath.join(here, target)))
    return FirmwareLink(image, posixpath.relpath(goal, posixpath.dirname(image)))
