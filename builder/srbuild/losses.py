"""What of a sysroot's files an initramfs can't hold, told so that nobody relies on it.

newc has no place for extended attributes, so file capabilities and access lists are lost. Hard
links it has, but within one segment alone and by inode numbers that appending another archive
may repeat: names of one file are stored as files of their own, which every kernel unpacks alike.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from srbuild.paths import ImagePath

# Labels, which every file of an SELinux system has and no initramfs can: the policy's own
# transitions and systemd's relabelling are made for that.
_EXPECTED = ("security.selinux",)


class Losses:
    """Collects what is lost, file by file; `notes` tells it in sentences."""

    def __init__(self) -> None:
        self._attributes: dict[str, set[ImagePath]] = {}
        self._links: dict[tuple[int, int], dict[ImagePath, int]] = {}

    def look_at(self, path: ImagePath, status: os.stat_result, attributes: list[str]) -> None:
        """Take in the file that goes to `path`, with the names of its extended attributes."""
        for name in attributes:
            if name not in _EXPECTED:
                self._attributes.setdefault(name, set()).add(path)
        if status.st_nlink > 1:
            one = self._links.setdefault((status.st_dev, status.st_ino), {})
            one[path] = status.st_size

    def notes(self) -> Iterator[str]:
        """A sentence for each attribute and one for all hard links, each naming the files."""
        for name, paths in sorted(self._attributes.items()):
            yield (
                f"an initramfs has no extended attributes: {name} is lost of "
                f"{', '.join(sorted(paths))}"
            )
        shared = [paths for paths in self._links.values() if len(paths) > 1]
        if shared:
            size = sum(sum(paths.values()) - max(paths.values()) for paths in shared)
            groups = sorted(" = ".join(sorted(paths)) for paths in shared)
            yield (
                f"hard links are stored as files of their own, {size} bytes more before "
                f"compression: {', '.join(groups)}"
            )
