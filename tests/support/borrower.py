"""A cache that somebody else has filled, and a build that would take segments from it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import zstandard

from srbuild.borrow import borrow_segments
from srbuild.digests import KnownDigests
from srbuild.host.cache import SEGMENT_SCHEMA, ContentCache, FactStore
from srbuild.host.remote_cache import open_shared
from srbuild.image import write_image
from srbuild.layers import Layers, split_layers
from support.images import entry, file_at, manifest_of


class Borrower:
    """Layers whose segments somebody else has made, into `filled`, and a cache that lacks them."""

    def __init__(self, tmp_path: Path, compression: str = "zstd") -> None:
        self.filled = tmp_path / "filled"
        entries = {"/init": entry(file_at(tmp_path / "init", b"good\n" * 1000, 0o755))}
        self.layers = self.split(entries, compression)
        self.target = tmp_path / "image"
        write_image(self.layers, tmp_path / "theirs", cache=ContentCache(self.filled))
        [self.file] = (self.filled / "segments").iterdir()
        self.local = ContentCache(tmp_path / "local")

    @staticmethod
    def split(entries: dict[str, Any], compression: str) -> Layers:
        return split_layers(manifest_of(entries), compression=compression)

    def borrow(self, *places: str) -> tuple[tuple[str, ...], bool]:
        """The notes, and whether the image then came from the cache; it is always right."""
        digests = KnownDigests(FactStore(None))
        shared = [open_shared(place) for place in places]
        notes = borrow_segments(self.layers.segments, shared, self.local, digests)
        facts = FactStore(None)
        image, report = write_image(self.layers, self.target, cache=self.local, facts=facts)
        assert report.ok
        assert image.notes == ()
        assert self.target.read_bytes() == self.target.with_name("theirs").read_bytes()
        return notes, image.segments[0].from_cache

    def poison(self, cpio: bytes, *, packed: bytes | None = None) -> None:
        """Put another archive in the segment's place, with a header that fits it."""
        data = zstandard.ZstdCompressor(level=3).compress(cpio) if packed is None else packed
        head = {
            "schema": SEGMENT_SCHEMA,
            "length": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "cpio_size": len(cpio),
        }
        self.file.write_bytes(json.dumps(head).encode() + b"\n" + data)

    @property
    def cpio(self) -> bytes:
        """The right archive."""
        data = self.file.read_bytes().partition(b"\n")[2]
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
