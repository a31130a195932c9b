"""What all verbs print alike: JSON documents, tables' sizes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from srbuild.errors import SrbuildError
from srbuild.paths import shown

SHOWN_NOTES = 3
LINES = "\n"  # what a message of several lines holds beside printable characters
NOTE_WIDTH = 160


def print_json(document: object) -> None:
    """Print one JSON document on stdout, keys in the order in which they were put."""
    click.echo(json.dumps(document, indent=2))


def error_rows(errors: Sequence[SrbuildError]) -> list[dict[str, Any]]:
    """Errors as JSON documents have them."""
    return [
        {
            "message": one.message,
            "hint": one.hint,
            "origin": str(one.origin) if one.origin else None,
            "kind": type(one).__name__,
        }
        for one in errors
    ]


def print_notes(notes: Sequence[str], rest: str) -> None:
    """Print the first few notes on stderr; `rest` names the place that has all of them."""
    for note in notes[:SHOWN_NOTES]:
        short = shown(note)
        if len(short) > NOTE_WIDTH:
            short = f"{short[:NOTE_WIDTH]}… (all of it is in {rest})"
        click.echo(f"srbuild: note: {short}", err=True)
    if len(notes) > SHOWN_NOTES:
        click.echo(f"srbuild: {len(notes) - SHOWN_NOTES} more notes are in {rest}", err=True)


def human_size(size: int) -> str:
    """A number of bytes in decimal units, three digits: 24.3 MB."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
