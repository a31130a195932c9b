"""`srbuild why`, `srbuild diff` and `srbuild size`: views of finished images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from srbuild.cli.output import human_size, print_json
from srbuild.errors import MissingInputError, Origin, SrbuildError, VerifyError
from srbuild.manifest import Reason
from srbuild.paths import shown
from srbuild.report import Report
from srbuild.sidecar import Sidecar

_FILE = click.Path(dir_okay=False, path_type=Path)
_IMAGE = click.argument("image", type=_FILE)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
DIFFER = 1
TROUBLE = 2


@click.command()
@_IMAGE
@click.argument("path")
@_JSON
def why(image: Path, path: str, as_json: bool) -> None:
    """Tell why PATH is in IMAGE.

    Prints a line for everyone who wanted it: who, and why that one is there, up to the boot
    module, recipe or option that asked for it. It stands in the FILE.json that a build leaves
    beside the image. Exit code 4 for a path that is not in it.
    """
    from srbuild.views import chains, find_entry

    sidecar = _sidecar(image)
    entry = find_entry(sidecar, path)
    found = chains(sidecar, entry)
    if as_json:
        rows = [[_reason(reason) for reason in chain] for chain in found]
        segment = sidecar.entries[entry].segment
        document = {"schema": "srbuild.why/1", "image": str(image), "path": entry}
        print_json({**document, "segment": segment, "chains": rows})
        return
    click.echo(shown(f"{entry} (segment {sidecar.entries[entry].segment})"))
    for chain in found:
        words = " ← ".join(f"{reason.how}: {reason.by}" for reason in chain)
        click.echo(shown(f"  ← {words}"))


@click.command()
@click.argument("before", type=_FILE)
@click.argument("after", type=_FILE)
@_JSON
def diff(before: Path, after: Path, as_json: bool) -> None:
    """Compare what two images hold: paths added, removed and changed, segments' sizes.

    Both are read themselves, so any initramfs will do. How they are compressed makes no
    difference. Exit code 0: the same, 1: they differ, 2: one can't be read.
    """
    from srbuild.report import verify_image
    from srbuild.views import compare

    try:
        reports = [verify_image(path) for path in (before, after)]
        for path, report in zip((before, after), reports, strict=True):
            if not report.ok:
                raise VerifyError(f"{path} is damaged:\n  " + "\n  ".join(report.mismatches))
    except SrbuildError as error:
        error.exit_code = TROUBLE
        raise
    changes = compare(reports[0].tree(), reports[1].tree())
    sizes = [_lengths(report) for report in reports]
    if as_json:
        rows = [{"path": c.path, "change": c.kind, "detail": c.tell()} for c in changes]
        document: dict[str, Any] = {"schema": "srbuild.diff/1", "same": not changes}
        document |= {"before": str(before), "after": str(after), "segments": sizes}
        print_json({**document, "changes": rows})
    else:
        for change in changes:
            mark = {"added": "+", "removed": "-", "changed": "~"}[change.kind]
            click.echo(shown(f"{mark} {change.path}  {change.tell()}"))
        if sizes[0] != sizes[1]:
            told = [" + ".join(map(human_size, size)) for size in sizes]
            click.echo(f"segments: {told[0]} → {told[1]}")
    if changes:
        click.get_current_context().exit(DIFFER)


@click.command()
@_IMAGE
@click.option(
    "-n", "--largest", "count", default=10, show_default=True, help="How many files to name."
)
@_JSON
def size(image: Path, count: int, as_json: bool) -> None:
    """Show what takes the room in IMAGE: segments, who asked, the largest files.

    Sizes of files are those before compression. It stands in the FILE.json that a build leaves
    beside the image.
    """
    from srbuild.views import largest, shares

    sidecar = _sidecar(image)
    found, files = shares(sidecar), largest(sidecar, max(0, count))
    if as_json:
        document: dict[str, Any] = {"schema": "srbuild.size/1", "image": str(image)}
        document |= {"size": sidecar.size, "content_size": sidecar.content_size}
        document["segments"] = [
            {"name": s.name, "length": s.length, "cpio_size": s.cpio_size} for s in sidecar.segments
        ]
        document["origins"] = [
            {"origin": s.origin, "files": s.files, "size": s.size} for s in found
        ]
        document["largest"] = [{"path": path, "size": e.record.size} for path, e in files]
        print_json(document)
        return
    whole = f"{human_size(sidecar.size)}, {human_size(sidecar.content_size)} unpacked"
    click.echo(f"{image}: {whole}")
    click.echo("segments, in the image and unpacked:")
    for segment in sidecar.segments:
        sizes = f"{human_size(segment.length):>9} {human_size(segment.cpio_size):>9}"
        click.echo(f"  {sizes}  {segment.name}")
    click.echo("asked for by:")
    for share in found:
        click.echo(shown(f"  {human_size(share.size):>9} {share.files:5} files  {share.origin}"))
    click.echo("largest files:")
    for path, entry in files:
        click.echo(shown(f"  {human_size(entry.record.size):>9}  {path}"))


def _sidecar(image: Path) -> Sidecar:
    """What stands beside `image`; an error when nothing does, or when it is another's."""
    from srbuild.pipeline import read_sidecar

    if not image.is_file():
        raise MissingInputError(f"no image at {image}")
    sidecar = read_sidecar(image)
    if sidecar is None:
        hint = "build the image again; keep the two files together"
        raise MissingInputError(f"no {image.name}.json beside {image}", hint)
    if sidecar.size != image.stat().st_size:
        hint = "build the image again to have a new one"
        raise VerifyError(f"{image}.json is about another image", hint)
    return sidecar


def _reason(reason: Reason) -> dict[str, str]:
    if isinstance(reason.by, Origin):
        return {"how": reason.how, "source": reason.by.source, "key": reason.by.key}
    return {"how": reason.how, "by": reason.by}


def _lengths(report: Report) -> list[int]:
    """The segments' lengths in the image, in bytes."""
    return [segment.place.length for segment in report.segments]
