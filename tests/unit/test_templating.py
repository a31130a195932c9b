"""What templates can do besides showing values: ask for modules, refuse, read a user's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.errors import ConfigError, ConflictError, MissingInputError, SrbuildError
from srbuild.host.looks import is_unchanged, recorded
from srbuild.paths import HostPath
from srbuild.render import render_site
from srbuild.templating import FILE_MAX, UserFile, read_folder
from support.plans import NODES, Project

TEMPLATE = """
requires = ["core"]
[[template]]
source = "a.j2"
target = "/etc/a"
scope = "site"
"""


def rendered(project: Project, template: str) -> str:
    project.module("block", "disk", TEMPLATE, a__j2=template)
    files = render_site(project.plan(blk="disk", cluster=project.cluster(NODES)))
    return next((f.data.decode() for f in files if f.target == "/etc/a"), "")


def test_a_template_knows_what_is_in_the_image(tmp_path: Path) -> None:
    project = Project(tmp_path, 'provides = ["ground"]\n')
    text = "{{ offers('ground') }} {{ offers('core') }} {{ offers('locks') }}"
    assert rendered(project, text) == "True True False"


@pytest.mark.parametrize(("word", "error"), [("refuse", ConflictError), ("lack", ConfigError)])
def test_a_template_ends_the_build(tmp_path: Path, word: str, error: type[SrbuildError]) -> None:
    with pytest.raises(error, match="does not work") as found:
        rendered(Project(tmp_path), f"{{{{ {word}('does not work', 'another way') }}}}")
    assert found.value.hint == "another way"
    assert str(found.value.origin).endswith("cluster.toml")


def test_a_folder_beside_the_cluster_file(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    for name, text in {"b.res": "b", "a.res": "{{ a }}", "z.conf": "z\n", "c.txt": "c"}.items():
        (tmp_path / "conf" / name).write_text(text)
    (tmp_path / "conf/.hidden.res").write_text("h")
    loop = "{% for f in folder('conf', 'z.conf', '*.res') %}{{ f.name }}={{ f.text }};{% endfor %}"
    assert rendered(Project(tmp_path), loop) == "z.conf=z\n;a.res={{ a }};b.res=b;"
    absolute = loop.replace("'conf'", f"'{tmp_path}/conf'")
    assert rendered(Project(tmp_path), absolute) == rendered(Project(tmp_path), loop)


def test_what_a_folder_holds_is_noted(tmp_path: Path) -> None:
    file = tmp_path / "a.res"
    file.write_text("a")
    with recorded() as looks:
        read_folder(HostPath(tmp_path), ["*.res"])
    assert is_unchanged(looks.followed, looks.plain)
    file.write_text("other")
    assert not is_unchanged(looks.followed, looks.plain)
    assert {str(file), str(tmp_path)} <= set(looks.followed)


@pytest.mark.parametrize("data", [b"a\0b", b"x" * (FILE_MAX + 1)])
def test_no_text(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.res").write_bytes(data)
    with pytest.raises(ConfigError, match="no text of a reasonable size"):
        read_folder(HostPath(tmp_path), ["*.res"])


def test_text_of_any_encoding_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.res").write_bytes(b"\xff\xe4 \xc3\xa4")
    [file] = read_folder(HostPath(tmp_path), ["*"])
    assert file.text.encode("utf-8", "surrogateescape") == b"\xff\xe4 \xc3\xa4"


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.res").mkdir()
    with pytest.raises(MissingInputError, match="cannot read: Is a directory"):
        read_folder(HostPath(tmp_path), ["*.res"])
    with pytest.raises(MissingInputError, match="cannot read the folder"):
        read_folder(HostPath(tmp_path / "none"), ["*.res"])


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("a # b\n  c", "a c"),
        ('disk "/dev/a#1"; # x', 'disk "/dev/a#1";'),
        ('secret "a\\"#b" ; #"c"\nd', 'secret "a\\"#b" ; d'),
        ("# a\n# b", ""),
    ],
)
def test_comments_count_for_nothing(text: str, bare: str) -> None:
    assert UserFile("a", text).bare == bare
