"""What a cached segment says of itself: nonsense counts as absence, never as an exception."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest

from srbuild.host.cache import SEGMENT_SCHEMA, ContentCache, FactStore
from srbuild.host.sysroot import Identity

HEAD: dict[str, object] = {
    "schema": SEGMENT_SCHEMA,
    "length": 4,
    "sha256": "0" * 64,
    "cpio_size": 4,
}


def cache(folder: Path, head: bytes) -> ContentCache:
    (folder / "segments").mkdir()
    (folder / "segments/key").write_bytes(head + b"\ndata")
    return ContentCache(folder)


def test_a_whole_header_is_taken(tmp_path: Path) -> None:
    found = cache(tmp_path, json.dumps(HEAD).encode()).find("key")
    assert found is not None
    assert b"".join(found.chunks()) == b"data"


@pytest.mark.parametrize("key", [key for key in HEAD if key.endswith(("length", "size"))])
@pytest.mark.parametrize("value", [-1, 1.5, "4", None, True, [], {}])
def test_a_size_that_is_none_is_no_segment(tmp_path: Path, key: str, value: object) -> None:
    assert cache(tmp_path, json.dumps(HEAD | {key: value}).encode()).find("key") is None


@pytest.mark.parametrize("key", [key for key in HEAD if key.endswith("sha256")])
@pytest.mark.parametrize("value", [1, None, ["0"]])
def test_a_digest_that_is_no_text_is_no_segment(tmp_path: Path, key: str, value: object) -> None:
    assert cache(tmp_path, json.dumps(HEAD | {key: value}).encode()).find("key") is None


@pytest.mark.parametrize(
    "head",
    [b"", b"[" * 4000, b'{"schema": 1}', b"[1]", b"1", json.dumps(HEAD | {"path": "/x"}).encode()],
)
def test_what_is_no_header_is_no_segment(tmp_path: Path, head: bytes) -> None:
    assert cache(tmp_path, head).find("key") is None


def test_facts_nested_without_end_are_none(tmp_path: Path) -> None:
    text = b"[" * 100_000
    (tmp_path / "facts").write_bytes(b"table\t%08x\t%s\n" % (zlib.crc32(text), text))
    assert FactStore(tmp_path / "facts").get("table", Identity(1, 2, 3, 4, 5)) is None
