"""`srbuild import`: what a site had under Open Shared Root, in srbuild's terms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from srbuild.errors import SrbuildError
from srbuild.paths import shown


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    default="cluster.toml",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The cluster file to write, for its owner alone: it may hold passwords.",
)
@click.option(
    "--drbd",
    metavar="DIR",
    default="",
    help="For a root on DRBD: the folder with global_common.conf and *.res, as seen from the "
    "cluster file. cluster.conf does not tell which disks the mirror lies on.",
)
@click.option("--force", is_flag=True, help="Replace what is there.")
@click.option(
    "--unsafe-no-fencing",
    "unsafe",
    is_flag=True,
    help="Take nodes without a fence device and fence none of them. For labs: a node that only "
    "seemed dead can destroy the file system.",
)
@click.option(
    "--module-path",
    "folders",
    metavar="DIR",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with more boot modules.",
)
def import_(
    file: Path, output: Path, drbd: str, force: bool, unsafe: bool, folders: tuple[Path, ...]
) -> None:
    r"""Make a cluster file of FILE, Red Hat's cluster.conf with OSR's com_info.

    Every value that has a counterpart is taken over. What has none is listed with its line and the
    reason, here and at the beginning of the written file; nothing is left out without a word.
    Before anything is written, the result has passed what `srbuild cluster check` looks at.

    \b
      srbuild import /etc/cluster/cluster.conf
      srbuild cluster show cluster.toml

    See docs/migration.md.
    """
    from srbuild.config.includes import read_beside
    from srbuild.errors import ConflictError
    from srbuild.osr.clusterconf import import_cluster, next_words
    from srbuild.pipeline import find_modules

    if output.exists() and not force:
        raise ConflictError(f"{output} is there already", "name another with -o, or add --force")
    catalog = find_modules(folders)
    data = read_beside(file)
    imported = import_cluster(data, str(file), catalog, drbd=drbd, unsafe=unsafe)
    _write(output, imported.text, imported.modules, folders)
    for loss in imported.losses:
        click.echo(f"srbuild: note: {shown(str(file))}: {loss}", err=True)
    click.echo(f"{shown(str(output))}: check it with {next_words(imported, str(output))}")


def _write(output: Path, text: str, modules: tuple[str, ...], folders: tuple[Path, ...]) -> None:
    """Write `text` to `output` once it has passed `cluster check`, as it lies there."""
    from srbuild.cli.cluster import make_cluster_plan
    from srbuild.errors import ErrorGroup, raise_all
    from srbuild.host.files import Draft
    from srbuild.render import render_nodes

    with Draft(output, secret=True) as draft:
        draft.write(text.encode())
        try:
            plan, found = make_cluster_plan(draft.path, folders, {"modules": modules})
            for _ in render_nodes(plan, {node.name for node in found.nodes}):
                pass
        except SrbuildError as error:
            errors = error.errors if isinstance(error, ErrorGroup) else (error,)
            raise_all([_named(one, str(draft.path), f"{output} (not written)") for one in errors])
        draft.commit()


def _named(error: SrbuildError, path: str, name: str) -> SrbuildError:
    """`error` about the file `path`, which the user knows as `name`."""
    if error.origin and error.origin.source == path:
        error.origin = replace(error.origin, source=name)
    return error
