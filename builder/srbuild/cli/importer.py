"""`srbuild import`: what a site had under Open Shared Root, in srbuild's terms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from srbuild.errors import SrbuildError, UsageError
from srbuild.paths import shown

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("import")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="The cluster file to write, for its owner alone, since it may hold passwords "
    "(cluster.toml); with --lists the boot module's folder, which ends in KIND/NAME "
    "(modules/base/site).",
)
@click.option(
    "--drbd",
    metavar="DIR",
    help="For a root on DRBD: the folder with global_common.conf and *.res, as seen from the "
    "cluster file. cluster.conf does not tell which disks the mirror lies on.",
)
@click.option("--force", is_flag=True, help="Replace a cluster file that is there.")
@click.option(
    "--unsafe-no-fencing",
    "unsafe",
    is_flag=True,
    help="Take nodes without a fence device and fence none of them. For labs: a node that only "
    "seemed dead can destroy the file system.",
)
@click.option(
    "--lists",
    metavar="DIR",
    type=_FOLDER,
    help="Make a boot module of the *.list files in DIR, a copy of OSR's /etc/comoonics/bootimage, "
    "in place of a cluster file.",
)
@click.option(
    "--rpm-dumps",
    "dumps",
    metavar="DIR",
    type=_FOLDER,
    help="For --lists: DIR has for each package a file of its name with what `rpm -q --dump` says.",
)
@click.option(
    "--sysroot",
    metavar="DIR",
    type=_FOLDER,
    help="For --lists: take of what is optional, and of packages, what is there.",
)
@click.option(
    "--module-path",
    "folders",
    metavar="DIR",
    multiple=True,
    type=_FOLDER,
    help="Folder with more boot modules.",
)
def import_(
    file: Path | None,
    output: Path | None,
    drbd: str | None,
    force: bool,
    unsafe: bool,
    lists: Path | None,
    dumps: Path | None,
    sysroot: Path | None,
    folders: tuple[Path, ...],
) -> None:
    r"""Make a cluster file of FILE, Red Hat's cluster.conf with OSR's com_info.

    Every value that has a counterpart is taken over. What has none is listed with its line and the
    reason, here and at the beginning of the written file; nothing is left out without a word.
    Before anything is written, the result has passed what `srbuild cluster check` looks at.

    With --lists, make a boot module of OSR's lists of files and packages. Nothing in them is run.

    \b
      srbuild import /etc/cluster/cluster.conf
      srbuild cluster show cluster.toml
      srbuild import --lists bootimage/ --sysroot ROOT -o site/base/tools
      srbuild --module-path site --module tools …

    See docs/migration.md.
    """
    if lists:
        if file or drbd is not None or force or unsafe:
            raise UsageError("--lists makes a boot module", "import cluster.conf by itself")
        _import_lists(lists, dumps, sysroot, output or Path("modules/base/site"))
    elif not file or dumps or sysroot:
        hint = "srbuild import cluster.conf, or srbuild import --lists DIR"
        raise UsageError("a cluster.conf, or --lists, is what there is to import", hint)
    else:
        _import_cluster(file, output or Path("cluster.toml"), drbd or "", force, unsafe, folders)


def _import_cluster(
    file: Path, output: Path, drbd: str, force: bool, unsafe: bool, folders: tuple[Path, ...]
) -> None:
    from srbuild.config.includes import read_beside
    from srbuild.errors import ConflictError
    from srbuild.osr.clusterconf import import_cluster, next_words
    from srbuild.pipeline import find_modules

    if output.exists() and not force:
        raise ConflictError(f"{output} is there already", "name another with -o, or add --force")
    data = read_beside(file)
    imported = import_cluster(data, str(file), find_modules(folders), drbd=drbd, unsafe=unsafe)
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


def _import_lists(lists: Path, dumps: Path | None, sysroot: Path | None, output: Path) -> None:
    from srbuild.host.files import write_new_module
    from srbuild.host.sysroot import Sysroot
    from srbuild.osr.gather import gather_dumps, gather_lists
    from srbuild.osr.lists import read_lists
    from srbuild.osr.sitemodule import has_in, module_text

    is_there = has_in(Sysroot(sysroot)) if sysroot else None
    wishes = read_lists(gather_lists(lists), gather_dumps(dumps), is_there)
    text = module_text(wishes, output, str(lists))
    write_new_module(output, text.encode())
    for note in wishes.notes:
        click.echo(f"srbuild: note: {note}", err=True)
    path, name = shown(str(output.parent.parent)), shown(output.name)
    click.echo(f"{shown(str(output))}: build with --module-path {path} --module {name}")
