"""What `srbuild build` can be told about its outputs, run as a user runs it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from srbuild.formats.segments import split_image
from support.kernels import VERSION, FakeKmod, make_kernel
from support.microcode import amd, intel
from support.ukify import make_ukify


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The least that an image can be made of, and microcode of AMD's."""
    root = tmp_path_factory.mktemp("outputs") / "root"
    make_kernel(root, [FakeKmod("kernel/drivers/virtio/virtio_pci.ko")])
    (root / "bin").mkdir()
    for name in ("busybox", "timeout"):
        shutil.copy(shutil.which("busybox") or "busybox", root / "bin" / name)
    (root / "lib/firmware/amd-ucode").mkdir(parents=True)
    (root / "lib/firmware/amd-ucode/microcode_amd.bin").write_bytes(amd())
    (root / "boot").mkdir()
    (root / f"boot/vmlinuz-{VERSION}").write_bytes(b"a kernel")
    return root


def build(tree: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = ["--module", "core", "--sysroot", str(tree), "--cache", "none", "-o", "x.img"]
    return subprocess.run(
        [Path(sys.executable).parent / "srbuild", *command, *words],
        cwd=tree.parent,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def kinds(tree: Path) -> list[str]:
    with (tree.parent / "x.img").open("rb") as image:
        return [segment.compression for segment in split_image(image)]


@pytest.mark.parametrize("asked", ["zstd", "zstd:19", "xz:0", "gzip", "lz4", "lz4:12", "none"])
def test_every_compressor_can_be_asked_for(asked: str, tree: Path) -> None:
    done = build(tree, "--compression", asked, "--json")
    assert done.returncode == 0, done.stderr
    name = asked.partition(":")[0]
    assert kinds(tree) == [name, name, name]
    told = json.loads(done.stdout)["segments"]
    assert [segment["compression"] for segment in told] == [name, name, name]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("xz:7", "'7' is not a level of xz\n  hint: levels: 0 to 6"),
        ("gzip:0", "hint: levels: 1 to 9"),
        ("lz4:13", "hint: levels: 1 to 12"),
        ("zstd:20", "hint: levels: 1 to 19"),
        ("lz", "hint: did you mean 'lz4'?"),
        ("gz", "hint: did you mean 'gzip'?"),
        ("bzip2", "unknown compression 'bzip2'"),
    ],
)
def test_a_wrong_compressor_or_level_leaves_the_image(asked: str, said: str, tree: Path) -> None:
    assert build(tree).returncode == 0
    before = (tree.parent / "x.img").read_bytes()
    done = build(tree, "--compression", asked)
    assert done.returncode == 3
    assert said in done.stderr
    assert (tree.parent / "x.img").read_bytes() == before


def test_microcode_is_first_and_listed(tree: Path) -> None:
    for words, environ in ((("--microcode", "auto"), {}), ((), {"SRBUILD_MICROCODE": "amd"})):
        done = build(tree, *words, **environ)
        assert done.returncode == 0, done.stderr
        assert kinds(tree) == ["none", "zstd", "zstd", "zstd"]
        start = (tree.parent / "x.img").read_bytes()[:5000]
        assert amd() in start
    srbuild = Path(sys.executable).parent / "srbuild"
    for verb in (["list", "-l"], ["verify"]):
        shown = subprocess.run(
            [srbuild, *verb, "x.img"], cwd=tree.parent, capture_output=True, text=True, check=True
        ).stdout
        assert verb == ["verify"] or "500 /kernel/x86/microcode/AuthenticAMD.bin" in shown
        assert verb == ["verify"] or "# microcode: SRBUILD_MICROCODE" in shown


def test_a_recipe_may_ask_for_microcode(tree: Path) -> None:
    recipe = tree.parent / "mine.toml"
    recipe.write_text('name = "mine"\nmodules = ["core"]\nmicrocode = "amd"\ncompression = "xz"\n')
    assert build(tree, "--image", str(recipe)).returncode == 0
    assert kinds(tree) == ["none", "xz", "xz", "xz"]
    recipe.write_text('name = "mine"\nmodules = ["core"]\nmicrocode = "amdd"\n')
    done = build(tree, "--image", str(recipe))
    assert done.returncode == 3
    assert "mine.toml: microcode: no microcode is called 'amdd'\n  hint: did you" in done.stderr


def test_microcode_that_is_asked_for_and_absent_names_its_package(tree: Path) -> None:
    assert build(tree).returncode == 0
    before = (tree.parent / "x.img").read_bytes()
    done = build(tree, "--microcode", "intel,amd")
    assert done.returncode == 4
    assert "install intel-microcode in it (Debian: non-free-firmware)" in done.stderr
    assert (tree.parent / "x.img").read_bytes() == before


def test_microcode_that_changes_makes_another_image(tree: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(tree, root, symlinks=True)
    assert build(root, "--microcode", "auto").returncode == 0
    (root / "lib/firmware/intel-ucode").mkdir()
    (root / "lib/firmware/intel-ucode/06-9e-0a").write_bytes(intel())
    done = build(root, "--microcode", "auto")
    assert "up to date" not in done.stdout
    assert intel() in (tmp_path / "x.img").read_bytes()


def test_a_uki_holds_what_was_built(tree: Path, tmp_path: Path) -> None:
    path = f"{make_ukify(tmp_path / 'bin')}{os.pathsep}{os.environ['PATH']}"
    words = ("--uki", "x.efi", "--cmdline", "root=/dev/sda  quiet", "--json")
    for _ in range(2):
        done = build(tree, *words, PATH=path)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        made = (tree.parent / "x.efi").read_bytes()
        sections = {name: bytes.fromhex(data) for name, data in json.loads(made).items()}
        assert sections[".initrd"] == (tree.parent / "x.img").read_bytes()
        assert sections[".linux"] == b"a kernel"
        assert sections[".cmdline"] == b"root=/dev/sda quiet"
        assert sections[".uname"] == VERSION.encode()
        assert told["uki"]["path"] == "x.efi"
        assert told["uki"]["sha256"] == hashlib.sha256(made).hexdigest()


def test_a_uki_wants_a_kernel(tree: Path, tmp_path: Path) -> None:
    path = f"{make_ukify(tmp_path / 'bin')}{os.pathsep}{os.environ['PATH']}"
    shutil.copytree(tree, tmp_path / "root", symlinks=True)
    shutil.rmtree(tmp_path / "root/boot")
    done = build(tmp_path / "root", "--uki", "x.efi", PATH=path)
    assert done.returncode == 4
    assert f"no kernel {VERSION} in " in done.stderr
    assert not (tmp_path / "x.efi").exists()


def test_without_ukify_nothing_is_built(tree: Path, tmp_path: Path) -> None:
    (tree.parent / "x.img").unlink(missing_ok=True)
    done = build(tree, "--uki", "x.efi", PATH=str(tmp_path))
    assert done.returncode == 6
    assert "apt-get install systemd-ukify" in done.stderr
    assert not (tree.parent / "x.img").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--cmdline", "quiet"), 2, "--cmdline is for --uki"),
        (("--uki", "x.efi", "--part", "site"), 2, "a site part has no kernel"),
        (("--uki", "x.efi", "--cmdline", "@absent"), 4, "--cmdline: absent: cannot read"),
        (("--uki", "x.efi", "--cmdline", "a\x1bb"), 3, "no printable ASCII"),
    ],
)
def test_what_cannot_be_unified_is_told(
    words: tuple[str, ...], code: int, said: str, tree: Path
) -> None:
    done = build(tree, *words)
    assert done.returncode == code
    assert said in done.stderr
