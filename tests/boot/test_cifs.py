"""A root on an SMB server, in virtual machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.lab.scenario import Result
from srbuild.lab.scenarios import cifs
from support.boots import Boot, both_read_each_other, summary

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]


def console(result: Result) -> str:
    return Path(result.logs["n1"]).read_text(errors="replace")


def test_two_nodes_share_one_root_over_smb_1(boot: Boot) -> None:
    result = boot("cifs")
    both_read_each_other(result)
    assert "unix,posixpaths" in console(result)


@pytest.mark.matrix
def test_over_smb_3_the_root_is_read_only_and_that_is_said(boot: Boot) -> None:
    result = boot("cifs-smb3")
    assert result.proof["written"] == []
    assert "the root is read-only" in console(result)


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cifs-wrong-password", ["refused the login of root", "secret"]),
        ("cifs-wrong-share", ["//10.9.0.1/rot", "no such share"]),
        ("cifs-wrong-folder", [f"{cifs.SHARE}/no/folder", "no such share or folder"]),
        ("cifs-no-extensions", ["no Unix extensions", "unix extensions = yes"]),
        ("cifs-server-absent", [cifs.SHARE, "within 15 s", "445"]),
    ],
)
def test_what_is_wrong_is_said(boot: Boot, name: str, words: list[str]) -> None:
    result = boot(name)
    said = summary(result)
    for word in ("'mount'", "mount.sh", *words):
        assert word in said
    for secret in (cifs.SECRET, cifs.WRONG_SECRET):
        assert secret not in console(result)
