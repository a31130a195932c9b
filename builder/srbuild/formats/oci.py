"""OCI image layouts: which blobs make up the root tree of an image.

Pure parsing of the documents in an image layout (OCI image specification 1.1: image-layout.md,
image-index.md, manifest.md, config.md, layer.md), and of Docker's of the same form. Nothing of
them is trusted: a digest is only ever a name of the form that the specification allows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from srbuild.frozen import frozen

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
LAYOUT_VERSION = "1.0.0"

_OCI = "application/vnd.oci.image."
_DOCKER = "application/vnd.docker."
INDEX_TYPES = (f"{_OCI}index.v1+json", f"{_DOCKER}distribution.manifest.list.v2+json")
MANIFEST_TYPES = (f"{_OCI}manifest.v1+json", f"{_DOCKER}distribution.manifest.v2+json")
CONFIG_TYPES = (f"{_OCI}config.v1+json", f"{_DOCKER}container.image.v1+json")
LAYER_TYPES = (
    *(f"{_OCI}layer.v1.tar{how}" for how in ("", "+gzip", "+zstd")),
    *(f"{_OCI}layer.nondistributable.v1.tar{how}" for how in ("", "+gzip", "+zstd")),
    *(f"{_DOCKER}image.rootfs.diff.tar{how}" for how in ("", ".gzip", ".zstd")),
)
_DIGESTS = {"sha256": 64, "sha512": 128}  # hexadecimal digits; descriptor.md, "Registered"

# Debian's architecture → the specification's, which is Go's; the same where not named.
_ARCHITECTURES = {"armhf": "arm", "i386": "386", "ppc64el": "ppc64le"}

WHITEOUT = ".wh."  # layer.md, "Whiteouts"
OPAQUE = ".wh..wh..opq"


class OciError(ValueError):
    """The document is none that the specification allows, or of a kind srbuild can't use."""


@frozen
class Platform:
    """What an image runs on; `architecture` in the specification's words."""

    os: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}"


@frozen
class Descriptor:
    """A reference to a blob: media type, digest `algorithm:hex`, size in bytes.

    `platform` is None and `name` (the image's tag) empty where the document does not say.
    """

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    name: str = ""

    @property
    def algorithm(self) -> str:
        """The digest's algorithm as hashlib knows it."""
        return self.digest.partition(":")[0]

    @property
    def blob(self) -> str:
        """The blob's file, relative to the layout."""
        return f"blobs/{self.digest.replace(':', '/', 1)}"


@frozen
class ImageManifest:
    """One platform's image: its configuration and its layers, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


def oci_architecture(debian: str) -> str:
    """The specification's name of Debian's architecture."""
    return _ARCHITECTURES.get(debian, debian)


def check_layout(data: bytes) -> None:
    """Raise OciError unless `data` is an oci-layout file of a version that is known."""
    version = _document(data, LAYOUT_FILE).get("imageLayoutVersion")
    if version != LAYOUT_VERSION:
        raise OciError(f"an image layout of version {version!r}, not {LAYOUT_VERSION}")


def parse_index(data: bytes) -> tuple[Descriptor, ...]:
    """The images and further indexes that an index names, in its order.

    What is attached to images (attestations, signatures) is left out. Raises OciError.
    """
    manifests = _document(data, "index").get("manifests")
    if not isinstance(manifests, list):
        raise OciError("an index without manifests")
    found = [_descriptor(one) for one in manifests]
    known = (*INDEX_TYPES, *MANIFEST_TYPES)
    images = [one for one in found if one.media_type in known and not _is_attached(one)]
    if not images and found:
        raise OciError(f"unknown media type {found[0].media_type!r}")
    return tuple(images)


def parse_manifest(data: bytes) -> ImageManifest:
    """Read an image manifest; OciError for layers that are no archives of a known kind."""
    fields = _document(data, "manifest")
    layers = fields.get("layers")
    if not isinstance(layers, list) or not layers:
        raise OciError("a manifest without layers")
    config = _descriptor(fields.get("config"))
    _check_type(config, CONFIG_TYPES)
    found = tuple(_descriptor(one) for one in layers)
    for layer in found:
        _check_type(layer, LAYER_TYPES)
    return ImageManifest(config, found)


def parse_platform(data: bytes) -> Platform:
    """The platform that an image's configuration names; OciError when it names none."""
    platform = _platform(_document(data, "configuration"))
    if platform is None:
        raise OciError("a configuration without os and architecture")
    return platform


def choose_image(
    images: Sequence[tuple[Descriptor, Platform]], architecture: str | None, own: str
) -> Descriptor:
    """The image for Linux on `architecture`; without, the only one there, else `own`.

    Both are in the specification's words. Raises OciError when there is none, or several.
    """
    there = ", ".join(dict.fromkeys(str(platform) for _, platform in images)) or "no image"
    linux = [(one, platform) for one, platform in images if platform.os == "linux"]
    there_are = {platform.architecture for _, platform in linux}
    wanted = architecture or (there_are.pop() if len(there_are) == 1 else own)
    found = {one.digest: one for one, platform in linux if platform.architecture == wanted}
    if not found:
        raise OciError(f"no image for linux/{wanted}; there is {there}")
    if len(found) > 1:
        names = ", ".join(one.name or one.digest for one in found.values())
        raise OciError(f"{len(found)} images for linux/{wanted}: {names}")
    return next(iter(found.values()))


def _document(data: bytes, what: str) -> Mapping[str, Any]:
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise OciError(f"a damaged {what}: {error}") from error
    if not isinstance(fields, dict):
        raise OciError(f"a damaged {what}: no JSON object")
    return fields


def _descriptor(raw: object) -> Descriptor:
    if not isinstance(raw, dict):
        raise OciError("a damaged descriptor")
    media_type, digest, size = (raw.get(key) for key in ("mediaType", "digest", "size"))
    if not isinstance(media_type, str) or not isinstance(digest, str):
        raise OciError("a descriptor without media type or digest")
    algorithm, _, text = digest.partition(":")
    if algorithm not in _DIGESTS or not re.fullmatch(
        rf"[0-9a-f]{{{_DIGESTS[algorithm]}}}", text, re.ASCII
    ):
        raise OciError(f"not a digest that srbuild can check: {digest!r}")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise OciError(f"a descriptor without size: {digest}")
    notes = raw.get("annotations")
    name = notes.get("org.opencontainers.image.ref.name", "") if isinstance(notes, dict) else ""
    return Descriptor(media_type, digest, size, _platform(raw.get("platform")), str(name))


def _platform(raw: object) -> Platform | None:
    if not isinstance(raw, dict):
        return None
    os, architecture = raw.get("os"), raw.get("architecture")
    if not isinstance(os, str) or not isinstance(architecture, str):
        return None
    return Platform(os, architecture)


def _is_attached(one: Descriptor) -> bool:
    return one.platform is not None and one.platform.os == "unknown"


def _check_type(one: Descriptor, known: Sequence[str]) -> None:
    if one.media_type not in known:
        raise OciError(f"unknown media type {one.media_type!r} of {one.digest}")
