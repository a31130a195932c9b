"""What is known about files' data without reading it, kept with the facts about files."""

from __future__ import annotations

from srbuild.host.cache import FactStore, Json, is_digest, is_size
from srbuild.host.sources import hash_source
from srbuild.layers import Segment, segment_key
from srbuild.manifest import File
from srbuild.records import Stored


class KnownDigests:
    """Sizes and digests of Files' data as they are in an image, by the files' identity."""

    def __init__(self, facts: FactStore) -> None:
        self._facts = facts

    def find(self, file: File) -> Stored | None:
        """What is known about `file`; None when it was not read yet or has changed since."""
        match self._facts.get(_table(file), file.identity):
            case [int(size), str(sha256)] if is_size(size) and is_digest(sha256):
                return Stored(size, sha256)
        return None

    def remember(self, file: File, stored: Stored) -> None:
        """Keep what was found when `file` was read."""
        row: Json = [stored.size, stored.sha256]
        self._facts.put(_table(file), file.identity, row)

    def learn(self, segment: Segment) -> None:
        """Read those files of `segment` that nothing is known about; raises as `hash_source`."""
        for _, entry in segment.entries:
            if isinstance(entry.content, File) and self.find(entry.content) is None:
                self.remember(entry.content, hash_source(entry.content))

    def key(self, segment: Segment) -> str | None:
        """The key of `segment` in a cache; None when it must not be in one or is not known yet."""
        return None if segment.has_secret else segment_key(segment, self.find)


def _table(file: File) -> str:
    return f"content-1-{file.unpack}" if file.unpack else "content-1"
