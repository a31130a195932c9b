"""Finding the library that a loader would map for a name, and reading ELF facts once."""

from __future__ import annotations

import os
import stat
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass, replace

from srbuild.errors import MissingInputError
from srbuild.formats.elf import ET_DYN, ElfFormatError, ElfInfo, read_elf
from srbuild.host.sysroot import Identity, Resolved, Sysroot, identity
from srbuild.paths import SysrootPath
from srbuild.search import Abi, Loader, abi_of, hwcaps_dirs


class UnusableError(Exception):
    """There is something under the name, but not what can be used; the text is a clause."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A library as its loader opens it.

    `asked` is the path that the loader opens, `found` where it leads. `variants` are those
    under glibc-hwcaps that better processors get instead. `needs_cache`: only an
    /etc/ld.so.cache makes the loader find it.
    """

    asked: str
    found: Resolved
    info: ElfInfo
    variants: tuple[Hit, ...] = ()
    needs_cache: bool = False


class Libraries:
    """The ELF files of a sysroot: each read at most once, each name looked for once."""

    def __init__(self, sysroot: Sysroot, facts: MutableMapping[Identity, ElfInfo | None]) -> None:
        self._sysroot = sysroot
        self._facts = facts
        self._infos: dict[SysrootPath, ElfInfo | None] = {}
        self._hits: dict[tuple[str, tuple[tuple[str, ...], ...], Abi, bool], Hit | None] = {}
        self._hwcaps: dict[tuple[str, Abi, bool], tuple[str, ...]] = {}

    def info(self, real: SysrootPath) -> ElfInfo | None:
        """The facts of the file at `real` (without links), None when it is no ELF file.

        Raises UnusableError when it is no regular file, unreadable or corrupt.
        """
        if real not in self._infos:
            self._infos[real] = self._read(real)
        return self._infos[real]

    def _read(self, real: SysrootPath) -> ElfInfo | None:
        status = os.lstat(self._sysroot.host(real))
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
        own, conf, default = groups
        variants: list[Hit] = []
        for index, folder in enumerate((*own, *conf, *default)):
            through_conf = len(own) <= index < len(own) + len(conf)
            if not through_conf or folder in default:
                for level in self._levels(folder, loader):
                    better = self._probe(f"{level}/{name}", loader)
                    if better and better not in variants:
                        variants.append(better)
            hit = self._probe(f"{folder}/{name}", loader)
            if hit:
                needs_cache = through_conf and hit != self._first(default, name, loader)
                return replace(hit, variants=tuple(variants), needs_cache=needs_cache)
        return None

    def _first(self, folders: tuple[str, ...], name: str, loader: Loader) -> Hit | None:
        hits = (self._probe(f"{folder}/{name}", loader) for folder in folders)
        return next((hit for hit in hits if hit), None)

    def _levels(self, folder: str, loader: Loader) -> tuple[str, ...]:
        key = (folder, loader.abi, loader.is_musl)
        if key not in self._hwcaps:
            self._hwcaps[key] = hwcaps_dirs(self._sysroot, folder, loader)
        return self._hwcaps[key]

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
