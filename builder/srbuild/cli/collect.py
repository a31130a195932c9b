"""`srbuild matrix --collect`: what the parts of a matrix that CI jobs built come to."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from srbuild.cli.output import human_size, print_json
from srbuild.errors import MissingInputError
from srbuild.matrix import Matrix
from srbuild.paths import shown

SCHEMA = "srbuild.matrix/1"


def collect_reports(found: Matrix, folder: Path, as_json: bool) -> None:
    """Print what became of every image of the matrix; exit with the worst code of all.

    An image that no report in `folder` tells of counts as failed. Raises MissingInputError for
    a file that is no report.
    """
    images: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        images |= {one["image"]: one for one in _read(path)}
    absent = {"exit_code": 1, "errors": [{"message": "no report tells of it"}]}
    rows = [images.get(row.output, {"image": row.output, **absent}) for row in found.rows]
    worst = max(int(row["exit_code"]) for row in rows)
    if as_json:
        print_json({"schema": SCHEMA, "source": found.source, "exit_code": worst, "images": rows})
    else:
        width = max(len(shown(row["image"])) for row in rows)
        for row in rows:
            click.echo(f"{shown(row['image']):{width}}  {_state(row)}")
        done = sum(1 for row in rows if not row["exit_code"])
        click.echo(f"{done} of {len(rows)} images")
    if worst:
        sys.exit(worst)


def _read(path: Path) -> list[dict[str, Any]]:
    """The images that the report at `path` tells of."""
    try:
        document = json.loads(path.read_bytes())
        if document["schema"] != SCHEMA:
            raise ValueError(document["schema"])
        return [one for one in document["images"] if isinstance(int(one["exit_code"]), int)]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise MissingInputError(
            f"{path} is no report of a matrix: {error}",
            "reports are what srbuild build --matrix FILE --json prints",
        ) from error


def _state(row: dict[str, Any]) -> str:
    if row["exit_code"]:
        why = "; ".join(str(error["message"]) for error in row["errors"])
        return shown(f"failed, exit code {row['exit_code']}: {why}")
    return f"{human_size(row['size']):>8}  {row['sha256']}"
