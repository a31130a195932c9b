"""Early microcode: what the kernel looks for at the very start of an image, in plain bytes.

The kernel's Documentation/arch/x86/microcode.rst: a raw archive, first of all, with one file for
each vendor, that vendor's updates one after another. It is also unpacked like any other
segment, so its paths are paths of the image. Intel's processors take updates only from a multiple
of 16 bytes in memory (Software Developer's Manual, volume 3, "Microcode Update Loader"), and the
first processor's comes straight from the archive: a filler in front of each file sees to it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence

from srbuild.config.convert import suggest
from srbuild.config.load import Wish
from srbuild.errors import ConfigError, MissingInputError, Origin, SrbuildError
from srbuild.formats.cpio import HEADER_SIZE, padding
from srbuild.formats.kmodfile import UnpackError, split_suffix, unpack
from srbuild.frozen import frozen
from srbuild.host.sysroot import Sysroot
from srbuild.paths import ImagePath, SysrootPath, parents
from srbuild.requests import Data

AUTO = "auto"
HOME = "/kernel/x86/microcode"
ALIGN = 16
_FIRMWARE = ("/lib/firmware", "/usr/lib/firmware")
_INTEL_HEADER = 48
_INTEL_OLD_SIZE = 2048  # of an update whose header says 0
_AMD_MAGIC = b"DMA\0"  # UCODE_MAGIC in arch/x86/kernel/cpu/microcode/amd.c


@frozen
class _Vendor:
    """Where a vendor's updates lie, and what the kernel calls all of them together.

    `names` are the files; `check` says what is wrong with one, "" for nothing.
    """

    target: str
    folder: str
    names: re.Pattern[str]
    package: str
    check: Callable[[bytes], str]


def parse_microcode(wish: Wish) -> tuple[str, ...]:
    """`none`, `auto`, `intel`, `amd` or `intel,amd` → vendors, none of them, or AUTO alone.

    Raises ConfigError for anything else.
    """
    words = wish.value.split(",")
    if words in (["none"], [AUTO]):
        return (AUTO,) if AUTO in words else ()
    for word in words:
        if word not in VENDORS:
            known = {"none", AUTO, *VENDORS} if len(words) == 1 else VENDORS.keys()
            raise ConfigError(f"no microcode is called {word!r}", suggest(word, known), wish.origin)
    return tuple(sorted(set(words)))


def find_microcode(
    sysroot: Sysroot, wish: Wish | None
) -> tuple[tuple[Data, ...], tuple[SrbuildError, ...]]:
    """The files of the early segment, in its order, and errors for what can't be had.

    Vendors that `wish` names must be there, of AUTO's one at least. The errors are a ConfigError
    for a wrong wish, MissingInputErrors for absent microcode, which name the packages, and for
    files that no processor would take.
    """
    if wish is None:
        return (), ()
    try:
        asked = parse_microcode(wish)
    except ConfigError as error:
        return (), (error,)
    names = sorted(VENDORS) if AUTO in asked else asked
    errors: list[SrbuildError] = []
    found: list[tuple[str, bytes]] = []
    for name in names:
        known = len(errors)
        data = b"".join(_updates(sysroot, VENDORS[name], errors))
        if data:
            found.append((name, data))
        elif AUTO not in asked and len(errors) == known:
            errors.append(_missing((name,), wish.origin))
    if AUTO in asked and not found and not errors:
        errors.append(_missing(names, wish.origin))
    return tuple(_lay_out(found, wish.origin)), tuple(errors)


def _updates(sysroot: Sysroot, vendor: _Vendor, errors: list[SrbuildError]) -> Iterator[bytes]:
    """The content of each of the vendor's files; those under the first directory that has them."""
    folders = [SysrootPath(f"{root}/{vendor.folder}") for root in _FIRMWARE]
    folder = next((path for path in folders if sysroot.names(path)), folders[0])
    chosen: dict[str, str] = {}
    for name in sysroot.names(folder):
        plain = split_suffix(name)[0]
        if vendor.names.fullmatch(plain):
            # Debian's .initramfs are updates that are safe early only; the same as without else.
            chosen.setdefault(plain.removesuffix(".initramfs"), name)
    for name in chosen.values():
        path = SysrootPath(f"{folder}/{name}")
        try:
            data = unpack(sysroot.read(path), split_suffix(name)[1])
            problem = vendor.check(data)
        except UnpackError as error:
            problem = str(error)
        if problem:
            hint = f"install {vendor.package} in the sysroot again"
            errors.append(MissingInputError(f"{path} is no microcode: {problem}", hint))
        else:
            yield data + padding(len(data))


def _missing(names: Sequence[str], origin: Origin) -> SrbuildError:
    packages = " or ".join(VENDORS[name].package for name in names)
    return MissingInputError(
        f"no microcode of {' or '.join(names)} in the sysroot",
        f"install {packages} in it (Debian: non-free-firmware), or do without",
        origin,
    )


def _lay_out(found: Sequence[tuple[str, bytes]], origin: Origin) -> Iterator[Data]:
    """The vendors' files in the order of their names, with fillers that align their data."""
    target = [ImagePath(f"{HOME}/{VENDORS[name].target}.bin") for name, _ in found]
    at = sum(_head(path) for path in parents(target[0])) if found else 0
    for path, (_, data) in zip(target, found, strict=True):
        filler = ImagePath(path.removesuffix("bin") + "align")  # sorts in front of it
        at += _head(filler) + _head(path)
        size = -at % ALIGN
        yield Data(filler, bytes(size), origin, "early", "microcode")
        yield Data(path, data, origin, "early", "microcode")
        at += size + len(data) + len(padding(len(data)))


def _head(path: str) -> int:
    """The bytes in front of the data of the record of `path`."""
    size = HEADER_SIZE + len(path[1:]) + 1
    return size + len(padding(size))


def _check_intel(data: bytes) -> str:
    """Walk the updates of one file, each with a header of its own and a checksum of zero."""
    at = 0
    while at < len(data):
        header = data[at : at + _INTEL_HEADER]
        if len(header) < _INTEL_HEADER:
            return "cut short"
        version, size = struct.unpack("<I28xI", header[:36])
        size = size or _INTEL_OLD_SIZE
        if version != 1 or size % 4 or size < _INTEL_HEADER:
            return f"no header of an update at offset {at}"
        if at + size > len(data):
            return "cut short"
        if sum(struct.unpack_from(f"<{size // 4}I", data, at)) & 0xFFFFFFFF:
            return f"wrong checksum of the update at offset {at}"
        at += size
    return "" if data else "empty"


def _check_amd(data: bytes) -> str:
    return "" if data.startswith(_AMD_MAGIC) and len(data) > 12 else "no container's magic"


VENDORS = {
    "amd": _Vendor(
        "AuthenticAMD", "amd-ucode", re.compile(r"microcode_amd\w*\.bin"), "amd64-microcode",
        _check_amd,
    ),
    "intel": _Vendor(
        "GenuineIntel", "intel-ucode", re.compile(r"[0-9a-f]{2}(-[0-9a-f]{2}){2}(\.initramfs)?"),
        "intel-microcode", _check_intel,
    ),
}  # fmt: skip
"""Vendors by the names that users know; sorted, they stand in the order of their files."""
