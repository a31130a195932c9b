"""The JSON documents that verbs print: one object each, with a `schema` and stable names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from srbuild.layers import Layers
from srbuild.paths import HostPath, ImagePath
from srbuild.pipeline import Built, Prepared
from srbuild.report import Report
from srbuild.sidecar import Sidecar

if TYPE_CHECKING:
    from srbuild.image import Image
    from srbuild.publish.uki import Uki


def built_document(
    built: Built, written: Image | Sidecar, uki: Uki | None = None
) -> dict[str, Any]:
    """What `srbuild build` did; `changed` is false for an image that was left alone.

    `written` is the image, or what the sidecar of one that was left alone says.
    """
    unified = {"path": str(uki.path), "size": uki.size, "sha256": uki.sha256} if uki else None
    config, manifest = built.prepared.config, built.prepared.manifest
    cached = {s.name for s in built.image.segments if s.from_cache} if built.image else set()
    return {
        "schema": "srbuild.build/1",
        "image": str(config.output),
        "changed": built.image is not None,
        "verified": True,
        "size": written.size,
        "sha256": written.sha256,
        "kernel": manifest.kernel,
        "kernels": list(manifest.kernels),
        "modules": [module.name for module in built.prepared.plan.modules],
        "entries": len(manifest.entries),
        "segments": [
            {
                "name": segment.name,
                "compression": segment.compression,
                "offset": segment.offset,
                "length": segment.length,
                "sha256": segment.sha256,
                "cpio_size": segment.cpio_size,
                "from_cache": segment.name in cached or built.image is None,
            }
            for segment in written.segments
        ],
        "uki": unified,
        "notes": [*built.notes, *manifest.notes],
    }


def checked_document(prepared: Prepared) -> dict[str, Any]:
    """What `srbuild check` found: what a build would make."""
    return {
        "schema": "srbuild.check/1",
        "image": str(prepared.config.output),
        "kernel": prepared.manifest.kernel,
        "kernels": list(prepared.manifest.kernels),
        "modules": [module.name for module in prepared.plan.modules],
        "entries": len(prepared.manifest.entries),
        "segments": _segments(prepared.layers),
        "secret": prepared.layers.has_secret,
        "notes": list(prepared.manifest.notes),
    }


def _segments(layers: Layers) -> list[dict[str, Any]]:
    return [
        {"name": segment.name, "compression": segment.compression, "entries": len(segment.entries)}
        for segment in layers.segments
    ]


def report_document(image: HostPath, report: Report, against: str) -> dict[str, Any]:
    """What `srbuild verify` found; `against` is "sidecar" or "structure"."""
    return {
        "schema": "srbuild.verify/1",
        "image": str(image),
        "ok": report.ok,
        "against": against,
        "size": report.size,
        "entries": report.entries,
        "content_size": report.content_size,
        "segments": [
            {
                "offset": segment.place.offset,
                "length": segment.place.length,
                "compression": segment.place.compression,
                "entries": len(segment.records),
                "sha256": segment.sha256,
            }
            for segment in report.segments
        ],
        "mismatches": list(report.mismatches),
    }


def list_document(image: HostPath, report: Report, sidecar: Sidecar | None) -> dict[str, Any]:
    """What `srbuild list` shows: every path once, with its reasons where they are known.

    `mismatches` are sentences about what the kernel could not unpack.
    """
    rows = []
    for path, record in sorted(report.tree().items()):
        row: dict[str, Any] = {"path": path, "type": record.kind, "mode": f"{record.mode:04o}"}
        if record.kind == "file":
            row |= {"size": record.size}
        if record.target:
            row |= {"target": record.target}
        entry = sidecar.entries.get(ImagePath(path)) if sidecar else None
        if entry is not None:
            row |= {"segment": entry.segment}
            row |= {"reasons": [f"{reason.how}: {reason.by}" for reason in entry.reasons]}
        rows.append(row)
    return {
        "schema": "srbuild.list/1",
        "image": str(image),
        "entries": rows,
        "mismatches": list(report.mismatches),
    }
