"""The CI jobs that build a matrix in parts: GitHub's and GitLab's words for the same pipeline.

One job a part, each with `srbuild build --matrix … --shard I/N`, all with one shared cache; what
they built and their reports are kept; the last job looks whether every image is there.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from srbuild.frozen import frozen

Yaml: TypeAlias = "str | int | bool | Sequence[Yaml] | Mapping[str, Yaml]"

CACHE = ".srbuild-cache"
REPORTS = "reports"


@frozen
class Pipeline:
    """What is built: the matrix's file, the number of parts, the images' files.

    `setup` is the command that installs srbuild on a runner, `command` what wrote the pipeline.
    """

    source: str
    shards: int
    outputs: tuple[str, ...]
    setup: str = "pip install srbuild"

    @property
    def head(self) -> str:
        """The comment that a pipeline begins with."""
        return (
            f"# Made by srbuild from {json.dumps(self.source)}; write it anew when that changes.\n"
        )

    def build(self, shard: str) -> str:
        """The command of one part, `shard` being its number or a variable that holds it."""
        matrix = shlex.quote(self.source)
        where = f'"{shard}/{self.shards}"'
        report = f'"{REPORTS}/{shard}.json"'
        return f"srbuild build --matrix {matrix} --shard {where} --json > {report}"

    @property
    def collect(self) -> str:
        """The command of the last job."""
        return f"srbuild matrix {shlex.quote(self.source)} --collect {REPORTS}"

    @property
    def kept(self) -> list[str]:
        """The files that a job may leave."""
        return [path for image in self.outputs for path in (image, f"{image}.json")]

    @property
    def folders(self) -> str:
        """The command that makes the folders that images and reports go to."""
        names = {REPORTS, *(image.rpartition("/")[0] for image in self.outputs)} - {""}
        return "mkdir -p " + " ".join(shlex.quote(name) for name in sorted(names))


def github_workflow(pipeline: Pipeline) -> str:
    """A workflow for .github/workflows/."""
    shard = "${{ matrix.shard }}"
    start: list[Yaml] = [
        {"uses": "actions/checkout@v4"},
        {"name": "Install srbuild", "run": pipeline.setup},
    ]
    build: Mapping[str, Yaml] = {
        "runs-on": "ubuntu-latest",
        "strategy": {
            "fail-fast": False,
            "matrix": {"shard": list(range(1, pipeline.shards + 1))},
        },
        "env": {"SRBUILD_CACHE": CACHE, "SRBUILD_CACHES": "${{ vars.SRBUILD_CACHES }}"},
        "steps": [
            *start,
            {
                "uses": "actions/cache@v4",
                "with": {
                    "path": f"{CACHE}/segments",
                    "key": f"srbuild-{shard}-${{{{ github.sha }}}}",
                    "restore-keys": f"srbuild-{shard}-\nsrbuild-\n",
                },
            },
            {
                "name": "Build this part",
                "env": {"SHARD": shard},
                "run": f"{pipeline.folders}\n{pipeline.build('$SHARD')}\n",
            },
            {
                "uses": "actions/upload-artifact@v4",
                "if": "always()",
                "with": {
                    "name": f"part-{shard}",
                    "path": "\n".join([f"{REPORTS}/*.json", *pipeline.kept]) + "\n",
                },
            },
        ],
    }
    collect: Mapping[str, Yaml] = {
        "runs-on": "ubuntu-latest",
        "needs": ["build"],
        "if": "always()",
        "steps": [
            *start,
            {
                "uses": "actions/download-artifact@v4",
                "with": {"pattern": "part-*", "merge-multiple": True},
            },
            {"name": "Look whether every image is there", "run": pipeline.collect},
        ],
    }
    document: Mapping[str, Yaml] = {
        "name": "images",
        "on": {"push": {}, "workflow_dispatch": {}},
        "permissions": {"contents": "read"},
        "jobs": {"build": build, "collect": collect},
    }
    return pipeline.head + _yaml(document)


def gitlab_pipeline(pipeline: Pipeline) -> str:
    """A pipeline for GitLab, its own or a child of another one (`trigger: include:`)."""
    artifacts: Mapping[str, Yaml] = {
        "when": "always",
        "paths": [f"{REPORTS}/", *pipeline.kept],
    }
    build: dict[str, Yaml] = {
        "stage": "build",
        "variables": {"SRBUILD_CACHE": CACHE},
        "cache": {"key": "srbuild", "paths": [f"{CACHE}/segments/"], "when": "always"},
        "script": [pipeline.setup, pipeline.folders, pipeline.build("$CI_NODE_INDEX")],
        "artifacts": artifacts,
    }
    if pipeline.shards > 1:
        build["parallel"] = pipeline.shards
    else:
        build["variables"] = {"SRBUILD_CACHE": CACHE, "CI_NODE_INDEX": "1"}
    document: Mapping[str, Yaml] = {
        "stages": ["build", "collect"],
        "default": {"image": "python:3.11"},
        "build": build,
        "collect": {
            "stage": "collect",
            "needs": ["build"],
            "when": "always",
            "script": [pipeline.setup, pipeline.collect],
            "artifacts": artifacts,
        },
    }
    return pipeline.head + _yaml(document)


def _yaml(document: Mapping[str, Yaml]) -> str:
    return "".join(f"{line}\n" for line in _lines(document))


def _lines(value: Yaml) -> Iterator[str]:
    """Block style; strings are quoted as in JSON, which YAML 1.2 takes, or literal blocks."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            # "on" unquoted is true for YAML 1.1
            yield from _put(f'"{key}":' if key == "on" else f"{key}:", item)
    elif not isinstance(value, str | int):
        for item in value:
            lines = list(_lines(item)) if isinstance(item, Mapping) and item else [_scalar(item)]
            yield f"- {lines[0]}"
            yield from (f"  {line}" for line in lines[1:])


def _put(key: str, value: Yaml) -> Iterator[str]:
    if isinstance(value, str) and value.endswith("\n") and _is_plain(value):
        yield f"{key} |"
        yield from (f"  {line}" for line in value.splitlines())
    elif isinstance(value, str | int) or not value:
        yield f"{key} {_scalar(value)}"
    else:
        yield key
        yield from (f"  {line}" for line in _lines(value))


def _is_plain(text: str) -> bool:
    """Whether `text` can stand in a literal block, which knows no escapes."""
    return all(line.isprintable() and line[:1] not in ("", " ") for line in text.split("\n")[:-1])


def _scalar(value: Yaml) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
