"""`srbuild list` and `srbuild verify`: what is in an image, and is it what was meant?"""

from __future__ import annotations

import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srbuild.cli.output import print_json
from srbuild.errors import VerifyError

if TYPE_CHECKING:
    from srbuild.records import Record

_IMAGE = click.argument("image", type=click.Path(dir_okay=False, path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.command("list")
@_IMAGE
@click.option("-l", "--long", is_flag=True, help="Type, mode and size too, and why it is there.")
@_JSON
def list_image(image: Path, long: bool, as_json: bool) -> None:
    r"""List what is in an image.

    IMAGE is any initramfs of one or more segments. It is read itself; the reasons come from the
    FILE.json that a build leaves beside it. Names that hold what no terminal should get are shown
    with escapes (\x1b, \n); --json has them as they are.
    """
    from srbuild.cli.documents import list_document
    from srbuild.paths import shown
    from srbuild.pipeline import read_sidecar
    from srbuild.report import verify_image

    report = verify_image(image)
    sidecar = read_sidecar(image)
    if sidecar and sidecar.size != report.size:
        sidecar = None
    document = list_document(image, report, sidecar)
    if as_json:
        print_json(document)
        sys.exit(0 if report.ok else VerifyError.exit_code)
    tree = report.tree()
    for row in document["entries"]:
        click.echo(shown(_long_line(row, tree[row["path"]]) if long else row["path"]))
    if not report.ok:
        raise VerifyError(f"{image} is damaged:\n  " + "\n  ".join(report.mismatches))


def _long_line(row: Mapping[str, Any], record: Record) -> str:
    arrow = f" -> {record.target}" if record.target else ""
    why = f"   # {row['reasons'][0]}" if row.get("reasons") else ""
    return f"{stat.filemode(record.st_mode)} {record.size:9} {row['path']}{arrow}{why}"


@click.command()
@_IMAGE
@_JSON
def verify(image: Path, as_json: bool) -> None:
    """Check that an image is what was meant.

    IMAGE is read back with an independent reader. What was meant stands in the FILE.json that a
    build leaves beside it. Without that file the structure alone is checked: can the kernel
    unpack all of it? Exit code 7 when not.
    """
    from srbuild.cli.documents import report_document
    from srbuild.pipeline import read_sidecar
    from srbuild.report import verify_image

    sidecar = read_sidecar(image)
    report = verify_image(image, sidecar.expected() if sidecar else None)
    against = "sidecar" if sidecar else "structure"
    if as_json:
        print_json(report_document(image, report, against))
        sys.exit(0 if report.ok else VerifyError.exit_code)
    if not report.ok:
        raise VerifyError(
            f"{image} is not what it should be:\n  " + "\n  ".join(report.mismatches),
            hint="build it again",
        )
    what = f"what {image.name}.json says" if sidecar else "a sound archive (no sidecar)"
    click.echo(f"{image}: {report.entries} entries in {len(report.segments)} segments: {what}")
