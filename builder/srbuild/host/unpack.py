"""Sysroots that come packed: a tar archive, or an OCI image layout (a folder or a tar of one).

Each is unpacked once into the cache, under the digest of its content, by whoever asks first;
the next build finds the tree there. A tree is made under another name and renamed when it is
whole, so a killed or failed run leaves none.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

from srbuild.errors import MissingInputError, SrbuildError, UsageError, VerifyError
from srbuild.formats import oci
from srbuild.host.cache import FactStore, is_digest
from srbuild.host.distro import MACHINES, host_architecture
from srbuild.host.files import make_private_folder
from srbuild.host.looks import look
from srbuild.host.sysroot import identity
from srbuild.host.tarball import unpack_tar
from srbuild.paths import HostPath

FOLDER = "sysroots"  # in the cache
FORMAT = 1  # of the trees: what is kept of members
KEPT = 8  # trees in the cache
TOUCHED_S = 3600  # its times change no more often: a tree in use is an unchanged input
UNUSED_S = 86400  # what a build may still read is not removed: seconds since it was asked for
Parsed = TypeVar("Parsed")
_Parse: TypeAlias = Callable[[bytes], Parsed]
_Fill: TypeAlias = Callable[[HostPath], None]
_DEPTH = 4  # of indexes in indexes
_MAX_DOCUMENT = 4 << 20  # bytes: the specification's registries take no larger manifest


def open_tree(
    source: HostPath, cache: HostPath | None, facts: FactStore, architecture: str | None = None
) -> HostPath:
    """The directory that holds the root tree `source`, unpacked into `cache` when it is packed.

    `architecture` (Debian's name) chooses an image of an OCI layout; without it the only one
    or this machine's is taken. `facts` remembers digests of archives. Raises MissingInputError
    for a source that is not there or has no such image, VerifyError for one that is damaged or
    hostile, UsageError for a packed one without a cache and for an architecture that is none.
    """
    if architecture is not None and architecture not in MACHINES:
        known = ", ".join(sorted(MACHINES))
        raise UsageError(f"unknown architecture {architecture!r}", hint=f"one of {known}")
    if is_layout(source):
        _check_document(source / oci.LAYOUT_FILE, oci.check_layout)
        image = _find_image(source, architecture)
        key = hashlib.sha256(f"{FORMAT} {image.digest}".encode()).hexdigest()
        return _cached(cache, key, source, lambda tree: _unpack_image(source, image, tree))
    look(source)
    if source.is_file():
        digest = _digest_of(source, facts)
        key = hashlib.sha256(f"{FORMAT} {digest} {architecture}".encode()).hexdigest()
        return _cached(cache, key, source, lambda tree: _unpack_file(source, architecture, tree))
    if architecture is not None and source.is_dir():
        raise _pointless(source)
    return source


def is_layout(folder: HostPath) -> bool:
    """Whether `folder` is an OCI image layout."""
    look(folder / oci.LAYOUT_FILE)
    look(folder / oci.INDEX_FILE)
    return (folder / oci.LAYOUT_FILE).is_file() and (folder / oci.INDEX_FILE).is_file()


def _pointless(source: HostPath) -> UsageError:
    return UsageError(
        f"--arch chooses among the images of an OCI layout, and {source} is none",
        hint="leave it out: a root tree has one architecture",
    )


def _cached(cache: HostPath | None, key: str, source: HostPath, fill: _Fill) -> HostPath:
    """The tree `key` in the cache, filled now when it is not there."""
    if cache is None:
        raise UsageError(
            f"{source} must be unpacked, and there is no cache to do it in",
            hint="name a folder with --cache DIR",
        )
    folder = cache.absolute() / FOLDER
    tree = folder / key
    while not tree.is_dir():
        try:
            make_private_folder(folder)
        except OSError as error:
            raise SrbuildError(f"cannot make {folder}: {error.strerror}") from error
        with _workspace(folder / f".{key}.new") as space:
            if space is not None and not tree.is_dir():
                fresh = space / "tree"
                fresh.mkdir(mode=0o755)
                fill(fresh)
                fresh.rename(tree)
                _prune(folder)
    with contextlib.suppress(OSError):
        if time.time() - tree.stat().st_mtime > TOUCHED_S:
            os.utime(tree)
    return tree


@contextmanager
def _workspace(space: HostPath) -> Iterator[HostPath | None]:
    """A folder that one process has at a time, empty at first and gone afterwards.

    None when another process has just finished with it: look again.
    """
    space.mkdir(mode=0o700, exist_ok=True)
    try:
        lock = os.open(space, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.fstat(lock).st_nlink:
            yield None
            return
        try:
            _remove_below(space)  # what a killed run left
            yield space
        finally:
            _remove_below(space)
            space.rmdir()
    finally:
        os.close(lock)


def _remove_below(folder: HostPath) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path)


def _prune(folder: HostPath) -> None:
    """Remove the trees that were not asked for lately, beyond the last KEPT."""
    trees = [path for path in folder.iterdir() if not path.name.startswith(".")]
    ages = {path: time.time() - path.stat().st_mtime for path in trees}
    for path in sorted(ages, key=ages.__getitem__)[KEPT:]:
        if ages[path] > UNUSED_S:
            gone = folder / f".{path.name}.old"
            with contextlib.suppress(OSError):  # another process removes it
                path.rename(gone)
                shutil.rmtree(gone)


def _digest_of(archive: HostPath, facts: FactStore) -> str:
    """The sha256 of an archive, in hexadecimal, remembered by the file's identity."""
    try:
        with archive.open("rb") as file:
            known = identity(os.fstat(file.fileno()))
            digest = facts.get("digest/1", known)
            if not isinstance(digest, str) or not is_digest(digest):
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                facts.put("digest/1", known, digest)
            return digest
    except OSError as error:
        raise MissingInputError(f"cannot read {archive}: {error.strerror}") from error


def _unpack_file(archive: HostPath, architecture: str | None, tree: HostPath) -> None:
    """Unpack an archive of a root tree, or of a layout and then the image in it."""
    outer = tree.with_name("archive")
    outer.mkdir()
    if not unpack_tar(archive, outer):
        raise VerifyError(f"{archive} holds no files")
    if not is_layout(outer):
        if (outer / "manifest.json").is_file() and not (outer / "usr").is_dir():
            raise MissingInputError(
                f"{archive} is an image in Docker's own form, not an OCI layout",
                hint=f"convert it: skopeo copy docker-archive:{archive} oci-archive:NEW.tar",
            )
        if architecture is not None:
            raise _pointless(archive)
        tree.rmdir()
        outer.rename(tree)
        return
    _check_document(outer / oci.LAYOUT_FILE, oci.check_layout)
    _unpack_image(outer, _find_image(outer, architecture), tree)


def _find_image(layout: HostPath, architecture: str | None) -> oci.Descriptor:
    """The descriptor of the manifest to use; MissingInputError when there is none."""
    found = _check_document(layout / oci.INDEX_FILE, oci.parse_index)
    images: list[tuple[oci.Descriptor, oci.Platform]] = []
    for _ in range(_DEPTH):
        indexes = [one for one in found if one.media_type in oci.INDEX_TYPES]
        manifests = [one for one in found if one.media_type not in oci.INDEX_TYPES]
        images += [(one, one.platform or _platform_of(layout, one)) for one in manifests]
        found = tuple(
            inner for one in indexes for inner in _parse_blob(layout, one, oci.parse_index)
        )
    wanted = oci.oci_architecture(architecture) if architecture else None
    try:
        return oci.choose_image(images, wanted, oci.oci_architecture(host_architecture()))
    except oci.OciError as error:
        raise MissingInputError(
            f"{layout}: {error}", hint="choose with --arch, or make a layout of one image"
        ) from error


def _platform_of(layout: HostPath, image: oci.Descriptor) -> oci.Platform:
    manifest = _parse_blob(layout, image, oci.parse_manifest)
    return _parse_blob(layout, manifest.config, oci.parse_platform)


def _unpack_image(layout: HostPath, image: oci.Descriptor, tree: HostPath) -> None:
    """Check the image's layers and unpack them over each other."""
    layers = _parse_blob(layout, image, oci.parse_manifest).layers
    blobs = [_check_blob(layout, layer) for layer in layers]
    for blob in blobs:
        unpack_tar(blob, tree, whiteouts=True)
    if not any(tree.iterdir()):
        raise VerifyError(f"{layout}: the image {image.digest} holds no files")


def _check_blob(layout: HostPath, blob: oci.Descriptor) -> HostPath:
    """The blob's file, once its size and digest are what they should be; else VerifyError."""
    path = layout / blob.blob
    look(path)
    try:
        if path.is_symlink() or not path.is_file():
            raise MissingInputError(f"{layout} lacks the blob {blob.digest}")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            actual = hashlib.file_digest(file, blob.algorithm).hexdigest()
    except OSError as error:
        raise MissingInputError(f"cannot read {path}: {error.strerror}") from error
    if size != blob.size or f"{blob.algorithm}:{actual}" != blob.digest:
        raise VerifyError(
            f"{layout}: the blob {blob.digest} is damaged: {size} bytes of digest {actual}, "
            f"but {blob.size} bytes were announced",
            hint="copy the image again",
        )
    return path


def _parse_blob(layout: HostPath, blob: oci.Descriptor, parse: _Parse[Parsed]) -> Parsed:
    return _check_document(_check_blob(layout, blob), parse)


def _check_document(path: HostPath, parse: _Parse[Parsed]) -> Parsed:
    """What `parse` makes of the document at `path`; MissingInputError when it can't be used."""
    look(path)
    try:
        if path.stat().st_size > _MAX_DOCUMENT:
            raise MissingInputError(f"{path} is too large for a document of an OCI layout")
        return parse(path.read_bytes())
    except OSError as error:
        raise MissingInputError(f"cannot read {path}: {error.strerror}") from error
    except oci.OciError as error:
        raise MissingInputError(f"{path}: {error}") from error
