"""`srbuild list`, `srbuild verify` and the help: what a person and a pipeline learn from them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from srbuild.cli.main import VERBS, cli, main
from support.commands import SRBUILD, Done

pytestmark = pytest.mark.usefixtures("surroundings")


def test_a_list_is_one_path_a_line(srbuild: Callable[..., Done], image: Path) -> None:
    plain = srbuild("list", image).out.splitlines()
    assert plain == sorted(plain)
    assert "/init" in plain
    long = srbuild("list", "-l", image).out.splitlines()
    assert len(long) == len(plain)
    [sbin] = [line for line in long if " /sbin " in line]
    assert sbin.startswith("lrwxrwxrwx")
    assert "/sbin -> usr/sbin   # skeleton: srbuild: skeleton" in sbin
    [null] = [line for line in long if " /dev/null " in line]
    assert null.startswith("crw-rw-rw-")


def foreign(folder: Path, *names: bytes) -> Path:
    """An initramfs as GNU cpio makes it."""
    tree = folder / "tree"
    tree.mkdir()
    for name in names:
        (tree / os.fsdecode(name)).write_bytes(name)
    listed = b".\n" + b"".join(b"./" + name + b"\n" for name in names)
    target = folder / "foreign.img"
    with target.open("wb") as file:
        argv = ["cpio", "-o", "-H", "newc", "--quiet", "--owner=+0:+0"]
        subprocess.run(argv, cwd=tree, input=listed, stdout=file, check=True, timeout=60)
    return target


def test_any_initramfs_can_be_listed_and_verified(
    srbuild: Callable[..., Done], tmp_path: Path
) -> None:
    path = foreign(tmp_path, b"init", b"README")
    assert srbuild("list", path).out.splitlines()[-2:] == ["/README", "/init"]
    done = srbuild("verify", path)
    assert done.code == 0
    assert "a sound archive (no sidecar)" in done.out


def test_names_of_any_bytes_are_listed(tmp_path: Path) -> None:
    path = foreign(tmp_path, b"caf\xe9", "caf\u00e9".encode())
    for words in (["list"], ["list", "-l"], ["list", "--json"]):
        argv = [SRBUILD, *words, path]
        done = subprocess.run(argv, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert b"caf\\xe9\n" in done.stdout or b'"/caf\\udce9"' in done.stdout


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "no archive"])
def test_a_damaged_image_is_code_7(srbuild: Callable[..., Done], image: Path, damage: str) -> None:
    data = bytearray(image.read_bytes())
    match damage:
        case "flip":
            data[len(data) // 2] ^= 1
        case "truncate":
            del data[-3000:]
        case "empty":
            data.clear()
        case "no archive":
            data = bytearray(b"#!/bin/sh\nexit 0\n" * 100)
    image.write_bytes(data)
    done = srbuild("verify", image)
    assert done.code == 7
    assert "image is not what it should be" in done.err
    assert done.out == ""


def test_a_sidecar_of_something_else_is_code_7(srbuild: Callable[..., Done], image: Path) -> None:
    Path("image.json").write_text("{}")
    done = srbuild("verify", image)
    assert done.code == 7
    assert "image.json: damaged sidecar" in done.err


# --- JSON -------------------------------------------------------------------------------------


def test_the_document_of_a_list(srbuild: Callable[..., Done], image: Path) -> None:
    document = srbuild("list", image, "--json").document
    assert document["schema"] == "srbuild.list/1"
    assert document["mismatches"] == []
    rows = {row["path"]: row for row in document["entries"]}
    assert rows["/init"]["mode"] == "0755"
    assert rows["/init"]["segment"] == "base"
    assert rows["/usr/sbin/iscsid"]["reasons"] == ["binary: module iscsi: install.binaries[0]"]
    assert rows["/bin"] == {
        "path": "/bin",
        "type": "symlink",
        "mode": "0777",
        "target": "usr/bin",
        "segment": "base",
        "reasons": ["skeleton: srbuild: skeleton"],
    }


def test_the_document_of_a_verification(srbuild: Callable[..., Done], image: Path) -> None:
    document = srbuild("verify", image, "--json").document
    assert document["schema"] == "srbuild.verify/1"
    assert (document["ok"], document["against"], document["mismatches"]) == (True, "sidecar", [])
    Path("image.json").unlink()
    assert srbuild("verify", image, "--json").document["against"] == "structure"


@pytest.mark.parametrize("verb", ["verify", "list"])
def test_a_damaged_image_still_makes_one_document(
    srbuild: Callable[..., Done], image: Path, verb: str
) -> None:
    image.write_bytes(image.read_bytes()[:-2000])
    done = srbuild(verb, image, "--json")
    assert done.code == 7
    assert done.document["schema"] == f"srbuild.{verb}/1"
    assert done.document["mismatches"]


# --- help and the terminal --------------------------------------------------------------------


def verbs(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from verbs(command, (*path, name))


@pytest.mark.parametrize("words", list(verbs(cli)), ids=" ".join)
def test_every_verb_explains_itself_and_its_options(
    srbuild: Callable[..., Done], words: tuple[str, ...]
) -> None:
    for option in ("--help", "-h"):
        done = srbuild(*words, option)
        assert done.code == 0
        assert done.out.startswith(f"Usage: srbuild {' '.join(words)}")
    command: click.Command = cli
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            # A name with what it takes and its default may be plain enough.
            plain = parameter.metavar and parameter.show_default
            assert parameter.help or plain, f"{words}: {parameter.opts} has no help"


def test_the_main_help_names_every_verb_and_exit_code(srbuild: Callable[..., Done]) -> None:
    text = srbuild("--help").out
    assert all(f"\n  {verb} " in text for verb in VERBS)
    words = " ".join(text.split())
    assert "0 done, 1 failed, 2 usage, 3 configuration, 4 missing input, 5 conflict" in words
    assert "7 verification failed" in words


def test_a_reader_that_goes_away_is_no_accident(image: Path) -> None:
    """`srbuild list IMAGE | head -1`, with a list longer than a pipe holds."""
    with subprocess.Popen(
        [SRBUILD, "list", "--json", image], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(timeout=60)
    assert errors == b""


def test_a_bug_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def boom(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("srbuild.report.verify_image", boom)
    with pytest.raises(ZeroDivisionError):
        main(["verify", "cluster.toml"])
