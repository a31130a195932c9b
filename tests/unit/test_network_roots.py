"""Roots on file servers: what cannot work is refused when the image is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.config.cluster import load_cluster
from srbuild.config.load import load_config
from srbuild.errors import ConfigError, ConflictError, SrbuildError
from srbuild.lab.scenarios import cifs, nfs
from srbuild.pipeline import find_modules, find_spine
from srbuild.plan import Plan, make_plan
from support.plans import Project, table

CATALOG = find_modules()
FLAGS = """
[options.options]
type = "flags"
help = "mount options"
[options.options.refused]
soft = "it breaks"
vers = "say version"
"sec=krb5" = "no keytab"
"""


def plan(**options: object) -> Plan:
    return make_plan(load_config(options, {}, CATALOG), CATALOG, find_spine())


@pytest.mark.parametrize("fs", ["nfs", "cifs"])
def test_a_block_device_below_a_file_server_is_a_conflict(fs: str) -> None:
    with pytest.raises(ConflictError) as caught:
        plan(fs=fs, blk="iscsi")
    assert caught.value.exit_code == 5
    assert "leave --blk out" in str(caught.value)


@pytest.mark.parametrize("text", [nfs.cluster_file("overlay = true"), cifs.cluster_file()])
def test_the_labs_cluster_files_are_sound(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text(text)
    assert load_cluster(path, CATALOG).fs in {"nfs", "cifs"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (nfs.cluster_file('options = "noatime,soft"'), ["soft", "instead of waiting"]),
        (nfs.cluster_file('options = "sec=krb5p"'), ["Kerberos", "keytab"]),
        (nfs.cluster_file('options = "vers=3"'), ["option `version`"]),
        (nfs.cluster_file('version = "2"'), ["3, 4, 4.0"]),
        (nfs.cluster_file(path="srv/root"), ["absolute path"]),
        (cifs.cluster_file('options = "credentials=/root/pw"'), ["option", "secret"]),
        (cifs.cluster_file('options = "nounix"'), ["Unix extensions"]),
    ],
)
def test_options_that_make_no_root_are_refused(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text(text)
    with pytest.raises(SrbuildError) as caught:
        load_cluster(path, CATALOG)
    assert caught.value.exit_code == 3
    for word in (str(path), "fs.", *words):
        assert word in str(caught.value)


def test_a_password_is_for_roots_eyes_and_in_no_variable(tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text(cifs.cluster_file())
    made = plan(fs="cifs", cluster=path)
    tables = [request for request in made.requests if hasattr(request, "data")]
    assert cifs.SECRET not in repr(tables)


# --- refused words ----------------------------------------------------------------------------


def test_the_boot_knows_the_refused_words_too(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.module("fs", "far", FLAGS)
    assert table(project.plan(modules=["far"]), "/usr/lib/srbuild/refused") == (
        "SR_FAR_OPTIONS\tsoft\tit breaks\n"
        "SR_FAR_OPTIONS\tvers\tsay version\n"
        "SR_FAR_OPTIONS\tsec=krb5\tno keytab\n"
    )


@pytest.mark.parametrize("value", ["", "softly", "noatime,xsoft", "sec=krb5i", "sec=sys"])
def test_other_words_are_taken(tmp_path: Path, value: str) -> None:
    project = Project(tmp_path)
    project.module("fs", "far", FLAGS)
    assert project.plan(modules=["far"], set=[f"far.options={value}"])


@pytest.mark.parametrize(
    ("value", "why"),
    [("soft", "it breaks"), ("ro,vers=3", "say version"), ("vers", "say"), ("sec=krb5", "keytab")],
)
def test_refused_words_are_not(tmp_path: Path, value: str, why: str) -> None:
    project = Project(tmp_path)
    project.module("fs", "far", FLAGS)
    with pytest.raises(ConfigError, match=why):
        project.plan(modules=["far"], set=[f"far.options={value}"])


@pytest.mark.parametrize(
    ("text", "why"),
    [(FLAGS.replace('"flags"', '"string"'), "refused words are for flags"),
     (FLAGS.replace('"it breaks"', '"it\\tbreaks"'), "printable"),
     (FLAGS.replace('"it breaks"', '""'), "printable"),
     (FLAGS.replace('"it breaks"', "1"), "refused")],
)  # fmt: skip
def test_a_module_that_refuses_wrongly(tmp_path: Path, text: str, why: str) -> None:
    project = Project(tmp_path)
    project.module("fs", "far", text)
    with pytest.raises(SrbuildError, match=why):
        project.plan(modules=["far"])
