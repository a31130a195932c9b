"""The kernels of a sysroot and the data that depmod keeps about each one's kmods."""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping, Sequence
from functools import cached_property

from srbuild.errors import MissingInputError, Origin, SrbuildError, raise_all
from srbuild.formats.kmodfile import split_suffix, unpack
from srbuild.formats.kmodindex import (
    Aliases,
    Dep,
    kmod_name,
    parse_builtin_aliases,
    parse_dep,
    parse_order,
    parse_softdep,
    parse_weakdep,
)
from srbuild.formats.modinfo import ModInfo, Softdep, parse_modinfo, read_modinfo
from srbuild.host.sysroot import Identity, Sysroot, identity
from srbuild.host.unpacked import UNPACKED
from srbuild.paths import HostPath, SysrootPath

_MODULE_DIRS = ("/lib/modules", "/usr/lib/modules")


def find_boot_file(sysroot: Sysroot, version: str, hint: str) -> HostPath:
    """The bootable kernel of `version`; MissingInputError, with `hint`, when there is none."""
    places = [f"/boot/vmlinuz-{version}", *(f"{base}/{version}/vmlinuz" for base in _MODULE_DIRS)]
    for place in map(SysrootPath, places):
        if sysroot.is_file(place):
            return HostPath(sysroot.host(sysroot.resolve(place).path))
    raise MissingInputError(
        f"no kernel {version} in {sysroot.root}: neither {' nor '.join(places)}", hint
    )


class KernelTree:
    """The kmods of one kernel: every file of depmod's is read when it is first needed, once."""

    def __init__(self, sysroot: Sysroot, version: str, base: SysrootPath) -> None:
        """Of the kernel `version`, whose modules directory in the sysroot is `base`."""
        self.sysroot = sysroot
        self.version = version
        self.base = base

    def path(self, relative: str) -> SysrootPath:
        """The sysroot path of a file named relative to the modules directory."""
        return SysrootPath(f"{self.base}/{relative}")

    def read_optional(self, name: str) -> str | None:
        """The text of the file `name`; None when the kernel has none (older kmod)."""
        path = self.path(name)
        return self.sysroot.read_text(path) if self.sysroot.is_file(path) else None

    @cached_property
    def deps(self) -> dict[str, Dep]:
        """modules.dep; MissingInputError when it is absent or damaged."""
        text = self.read_optional("modules.dep")
        hint = f"make it with: depmod -b {self.sysroot.root} {self.version}"
        if text is None:
            raise MissingInputError(f"kernel {self.version} has no modules.dep", hint=hint)
        try:
            return parse_dep(text)
        except ValueError as error:
            where = Origin(self.path("modules.dep"))
            raise MissingInputError(str(error), hint=hint, origin=where) from error

    @cached_property
    def softdeps(self) -> dict[str, Softdep]:
        """modules.softdep; empty when absent."""
        return parse_softdep(self.read_optional("modules.softdep") or "")

    @cached_property
    def weakdeps(self) -> dict[str, tuple[str, ...]]:
        """modules.weakdep; empty when absent (kmod before 33)."""
        return parse_weakdep(self.read_optional("modules.weakdep") or "")

    @cached_property
    def aliases(self) -> Aliases:
        """modules.alias; without an alias when absent."""
        return Aliases(self.read_optional("modules.alias") or "")

    @cached_property
    def order(self) -> list[str]:
        """modules.order: the paths of the kernel's own kmods as it was built."""
        return parse_order(self.read_optional("modules.order") or "")

    @cached_property
    def builtins(self) -> frozenset[str]:
        """The names of what modules.builtin says is part of the kernel."""
        text = self.read_optional("modules.builtin") or ""
        return frozenset(kmod_name(path) for path in parse_order(text))

    @cached_property
    def builtin_modinfo(self) -> bytes | None:
        """modules.builtin.modinfo, unchanged; None when absent (Linux before 5.2)."""
        path = self.path("modules.builtin.modinfo")
        return self.sysroot.read(path) if self.sysroot.is_file(path) else None

    @cached_property
    def builtin_aliases(self) -> Aliases:
        """The aliases of what is part of the kernel, from modules.builtin.modinfo."""
        pairs = parse_builtin_aliases(self.builtin_modinfo or b"")
        return Aliases("".join(f"alias {alias} {name}\n" for alias, name in pairs))


def kernel_versions(sysroot: Sysroot) -> list[str]:
    """The versions of the kernels whose kmods are in the sysroot, oldest first."""
    found = {
        name
        for base in _MODULE_DIRS
        for name in sysroot.names(SysrootPath(base))
        if not {"kernel", "modules.order", "modules.dep"}.isdisjoint(
            sysroot.names(SysrootPath(f"{base}/{name}"))
        )
    }
    return sorted(found, key=_version_key)


def open_kernel(sysroot: Sysroot, version: str = "", origin: Origin | None = None) -> KernelTree:
    """The kmods of kernel `version` (asked for at `origin`), or of the newest when empty.

    Raises MissingInputError when the sysroot has no such kernel, naming those it has, and
    when depmod was not run on it.
    """
    versions = kernel_versions(sysroot)
    if not versions:
        raise MissingInputError(
            f"no kernel modules in {sysroot.root}",
            hint="install a kernel package there, such as linux-image-amd64",
            origin=origin,
        )
    if version and version not in versions:
        raise MissingInputError(
            f"no kernel {version} in {sysroot.root}",
            hint=f"it has: {', '.join(versions)}",
            origin=origin,
        )
    chosen = version or versions[-1]
    return sysroot.once(("kernel", chosen), lambda: _open(sysroot, chosen))


def _open(sysroot: Sysroot, version: str) -> KernelTree:
    bases = [SysrootPath(f"{base}/{version}") for base in _MODULE_DIRS]
    tree = KernelTree(sysroot, version, next(base for base in bases if sysroot.names(base)))
    _ = tree.deps  # a kernel that depmod has not seen is no kernel to build for
    return tree


def open_kernels(
    sysroot: Sysroot, versions: Sequence[str], origin: Origin | None = None
) -> tuple[KernelTree, ...]:
    """The kmods of each kernel of `versions`, newest first, each once.

    `all` stands for every kernel of the sysroot, no version for its newest. Raises what
    `open_kernel` does, for all of them together.
    """
    known = kernel_versions(sysroot)
    wanted = known if "all" in versions and known else versions or [""]
    trees: dict[str, KernelTree] = {}
    errors: list[SrbuildError] = []
    for version in wanted:
        try:
            tree = open_kernel(sysroot, version, origin)
            trees[tree.version] = tree
        except MissingInputError as error:
            errors.append(error)
    raise_all(errors)
    return tuple(sorted(trees.values(), key=lambda tree: _version_key(tree.version))[::-1])


def load_modinfo(
    sysroot: Sysroot, path: SysrootPath, facts: MutableMapping[Identity, ModInfo]
) -> ModInfo:
    """The `.modinfo` of the kmod at `path` (no link), remembered in `facts`.

    Raises ModinfoError, UnpackError, OSError or MissingInputError when it is no readable kmod.
    """
    known = identity(sysroot.lstat(path))
    info = facts.get(known)
    if info is None:
        _, how = split_suffix(path)
        if how:
            plain = unpack(sysroot.read(path), how)
            UNPACKED.put(known, plain)  # the writer will want it
            info = parse_modinfo(plain)
        else:
            info = _read(sysroot, path)
        facts[known] = info
    return info


def _read(sysroot: Sysroot, path: SysrootPath) -> ModInfo:
    with sysroot.open(path) as file:
        fd = file.fileno()
        return read_modinfo(lambda at, length: os.pread(fd, length, at), os.fstat(fd).st_size)


def _version_key(version: str) -> list[tuple[int, int, str]]:
    """Numbers compare as numbers and above letters; `rc` and `~` below a version's end."""
    parts = re.findall(r"[0-9]+|[a-zA-Z]+|~", version)
    return [*(_part_key(part) for part in parts), (1, 0, "")]


def _part_key(part: str) -> tuple[int, int, str]:
    if part.isdigit():
        return 3, int(part), ""
    return (0 if part in {"rc", "~"} else 2), 0, part
