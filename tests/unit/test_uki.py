"""Unified kernel images by ukify: what it is given, and that it did what was asked."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from srbuild.errors import ConfigError, MissingInputError, SrbuildError, ToolError, VerifyError
from srbuild.publish.cmdline import read_cmdline
from srbuild.publish.uki import UkiParts, check_ukify, write_uki
from support.ukify import make_ukify


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with a stand-in for ukify on it and nothing else."""
    folder = make_ukify(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def parts(folder: Path, cmdline: str = "quiet", *, secret: bool = False) -> UkiParts:
    (folder / "image").write_bytes(b"an image " * 999)
    (folder / "vmlinuz").write_bytes(b"a kernel " * 777)
    return UkiParts(folder / "image", folder / "vmlinuz", "6.1.0", "lab", cmdline, secret)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/x.efi").write_text("previous")
    return tmp_path / "out/x.efi"


@pytest.mark.usefixtures("bin_folder")
def test_it_holds_the_image_the_kernel_and_the_command_line(tmp_path: Path, target: Path) -> None:
    made = write_uki(parts(tmp_path, "root=/dev/sda quiet"), target)
    found = {n: bytes.fromhex(v) for n, v in json.loads(target.read_text()).items()}
    assert found[".initrd"] == (tmp_path / "image").read_bytes()
    assert found[".linux"] == (tmp_path / "vmlinuz").read_bytes()
    assert found[".cmdline"] == b"root=/dev/sda quiet"
    assert found[".uname"] == b"6.1.0"
    assert b'PRETTY_NAME="lab (6.1.0)"\n' in found[".osrel"]
    assert made.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert made.size == target.stat().st_size


@pytest.mark.usefixtures("bin_folder")
def test_without_a_command_line_it_has_none(tmp_path: Path, target: Path) -> None:
    write_uki(parts(tmp_path, ""), target)
    assert ".cmdline" not in json.loads(target.read_text())


@pytest.mark.usefixtures("bin_folder")
def test_one_that_holds_secrets_is_its_owners(tmp_path: Path, target: Path) -> None:
    write_uki(parts(tmp_path, secret=True), target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.usefixtures("bin_folder")
@pytest.mark.parametrize(
    ("mode", "kind", "said"),
    [
        ("wrong .initrd", VerifyError, ".initrd: 8992 bytes, sha256 "),
        ("wrong .linux", VerifyError, ".linux: 6994 bytes, sha256 "),
        ("wrong .cmdline", VerifyError, ".cmdline: 6 bytes, sha256 "),
        ("lacks .initrd", VerifyError, ".initrd: nothing where 8991 bytes, sha256 "),
        ("open", VerifyError, "others may read it"),
        ("fails", ToolError, "stub not found"),
        ("old", ToolError, "unrecognized arguments"),
        ("chatty", ToolError, "ukify 255 or newer"),
    ],
)
def test_a_failure_leaves_the_previous_file(
    mode: str, kind: type[SrbuildError], said: str, tmp_path: Path, target: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("FAKE_UKIFY", mode)
    with pytest.raises(kind) as caught:
        write_uki(parts(tmp_path, secret=True), target)
    assert said in str(caught.value)
    assert target.read_text() == "previous"
    assert os.listdir(target.parent) == ["x.efi"]


def test_without_ukify_its_package_is_named(tmp_path: Path, bin_folder: Path) -> None:
    check_ukify()
    (bin_folder / "ukify").unlink()
    with pytest.raises(ToolError, match="systemd-ukify"):
        check_ukify()


@pytest.mark.skipif(shutil.which("ukify") is None, reason="ukify is not in Debian 12")
def test_the_real_ukify_embeds_the_very_bytes(sysroot: Path, tmp_path: Path) -> None:
    [kernel] = (sysroot / "boot").glob("vmlinuz-*")
    (tmp_path / "image").write_bytes(os.urandom(100_001))
    made = UkiParts(tmp_path / "image", kernel, "6.1", "lab", "quiet")
    first, again = (write_uki(made, tmp_path / name) for name in ("a.efi", "b.efi"))
    assert first.sha256 == again.sha256
    command = ["objcopy", "-O", "binary", "--only-section=.initrd", "a.efi", "initrd"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    assert (tmp_path / "initrd").read_bytes() == (tmp_path / "image").read_bytes()


def test_the_command_line_is_text_or_a_files(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("root=/dev/sda\n  quiet\n")
    assert read_cmdline(" a  b\t c ") == "a b c"
    assert read_cmdline("") == ""
    assert read_cmdline(f"@{tmp_path}/words") == "root=/dev/sda quiet"
    assert read_cmdline("x" * 2047) == "x" * 2047


@pytest.mark.parametrize("text", ["a\0b", "a\x1b[2J", "gr\u00fc\u00df", "x" * 2048])
def test_what_no_kernel_takes_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "words").write_text(text)
    for given in (text, f"@{tmp_path}/words"):
        with pytest.raises(ConfigError, match="--cmdline"):
            read_cmdline(given)


def test_a_command_line_of_no_file_is_missing_input(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="cannot read the command line: No such file"):
        read_cmdline(f"@{tmp_path}/absent")
