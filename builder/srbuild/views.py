"""What a finished image's sidecar and report tell: why a path is there, what takes the room.

Pure functions over `Sidecar` and `Report`; the command line prints what they return.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from srbuild.errors import MissingInputError, Origin
from srbuild.frozen import frozen
from srbuild.manifest import Reason
from srbuild.paths import ImagePath, image_path
from srbuild.records import Record
from srbuild.report import describe
from srbuild.sidecar import Sidecar, SidecarEntry

Chain = tuple[Reason, ...]


def find_entry(sidecar: Sidecar, text: str) -> ImagePath:
    """The path that `text` names in the image; MissingInputError with suggestions if none."""
    path = image_path(text)
    if path in sidecar.entries:
        return path
    name = path.rpartition("/")[2]
    near = [known for known in sidecar.entries if known.rpartition("/")[2] == name]
    near = near or [ImagePath(p) for p in difflib.get_close_matches(path, sidecar.entries, n=3)]
    hint = f"did you mean {' or '.join(near[:3])}?" if near else "srbuild list IMAGE has all paths"
    raise MissingInputError(f"{path} is not in the image", hint)


def chains(sidecar: Sidecar, path: ImagePath) -> tuple[Chain, ...]:
    """For each reason of `path` the reasons from it up to the Origin that started it.

    Above the first step each goes on by the first reason, which is the one that brought the
    entry in. A chain that comes back to itself ends there.
    """
    found = []
    for reason in sidecar.entries[path].reasons:
        chain = [reason]
        seen = {path}
        while not isinstance(by := chain[-1].by, Origin) and by in sidecar.entries:
            if by in seen:
                break
            seen.add(by)
            chain.append(sidecar.entries[by].reasons[0])
        found.append(tuple(chain))
    return tuple(found)


@frozen
class Change:
    """A path that two images do not have alike; None where one has nothing there."""

    path: str
    before: Record | None
    after: Record | None

    @property
    def kind(self) -> str:
        """`added`, `removed` or `changed`."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"

    def tell(self) -> str:
        """The change in words."""
        parts = [describe(record) for record in (self.before, self.after) if record]
        return " → ".join(parts)


def compare(before: Mapping[str, Record], after: Mapping[str, Record]) -> tuple[Change, ...]:
    """The changes from one tree of records to another, by path."""
    return tuple(
        Change(path, before.get(path), after.get(path))
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    )


@frozen
class Share:
    """What one origin brought in: number of files and their bytes, unpacked."""

    origin: str
    files: int
    size: int


def shares(sidecar: Sidecar) -> tuple[Share, ...]:
    """The files by the origin (a boot module, the kernel, srbuild itself) of their first reason.

    Each file counts once; the largest share comes first.
    """
    sums: dict[str, tuple[int, int]] = {}
    for path, entry in sidecar.entries.items():
        if entry.record.kind == "file":
            last = chains(sidecar, path)[0][-1].by if entry.reasons else ""
            origin = last.source if isinstance(last, Origin) else str(last)
            files, size = sums.get(origin, (0, 0))
            sums[origin] = (files + 1, size + entry.record.size)
    found = [Share(origin, files, size) for origin, (files, size) in sums.items()]
    return tuple(sorted(found, key=lambda share: (-share.size, share.origin)))


def largest(sidecar: Sidecar, count: int) -> Sequence[tuple[ImagePath, SidecarEntry]]:
    """The `count` largest files, largest first."""
    files = [item for item in sidecar.entries.items() if item[1].record.kind == "file"]
    return sorted(files, key=lambda item: (-item[1].record.size, item[0]))[:count]
