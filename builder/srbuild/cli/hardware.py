"""`srbuild hardware`: say what hardware this machine has, for builds elsewhere."""

from __future__ import annotations

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the inventory as JSON.")
def hardware(as_json: bool) -> None:
    r"""List this machine's devices, to choose an image's drivers by.

    Run it on each kind of node and give the files to a build, which then takes the drivers of
    this hardware instead of those of any:

    \b
      srbuild hardware > node.hw
      srbuild --fs gfs2 --blk iscsi --modalias-from node.hw …

    It lists modaliases, the product's name and the network cards' MAC addresses, no serial
    numbers, and needs no privilege.
    """
    from srbuild.cli.output import print_json
    from srbuild.hardware import to_document, to_text
    from srbuild.host.hardware import collect_hardware

    found = collect_hardware()
    if as_json:
        print_json(to_document(found))
    else:
        click.echo(to_text(found), nl=False)
