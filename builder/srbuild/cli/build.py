"""`srbuild build` and `srbuild check`: the main job, with and without writing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from srbuild.cli.output import human_size, print_json, print_notes
from srbuild.errors import UsageError

if TYPE_CHECKING:
    from srbuild.catalog import Catalog
    from srbuild.config.load import Config
    from srbuild.pipeline import Built
    from srbuild.publish.uki import Uki

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--fs", metavar="NAME", help="File system of the shared root: gfs2, …"),
    click.option("--blk", metavar="NAME", help="Block device that it lies on: iscsi, …"),
    click.option(
        "--container",
        metavar="NAME",
        help="What the root runs in; none: its init takes over.  [default: lxc, if there]",
    ),
    click.option(
        "--sysroot",
        metavar="PATH",
        help="Root tree that files come from: a directory, a tar archive or an OCI image layout. "
        " [default: /]",
    ),
    click.option(
        "--arch", metavar="NAME", help="Image to take of an OCI layout that has several: arm64, …"
    ),
    click.option(
        "--kernel",
        metavar="VERSION",
        multiple=True,
        help="Kernel to build for, or all; repeat for several.  [default: the sysroot's newest]",
    ),
    click.option(
        "--modalias-from",
        metavar="FILE",
        multiple=True,
        help="Drivers for the hardware that `srbuild hardware` found, instead of for any.",
    ),
    click.option(
        "--cluster", metavar="FILE", help="Cluster file: nodes, network, storage, cluster."
    ),
    click.option("--node", "only_node", metavar="NAME", help="Embed this node's own part alone."),
    click.option("--image", metavar="RECIPE", help="Recipe: a file, or a name in images/."),
    click.option(
        "--module", "modules", metavar="NAME", multiple=True, help="One more boot module."
    ),
    click.option("--kmod", "kmods", metavar="NAME", multiple=True, help="One more kernel module."),
    click.option(
        "--set", "set", metavar="M.OPTION=VALUE", multiple=True, help="An option of a boot module."
    ),
    click.option(
        "--part",
        type=click.Choice(["all", "base", "site"]),
        default="all",
        show_default=True,
        help="What to make: the site part is what the cluster file adds.",
    ),
    click.option(
        "--cpu",
        metavar="LEVEL",
        help="Best processor of the nodes, x86-64-v2 say: leave libraries for better ones out.",
    ),
    click.option(
        "--feature",
        "features",
        metavar="NAME",
        multiple=True,
        help="A feature that programs suggest in their dlopen notes; a build names those left out.",
    ),
    click.option(
        "--compression",
        metavar="NAME[:LEVEL]",
        help="Compressor: zstd, xz, gzip, lz4 or none.  [default: zstd:3]",
    ),
    click.option(
        "--microcode",
        metavar="VENDORS",
        help="Early microcode: intel, amd, intel,amd, auto or none.  [default: none]",
    ),
    click.option(
        "--cache",
        metavar="DIR|URL",
        multiple=True,
        help="Cache folder, or none; a URL or one more folder is read only.  [default: XDG's]",
    ),
    click.option("--no-cache", is_flag=True, help="The same as --cache none."),
    click.option(
        "--module-path",
        metavar="DIR",
        multiple=True,
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="One more folder of boot modules.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
)


def build_options(command: Command) -> Command:
    """Give `command` the options that say what the image is to hold."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@build_options
@click.option("-o", "--output", metavar="FILE", help="The image.  [default: FS-BLK.img]")
@click.option(
    "--uki",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also make a unified kernel image for UEFI of it, by ukify.",
)
@click.option("--cmdline", metavar="TEXT|@FILE", help="The kernel command line that --uki embeds.")
@click.option("--dry-run", is_flag=True, help="Do everything but writing, as `check` does.")
@click.option(
    "--matrix",
    metavar="FILE|DIR",
    help="Build all images that a matrix file describes, or all recipes of a folder.",
)
@click.option("--shard", metavar="I/N", help="Of the matrix, build the I-th of N parts.")
@click.option(
    "--jobs", type=click.IntRange(1, 512), help="Images at a time.  [default: one a core]"
)
def build(
    *,
    dry_run: bool,
    uki: Path | None,
    cmdline: str | None,
    matrix: str | None,
    shard: str | None,
    jobs: int | None,
    **options: Any,
) -> None:
    """Build an initrd that boots machines from one shared root.

    The image holds the boot modules chosen with --fs, --blk and --container and all that these
    need, taken from the sysroot without running anything of it. With --cluster it also holds
    the site part, which makes it bootable as it is; without, append a site part at boot.
    The file is verified before it replaces the previous one; FILE.json beside it says what is
    in it and why.
    """
    if matrix is not None:
        from srbuild.cli.matrix import build_matrix

        build_matrix(matrix, shard, jobs, options, single=(uki, cmdline, dry_run))
        return
    if shard or jobs:
        raise UsageError("--shard and --jobs are for --matrix", "name the matrix, or drop them")
    words = _check_uki(uki, cmdline, options["part"])
    if dry_run:
        _check(options)
    else:
        _build(options, uki, words)


@click.command()
@build_options
def check(**options: Any) -> None:
    """Do all of a build but the writing.

    Tells whether it would work, and what would be in the image.
    """
    _check(options)


def _check_uki(target: Path | None, cmdline: str | None, part: str) -> str:
    """The words of the command line for --uki, checked before anything is built."""
    if target is None:
        if cmdline is not None:
            raise UsageError("--cmdline is for --uki", "name the file to make: --uki FILE")
        return ""
    if part == "site":
        raise UsageError("a site part has no kernel to unify it with", "leave --uki out")
    from srbuild.publish.cmdline import read_cmdline
    from srbuild.publish.uki import check_ukify

    words = read_cmdline(cmdline or "")
    check_ukify()
    return words


def _make_uki(built: Built, target: Path, cmdline: str) -> Uki:
    """Make the unified kernel image of what was built; always anew, ukify takes no second."""
    from srbuild.host.sysroot import Sysroot
    from srbuild.kernels.tree import find_boot_file
    from srbuild.publish.uki import UkiParts, write_uki

    config, manifest = built.prepared.config, built.prepared.manifest
    hint = "install the kernel's package in the sysroot"
    root = built.prepared.root
    assert root is not None, "a site part was refused"
    kernel = find_boot_file(Sysroot(root), manifest.kernel, hint)
    parts = UkiParts(
        config.output, kernel, manifest.kernel, config.name, cmdline, manifest.has_secret
    )
    return write_uki(parts, target)


def _build(options: dict[str, Any], uki: Path | None, cmdline: str) -> None:
    began = time.monotonic()
    as_json = options["as_json"]
    document, is_unsafe = (None if uki else _remember(options)) or _make(options, uki, cmdline)
    print_notes(document["notes"], f"{document['image']}.json")
    announce_unsafe(is_unsafe)
    seconds = time.monotonic() - began
    if as_json:
        print_json({**document, "seconds": round(seconds, 3)})
    else:
        _tell(document, seconds)


def _remember(options: dict[str, Any]) -> tuple[dict[str, Any], bool] | None:
    """The document of a build, and whether its fencing is unsafe, where a witness suffices.

    That is so when nothing has changed, and the image is there or all of its segments are.
    """
    from srbuild.config.cache import asked_folder
    from srbuild.outputs import is_current, sidecar_path
    from srbuild.witness import question, recall

    folder = asked_folder(options, os.environ)
    witness = recall(folder, question(options), os.environ) if folder else None
    if folder is None or witness is None:
        return None
    from srbuild.host.cache import ContentCache, FactStore

    facts = FactStore(folder / "facts")
    image = Path(witness.document["image"])
    if all(is_current(path, facts, witness.inputs) for path in (image, sidecar_path(image))):
        return witness.document, witness.is_unsafe
    from srbuild.assembly import assemble

    if not assemble(image, witness, ContentCache(folder), facts):
        return None
    notes = [*filter(None, [facts.save()]), *witness.document["notes"]]
    return {**witness.document, "changed": True, "notes": notes}, witness.is_unsafe


def _make(options: dict[str, Any], uki: Path | None, cmdline: str) -> tuple[dict[str, Any], bool]:
    """The document of a build that looks at everything, and whether its fencing is unsafe."""
    from srbuild import pipeline
    from srbuild.host.looks import recorded
    from srbuild.witness import Witness, keep, question

    asked = question(options)
    with recorded() as looks:
        catalog, config = load(options, looks.environ(os.environ))
        built = pipeline.build(config, catalog, options["part"])
    from srbuild.cli.documents import built_document  # with its imports, not before the head start

    written = built.image or pipeline.read_sidecar(config.output)
    assert written is not None, "a finished build leaves one"
    is_unsafe = is_unsafe_fenced(config)
    if config.cache:
        left_alone = built_document(replace(built, image=None, notes=()), written)
        keys = built.image.keys if built.image else ()
        witness = Witness(built.key, left_alone, is_unsafe, keys, built.sidecar)
        problem = keep(config.cache, asked, looks, witness)
        built = replace(built, notes=(*built.notes, *filter(None, [problem])))
    unified = _make_uki(built, uki, cmdline) if uki else None
    return built_document(built, written, unified), is_unsafe


def _tell(document: dict[str, Any], seconds: float) -> None:
    """Say in words what the document says."""
    if unified := document["uki"]:
        size = human_size(unified["size"])
        click.echo(f"{unified['path']}: {size}, holds {document['image']}, verified")
    if not document["changed"]:
        click.echo(f"{document['image']} is up to date ({seconds:.2f} s)")
        return
    for segment in document["segments"]:
        origin = "from the cache" if segment["from_cache"] else ""
        size = human_size(segment["length"])
        click.echo(f"  {segment['name']:15} {size:>9} {origin}".rstrip(), err=True)
    size, entries = human_size(document["size"]), document["entries"]
    click.echo(f"{document['image']}: {size}, {entries} entries, verified ({seconds:.2f} s)")


def _check(options: dict[str, Any]) -> None:
    from srbuild import pipeline

    catalog, config = load(options, os.environ)
    prepared = pipeline.prepare(config, catalog, options["part"])
    prepared.facts.save()
    print_notes(prepared.manifest.notes, "the output of --json")
    announce_unsafe(is_unsafe_fenced(prepared.config))
    if options["as_json"]:
        from srbuild.cli.documents import checked_document

        print_json(checked_document(prepared))
        return
    for segment in prepared.layers.segments:
        click.echo(f"  {segment.name:15} {len(segment.entries):5} entries")
    modules = " ".join(module.name for module in prepared.plan.modules)
    kernel = " ".join(prepared.manifest.kernels) or "none"
    click.echo(f"would build {config.output}: kernel {kernel}, boot modules {modules}")


def load(options: dict[str, Any], environ: Mapping[str, str]) -> tuple[Catalog, Config]:
    """The catalog and the configuration that the command line, environment and files make."""
    from srbuild.config.cache import asked_caches
    from srbuild.config.load import load_config
    from srbuild.pipeline import find_modules

    # Where finished segments come from changes no image, and an address may hold a password:
    # it is not among what the build is seen to look at.
    options = {**options, "cache": asked_caches(options, os.environ)}
    catalog = find_modules(options["module_path"])
    return catalog, load_config(options, environ, catalog)


def is_unsafe_fenced(config: Config) -> bool:
    """Whether the image has no fencing worth the name."""
    given = [config.values, config.cluster.values] if config.cluster else [config.values]
    return any(values.get("fence", {}).get("method") == ("unsafe-none",) for values in given)


def announce_unsafe(is_unsafe: bool) -> None:
    """Say on stderr that fencing is unsafe, if it is."""
    if is_unsafe:
        click.echo(
            "srbuild: note: fencing is unsafe-none: a node that only seems dead can destroy the "
            "file system; every boot of this image says so",
            err=True,
        )
