"""`srbuild bootstrap`: the bootstrap for a local disk, in place of an initrd."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srbuild.cli.build import announce_unsafe, build_options, is_unsafe_fenced, load
from srbuild.cli.output import human_size, print_json, print_notes
from srbuild.errors import UsageError
from srbuild.paths import shown

if TYPE_CHECKING:
    from srbuild.bootstrap import Root
    from srbuild.catalog import Catalog
    from srbuild.config.load import Config

SHAPES = ("tree", "tar", "squashfs", "disk")


@click.command()
@build_options
@click.option(
    "-o",
    "--output",
    "target",
    metavar="DIR|FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="What to write: a folder for a tree, else a file.",
)
@click.option(
    "--as",
    "shape",
    type=click.Choice(SHAPES),
    help="What it becomes.  [default: by the ending: .tar, .squashfs, .img; none is a tree]",
)
@click.option("--cmdline", metavar="TEXT|@FILE", help="A disk's kernel command line.")
@click.option(
    "--boot-loader",
    "loader",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A disk's UEFI boot loader.  [default: the sysroot's systemd-boot]",
)
def bootstrap(
    *, target: Path, shape: str | None, cmdline: str | None, loader: Path | None, **options: Any
) -> None:
    r"""Write the bootstrap as a tree, tar archive, squashfs or disk, to boot from a local disk.

    It holds what `srbuild build` with the same options would put in the initrd, owned by root;
    nothing is read in any other way. Only a disk has the kernel and a boot loader, too: UEFI
    firmware starts it.

    \b
      srbuild bootstrap --fs nfs --cluster cluster.toml -o bootstrap.tar
      srbuild bootstrap --fs nfs --cluster cluster.toml -o bootstrap.squashfs
      srbuild bootstrap --fs nfs --cluster cluster.toml -o bootstrap.img      a disk
      srbuild bootstrap --fs nfs --cluster cluster.toml -o /srv/bootstrap     a tree

    The same input gives the same bytes. What was there before is replaced by the finished one in
    one step, and a folder that srbuild did not write is refused. A tree needs root to have root's
    files; the others do not. See docs/bootstrap.md.
    """
    from srbuild.bootstrap import guess_shape

    if options["part"] != "all":
        raise UsageError("a bootstrap is made whole", "leave --part out")
    chosen = guess_shape(target, shape)
    if chosen != "disk" and (cmdline is not None or loader is not None):
        name = "--cmdline" if cmdline is not None else "--boot-loader"
        raise UsageError(f"{name} is for a disk", "write one: --as disk")
    catalog, config = load({**options, "output": None}, os.environ)
    if chosen == "disk":
        document, notes = _make_disk(catalog, config, target, cmdline or "", loader)
    else:
        document, notes = _make_root(catalog, config, target, chosen)
    print_notes(notes, "the output of --json")
    announce_unsafe(is_unsafe_fenced(config))
    if options["as_json"]:
        head = {"schema": "srbuild.bootstrap/1", "output": str(target), "shape": chosen}
        print_json({**head, **document, "notes": list(notes)})
        return
    size = f", {human_size(document['size'])}" if "size" in document else ""
    secret = ", holds secrets" if document["secret"] else ""
    click.echo(f"{shown(str(target))}: {chosen}, {document['entries']} entries{size}{secret}")


def _make_root(
    catalog: Catalog, config: Config, target: Path, shape: Root
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Write what is a root by itself; facts about it, and sentences for the user."""
    from srbuild import pipeline
    from srbuild.bootstrap import join_layers, write_bootstrap

    prepared = pipeline.prepare(config, catalog)
    whole = join_layers(prepared.layers, config.mtime, config.compression)
    pipeline.refuse_inputs(prepared, target)
    notes = (*prepared.manifest.notes, *write_bootstrap(whole, target, shape))
    prepared.facts.save()
    kernels = list(prepared.manifest.kernels)
    return {"entries": len(whole.entries), "kernels": kernels, "secret": whole.has_secret}, notes


def _make_disk(
    catalog: Catalog, config: Config, target: Path, cmdline: str, loader: Path | None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Build the image and write a disk that starts it; facts about it, sentences for the user."""
    from srbuild import pipeline
    from srbuild.host.files import Draft
    from srbuild.host.sysroot import Sysroot
    from srbuild.kernels.tree import find_boot_file
    from srbuild.publish.cmdline import read_cmdline
    from srbuild.publish.disk import DiskParts, check_tools, find_loader, write_disk

    words = read_cmdline(cmdline)
    check_tools()
    Draft(target)  # refuses what no file can replace
    with tempfile.TemporaryDirectory(prefix="srbuild-disk-") as folder:
        image = Path(folder, "initrd")
        built = pipeline.build(replace(config, output=image), catalog)
        prepared, manifest = built.prepared, built.prepared.manifest
        pipeline.refuse_inputs(prepared, target)
        assert prepared.root is not None, "a disk is made whole"
        sysroot = Sysroot(prepared.root)
        hint = "install the kernel's package in the sysroot"
        kernels = {name: find_boot_file(sysroot, name, hint) for name in manifest.kernels}
        parts = DiskParts(
            image,
            kernels,
            loader or find_loader(sysroot),
            config.name,
            words,
            config.mtime,
            manifest.has_secret,
        )
        size = write_disk(parts, target)
    facts = {"entries": len(manifest.entries), "kernels": list(manifest.kernels)}
    return {**facts, "size": size, "secret": manifest.has_secret}, built.notes
