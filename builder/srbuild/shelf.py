"""Boot modules that are read when they are asked for.

To read all of srbuild's takes longer than all else that a build without changes does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from srbuild.bootmodule import Module, kind_rank
from srbuild.paths import HostPath


class Shelf(Mapping[str, Module]):
    """The modules in folders of theirs, by name, in the order of `boot_rank`."""

    def __init__(self, folders: Iterable[HostPath], read: Callable[[HostPath], Module]) -> None:
        """Of the module folders `folders`, each read by `read`, which a look-up raises like."""
        ranked = sorted(folders, key=lambda folder: kind_rank(folder.parent.name, folder.name))
        self._folders = {folder.name: folder for folder in ranked}
        self._read = read
        self._there: dict[str, Module] = {}
        self._texts: dict[str, bytes] = {}

    def __getitem__(self, name: str) -> Module:
        if name not in self._there:
            self._there[name] = self._read(self._folders[name])
        return self._there[name]

    def __contains__(self, name: object) -> bool:
        return name in self._folders

    def __iter__(self) -> Iterator[str]:
        return iter(self._folders)

    def __len__(self) -> int:
        return len(self._folders)

    def mentioning(self, capability: str) -> Iterator[Module]:
        """The modules that may provide `capability`: its name stands in their files, in quotes."""
        wanted = re.compile(rb"[\"']" + re.escape(capability.encode()) + rb"[\"']")
        for name, folder in self._folders.items():
            if name not in self._texts:
                self._texts[name] = (folder / "module.toml").read_bytes()
            if wanted.search(self._texts[name]):
                yield self[name]
