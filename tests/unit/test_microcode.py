"""Early microcode: found in the sysroot, checked, first in the image, aligned."""

from __future__ import annotations

import lzma
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbuild.config.load import Wish
from srbuild.errors import ConfigError, MissingInputError, Origin, SrbuildError
from srbuild.formats.segments import split_image
from srbuild.host.sysroot import Sysroot
from srbuild.image import write_image
from srbuild.kernels.microcode import find_microcode, parse_microcode
from srbuild.layers import split_layers
from srbuild.manifest import Inline
from srbuild.report import verify_image
from srbuild.requests import Data
from support.images import entry, manifest_of
from support.microcode import amd, intel

ORIGIN = Origin("--microcode")


def find(tree: Path, *wish: str) -> tuple[tuple[Data, ...], tuple[SrbuildError, ...]]:
    return find_microcode(Sysroot(tree), Wish(",".join(wish) or "none", ORIGIN))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A sysroot with both vendors' updates, as Debian's packages lay them."""
    home = tmp_path / "root/lib/firmware"
    for name, data in {
        "intel-ucode/06-9e-0a": intel(4096, 1),
        "intel-ucode/06-8e-09.initramfs": intel(2048, 2) + intel(3072, 3),
        "intel-ucode/README": b"no microcode",
        "amd-ucode/microcode_amd.bin": amd(501),
        "amd-ucode/microcode_amd_fam17h.bin": amd(),
        "amd-ucode/microcode_amd.bin.asc": b"a signature",
    }.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(data)
    return tmp_path / "root"


def found(tree: Path, *wish: str) -> dict[str, bytes]:
    updates, errors = find(tree, *wish)
    assert errors == ()
    return {update.target.rpartition("/")[2]: update.data for update in updates}


def errors_of(tree: Path, *wish: str) -> str:
    _, errors = find(tree, *wish)
    assert errors
    assert all(isinstance(error, MissingInputError) for error in errors)
    return "\n".join(map(str, errors))


def test_each_vendors_updates_become_one_file(tree: Path) -> None:
    files = found(tree, "amd", "intel")
    assert files["GenuineIntel.bin"] == intel(2048, 2) + intel(3072, 3) + intel(4096, 1)
    assert files["AuthenticAMD.bin"] == amd(501) + bytes(3) + amd()
    assert found(tree, "auto") == files
    assert [name for name in found(tree, "intel") if name.endswith(".bin")] == ["GenuineIntel.bin"]
    assert [name for name in found(tree, "amd") if name.endswith(".bin")] == ["AuthenticAMD.bin"]
    assert found(tree) == {}
    assert find_microcode(Sysroot(tree), None) == ((), ())


def test_packed_updates_of_a_merged_tree_are_unpacked(tmp_path: Path) -> None:
    home = tmp_path / "usr/lib/firmware/intel-ucode"
    home.mkdir(parents=True)
    (home / "06-9e-0a.xz").write_bytes(lzma.compress(intel()))
    assert found(tmp_path, "auto")["GenuineIntel.bin"] == intel()


def test_an_update_that_there_is_twice_is_taken_once(tree: Path) -> None:
    (tree / "lib/firmware/intel-ucode/06-9e-0a.initramfs").write_bytes(intel(4096, 1))
    assert found(tree, "intel")["GenuineIntel.bin"].count(intel(4096, 1)) == 1


def write(updates: Sequence[Data], target: Path) -> bytes:
    entries = {update.target: entry(Inline(update.data), "early") for update in updates}
    entries["/init"] = entry(Inline(b"init", 0o755))
    layers = split_layers(manifest_of(dict(entries)))
    image, report = write_image(layers, target)
    assert report.ok
    assert image.segments[0].name == "early"
    return target.read_bytes()


@pytest.mark.parametrize("wish", [("intel",), ("amd",), ("amd", "intel")])
def test_it_stands_first_in_plain_bytes_and_aligned(
    wish: tuple[str, ...], tree: Path, tmp_path: Path
) -> None:
    updates, _ = find(tree, *wish)
    image = write(updates, tmp_path / "image")
    with (tmp_path / "image").open("rb") as file:
        first, second = split_image(file)
    assert (first.offset, first.compression, second.compression) == (0, "none", "zstd")
    for update in updates:
        if update.target.endswith(".bin"):
            name = update.target[1:].encode() + b"\0"
            start = image.index(name) + len(name)
            data = start + -start % 4
            assert image[data : data + len(update.data)] == update.data
            assert data % 16 == 0
    assert verify_image(tmp_path / "image").ok


def test_cpio_extracts_what_the_kernel_would_find(tree: Path, tmp_path: Path) -> None:
    updates, _ = find(tree, "auto")
    image = write(updates, tmp_path / "image")
    (tmp_path / "out").mkdir()
    command = ["cpio", "-id", "--quiet", "--no-absolute-filenames"]
    subprocess.run(command, input=image, cwd=tmp_path / "out", check=True, timeout=60)
    made = tmp_path / "out/kernel/x86/microcode"
    assert (made / "GenuineIntel.bin").read_bytes() == found(tree, "intel")["GenuineIntel.bin"]
    assert (made / "AuthenticAMD.bin").read_bytes() == found(tree, "amd")["AuthenticAMD.bin"]


def test_what_is_asked_for_and_absent_names_its_package(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    assert "intel-microcode" in errors_of(tmp_path / "bare", "intel")
    assert "amd64-microcode" in errors_of(tmp_path / "bare", "amd")
    assert "amd64-microcode or intel-microcode" in errors_of(tmp_path / "bare", "auto")
    for path in (tree / "lib/firmware/amd-ucode").iterdir():
        path.unlink()
    assert "no microcode of amd" in errors_of(tree, "amd", "intel")
    assert "GenuineIntel.bin" in found(tree, "auto")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty"),
        (intel()[:-4], "cut short"),
        (intel() + b"1234", "cut short"),
        (intel()[:-1] + b"?", "wrong checksum of the update at offset 0"),
        (intel() + bytes(48), "no header of an update at offset 2048"),
        (b"<html>" * 20, "no header of an update at offset 0"),
    ],
)
def test_what_intels_processors_would_not_take_is_refused(
    data: bytes, problem: str, tree: Path
) -> None:
    (tree / "lib/firmware/intel-ucode/06-9e-0a").write_bytes(data)
    said = errors_of(tree, "auto")
    assert f"/lib/firmware/intel-ucode/06-9e-0a is no microcode: {problem}" in said


@pytest.mark.parametrize("data", [b"", b"DMA\0", b"junk" * 10])
def test_what_is_no_container_of_amd_is_refused(data: bytes, tree: Path) -> None:
    (tree / "lib/firmware/amd-ucode/microcode_amd.bin").write_bytes(data)
    assert "microcode_amd.bin is no microcode" in errors_of(tree, "amd")


def test_a_damaged_packed_update_is_refused(tree: Path) -> None:
    (tree / "lib/firmware/intel-ucode/06-9e-0b.xz").write_bytes(lzma.compress(intel())[:-9])
    assert "06-9e-0b.xz is no microcode: " in errors_of(tree, "auto")


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("none", ()),
        ("auto", ("auto",)),
        ("intel", ("intel",)),
        ("intel,amd", ("amd", "intel")),
        ("amd,amd", ("amd",)),
    ],
)
def test_how_it_is_asked_for(text: str, wish: tuple[str, ...]) -> None:
    assert parse_microcode(Wish(text, ORIGIN)) == wish


@pytest.mark.parametrize(
    ("text", "hint"),
    [("inte", "did you mean 'intel'?"), ("via", "known: amd, auto, intel, none"),
     ("intel,auto", "known: amd, intel"), ("", "known:"), ("amd,", "known: amd, intel")],
)  # fmt: skip
def test_other_words_are_refused(text: str, hint: str) -> None:
    with pytest.raises(ConfigError, match="--microcode: no microcode is called") as caught:
        parse_microcode(Wish(text, ORIGIN))
    assert hint in caught.value.hint


@given(st.binary(max_size=200), st.integers(0, 199), st.binary(max_size=4))
def test_any_bytes_are_taken_or_refused(junk: bytes, at: int, other: bytes) -> None:
    from srbuild.kernels.microcode import VENDORS

    damaged = bytearray(intel(256))
    damaged[at : at + len(other)] = other
    for data in (junk, bytes(damaged)):
        problem = VENDORS["intel"].check(data)
        assert problem or data == intel(256) or sum(struct.unpack("<64I", data)) % 2**32 == 0
