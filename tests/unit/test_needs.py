"""Options that mean nothing without another: refused when the image is built, with the way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from srbuild.errors import ConfigError, ErrorGroup
from support.commands import CLUSTER, Done
from support.plans import Project

USER = '[options.user]\ntype = "word"\nhelp = "a name"\nscope = "node"\nneeds = ["key"]\n'
KEY = '[options.key]\ntype = "string"\nhelp = "a key"\nsecret = true\nscope = "node"\n'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.module("block", "disk", USER + KEY)
    return project


def plan(project: Project, site: str = "", first: str = "", second: str = "") -> None:
    text = f'name = "lab"\n[block]\ntype = "disk"\n{site}\n[[node]]\nname = "n1"\nid = 1\n'
    text += f'[node.disk]\n{first}\n[[node]]\nname = "n2"\nid = 2\n[node.disk]\n{second}\n'
    project.plan(blk="disk", cluster=project.cluster(text))


@pytest.mark.parametrize(
    ("site", "first", "second"),
    [
        ("", "", ""),
        ('user = "u"\nkey = "k"', "", ""),
        ("", 'user = "u"\nkey = "k"', 'user = "v"\nkey = "l"'),
        ('user = "u"', 'key = "k"', 'key = "l"'),
        ('key = "k"', 'user = "u"', ""),  # a key alone needs nothing here
    ],
)
def test_together_they_are_taken(project: Project, site: str, first: str, second: str) -> None:
    plan(project, site, first, second)


@pytest.mark.parametrize(
    ("site", "first", "second", "who"),
    [
        ('user = "u"', "", "", "n1, n2"),
        ('user = "u"', 'key = "k"', "", "n2"),
        ("", 'user = "u"', 'key = "k"', "n1"),
        ('key = ""', 'user = "u"', "", "n1"),
    ],
)
def test_alone_it_is_refused(
    project: Project, site: str, first: str, second: str, who: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(project, site, first, second)
    assert caught.value.message == f"{who}: user means nothing without key"
    assert caught.value.hint == "set key in [node.disk] (a key), or drop user"
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ('[options.kye]\ntype = "word"\nhelp = "k"\n', "unknown option 'key'"),
        ('[options.key]\ntype = "word"\nhelp = "k"\ndefault = "x"\n', "never surely missing"),
        ('[options.key]\ntype = "word"\nhelp = "k"\ncmdline = ["k"]\n', "never surely missing"),
    ],
)
def test_a_need_that_cannot_be_judged_is_a_slip_of_the_module(
    project: Project, key: str, problem: str
) -> None:
    project.module("block", "disk", USER + key)
    with pytest.raises((ConfigError, ErrorGroup), match=problem):
        _ = project.catalog


@pytest.mark.parametrize(
    ("given", "without"),
    [
        ('chap_secret = "hunter2hunter2"', "chap_secret means nothing without chap_user"),
        ('chap_user = "u"', "chap_user means nothing without chap_secret"),
        (
            'chap_user = "u"\nchap_secret = "hunter2hunter2"\nchap_user_in = "t"',
            "chap_user_in means nothing without chap_secret_in",
        ),
    ],
)
def test_half_of_chap_is_no_proof(
    srbuild: Callable[..., Done], job: list[str], given: str, without: str
) -> None:
    Path("cluster.toml").write_text(f"{CLUSTER}[node.iscsi]\n{given}\n")
    done = srbuild("check", *job, "--cluster", "cluster.toml")
    assert done.code == 3
    assert f"n2: {without}" in done.err
    assert "hint: set " in done.err
    assert "hunter2" not in done.out + done.err
