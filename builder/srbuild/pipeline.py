"""Config → Plan → Manifest → Layers → Image → Report, in one place.

Every verb that builds, checks or tests goes through here; the command line adds only options
and words. The values are made strictly in this order, each of them whole. A build that finds
nothing to take segments from gives one of its layers a head start beside that: see `headstart`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, get_args

from srbuild.catalog import Catalog, load_catalog, open_catalog
from srbuild.collect import collect_manifest, collect_site
from srbuild.config.load import Config
from srbuild.errors import Origin, UsageError, VerifyError
from srbuild.frozen import frozen
from srbuild.host.cache import ContentCache, FactStore, scratch_cache
from srbuild.host.files import Draft, locked
from srbuild.host.packages import load_packages
from srbuild.host.sysroot import Sysroot, may_be_packed
from srbuild.layers import FORMAT, Layers, split_layers
from srbuild.manifest import File, Inline, Manifest, Package
from srbuild.outputs import is_current, record_output, sidecar_path
from srbuild.paths import HostPath, SysrootPath, data_dir
from srbuild.plan import Plan, make_plan
from srbuild.runtime import with_runtime
from srbuild.spine import Spine, load_spine
from srbuild.tested import load_records, note

if TYPE_CHECKING:
    from srbuild.headstart import HeadStart
    from srbuild.image import Image
    from srbuild.image import Sidecar as Beside
    from srbuild.report import Report
    from srbuild.sidecar import Sidecar

Part: TypeAlias = Literal["all", "base", "site"]
PARTS: tuple[Part, ...] = get_args(Part)
SITE = "site"


@frozen
class Prepared:
    """Everything up to the writing: what `srbuild check` looks at.

    `root` is the directory of the sysroot, unpacked if need be; None for a site part.
    """

    config: Config
    plan: Plan
    manifest: Manifest
    layers: Layers
    facts: FactStore
    root: HostPath | None


@frozen
class Built:
    """A finished image. `image` and `report` are None when it was left alone as current.

    `key` stands for all inputs; `sidecar` is what was written beside the image, if anything was.
    """

    prepared: Prepared
    image: Image | None
    report: Report | None
    notes: tuple[str, ...]
    key: str
    sidecar: bytes = b""


class Tools(Protocol):
    """What several builds of one run have in common."""

    def facts(self, cache: HostPath | None) -> FactStore:
        """The facts that the cache `cache` keeps."""
        ...

    def sysroot(self, root: HostPath) -> Sysroot:
        """The tree at `root`."""
        ...

    def write(self, prepared: Prepared, target: HostPath, sidecar: Beside) -> tuple[Image, Report]:
        """Write and verify the image; see `image.write_image`."""
        ...


def find_modules(extra: tuple[HostPath, ...] = ()) -> Catalog:
    """The catalog of srbuild's own boot modules and of those in the folders `extra`."""
    own, points = data_dir() / "modules", find_spine().points
    return load_catalog([own, *extra], points) if extra else open_catalog(own, points)


def find_spine() -> Spine:
    """The boot-time spine that srbuild ships."""
    return load_spine(data_dir() / "hooks")


def prepare(
    config: Config,
    catalog: Catalog,
    part: Part = "all",
    tools: Tools | None = None,
    head: HeadStart | None = None,
) -> Prepared:
    """Do everything but writing: plan, collect, cut into layers.

    `part` chooses what the image holds: everything, everything but the site part, or the site
    part alone (for which no sysroot is needed). `head` begins with what is settled first.
    Raises SrbuildError of every kind.
    """
    if part == "site" and config.cluster is None:
        raise UsageError("a site part is made from a cluster file", "name it with --cluster FILE")
    facts = (
        tools.facts(config.cache)
        if tools
        else FactStore(config.cache / "facts" if config.cache else None)
    )
    if part == "site":
        root = None
        config, _ = with_runtime(config, catalog, None)
        plan = make_plan(config, catalog, find_spine())
        manifest = collect_site(plan)
    else:
        root = _open_root(config, facts)
        sysroot = tools.sysroot(root) if tools else Sysroot(root)
        config, chosen = with_runtime(config, catalog, sysroot)
        plan = make_plan(config, catalog, find_spine())
        if head:
            head.begin(plan, sysroot, facts)
        manifest = collect_manifest(plan, sysroot, facts)
        said = filter(None, (chosen, note(load_records(), plan.modules)))
        manifest = replace(manifest, notes=(*said, *manifest.notes))
    if part == "base":
        manifest = _without_site(manifest)
    name, level = config.compression
    layers = split_layers(manifest, compression=name, level=level, mtime=config.mtime)
    return Prepared(config, plan, manifest, layers, facts, root)


def _open_root(config: Config, facts: FactStore) -> HostPath:
    """The directory of the sysroot, unpacked into the cache when it is packed."""
    if config.arch is None and not may_be_packed(config.sysroot):
        return config.sysroot
    from srbuild.host.unpack import open_tree  # and all that knows archives

    return open_tree(config.sysroot, config.cache, facts, config.arch)


def build(
    config: Config, catalog: Catalog, part: Part = "all", tools: Tools | None = None
) -> Built:
    """Make the image, or leave it alone when it is current.

    The file and its JSON sidecar are replaced only by a verified image. Raises SrbuildError of
    every kind, UsageError for a target that is one of the inputs; whatever is raised, an earlier
    image stays as it was.
    """
    with contextlib.ExitStack() as stack:
        head = None
        if part != SITE and not tools and _is_cold(config):
            from srbuild.headstart import HeadStart

            head = stack.enter_context(HeadStart(config.output))
        return _finish(prepare(config, catalog, part, tools, head), tools, head)


def _is_cold(config: Config) -> bool:
    """Whether there is nothing that segments could be taken from."""
    empty = config.cache is None or ContentCache(config.cache).is_empty()
    return empty and not config.shared_caches


def _finish(prepared: Prepared, tools: Tools | None, head: HeadStart | None) -> Built:
    """Write the image, unless it is current."""
    config = prepared.config
    target = config.output
    Draft(target)  # refuses what no file can replace
    sidecar = sidecar_path(target)
    refuse_inputs(prepared, target, sidecar)
    key = input_key(prepared)
    if all(is_current(path, prepared.facts, key) for path in (target, sidecar)):
        return Built(prepared, None, None, _saved(prepared.facts), key)
    # Writer, verifier and the libraries behind them are not for builds that change nothing.
    from srbuild.image import write_image
    from srbuild.sidecar import to_json

    manifest = replace(prepared.manifest, packages=_used_packages(prepared, tools))
    cache = ContentCache(config.cache) if config.cache else None
    text = b""

    def describe(image: Image, report: Report) -> bytes:
        nonlocal text
        text = to_json(manifest, image, report)
        return text

    borrowed: tuple[str, ...] = ()
    with contextlib.ExitStack() as stack:
        if config.shared_caches and not tools:
            cache = cache or stack.enter_context(scratch_cache())
            borrowed = _borrow(prepared, cache)
        # Or another build's sidecar could come to stand beside this image.
        stack.enter_context(locked(target))
        beside = (sidecar, describe)
        if tools:
            image, report = tools.write(prepared, target, beside)
        else:
            image, report = write_image(
                prepared.layers,
                target,
                cache=cache,
                facts=prepared.facts,
                sidecar=beside,
                ahead=head.find if head else None,
            )
        for path in (target, sidecar):
            record_output(path, prepared.facts, key)
    notes = (*borrowed, *image.notes, *_saved(prepared.facts))
    return Built(prepared, image, report, notes, key, text)


def _borrow(prepared: Prepared, cache: ContentCache) -> tuple[str, ...]:
    """Fill `cache` from those that others fill."""
    from srbuild.borrow import borrow_segments
    from srbuild.digests import KnownDigests
    from srbuild.host.remote_cache import open_shared

    shared = [open_shared(place) for place in prepared.config.shared_caches]
    digests = KnownDigests(prepared.facts)
    return borrow_segments(prepared.layers.segments, shared, cache, digests)


def refuse_inputs(prepared: Prepared, *targets: HostPath) -> None:
    """Raise UsageError when one of `targets` would replace a file that the image is made from."""
    config = prepared.config
    files = (entry.content for entry in prepared.manifest.entries.values())
    sources = {(f.identity.dev, f.identity.ino) for f in files if isinstance(f, File)}
    given = [config.cluster.origin.source] if config.cluster else []
    for path in (*map(HostPath, given), config.sysroot):
        with contextlib.suppress(OSError):
            status = os.stat(path)
            sources.add((status.st_dev, status.st_ino))
    for path in targets:
        with contextlib.suppress(OSError):
            status = os.stat(path)
            if (status.st_dev, status.st_ino) in sources:
                raise UsageError(f"{path} is one of the image's inputs", "name another output file")


def input_key(prepared: Prepared) -> str:
    """The sha256, in hexadecimal, of all that the image and its sidecar are made from.

    Files of the sysroot count by their identity, so nothing is read for it.
    """
    manifest, config = prepared.manifest, prepared.config
    rows: list[object] = [FORMAT, "sidecar/3", config.compression, config.mtime]
    rows += [manifest.kernels, manifest.notes, manifest.packages]
    for path, entry in manifest.entries.items():
        content = entry.content
        if isinstance(content, Inline):
            facts: object = [content.mode, hashlib.sha256(content.data).hexdigest()]
        else:
            facts = [type(content).__name__, content]
        reasons = [(reason.how, str(reason.by)) for reason in entry.reasons]
        rows.append([path, entry.segment, entry.secret, facts, reasons])
    text = json.dumps(rows, default=lambda value: value.__getstate__())  # all fields, in order
    return hashlib.sha256(text.encode()).hexdigest()


def _used_packages(prepared: Prepared, tools: Tools | None) -> tuple[Package, ...]:
    """The sysroot's packages that have files in the image."""
    root = prepared.root
    if root is None:
        return ()
    sysroot = tools.sysroot(root) if tools else Sysroot(root)
    prefix = sysroot.host(SysrootPath("/"))
    contents = (entry.content for entry in prepared.manifest.entries.values())
    paths = [
        SysrootPath("/" + content.source.removeprefix(prefix))
        for content in contents
        if isinstance(content, File) and content.source.startswith(prefix)
    ]
    owners = load_packages(sysroot).owners(paths).values()
    return tuple(sorted(set(owners), key=lambda package: (package.name, package.architecture)))


def _without_site(manifest: Manifest) -> Manifest:
    entries = {path: e for path, e in manifest.entries.items() if e.segment != SITE}
    return replace(manifest, entries=entries)


def _saved(facts: FactStore) -> tuple[str, ...]:
    problem = facts.save()
    return (problem,) if problem else ()


def read_sidecar(image: HostPath) -> Sidecar | None:
    """What stands beside `image`; None when nothing does. VerifyError when it is damaged."""
    from srbuild.sidecar import from_json

    path = sidecar_path(image)
    try:
        return from_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise VerifyError(f"cannot read {path}: {error.strerror}") from error
    except VerifyError as error:
        raise VerifyError(error.message, error.hint, Origin(str(path))) from error
