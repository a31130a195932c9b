"""`srbuild sysroot`: make root trees to build from."""

from __future__ import annotations

from pathlib import Path

import click

from srbuild.host.distro import (
    DEFAULT_SUITE,
    MadeSysroot,
    SysrootRequest,
    create_sysroot,
    host_architecture,
)
from srbuild.host.packages import load_packages
from srbuild.host.sysroot import Sysroot


@click.group()
def sysroot() -> None:
    """Make a root tree to build images from, out of a distribution's packages."""


@sysroot.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--fs", metavar="NAME", help="File system of the shared root: gfs2, …")
@click.option("--blk", metavar="NAME", help="Block device it lies on: iscsi, …")
@click.option(
    "--container", metavar="NAME", help="What runs the root.  [default: lxc; with --fs only]"
)
@click.option("--module", "modules", metavar="NAME", multiple=True, help="One more boot module.")
@click.option("--every-module", is_flag=True, help="All boot modules that srbuild has.")
@click.option("--suite", default=DEFAULT_SUITE, show_default=True, help="bookworm, trixie, sid, …")
@click.option("--arch", help="Debian's name of the architecture; this machine's by default.")
@click.option("--package", "extra", metavar="NAME", multiple=True, help="One more; repeat at will.")
@click.option("--mirror", default="", metavar="URL", help="Where from, if not Debian's own mirror.")
@click.option("--json", "as_json", is_flag=True, help="Say what was made as JSON.")
def create(
    directory: Path,
    fs: str | None,
    blk: str | None,
    container: str | None,
    modules: tuple[str, ...],
    every_module: bool,
    suite: str,
    arch: str | None,
    extra: tuple[str, ...],
    mirror: str,
    as_json: bool,
) -> None:
    """Make DIRECTORY a Debian root tree with all that the chosen boot modules need.

    Works as an ordinary user, runs nothing of what it unpacks, and needs the packages
    mmdebstrap and kmod. A DIRECTORY that has it all already is left as it is, one that was made
    for something else is replaced, and one that srbuild didn't make is refused.
    """
    runtime = container or ("lxc" if fs else None)
    wanted = [name for name in (fs, blk, runtime, *modules) if name]
    packages = every_package() if every_module else module_packages(wanted)
    request = SysrootRequest(
        packages=tuple(sorted({*packages, *extra})),
        suite=suite,
        architecture=arch or host_architecture(),
        mirror=mirror,
    )
    made = create_sysroot(directory, request)
    _print_json(made, request) if as_json else _print_text(made, request)


def module_packages(names: list[str]) -> tuple[str, ...]:
    """The Debian packages of the boot modules `names` and of all that they require, sorted.

    Raises ConfigError for a module that doesn't exist, ConflictError for two that exclude
    each other.
    """
    from srbuild.catalog import load_catalog
    from srbuild.paths import data_dir

    catalog = load_catalog([data_dir() / "modules"])
    modules = catalog.resolve(["core", *names])
    return tuple(sorted({name for module in modules for name in module.packages.debian}))


def every_package() -> tuple[str, ...]:
    """The Debian packages of all boot modules that srbuild has, sorted."""
    from srbuild.catalog import load_catalog
    from srbuild.paths import data_dir

    modules = load_catalog([data_dir() / "modules"]).modules.values()
    return tuple(sorted({name for module in modules for name in module.packages.debian}))


def _print_text(made: MadeSysroot, request: SysrootRequest) -> None:
    state = "is up to date" if made.cached else "is ready"
    kernels = ", ".join(made.kernels)
    click.echo(f"{made.directory} {state}: {request.suite}/{request.architecture}, {kernels}")


def _print_json(made: MadeSysroot, request: SysrootRequest) -> None:
    import json
    from dataclasses import asdict

    document = {
        "schema": "srbuild.sysroot/1",
        "sysroot": str(made.directory),
        "cached": made.cached,
        "suite": request.suite,
        "architecture": request.architecture,
        "kernels": made.kernels,
        "packages": [asdict(p) for p in load_packages(Sysroot(made.directory)).installed],
    }
    click.echo(json.dumps(document, indent=2))
