from __future__ import annotations

import lzma
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from srbuild.kernels.kmods import KmodClosure, Wish, close_kmods
from support.kernels import VERSION
from support.kmod_root import RECIPE, install, kernel, make_root, wishes, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path / "root")


def firmware(root: Path, *asked: str) -> KmodClosure:
    return close_kmods(kernel(root), wishes("acme-nic"), wishes(*asked))


def test_firmware_is_looked_for_where_the_kernel_looks(root: Path) -> None:
    places = ["acme/nic.bin", f"{VERSION}/acme/nic.bin", "updates/acme/nic.bin"]
    for place in [*places, f"updates/{VERSION}/acme/nic.bin"]:
        write(root / "lib/firmware" / place, b"x")
        (file,) = firmware(root).firmware
        assert file.source == f"/lib/firmware/{place}"
        assert file.image == f"/usr/lib/firmware/{place}"
        assert file.unpack == ""


@pytest.mark.parametrize(
    ("suffix", "how", "pack"), [("xz", "xz", lzma.compress), ("zst", "zstd", zstandard.compress)]
)
def test_compressed_firmware_is_unpacked(
    root: Path, tmp_path: Path, suffix: str, how: str, pack: Callable[[bytes], bytes]
) -> None:
    (root / "lib/firmware/acme/nic.bin").unlink()
    write(root / f"lib/firmware/acme/nic.bin.{suffix}", pack(b"the firmware"))
    closure = firmware(root)
    (file,) = closure.firmware
    assert (file.unpack, file.image) == (how, "/usr/lib/firmware/acme/nic.bin")
    install(root, closure, tmp_path / "image")
    assert (tmp_path / "image/lib/firmware/acme/nic.bin").read_bytes() == b"the firmware"


def test_plain_firmware_comes_before_compressed(root: Path) -> None:
    write(root / "lib/firmware/acme/nic.bin.xz", lzma.compress(b"older"))
    assert [file.source for file in firmware(root).firmware] == ["/lib/firmware/acme/nic.bin"]


@pytest.mark.parametrize("target", ["../real/v2.bin.xz", "/lib/firmware/real/v2.bin.xz"])
def test_links_lead_to_the_unpacked_file(root: Path, tmp_path: Path, target: str) -> None:
    (root / "lib/firmware/acme/nic.bin").unlink()
    write(root / "lib/firmware/real/v2.bin.xz", lzma.compress(b"second"))
    (root / "lib/firmware/acme/nic.bin.xz").symlink_to(target)
    closure = firmware(root, "real/v2.bin")
    assert [file.image for file in closure.firmware] == ["/usr/lib/firmware/real/v2.bin"]
    assert [link.image for link in closure.links] == ["/usr/lib/firmware/acme/nic.bin"]
    assert closure.links[0].reasons[0].how == "firmware"
    assert [reason.how for reason in closure.firmware[0].reasons] == ["firmware", "kmod"]
    install(root, closure, tmp_path / "image")
    assert (tmp_path / "image/lib/firmware/acme/nic.bin").read_bytes() == b"second"


def test_links_of_folders_and_out_of_lib(root: Path, tmp_path: Path) -> None:
    shutil.rmtree(root / "lib/firmware/acme")
    write(root / "opt/acme/nic.bin", b"far")
    (root / "lib/firmware/acme").symlink_to("../../opt/acme")
    closure = firmware(root)
    assert [file.image for file in closure.firmware] == ["/opt/acme/nic.bin"]
    install(root, closure, tmp_path / "image")
    assert (tmp_path / "image/lib/firmware/acme/nic.bin").read_bytes() == b"far"


def test_a_dangling_link_is_no_firmware(root: Path) -> None:
    (root / "lib/firmware/acme/nic.bin").unlink()
    (root / "lib/firmware/acme/nic.bin").symlink_to("nowhere")
    closure = firmware(root)
    assert closure.firmware == ()
    assert "(acme/nic.bin, acme/gone.bin)" in closure.notes[-1]


def test_firmware_patterns(root: Path) -> None:
    write(root / "lib/firmware/acme/b.bin.xz", lzma.compress(b"b"))
    write(root / "lib/firmware/updates/acme/nic.bin", b"newer")
    write(root / "lib/firmware/acme/notes.txt", b"")
    (root / "lib/firmware/acme/dir.bin").mkdir()
    found = firmware(root, "acme/*.bin").firmware
    assert [file.source for file in found] == [
        "/lib/firmware/acme/b.bin.xz",
        "/lib/firmware/updates/acme/nic.bin",
    ]


@pytest.mark.parametrize("asked", ["acme/gone.bin", "../../etc/shadow", "acme", "", "no/*.bin"])
def test_firmware_asked_for_by_name_must_be_there(root: Path, asked: str) -> None:
    write(root / "etc/shadow", b"root::")
    closure = firmware(root, asked)
    assert [one.name for one in closure.missing] == [asked]
    assert [file.name for file in closure.firmware] == ["acme/nic.bin"]


def test_optional_firmware_may_be_absent(root: Path) -> None:
    closure = close_kmods(kernel(root), [], [Wish("no.bin", RECIPE, optional=True)])
    assert closure.missing == ()
    assert closure.notes == ("firmware no.bin, which is optional, is not in the sysroot",)
