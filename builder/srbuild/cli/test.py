"""`srbuild test`: boot an image in virtual machines against real storage and prove what it does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from srbuild.errors import UsageError

if TYPE_CHECKING:
    from srbuild.lab.scenario import Result


def _list_scenarios(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """Print all scenarios and end, when `--list` is given."""
    if not value:
        return
    from srbuild.lab.scenario import load_scenarios

    for scenario in load_scenarios().values():
        click.echo(f"{scenario.name:32} {scenario.summary}")
    ctx.exit()


@click.command()
@click.argument(
    "image", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--scenario", metavar="NAME", help="What to do with it.  [default: the image's name]")
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_scenarios,
    help="Name the scenarios and end.",
)
@click.option(
    "--sysroot",
    metavar="DIR",
    envvar="SRBUILD_SYSROOT",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Root tree that the lab's server is made from.  [default: the image's]",
)
@click.option(
    "--vzctl-root",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Tree of vzctl 4.11 (docs/openvz.md) for a scenario of OpenVZ's, without an IMAGE.  "
    "[default: a double of it]",
)
@click.option(
    "--kernel",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Kernel to boot.  [default: the one in the sysroot that the image was built for]",
)
@click.option(
    "--keep",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the consoles' logs go.  [default: IMAGE.lab/SCENARIO]",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.IntRange(min=1),
    default=600,
    show_default=True,
    help="How long it may take, all in all.",
)
@click.option(
    "--accel",
    type=click.Choice(["tcg", "kvm"]),
    default="tcg",
    show_default=True,
    help="QEMU's accelerator.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def test(
    ctx: click.Context,
    image: Path | None,
    scenario: str | None,
    sysroot: Path | None,
    vzctl_root: Path | None,
    kernel: Path | None,
    keep: Path | None,
    timeout: int,
    accel: str,
    as_json: bool,
) -> None:
    """Boot IMAGE, as it is, in a small network of virtual machines.

    Without IMAGE the scenario's own is built first, in build/, from build/sysroot.
    A storage server is built from the same sysroot and boots beside the nodes; nothing runs on
    this machine but QEMU, and no privilege is needed. Exit code 0 when the scenario passed,
    7 when not.
    """
    from srbuild.lab.build import LabRequest, make_inputs
    from srbuild.lab.own import build_own, own_image
    from srbuild.lab.scenario import find_scenario, run_scenario

    if image is None and scenario is None:
        raise UsageError("neither an image nor a scenario is named", hint="srbuild test --list")
    chosen = find_scenario(scenario or (image.stem if image else ""))
    if image is None:
        image = own_image(chosen)
        build_own(chosen, image, sysroot, os.environ, vzctl_root)
    elif vzctl_root is not None:
        raise UsageError(
            f"{image} has its vzctl in it already", hint="leave out --vzctl-root, or the image"
        )
    request = LabRequest(
        image=image,
        sysroot=sysroot,
        kernel=kernel,
        folder=keep or image.with_name(f"{image.name}.lab") / chosen.name,
        seconds=timeout,
        accel=accel,
    )
    click.echo(f"{chosen.name}: {chosen.summary}", err=True)
    inputs = make_inputs(request, chosen, os.environ)
    result = run_scenario(chosen, inputs, lambda line: click.echo(f"  {line}", err=True))
    if as_json:
        from srbuild.cli.output import print_json

        print_json(result.as_json())
    else:
        _print(result)
    ctx.exit(0 if result.passed else 7)


def _print(result: Result) -> None:
    for name, path in result.logs.items():
        click.echo(f"  console of {name}: {path}", err=True)
    for name, times in result.boots.items():
        click.echo(f"  {name}: {times.text()}", err=True)
    if not result.passed:
        click.echo(f"srbuild: {result.failure}", err=True)
    word = "passed" if result.passed else "not passed"
    click.echo(f"{result.scenario}: {word} ({result.seconds:.0f} s)")
