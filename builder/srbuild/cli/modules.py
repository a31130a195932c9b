"""`srbuild modules`: the boot modules there are, and which of them were booted."""

from __future__ import annotations

from pathlib import Path

import click

from srbuild.cli.output import print_json


@click.command()
@click.option(
    "--module-path",
    "folders",
    metavar="DIR",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with more boot modules.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def modules(folders: tuple[Path, ...], as_json: bool) -> None:
    """List the boot modules: kind, name, and whether an image with it has been booted.

    `works` names a run of the laboratory that booted it and passed; anything else is `untested`,
    with the reason. docs/rows.md has all combinations, with their seconds.
    """
    from srbuild.bootmodule import KINDS
    from srbuild.pipeline import find_modules
    from srbuild.tested import load_records, module_standing

    records = load_records()
    catalog = find_modules(folders)
    rows = [
        (module, module_standing(records, module.name))
        for module in sorted(catalog.modules.values(), key=lambda m: (KINDS.index(m.kind), m.name))
    ]
    if as_json:
        found = [
            {"name": m.name, "kind": m.kind, "summary": m.summary, **standing.as_json()}
            for m, standing in rows
        ]
        print_json({"schema": "srbuild.modules/1", "modules": found})
        return
    for module, standing in rows:
        click.echo(f"{module.kind:9} {module.name:15} {module.summary}")
        click.echo(f"{'':25} {standing.text()}")
