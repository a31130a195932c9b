"""`srbuild cluster`: what a cluster file says, and what each node gets from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from srbuild.cli.output import print_json
from srbuild.paths import shown

if TYPE_CHECKING:
    from srbuild.catalog import Catalog
    from srbuild.config.cluster import Cluster, Node
    from srbuild.plan import Plan
    from srbuild.render import RenderedFile

F = TypeVar("F", bound=Callable[..., Any])
SECRET = "(secret)"


@click.group()
def cluster() -> None:
    r"""Read a cluster file: is it right, what does it say, what does each node get?

    Nothing here needs a sysroot, and only `render --output` writes.

    \b
      srbuild cluster check cluster.toml              all errors, with file and line
      srbuild cluster show cluster.toml node007       one node, patterns written out
      srbuild cluster render node007 cluster.toml     its corosync.conf, hosts, …
      srbuild cluster schema > cluster.schema.json    for editors

    See docs/cluster-file.md.
    """


def _module_path(command: F) -> F:
    return click.option(
        "--module-path",
        "folders",
        metavar="DIR",
        multiple=True,
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Folder with more boot modules.",
    )(command)


def _image(command: F) -> F:
    """Options for what a cluster file may leave to the command line."""
    for name, about in (
        ("--container", "The container"),
        ("--blk", "The block device"),
        ("--fs", "The file system"),
    ):
        more = f"{about}, where the cluster file does not say it."
        command = click.option(name, metavar="MODULE", help=more)(command)
    more = "A boot module besides those that follow from the file; may be repeated."
    return click.option("--module", "modules", metavar="NAME", multiple=True, help=more)(command)


_FILE = click.argument("file", type=click.Path(path_type=Path))


@cluster.command()
@_FILE
@_image
@_module_path
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def check(file: Path, folders: tuple[Path, ...], as_json: bool, **image: Any) -> None:
    """Check FILE, all that it includes, and what would be rendered from it for every node.

    All errors of a step are told at once, each with its file and line: first those of the file,
    then what its boot modules lack or can't serve, then what their templates refuse.
    """
    from srbuild.render import render_nodes

    plan, found = make_cluster_plan(file, folders, image)
    names = {node.name for node in found.nodes}
    files = sum(len(files) for _, files in render_nodes(plan, names))
    if as_json:
        modules = [module.name for module in plan.modules]
        row = {"file": str(file), "name": found.name, "nodes": len(names), "modules": modules}
        print_json({"schema": "srbuild.cluster-check/1", **row, "files": files})
        return
    nodes = "1 node" if len(names) == 1 else f"{len(names)} nodes"
    click.echo(f"{shown(str(file))}: cluster {found.name} of {nodes}, {files} files rendered")


@cluster.command()
@_FILE
@click.argument("node", required=False)
@_module_path
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def show(file: Path, node: str | None, folders: tuple[Path, ...], as_json: bool) -> None:
    """Show what FILE says once includes, patterns and tables are written out; or one NODE of it.

    Secrets are not shown.
    """
    from srbuild.config.cluster import load_cluster
    from srbuild.pipeline import find_modules

    catalog = find_modules(folders)
    found = load_cluster(file, catalog)
    nodes = [_find(found, node)] if node else list(found.nodes)
    if as_json:
        document: dict[str, Any] = {"schema": "srbuild.cluster/1", "name": found.name}
        for kind in ("block", "fs", "container"):
            document[kind] = getattr(found, kind)
        document["values"] = _values(catalog, found.values)
        print_json({**document, "nodes": [_row(catalog, one) for one in nodes]})
        return
    if node is None:
        click.echo(f"cluster {found.name}")
        for line in _lines(catalog, found.values):
            click.echo(f"  {line}")
    for one in nodes:
        macs = ",".join(one.macs) or "-"
        click.echo(f"{one.name} {one.id} {macs} {one.address or '-'}  {one.origin or ''}")
        for key, value in one.hardware.items():
            click.echo(f"  {key} = {shown(value)}")
        for line in _lines(catalog, one.values):
            click.echo(f"  {line}")


@cluster.command()
@click.argument("node")
@_FILE
@click.argument("paths", nargs=-1)
@_image
@_module_path
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write the files below this folder, which must not exist.",
)
def render(
    node: str,
    file: Path,
    paths: tuple[str, ...],
    folders: tuple[Path, ...],
    output: Path | None,
    **image: Any,
) -> None:
    """Print the files that NODE gets from FILE, or those of PATHS (/etc/hosts) only.

    They are made by the templates that the image is made by: corosync.conf, dlm.conf, o2cb's
    cluster.conf, drbd.conf, multipath.conf, initiatorname.iscsi, hosts, and whatever else the
    boot modules render. What holds a secret is written by --output only, for its owner alone.
    """
    from srbuild.errors import ConfigError, Origin
    from srbuild.render import render_nodes

    plan, found = make_cluster_plan(file, folders, image)
    _find(found, node)
    ((_, files),) = render_nodes(plan, {node})
    known = {str(one.target): one for one in files}
    for path in paths:
        if path not in known:
            raise ConfigError(
                f"{node} gets no file {path!r}", f"it gets: {', '.join(known)}", Origin(str(file))
            )
    chosen = [known[path] for path in paths] if paths else files
    if output:
        _write(output, chosen)
        click.echo(f"{shown(str(output))}: {len(chosen)} files of {node}")
        return
    for one in chosen:
        if len(paths) != 1:
            click.echo(f"# {one.target} ({one.mode:04o})")
        text = one.data.decode("utf-8", "backslashreplace")
        click.echo(f"# {SECRET}: write it with --output" if one.secret else text, nl=one.secret)


@cluster.command()
@_module_path
def schema(folders: tuple[Path, ...]) -> None:
    """Print the JSON Schema of cluster files, made from what the boot modules declare.

    An editor that knows it completes and checks keys while one types.
    """
    from srbuild.config.schema import cluster_schema
    from srbuild.pipeline import find_modules

    print_json(cluster_schema(find_modules(folders)))


def make_cluster_plan(
    file: Path, folders: tuple[Path, ...], image: dict[str, Any]
) -> tuple[Plan, Cluster]:
    """What an image for the cluster file `file` would be made of, and what the file says."""
    from srbuild.config.load import load_config
    from srbuild.pipeline import find_modules, find_spine
    from srbuild.plan import make_plan

    catalog = find_modules(folders)
    config = load_config({"cluster": file, **image}, {}, catalog)
    assert config.cluster
    return make_plan(config, catalog, find_spine()), config.cluster


def _find(found: Cluster, name: str) -> Node:
    from srbuild.config.convert import suggest
    from srbuild.errors import ConfigError

    for node in found.nodes:
        if node.name == name:
            return node
    hint = suggest(name, [node.name for node in found.nodes][:20])
    raise ConfigError(f"has no node {name!r}", hint, found.origin)


def _values(catalog: Catalog, values: Any) -> dict[str, dict[str, Any]]:
    return {
        module: {
            name: SECRET
            if catalog.modules[module].options[name].secret
            else list(value)
            if catalog.modules[module].options[name].many
            else " ".join(value)
            for name, value in options.items()
        }
        for module, options in values.items()
        if options
    }


def _lines(catalog: Catalog, values: Any) -> list[str]:
    return [
        f"{module}.{name} = {shown(' '.join(value) if isinstance(value, list) else value)}"
        for module, options in _values(catalog, values).items()
        for name, value in options.items()
    ]


def _row(catalog: Catalog, node: Node) -> dict[str, Any]:
    row = {"name": node.name, "id": node.id, "mac": list(node.macs), "address": node.address}
    row |= {"uuid": node.uuid, "serial": node.serial, "asset_tag": node.asset_tag}
    return {**row, "origin": str(node.origin), "values": _values(catalog, node.values)}


def _write(folder: Path, files: list[RenderedFile]) -> None:
    from srbuild.host.files import write_new_tree

    write_new_tree(folder, [(str(file.target), file.data, file.mode) for file in files])
