"""Finding the library that a loader would map for a name, and reading ELF facts once."""

from __future__ import annotations

import os
import stat
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import replace

from srbuild.closure.hwcaps import shipped_levels
from srbuild.closure.search import Abi, Loader, abi_of
from srbuild.errors import MissingInputError
from srbuild.formats.elf import ET_DYN, ElfFormatError, ElfInfo, read_elf
from srbuild.frozen import frozen
from srbuild.host.sysroot import Identity, Resolved, Sysroot, identity
from srbuild.paths import SysrootPath


class UnusableError(Exception):
    """There is something under the name, but not what can be used; the text is a clause."""


@frozen
class Hit:
    """A library as its loader opens it.

    `asked` is the path that the loader opens, `found` where it leads. `variants` are those
    under glibc-hwcaps that better processors get instead; each has its `level`.
    `needs_cache`: only an /etc/ld.so.cache makes the loader find it.
    """

    asked: str
    found: Resolved
    info: ElfInfo
    variants: tuple[Hit, ...] = ()
    needs_cache: bool = False
    level: str = ""


def present_dirs(sysroot: Sysroot) -> list[str]:
    """The usual library directories that the tree has, multiarch ones first."""
    return sysroot.once("library directories", lambda: _present_dirs(sysroot))


def _present_dirs(sysroot: Sysroot) -> list[str]:
    below = [*sysroot.names(SysrootPath("/usr/lib")), *sysroot.names(SysrootPath("/lib"))]
    triplets = sorted({name for name in below if name.count("-") >= 2})
    names = [f"{base}/{t}" for t in triplets for base in ("/usr/lib", "/lib")]
    names += ["/usr/lib64", "/lib64", "/usr/lib", "/lib"]
    return [name for name in names if sysroot.exists(SysrootPath(name))]


class Libraries:
    """The ELF files of a sysroot: each read at most once, each name looked for once."""

    def __init__(
        self,
        sysroot: Sysroot,
        facts: MutableMapping[Identity, ElfInfo | None],
        cpu: str | None = None,
    ) -> None:
        self._sysroot = sysroot
        self._cpu = cpu
        self._facts = facts
        self._infos: dict[SysrootPath, ElfInfo | None] = {}
        self._hits: dict[tuple[str, tuple[tuple[str, ...], ...], Abi, bool], Hit | None] = {}
        self._hwcaps: dict[str, frozenset[str]] = {}

    def info(self, real: SysrootPath) -> ElfInfo | None:
        """The facts of the file at `real` (without links), None when it is no ELF file.

        Raises UnusableError when it is no regular file, unreadable or corrupt.
        """
        if real not in self._infos:
            self._infos[real] = self._read(real)
        return self._infos[real]

    def abi(self, path: SysrootPath) -> Abi | None:
        """The ABI of the ELF file that `path` leads to; None for anything else."""
        found = self._sysroot.find(path)
        with suppress(UnusableError):
            if found and (info := self.info(found.path)):
                return abi_of(info)
        return None

    def _read(self, real: SysrootPath) -> ElfInfo | None:
        status = self._sysroot.lstat(real)
        if not stat.S_ISREG(status.st_mode):
            raise UnusableError(f"leads to {real}, which is no regular file")
        key = identity(status)
        with suppress(KeyError):
            return self._facts[key]
        try:
            with self._sysroot.open(real) as file:
                info = read_elf(file)
        except (ElfFormatError, MissingInputError, OSError) as error:
            raise UnusableError(f"leads to {real}, which cannot be used: {error}") from error
        self._facts[key] = info
        return info

    def strings(self, real: SysrootPath, info: ElfInfo) -> bytes:
        """The dynamic string table of the file at `real`."""
        offset, size = info.strings
        with self._sysroot.open(real) as file:
            return os.pread(file.fileno(), size, offset)

    def library(self, real: SysrootPath, abi: Abi) -> ElfInfo:
        """The facts of a shared library for `abi`; UnusableError when it is none."""
        info = self.info(real)
        if info is None:
            raise UnusableError(f"leads to {real}, which is no ELF file")
        if abi_of(info) != abi:
            raise UnusableError(f"leads to {real}, which is for {abi_of(info)}, not {abi}")
        if info.type != ET_DYN:
            raise UnusableError(f"leads to {real}, which is no shared library")
        return info

    def find(self, name: str, groups: tuple[tuple[str, ...], ...], loader: Loader) -> Hit | None:
        """The library that `loader` maps for `name`; None when there is none.

        `groups` are the directories as `library_dirs` gives them. Raises UnusableError when
        the loader would stop at something that it cannot map.
        """
        key = (name, groups, loader.abi, loader.is_musl)
        if key not in self._hits:
            named = "/" in name
            self._hits[key] = (
                self._open(name, loader) if named else self._seek(name, groups, loader)
            )
        return self._hits[key]

    def _seek(self, name: str, groups: tuple[tuple[str, ...], ...], loader: Loader) -> Hit | None:
        """The first hit in the object's own directories, the cache, the default directories."""
        own, conf, default = groups
        before = []
        for folder in own:
            before += self._variants((folder,), name, loader)
            if hit := self._probe(f"{folder}/{name}", loader):
                return replace(hit, variants=_distinct(before))
        plain = self._first(default, name, loader)
        if conf:
            hit = self._cached(name, conf, default, loader)
            if hit and (hit.needs_cache or hit.asked != (plain and plain.asked)):
                return replace(hit, variants=_distinct([*before, *hit.variants]))
        for folder in default:
            before += self._variants((folder,), name, loader)
            if plain and plain.asked == f"{folder}/{name}":
                return replace(plain, variants=_distinct(before))
        return None

    def _cached(
        self, name: str, conf: tuple[str, ...], default: tuple[str, ...], loader: Loader
    ) -> Hit | None:
        """What the loader finds for `name` through an /etc/ld.so.cache of all directories.

        The best variant wins wherever it lies. If anything of it can be reached through the
        cache alone, all of it must stand there: a plain entry would hide the variants.
        """
        folders = tuple(dict.fromkeys((*conf, *default)))
        plain = self._first(folders, name, loader)
        variants = self._variants(folders, name, loader)
        reached = self._variants(default, name, loader)
        if plain is None or (
            plain == self._first(default, name, loader) and all(v in reached for v in variants)
        ):
            return plain and replace(plain, variants=tuple(variants))
        entries = tuple(replace(variant, needs_cache=True) for variant in variants)
        return replace(plain, variants=entries, needs_cache=True)

    def _first(self, folders: tuple[str, ...], name: str, loader: Loader) -> Hit | None:
        hits = (self._probe(f"{folder}/{name}", loader) for folder in folders)
        return next((hit for hit in hits if hit), None)

    def _variants(self, folders: tuple[str, ...], name: str, loader: Loader) -> list[Hit]:
        """The first variant of each level that the image ships, best level first."""
        found = []
        for level in () if loader.is_musl else shipped_levels(loader.abi.machine, self._cpu):
            places = tuple(
                f"{folder}/glibc-hwcaps/{level}"
                for folder in folders
                if level in self._levels(folder)
            )
            if hit := self._first(places, name, loader):
                found.append(replace(hit, level=level))
        return found

    def _levels(self, folder: str) -> frozenset[str]:
        if folder not in self._hwcaps:
            names = self._sysroot.names(SysrootPath(f"{folder}/glibc-hwcaps"))
            self._hwcaps[folder] = frozenset(names)
        return self._hwcaps[folder]

    def _open(self, name: str, loader: Loader) -> Hit | None:
        """A library named with its directory: no search, and no second chance."""
        if not name.startswith("/"):
            raise UnusableError("is relative to the working directory of whoever runs it")
        found = self._sysroot.find(SysrootPath(name))
        return Hit(name, found, self.library(found.path, loader.abi)) if found else None

    def _probe(self, asked: str, loader: Loader) -> Hit | None:
        found = self._sysroot.find(SysrootPath(asked))
        if found is None:
            return None
        info = self.info(found.path)
        if info is not None and abi_of(info) != loader.abi and not loader.is_musl:
            return None  # glibc goes on searching after a library of another class or machine
        return Hit(asked, found, self.library(found.path, loader.abi))


def _distinct(hits: list[Hit]) -> tuple[Hit, ...]:
    return tuple(dict.fromkeys(hits))
