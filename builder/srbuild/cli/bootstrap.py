"""`srbuild bootstrap`: the bootstrap for a local disk, in place of an initrd."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from srbuild.cli.build import announce_unsafe, build_options, is_unsafe_fenced, load
from srbuild.cli.output import print_json, print_notes
from srbuild.errors import UsageError
from srbuild.paths import shown

SHAPES = ("tree", "tar", "squashfs")


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
    help="What it becomes.  [default: by the ending: .tar, .squashfs; none is a tree]",
)
def bootstrap(*, target: Path, shape: str | None, **options: Any) -> None:
    r"""Write the bootstrap as a tree, tar archive or squashfs, to boot from a local disk.

    It holds what `srbuild build` with the same options would put in the initrd, owned by root;
    nothing is read in any other way. The kernel is not part of it.

    \b
      srbuild bootstrap --fs nfs --cluster cluster.toml -o bootstrap.tar
      srbuild bootstrap --fs nfs --cluster cluster.toml -o bootstrap.squashfs
      srbuild bootstrap --fs nfs --cluster cluster.toml -o /srv/bootstrap     a tree

    The same input gives the same bytes. What was there before is replaced by the finished one in
    one step, and a folder that srbuild did not write is refused. A tree needs root to have root's
    files; a tar archive and a squashfs do not. See docs/bootstrap.md.
    """
    from srbuild import pipeline
    from srbuild.bootstrap import guess_shape, join_layers, write_bootstrap

    if options["part"] != "all":
        raise UsageError("a bootstrap is made whole", "leave --part out")
    chosen = guess_shape(target, shape)
    catalog, config = load({**options, "output": None}, os.environ)
    prepared = pipeline.prepare(config, catalog)
    whole = join_layers(prepared.layers, config.mtime, config.compression)
    pipeline.refuse_inputs(prepared, target)
    notes = (*prepared.manifest.notes, *write_bootstrap(whole, target, chosen))
    prepared.facts.save()
    print_notes(notes, "the output of --json")
    announce_unsafe(is_unsafe_fenced(config))
    if options["as_json"]:
        document = {"schema": "srbuild.bootstrap/1", "output": str(target), "shape": chosen}
        more = {"entries": len(whole.entries), "kernels": list(prepared.manifest.kernels)}
        print_json({**document, **more, "secret": whole.has_secret, "notes": list(notes)})
        return
    secret = ", holds secrets" if whole.has_secret else ""
    click.echo(f"{shown(str(target))}: {chosen}, {len(whole.entries)} entries{secret}")
