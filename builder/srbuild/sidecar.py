"""The image's sidecar IMAGE.json: what the image holds and why, for people and pipelines.

The same image has the same sidecar: no path of the building machine but those the user wrote,
no time, nothing of the cache. Of secret files it tells neither content nor digest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from srbuild.errors import Origin, VerifyError
from srbuild.frozen import frozen
from srbuild.image import Image
from srbuild.manifest import Entry, Manifest, Package, Reason
from srbuild.paths import ImagePath, parents
from srbuild.records import Record, make_record
from srbuild.report import Expected, Report

SCHEMA = 3  # also in pipeline.input_key, for an older one to be written anew


@frozen
class SidecarSegment:
    """A segment; fields as in `image.ImageSegment`."""

    name: str
    compression: str
    offset: int
    length: int
    sha256: str
    cpio_size: int


@frozen
class SidecarEntry:
    """One path: its record (no digest where it is secret), its segment, who wanted it."""

    record: Record
    segment: str
    reasons: tuple[Reason, ...]
    secret: bool


@frozen
class Sidecar:
    """All that the file says. `size` and `content_size` in bytes, `sha256` the image's."""

    kernel: str
    kernels: tuple[str, ...]
    size: int
    sha256: str
    content_size: int
    segments: tuple[SidecarSegment, ...]
    entries: Mapping[ImagePath, SidecarEntry]
    packages: tuple[Package, ...]
    notes: tuple[str, ...]

    def expected(self) -> list[Expected]:
        """What `verify_image` should find: each segment with the directories it repeats."""
        return [self._expected_segment(segment) for segment in self.segments]

    def _expected_segment(self, segment: SidecarSegment) -> Expected:
        records: dict[str, Record] = {}
        for path, entry in self.entries.items():
            if entry.segment == segment.name:
                for parent in map(ImagePath, parents(path)):
                    above = self.entries.get(parent)
                    records[parent] = above.record if above else Record("dir", 0o755)
                records[path] = entry.record
        return Expected(segment.sha256, records)


def to_json(manifest: Manifest, image: Image, report: Report) -> bytes:
    """The sidecar's text, ASCII, one entry a line, ending in a newline."""
    head: dict[str, Any] = {
        "schema": SCHEMA,
        "kernel": manifest.kernel,
        "kernels": list(manifest.kernels),
        "size": image.size,
        "sha256": image.sha256,
        "content_size": report.content_size,
        "notes": list(manifest.notes),
    }
    segments = [asdict(segment) for segment in image.segments]
    for segment in segments:
        del segment["from_cache"]
    rows = (
        (path, _pack_entry(manifest.entries[path], image, path))
        for path in sorted(manifest.entries, key=os.fsencode)
    )
    parts = [
        *(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()),
        f'"segments": {_lines("[]", map(json.dumps, segments))}',
        f'"packages": {_lines("[]", (json.dumps(asdict(p)) for p in manifest.packages))}',
        f'"entries": {_lines("{}", (f"{json.dumps(k)}: {json.dumps(v)}" for k, v in rows))}',
    ]
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode("ascii")


def from_json(data: bytes) -> Sidecar:
    """Read what `to_json` wrote; VerifyError for anything else."""
    try:
        fields = _load(data)
        if fields["schema"] != SCHEMA:
            raise VerifyError(
                f"sidecar of schema {fields['schema']!r}, this srbuild knows {SCHEMA}",
                hint="read it with the srbuild that wrote it, or build again",
            )
        return Sidecar(
            kernel=str(fields["kernel"]),
            kernels=tuple(map(str, fields["kernels"])),
            size=int(fields["size"]),
            sha256=str(fields["sha256"]),
            content_size=int(fields["content_size"]),
            segments=tuple(SidecarSegment(**segment) for segment in fields["segments"]),
            entries={
                ImagePath(path): _unpack_entry(entry) for path, entry in fields["entries"].items()
            },
            packages=tuple(Package(**package) for package in fields["packages"]),
            notes=tuple(map(str, fields["notes"])),
        )
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise VerifyError(
            f"damaged sidecar: {error!r}", hint="build the image again to have a new one"
        ) from error


def _load(data: bytes) -> Any:
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _lines(brackets: str, rows: Iterable[str]) -> str:
    text = ",\n  ".join(rows)
    return f"{brackets[0]}\n  {text}\n{brackets[1]}" if text else brackets


def _pack_entry(entry: Entry, image: Image, path: ImagePath) -> dict[str, Any]:
    record = make_record(entry.content, image.stored.get(path))
    fields: dict[str, Any] = {
        "type": record.kind,
        "mode": f"{record.mode:04o}",
        "segment": entry.segment,
    }
    if record.kind == "file":
        fields["size"] = record.size
        fields |= {"secret": True} if entry.secret else {"sha256": record.sha256}
    elif record.kind == "symlink":
        fields["target"] = record.target
    elif record.kind in ("char", "block"):
        fields["rdev"] = list(record.rdev)
    fields["reasons"] = [_pack_reason(reason) for reason in entry.reasons]
    return fields


def _unpack_entry(fields: dict[str, Any]) -> SidecarEntry:
    major, minor = fields.get("rdev", (0, 0))
    record = Record(
        str(fields["type"]),
        int(fields["mode"], 8),
        int(fields.get("size", 0)),
        str(fields.get("sha256", "")),
        str(fields.get("target", "")),
        (int(major), int(minor)),
    )
    reasons = tuple(_unpack_reason(reason) for reason in fields["reasons"])
    return SidecarEntry(record, str(fields["segment"]), reasons, bool(fields.get("secret")))


def _pack_reason(reason: Reason) -> dict[str, str]:
    if isinstance(reason.by, Origin):
        return {"how": reason.how, "source": reason.by.source, "key": reason.by.key}
    return {"how": reason.how, "by": reason.by}


def _unpack_reason(fields: dict[str, str]) -> Reason:
    if "by" in fields:
        return Reason(fields["how"], ImagePath(fields["by"]))
    return Reason(fields["how"], Origin(fields["source"], fields["key"]))
