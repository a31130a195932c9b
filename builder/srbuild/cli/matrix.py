"""`srbuild build --matrix` and `srbuild matrix`: many images in one run, or in many CI jobs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from srbuild.cli.output import LINES, error_rows, human_size, print_json, print_notes
from srbuild.errors import ErrorGroup, SrbuildError, UsageError
from srbuild.matrix import (
    Known,
    Matrix,
    Row,
    merge_options,
    parse_matrix,
    recipes_matrix,
    take_shard,
)
from srbuild.paths import shown

if TYPE_CHECKING:
    from srbuild.bulk import Job, Outcome
    from srbuild.pipeline import Built

# Options of `build` that are about the run, not about one image.
_RUN = frozenset({"cache", "no_cache", "as_json", "output", "uki", "cmdline", "dry_run"}) | {
    *("matrix", "shard", "jobs", "module_path"),
}
_PARTS = ("all", "base", "site")


@click.command()
@click.argument("source", metavar="FILE|DIR")
@click.option("--github", "forge", flag_value="github", help="Write a GitHub Actions workflow.")
@click.option("--gitlab", "forge", flag_value="gitlab", help="Write a GitLab child pipeline.")
@click.option(
    "--shards",
    type=click.IntRange(1, 256),
    default=8,
    show_default=True,
    help="Jobs to spread the images over.",
)
@click.option(
    "--setup",
    metavar="COMMAND",
    default="pip install srbuild",
    show_default=True,
    help="What installs srbuild on a runner.",
)
@click.option(
    "--collect",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Look whether the reports (*.json) in DIR tell of every image.",
)
@click.option("-o", "--output", metavar="FILE", help="Where to write it.  [default: stdout]")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def matrix(
    source: str,
    forge: str | None,
    shards: int,
    setup: str,
    collect: Path | None,
    output: str | None,
    as_json: bool,
) -> None:
    """List the images of a matrix, or write the CI jobs that build it in parts.

    Every job builds its part with `srbuild build --matrix … --shard I/N`; the last one collects.
    """
    found = load_matrix(source)
    if collect is not None:
        from srbuild.cli.collect import collect_reports

        collect_reports(found, collect, as_json)
        return
    if forge is None:
        if output is not None:
            raise UsageError("-o is for --github and --gitlab", "choose one of them")
        _list(found, as_json)
        return
    from srbuild.ci import Pipeline, github_workflow, gitlab_pipeline

    outputs = tuple(row.output for row in found.rows)
    pipeline = Pipeline(source, min(shards, len(outputs)), outputs, setup)
    text = github_workflow(pipeline) if forge == "github" else gitlab_pipeline(pipeline)
    if output is None:
        click.echo(text, nl=False)
        return
    from srbuild.host.files import write_atomic

    write_atomic(Path(output), text.encode())


def _list(found: Matrix, as_json: bool) -> None:
    if as_json:
        rows = [{"image": r.output, "labels": r.labels, "options": r.options} for r in found.rows]
        print_json({"schema": "srbuild.matrix-rows/1", "source": found.source, "images": rows})
        return
    for row in found.rows:
        labels = " ".join(f"{name}={label}" for name, label in row.labels.items())
        click.echo(f"{shown(row.output)}  {labels}".rstrip())


def load_matrix(source: str) -> Matrix:
    """The matrix in the file or folder `source`; ConfigError for what is wrong with it."""
    path = Path(source)
    if path.is_dir():
        return recipes_matrix(source, os.listdir(path))
    from srbuild.config.convert import read_toml

    return parse_matrix(read_toml(path), source, known_options())


def known_options() -> Known:
    """The options of `build` that an image of a matrix may have."""
    return {name: param.multiple for name, param in _parameters().items()}


def _parameters() -> dict[str, click.Option]:
    from srbuild.cli.build import build

    return {
        option.opts[-1].removeprefix("--"): option
        for option in build.params
        if isinstance(option, click.Option) and option.name not in _RUN
    }


def build_matrix(
    source: str,
    shard: str | None,
    jobs: int | None,
    options: dict[str, Any],
    single: tuple[Path | None, str | None, bool],
) -> None:
    """Build all of the matrix at `source`, or one part; exit with the worst code of all images.

    `options` are the command line's, for every image; `single` those that are for one alone.
    """
    from srbuild.bulk import build_all
    from srbuild.cli.build import announce_unsafe, is_unsafe_fenced
    from srbuild.config.cache import asked_caches
    from srbuild.pipeline import find_modules

    _refuse_single(options, single)
    found = load_matrix(source)
    rows = take_shard(found.rows, shard) if shard else found.rows
    options = {**options, "cache": asked_caches(options, os.environ)}
    catalog = find_modules(options["module_path"])
    began, cpu = time.monotonic(), os.times()
    outcomes: dict[int, Outcome] = {}
    ready = _prepare(rows, options, catalog, outcomes)
    show = not options["as_json"]
    if ready:
        beside = ready[0].config.cache or ready[0].config.output.parent
        cores = jobs or len(os.sched_getaffinity(0))
        for outcome in build_all(ready, catalog, _describe, processes=cores, beside=beside):
            outcomes[outcome.number] = outcome
            if show and sys.stderr.isatty():
                click.echo(f"\r{len(outcomes)} of {len(rows)} images", nl=False, err=True)
    announce_unsafe(any(is_unsafe_fenced(job.config) for job in ready))
    used = os.times()
    seconds = time.monotonic() - began
    # user and system time of this process and of those that it waited for
    cpu_s = sum(used[:4]) - sum(cpu[:4])
    _report(found, rows, [outcomes[i] for i in range(len(rows))], options, seconds, cpu_s)
    worst = max(code_of(outcome) for outcome in outcomes.values())
    if worst:
        sys.exit(worst)


def _refuse_single(
    options: Mapping[str, Any], single: tuple[Path | None, str | None, bool]
) -> None:
    uki, cmdline, dry_run = single
    given = {"--uki": uki, "--cmdline": cmdline, "--dry-run": dry_run or None}
    given["-o"] = options["output"]
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"{name} is for one image", "name outputs in the matrix: output = …")


def _prepare(
    rows: Sequence[Row], options: Mapping[str, Any], catalog: Any, outcomes: dict[int, Outcome]
) -> list[Job]:
    """The jobs of `rows`; what is wrong with a row's options is an outcome already."""
    from srbuild.bulk import Job, Outcome
    from srbuild.config.load import load_config

    jobs: list[Job] = []
    for number, row in enumerate(rows):
        try:
            merged = _merge(row, options)
            part = merged["part"]
            if part not in _PARTS:
                raise UsageError(f"{part!r} is no part", f"one of {', '.join(_PARTS)}", row.origin)
            config = load_config(merged, os.environ, catalog)
            jobs.append(Job(number, config, part))
        except ErrorGroup as group:
            outcomes[number] = Outcome(number, None, group.errors, 0.0)
        except SrbuildError as error:
            outcomes[number] = Outcome(number, None, (error,), 0.0)
    return jobs


def _merge(row: Row, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of one image: the row's, and the command line's on top where it has none.

    Lists add up; for a single option the row's wins when it stands for an axis.
    """
    found: dict[str, Any] = dict(options)
    for name, option in _parameters().items():
        assert option.name is not None
        given = row.options.get(name)
        if given is None:
            continue
        if option.multiple:
            both: dict[str, Any] = {name: given}
            merge_options(both, {name: tuple(options[option.name])})
            found[option.name] = both[name]
        elif name in row.labels or _is_default(options, option):
            found[option.name] = given
    return found | {"output": row.output}


def _is_default(options: Mapping[str, Any], option: click.Option) -> bool:
    return bool(options[str(option.name)] in (None, option.default))


def _describe(built: Built, seconds: float) -> dict[str, Any]:
    from srbuild import pipeline
    from srbuild.cli.documents import built_document

    written = built.image or pipeline.read_sidecar(built.prepared.config.output)
    assert written is not None, "a finished build leaves one"
    return {**built_document(built, written), "seconds": round(seconds, 3)}


def code_of(outcome: Outcome) -> int:
    """The exit code that the image alone would have had."""
    return outcome.errors[0].exit_code if outcome.errors else 0


def _report(
    found: Matrix,
    rows: Sequence[Row],
    outcomes: Sequence[Outcome],
    options: Mapping[str, Any],
    seconds: float,
    cpu: float,
) -> None:
    documents = [_document(row, outcome) for row, outcome in zip(rows, outcomes, strict=True)]
    failed = sum(1 for outcome in outcomes if outcome.errors)
    distinct = _distinct(documents)
    if options["as_json"]:
        print_json(
            {
                "schema": "srbuild.matrix/1",
                "source": found.source,
                "exit_code": max(map(code_of, outcomes)),
                "images": documents,
                "failed": failed,
                "size": sum(one.get("size", 0) for one in documents),
                "distinct_size": sum(distinct.values()),
                "distinct_segments": len(distinct),
                "seconds": round(seconds, 3),
                "cpu_seconds": round(cpu, 3),
            }
        )
        return
    notes = dict.fromkeys(note for one in documents for note in one.get("notes", ()))
    print_notes(tuple(notes), "the images' .json files")
    for outcome, row in zip(outcomes, rows, strict=True):
        for error in outcome.errors:
            text = shown(f"{row.output}: {error}", keep=LINES)
            click.echo(f"srbuild: error: {text}", err=True)
    width = max(len(shown(row.output)) for row in rows)
    click.echo(f"{'image':{width}}  {'size':>8}  {'s':>6}  segments")
    for row, outcome, document in zip(rows, outcomes, documents, strict=True):
        click.echo(f"{shown(row.output):{width}}  {_cells(outcome, document)}")
    size = sum(one.get("size", 0) for one in documents)
    click.echo(
        f"{len(rows) - failed} of {len(rows)} images, {human_size(size)} of which "
        f"{human_size(sum(distinct.values()))} distinct; {seconds:.1f} s, cpu {cpu:.1f} s"
    )


def _cells(outcome: Outcome, document: Mapping[str, Any]) -> str:
    if outcome.errors:
        return f"failed, exit code {code_of(outcome)}"
    size = human_size(document["size"])
    if not document["changed"]:
        return f"{size:>8}  {outcome.seconds:6.2f}  up to date"
    reused = sum(1 for segment in document["segments"] if segment["from_cache"])
    return f"{size:>8}  {outcome.seconds:6.2f}  {reused} of {len(document['segments'])} reused"


def _document(row: Row, outcome: Outcome) -> dict[str, Any]:
    place = {"labels": dict(row.labels)}
    if outcome.errors:
        code, errors = code_of(outcome), error_rows(outcome.errors)
        return {"image": row.output, "exit_code": code, "errors": errors, **place}
    return {**outcome.result, "exit_code": 0, **place}


def _distinct(documents: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Digest → length of every distinct segment in the images."""
    return {
        segment["sha256"]: segment["length"]
        for one in documents
        for segment in one.get("segments", ())
    }
