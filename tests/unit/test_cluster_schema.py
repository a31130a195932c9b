"""The JSON Schema of cluster files: a schema, the committed one, and of srbuild's mind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from srbuild.config.cluster import load_cluster
from srbuild.config.includes import read_sources
from srbuild.config.schema import cluster_schema
from srbuild.pipeline import find_modules
from support.commands import Done

PROJECT = Path(__file__).resolve().parents[2]
CATALOG = find_modules()
Run = Callable[..., Done]
FILE = """\
name = "lab"
[block]
type = "iscsi"
portal = ["10.9.0.1:3260"]
target = "iqn.2026-01.lab:root"
[fs]
type = "gfs2"
[container]
type = "none"
[fence]
method = "unsafe-none"
[[node]]
name = "n[01-03]"
id = "[1-3]"
address = "10.9.0.[1-3]/24"
[node.iscsi]
initiator = "iqn.2026-01.lab:{name}"
[[override]]
name = "n02"
[override.iscsi]
chap_user = "u2"
chap_secret = "not-for-the-others"
"""

VALIDATOR = Draft202012Validator(cluster_schema(CATALOG))


def test_the_schema_is_the_one_in_docs(srbuild: Run) -> None:
    printed = srbuild("cluster", "schema").out
    assert (PROJECT / "docs/cluster.schema.json").read_text() == printed, "run: make docs"
    Draft202012Validator.check_schema(json.loads(printed))


def examples() -> list[str]:
    """Every cluster file in the documentation."""
    pages = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
    blocks = [
        block for page in pages for block in page.read_text().split("```toml cluster.toml\n")[1:]
    ]
    return [block.partition("\n```")[0] for block in blocks] + [FILE]


@pytest.mark.parametrize("text", examples())
def test_the_schema_takes_what_srbuild_takes(tmp_path: Path, text: str) -> None:
    (tmp_path / "cluster.toml").write_text(text)
    assert load_cluster(tmp_path / "cluster.toml", CATALOG)
    VALIDATOR.validate(read_sources(tmp_path / "cluster.toml")[0])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "lab"', 'name = "l:b"'),
        ("[fence]", "[fenc]"),
        ("portal", "portl"),
        ("gfs2", "gfs3"),
        ('type = "gfs2"', ""),
        ("unsafe-none", "none"),
        ('id = "[1-3]"', "id = 0"),
        ('id = "[1-3]"', "id = true"),
        ("address", "adress"),
        ("initiator", "initator"),
        ('chap_user = "u2"', 'portal = ["10.9.0.1"]'),
        ('name = "n02"', ""),
        ("[fence]", "[corosync]\ntoken = true\n[fence]"),
    ],
)
def test_the_schema_refuses_what_srbuild_refuses(tmp_path: Path, old: str, new: str) -> None:
    assert old in FILE
    (tmp_path / "c.toml").write_text(FILE.replace(old, new, 1))
    assert not VALIDATOR.is_valid(read_sources(tmp_path / "c.toml")[0])
