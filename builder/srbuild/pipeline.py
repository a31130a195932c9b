"""Config → Plan → Manifest → Layers → Image → Report, in one place.

Every verb that builds, checks or tests goes through here; the command line adds only options
and words.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from srbuild.catalog import Catalog, load_catalog
from srbuild.collect import collect_manifest, collect_site
from srbuild.config.load import Config
from srbuild.errors import UsageError
from srbuild.host.cache import ContentCache, FactStore
from srbuild.host.files import write_atomic
from srbuild.host.sysroot import Sysroot
from srbuild.image import Image, write_image
from srbuild.layers import FORMAT, Layers, split_layers
from srbuild.manifest import Inline, Manifest
from srbuild.outputs import is_current, record_output
from srbuild.paths import HostPath, data_dir
from srbuild.plan import Plan, make_plan
from srbuild.spine import Spine, load_spine

if TYPE_CHECKING:
    from srbuild.image import Image
    from srbuild.report import Report
    from srbuild.sidecar import Sidecar

Part: TypeAlias = Literal["all", "base", "site"]
PARTS: tuple[Part, ...] = get_args(Part)
SITE = "site"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything up to the writing: what `srbuild check` looks at."""

    config: Config
    plan: Plan
    manifest: Manifest
    layers: Layers
    facts: FactStore


@dataclass(frozen=True, slots=True)
class Built:
    """A finished image. `image` and `report` are None when it was left alone as current."""

    prepared: Prepared
    image: Image | None
    report: Report | None
    notes: tuple[str, ...]


def find_modules(extra: tuple[HostPath, ...] = ()) -> Catalog:
    """The catalog of srbuild's own boot modules and of those in the folders `extra`."""
    return load_catalog([data_dir() / "modules", *extra], find_spine().points)


def find_spine() -> Spine:
    """The boot-time spine that srbuild ships."""
    return load_spine(data_dir() / "hooks")


def prepare(config: Config, catalog: Catalog, part: Part = "all") -> Prepared:
    """Do everything but writing: plan, collect, cut into layers.

    `part` chooses what the image holds: everything, everything but the site part, or the site
    part alone (for which no sysroot is needed). Raises SrbuildError of every kind.
    """
    if part == "site" and config.cluster is None:
        raise UsageError("a site part is made from a cluster file", "name it with --cluster FILE")
    facts = FactStore(config.cache / "facts" if config.cache else None)
    plan = make_plan(config, catalog, find_spine())
    if part == "site":
        manifest = collect_site(plan)
    else:
        manifest = collect_manifest(plan, Sysroot(config.sysroot), facts)
    if part == "base":
        manifest = _without_site(manifest)
    name, level = config.compression
    layers = split_layers(manifest, compression=name, level=level, mtime=config.mtime)
    return Prepared(config, plan, manifest, layers, facts)


def build(config: Config, catalog: Catalog, part: Part = "all") -> Built:
    """Make the image, or leave it alone when it is current.

    The file and its JSON sidecar are replaced only by a verified image. Raises SrbuildError of
    every kind; whatever is raised, an earlier image stays as it was.
    """
    prepared = prepare(config, catalog, part)
    key = input_key(prepared)
    target = config.output
    sidecar = sidecar_path(target)
    if sidecar.is_file() and is_current(target, prepared.facts, key):
        return Built(prepared, None, None, _saved(prepared.facts))
    # Writer, verifier and the libraries behind them are not for builds that change nothing.
    from srbuild.sidecar import to_json

    cache = ContentCache(config.cache) if config.cache else None
    image, report = write_image(prepared.layers, target, cache=cache, facts=prepared.facts)
    write_atomic(sidecar, to_json(prepared.manifest, image, report))
    record_output(target, prepared.facts, key)
    return Built(prepared, image, report, (*image.notes, *_saved(prepared.facts)))


def input_key(prepared: Prepared) -> str:
    """The sha256, in hexadecimal, of all that the image is made from.

    Files of the sysroot count by their identity, so nothing is read for it.
    """
    rows: list[object] = [FORMAT, prepared.config.compression, prepared.config.mtime]
    for path, entry in prepared.manifest.entries.items():
        content = entry.content
        if isinstance(content, Inline):
            facts: object = [content.mode, hashlib.sha256(content.data).hexdigest()]
        else:
            facts = [type(content).__name__, asdict(content)]
        rows.append([path, entry.segment, facts])
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def sidecar_path(image: HostPath) -> HostPath:
    """Where the JSON sidecar of `image` stands: beside it."""
    return image.with_name(image.name + ".json")


def _without_site(manifest: Manifest) -> Manifest:
    entries = {path: e for path, e in manifest.entries.items() if e.segment != SITE}
    return Manifest(entries, manifest.kernel, manifest.notes, manifest.packages)


def _saved(facts: FactStore) -> tuple[str, ...]:
    problem = facts.save()
    return (problem,) if problem else ()


def read_sidecar(image: HostPath) -> Sidecar | None:
    """What stands beside `image`; None when nothing does. VerifyError when it is damaged."""
    from srbuild.sidecar import from_json

    try:
        data = sidecar_path(image).read_bytes()
    except FileNotFoundError:
        return None
    return from_json(data)
