"""The files, links and directories that a closure has found, each with its reasons."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from srbuild.errors import Origin
from srbuild.frozen import frozen
from srbuild.host.sysroot import Link, Resolved, Sysroot
from srbuild.manifest import Reason
from srbuild.paths import MERGED_DIRS, ImagePath, SysrootPath, sysroot_path, to_image


@frozen
class Found:
    """One entry that the image needs.

    `path` holds no link in its directories. `kind` is "file", "link" or "dir"; `target` is
    a link's, as it must read in the merged-/usr image. The first of `reasons` found it.
    """

    path: SysrootPath
    kind: str
    target: str
    reasons: tuple[Reason, ...]


def image_target(link: Link) -> str:
    """The link's target as it must read in the image, where /lib is /usr/lib.

    A relative target that climbs out of a directory which the image moves is rewritten.
    """
    here = to_image(link.path)
    if link.target.startswith("/") or str(here) == str(link.path):
        return link.target
    leads_to = sysroot_path(posixpath.join(posixpath.dirname(link.path), link.target))
    return posixpath.relpath(to_image(leads_to), posixpath.dirname(here))


def _leads_to_itself(link: Link) -> bool:
    """Whether merging /usr makes link and target one path (/lib → usr/lib, say)."""
    leads_to = posixpath.join(posixpath.dirname(link.path), link.target)
    return to_image(sysroot_path(leads_to)) == to_image(link.path)


class Entries:
    """Collects entries and reasons; `take` hands over what came since the last time."""

    def __init__(self, sysroot: Sysroot) -> None:
        self._sysroot = sysroot
        self._found: dict[SysrootPath, tuple[str, str]] = {}
        self._reasons: dict[SysrootPath, list[Reason]] = {}
        self._seen: set[tuple[SysrootPath, Reason]] = set()
        self._wishes: set[tuple[SysrootPath, str, SysrootPath]] = set()
        self._admitted: dict[str, SysrootPath] = {}
        self._first: dict[ImagePath, Reason] = {}
        self._given: set[SysrootPath] = set()

    def admit(self, asked: str, found: Resolved, reason: Reason) -> SysrootPath:
        """Take in what `asked` led to: its links, then the file. Returns the first of them."""
        entry = self._admitted.get(asked)
        if entry is not None:
            self._add_reason(entry, reason)
            return entry
        here: list[SysrootPath] = []
        for link in found.links:
            if not _leads_to_itself(link):
                self._record(link.path, "link", image_target(link), reason)
                here.append(link.path)
                reason = Reason("link", to_image(link.path))
        self._record(found.path, "file", "", reason)
        here.append(found.path)
        if "/../" in asked:
            self._admit_crossed(asked, Reason("path", to_image(found.path)))
        self._admitted[asked] = here[0]
        return here[0]

    def admit_for(
        self, asked: str, found: Resolved, how: str, wanted_by: SysrootPath
    ) -> SysrootPath:
        """`admit` for a wish of another file."""
        entry = self.admit(asked, found, Reason(how, to_image(wanted_by)))
        self._wishes.add((entry, how, wanted_by))
        return entry

    def again(self, entry: SysrootPath, how: str, wanted_by: SysrootPath) -> None:
        """One more wish of a file for a known entry; cheap when it is known too."""
        wish = (entry, how, wanted_by)
        if wish not in self._wishes and entry != wanted_by:
            self._wishes.add(wish)
            self._add_reason(entry, Reason(how, to_image(wanted_by)))

    def chain(self, by: ImagePath | Origin) -> tuple[Reason, ...]:
        """The first reasons from `by` up to an Origin, or to what only the caller knows."""
        found: dict[Reason, None] = {}
        while not isinstance(by, Origin) and by in self._first:
            reason = self._first[by]
            if reason in found:
                break
            found[reason] = None
            by = reason.by
        return tuple(found)

    def take(self) -> tuple[tuple[Found, ...], Mapping[SysrootPath, tuple[Reason, ...]]]:
        """(New entries in order of discovery, further reasons for those given earlier)."""
        new: list[Found] = []
        again: dict[SysrootPath, tuple[Reason, ...]] = {}
        for path, reasons in self._reasons.items():
            if path in self._given:
                again[path] = tuple(reasons)
            else:
                new.append(Found(path, *self._found[path], tuple(reasons)))
        self._given.update(self._reasons)
        self._reasons = {}
        return tuple(new), again

    def _admit_crossed(self, asked: str, reason: Reason) -> None:
        """The directories before each `..`: the kernel walks through them."""
        parts = asked.split("/")
        for index, part in enumerate(parts):
            if part != "..":
                continue
            crossed = self._sysroot.find(SysrootPath("/".join(parts[:index])))
            if crossed is None or crossed.path == "/":
                continue
            if follower := self._moved(crossed.path, parts[index + 1]):
                self._record(SysrootPath(f"/usr/{follower}"), "link", f"../{follower}", reason)
            below = f"{crossed.path}/"
            if not any(path.startswith(below) for path in self._found):
                self._record(crossed.path, "dir", "", reason)

    def clash(self, asked: str) -> str:
        """Why `asked`, which holds `..`, can't be kept leading to the same file; else empty."""
        parts = asked.split("/")
        for index in (i for i, part in enumerate(parts) if part == ".."):
            crossed = self._sysroot.find(SysrootPath("/".join(parts[:index])))
            follower = self._moved(crossed.path, parts[index + 1]) if crossed else ""
            if follower and self._sysroot.exists(SysrootPath(f"/usr/{follower}")):
                return f"is found as {asked}, which would be in /usr/{follower} in the merged image"
        return ""

    def _moved(self, crossed: SysrootPath, follower: str) -> str:
        """`follower` when it is beside `crossed` in the sysroot and not in the image.

        In an unmerged tree /bin/../opt is /opt. In the image, where /bin is /usr/bin, it
        would be /usr/opt, so a link must stand there.
        """
        is_moved = crossed.count("/") == 1 and crossed[1:] in MERGED_DIRS
        return follower if is_moved and follower not in {"..", ".", "", *MERGED_DIRS} else ""

    def _record(self, path: SysrootPath, kind: str, target: str, reason: Reason) -> None:
        self._found.setdefault(path, (kind, target))
        self._add_reason(path, reason)

    def _add_reason(self, path: SysrootPath, reason: Reason) -> None:
        if (path, reason) not in self._seen:
            self._seen.add((path, reason))
            self._first.setdefault(to_image(path), reason)
            self._reasons.setdefault(path, []).append(reason)
