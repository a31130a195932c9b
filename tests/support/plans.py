"""Small sets of boot modules, and what becomes of them: plans, manifests, images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from srbuild.catalog import Catalog, load_catalog
from srbuild.collect import collect_manifest, collect_site
from srbuild.config.load import Config, load_config
from srbuild.host.cache import FactStore
from srbuild.host.sysroot import Sysroot
from srbuild.manifest import Inline, Manifest
from srbuild.paths import data_dir, image_path
from srbuild.plan import Plan, make_plan
from srbuild.requests import Data
from srbuild.spine import Spine
from support.kernels import FakeKmod, make_kernel
from support.trees import Tree

POINTS = ("identity", "net", "storage", "mount", "cleanup")
NODES = """
name = "lab"
[[node]]
name = "n1"
id = 1
mac = ["52:54:00:00:00:01"]
address = "10.9.0.21/24"
[[node]]
name = "n2"
id = 2
address = "10.9.0.22/24"
"""


class Project:
    """A folder of boot modules of its own; `core` is there from the start."""

    def __init__(self, root: Path, core: str = "") -> None:
        self.root = root
        self.modules = root / "modules"
        self.sysroot = root / "sysroot"
        self.module("base", "core", core)

    def module(self, kind: str, name: str, text: str = "", **files: str) -> Path:
        """Declare a boot module; `files` are its scripts and templates, `__` for a dot."""
        folder = self.modules / kind / name
        folder.mkdir(parents=True, exist_ok=True)
        head = f'name = "{name}"\nkind = "{kind}"\nsummary = "{name} for a test"\n'
        (folder / "module.toml").write_text(head + text)
        for file, content in files.items():
            (folder / file.replace("__", ".")).write_text(content)
        return folder

    def cluster(self, text: str = NODES, name: str = "cluster.toml") -> Path:
        path = self.root / name
        path.write_text(text)
        return path

    def put(self, path: str, data: str = "x", mode: int = 0o644) -> Path:
        """Write a file of the sysroot."""
        target = self.sysroot / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(data)
        target.chmod(mode)
        return target

    @property
    def catalog(self) -> Catalog:
        return load_catalog([self.modules], POINTS)

    def config(self, **options: object) -> Config:
        given = {"cache": "none", "sysroot": self.sysroot, **options}
        return load_config(given, {}, self.catalog)

    def plan(self, spine: Spine | None = None, **options: object) -> Plan:
        return make_plan(self.config(**options), self.catalog, spine or Spine(POINTS, ()))

    def collect(self, facts: FactStore | None = None, **options: object) -> Manifest:
        plan = self.plan(**options)
        return collect_manifest(plan, Sysroot(plan.config.sysroot), facts or FactStore(None))

    def collect_site(self, **options: object) -> Manifest:
        return collect_site(self.plan(**options))


def table(plan: Plan, path: str) -> str:
    """The text of the table that the plan puts at `path`."""
    [data] = [r.data for r in plan.requests if isinstance(r, Data) and r.target == path]
    return data.decode()


def inline(manifest: Manifest, path: str) -> bytes:
    """The bytes of a generated file."""
    content = manifest.entries[image_path(path)].content
    assert isinstance(content, Inline)
    return content.data


def segments(manifest: Manifest) -> Mapping[str, str]:
    """Path → segment."""
    return {str(path): entry.segment for path, entry in manifest.entries.items()}


def furnish(tree: Tree, *names: str) -> Path:
    """Make `tree` hold all that srbuild's own modules `names`, and those they require, ask for.

    Programs are alike and do nothing; what a glob stands for is one file. Returns the root.
    """
    modules = load_catalog([data_dir() / "modules"]).resolve(names)
    program = tree.path(tree.program("/usr/lib/stubs/program")).read_bytes()
    for install in (module.install for module in modules):
        for name in install.binaries:
            tree.file(name if "/" in name else f"/usr/sbin/{name}", program, 0o755)
        for name in install.libraries:
            tree.lib(f"{tree.libdir}/{name}")
        for pattern in install.plugins:
            tree.lib(pattern.replace("{libdir}", tree.libdir).replace("*", "any"))
        for wish in install.files:
            tree.file(wish.source.replace("{libdir}", tree.libdir).replace("*", "any"), "x")
    kmods = sorted({name for m in modules for name in m.install.kmods if name[0] != "="})
    make_kernel(tree.root, [FakeKmod(f"kernel/drivers/{name}.ko") for name in kmods])
    return tree.root
