"""Small OCI image layouts and tar archives, made by the standard library."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OCI = "application/vnd.oci.image"


@dataclass(frozen=True)
class Member:
    """A tar member; `data` is content or, for links, the target."""

    name: str
    data: bytes | str = b""
    mode: int = 0o644
    type: bytes = tarfile.REGTYPE
    extra: Mapping[str, Any] = field(default_factory=dict)


def directory(name: str, mode: int = 0o755) -> Member:
    return Member(name, b"", mode, tarfile.DIRTYPE)


def symlink(name: str, target: str) -> Member:
    return Member(name, target, 0o777, tarfile.SYMTYPE)


def hardlink(name: str, target: str) -> Member:
    return Member(name, target, 0o644, tarfile.LNKTYPE)


def tar(*members: Member, form: int = tarfile.PAX_FORMAT) -> bytes:
    """The archive of `members`, in their order, names as they are."""
    out = io.BytesIO()
    with tarfile.open(
        fileobj=out, mode="w", format=form, encoding="utf-8", errors="surrogateescape"
    ) as archive:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.mode, info.type = member.mode, member.type
            data = b""
            if isinstance(member.data, str):
                info.linkname = member.data
            else:
                data = member.data
                info.size = len(data)
            for name, value in member.extra.items():
                setattr(info, name, value)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Layout:
    """An OCI image layout at `root`, without images at first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "blobs/sha256").mkdir(parents=True)
        (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.images: list[dict[str, Any]] = []
        self.write()

    def blob(self, data: bytes, media_type: str) -> dict[str, Any]:
        """Store a blob and describe it."""
        digest = hashlib.sha256(data).hexdigest()
        (self.root / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def path(self, descriptor: Mapping[str, Any]) -> Path:
        """The blob's file."""
        return self.root / "blobs" / str(descriptor["digest"]).replace(":", "/")

    def manifest(
        self, layers: Sequence[bytes], architecture: str = "amd64", media_type: str = ""
    ) -> dict[str, Any]:
        """Store an image of uncompressed `layers`; they are compressed unless a type is given."""
        kind = media_type or f"{OCI}.layer.v1.tar+gzip"
        packed = layers if media_type else [gzip.compress(layer, mtime=0) for layer in layers]
        config = json.dumps({"os": "linux", "architecture": architecture}).encode()
        fields = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": self.blob(config, f"{OCI}.config.v1+json"),
            "layers": [self.blob(layer, kind) for layer in packed],
        }
        return self.blob(json.dumps(fields).encode(), f"{OCI}.manifest.v1+json")

    def add(self, descriptor: Mapping[str, Any], architecture: str = "", name: str = "") -> None:
        """Name an image in the index."""
        one = dict(descriptor)
        if architecture:
            one["platform"] = {"os": "linux", "architecture": architecture}
        if name:
            one["annotations"] = {"org.opencontainers.image.ref.name": name}
        self.images.append(one)
        self.write()

    def write(self) -> None:
        """Write the index."""
        index = {"schemaVersion": 2, "manifests": self.images}
        (self.root / "index.json").write_text(json.dumps(index))
