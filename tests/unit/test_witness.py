"""Witnesses: kept by who may, found by the same question, refused for any doubt."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srbuild import witness as module
from srbuild.host.looks import Looks, look, recorded
from srbuild.witness import FOLDER, Witness, keep, question, recall
from support.images import leftovers

OPTIONS: dict[str, object] = {"fs": "gfs2", "kmods": ("a",), "as_json": False, "cache": None}
SEGMENT = {"name": "base", "sha256": "a" * 64, "offset": 0, "length": 8, "from_cache": True}
DOCUMENT: dict[str, Any] = {
    "image": "x.img", "sha256": "b" * 64, "changed": False, "size": 8, "entries": 1,
    "segments": [SEGMENT], "notes": [], "uki": None,
}  # fmt: skip
FOUND = Witness("0" * 64, DOCUMENT, True, ("key",), b"sidecar")
AGE_NS = 10_000_000_000


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Looks:
    """What a build saw: an old file, an absent one, a variable."""
    monkeypatch.setattr(module, "_look_at_code", lambda _: None)
    monkeypatch.setattr("srbuild.host.looks.is_settled", lambda *_: True)
    (tmp_path / "file").write_text("x")
    with recorded() as looks:
        look(tmp_path / "file")
        look(tmp_path / "absent")
    looks.environ({"SRBUILD_FS": "gfs2"}).get("SRBUILD_FS")
    return looks


@pytest.fixture
def kept(tmp_path: Path, seen: Looks) -> Path:
    assert keep(tmp_path / "cache", question(OPTIONS), seen, FOUND) == ""
    [path] = (tmp_path / "cache" / FOLDER).iterdir()
    return path


def remembered(tmp_path: Path, environ: dict[str, str] | None = None) -> Witness | None:
    given = {"SRBUILD_FS": "gfs2"} if environ is None else environ
    return recall(tmp_path / "cache", question(OPTIONS), given)


def test_what_was_kept_is_recalled(tmp_path: Path, kept: Path) -> None:
    assert remembered(tmp_path) == FOUND
    assert kept.stat().st_mode & 0o777 == 0o600
    assert not leftovers(kept.parent)


def test_a_file_that_changed_or_appeared_is_noticed(tmp_path: Path, kept: Path) -> None:
    (tmp_path / "absent").touch()
    assert remembered(tmp_path) is None
    (tmp_path / "absent").unlink()
    assert remembered(tmp_path) == FOUND
    (tmp_path / "file").write_text("y")
    assert remembered(tmp_path) is None


@pytest.mark.parametrize("environ", [{}, {"SRBUILD_FS": "nfs"}, {"SRBUILD_FS": ""}])
def test_a_variable_that_changed_is_noticed(
    tmp_path: Path, kept: Path, environ: dict[str, str]
) -> None:
    assert remembered(tmp_path, environ) is None


def test_how_it_is_printed_is_no_part_of_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    assert question({**OPTIONS, "as_json": True}) == question(OPTIONS)


@pytest.mark.parametrize("option", [{"fs": "nfs"}, {"kmods": ()}, {"part": "site"}])
def test_other_options_are_another_question(option: dict[str, object]) -> None:
    assert question({**OPTIONS, **option}) != question(OPTIONS)


def test_another_place_or_python_is_another_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = question(OPTIONS)
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        assert question(OPTIONS) != here
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, "/more"])
        assert question(OPTIONS) != here
    monkeypatch.setattr(sys, "version", "another")
    assert question(OPTIONS) != here


def test_two_questions_of_one_place_do_not_answer_each_other(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_place", lambda *_: kept)
    assert recall(tmp_path / "cache", question(OPTIONS), {"SRBUILD_FS": "gfs2"}) == FOUND
    other = question({**OPTIONS, "fs": "nfs"})
    assert recall(tmp_path / "cache", other, {"SRBUILD_FS": "gfs2"}) is None


def test_nothing_is_kept_of_what_is_unsure(tmp_path: Path, seen: Looks) -> None:
    seen.is_sure = False
    assert keep(tmp_path / "cache", question(OPTIONS), seen, FOUND) == ""
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:100],
        lambda data: data[: data.index(b"\n")],
        lambda data: data.replace(b"gfs2", b"gfs3", 1),
        lambda data: data.replace(b"srbuild.witness/1", b"srbuild.witness/9"),
        lambda data: b"\xff\xfe" + data,
        lambda data: b"srbuild.witness/1 x y\n",
        lambda data: b"srbuild.witness/1 -1 00000000\n",
        lambda data: b"srbuild.witness/1 2 0d4cbb29\n[]",
        lambda data: os.urandom(5000),
    ],
)
def test_damage_is_absence(tmp_path: Path, kept: Path, damage: Callable[[bytes], bytes]) -> None:
    kept.write_bytes(damage(kept.read_bytes()))
    assert remembered(tmp_path) is None


def test_a_damaged_sidecar_is_not_used(tmp_path: Path, kept: Path) -> None:
    kept.write_bytes(kept.read_bytes().replace(b"sidecar", b"sidecat")[:-1] + b"!")
    found = remembered(tmp_path)
    assert found is None or (found.sidecar, found.keys) == (b"", ())


def test_a_cut_sidecar_is_not_used(tmp_path: Path, kept: Path) -> None:
    kept.write_bytes(kept.read_bytes()[:-1])
    found = remembered(tmp_path)
    assert found is not None
    assert (found.sidecar, found.keys, found.inputs) == (b"", (), FOUND.inputs)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o644, 0o666])
def test_what_others_may_touch_is_not_believed(tmp_path: Path, kept: Path, mode: int) -> None:
    kept.chmod(mode)
    assert remembered(tmp_path) is None


def test_another_users_is_not_believed(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: kept.stat().st_uid + 1)
    assert remembered(tmp_path) is None


def test_a_link_in_its_place_is_not_believed(tmp_path: Path, kept: Path) -> None:
    moved = kept.rename(tmp_path / "moved")
    kept.symlink_to(moved)
    assert remembered(tmp_path) is None


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, seen: Looks) -> None:
    (tmp_path / "cache").write_text("no folder")
    told = keep(tmp_path / "cache", question(OPTIONS), seen, FOUND)
    assert told.startswith("what this build saw is not kept: ")


def test_only_the_last_ones_are_kept(
    tmp_path: Path, seen: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    for number in range(5):
        asked = question({**OPTIONS, "name": str(number)})
        assert keep(tmp_path / "cache", asked, seen, FOUND) == ""
        for path in (tmp_path / "cache" / FOLDER).iterdir():
            status = path.stat()
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - AGE_NS))
    found = [
        recall(tmp_path / "cache", question({**OPTIONS, "name": str(n)}), {"SRBUILD_FS": "gfs2"})
        for n in range(5)
    ]
    assert [one is not None for one in found] == [False, False, True, True, True]


def test_the_row_holds_no_more_than_it_tells(kept: Path) -> None:
    head = json.loads(kept.read_bytes().split(b"\n", 1)[1].removesuffix(b"sidecar"))
    assert set(head) == {
        *("question", "variables", "followed", "plain", "inputs"),
        *("document", "is_unsafe", "keys", "sidecar"),
    }
