"""Whole builds from other inputs than one directory with one kernel, by the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from srbuild.cli.main import cli, main
from support.kernels import run as run_tool
from support.oci import Layout

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `srbuild` with a cache of the test's own."""
    monkeypatch.setenv("SRBUILD_CACHE", str(tmp_path / "cache"))

    def run_it(*words: object) -> Result:
        return CliRunner().invoke(cli, [str(word) for word in words])

    return run_it


def build(run: Run, sysroot: Path, target: Path, *words: object) -> dict[str, Any]:
    argv = ("--fs", "gfs2", "--blk", "iscsi", "--sysroot", sysroot, "-o", target, "--json")
    done = run(*argv, *words)
    assert done.exit_code == 0, done.exception
    document: dict[str, Any] = json.loads(done.stdout)
    assert run("verify", target).exit_code == 0
    return document


def paths(target: Path) -> set[str]:
    return set(json.loads(Path(f"{target}.json").read_text())["entries"])


def other(version: str) -> str:
    """A later version's name of the same length, which fits where the first stands in a kmod."""
    return f"9{version[1:]}"


@pytest.fixture(scope="module")
def two_kernels(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree, by links, with its kernel a second time under another name.

    Links to the copy: each one made or removed is a change of the file's, in the midst of what
    another process builds from the tree of `make test`.
    """
    root = tmp_path_factory.mktemp("two") / "root"
    shutil.copytree(copy, root, symlinks=True, copy_function=_link)
    (kernel,) = (root / "lib/modules").iterdir()
    later = kernel.with_name(other(kernel.name))
    magics = [f"vermagic={path.name} ".encode() for path in (kernel, later)]

    def rebuild(source: str, target: str) -> None:
        if Path(source).is_symlink():
            _link(source, target)
        else:
            Path(target).write_bytes(Path(source).read_bytes().replace(*magics))

    shutil.copytree(kernel, later, symlinks=True, copy_function=rebuild)
    run_tool("depmod", "-b", str(root), later.name)
    return root


def _link(source: str, target: str) -> None:
    if not Path(source).is_symlink():
        Path(target).hardlink_to(source)
    else:
        Path(target).symlink_to(Path(source).readlink())


def test_all_kernels_are_in_the_image_and_named(
    run: Run, two_kernels: Path, tmp_path: Path
) -> None:
    image = tmp_path / "both.img"
    document = build(run, two_kernels, image, "--kernel", "all")
    first, later = sorted(path.name for path in (two_kernels / "lib/modules").iterdir())
    assert document["kernel"] == later
    assert document["kernels"] == [later, first]
    assert json.loads(Path(f"{image}.json").read_text())["kernels"] == [later, first]
    gfs2 = {path for path in paths(image) if path.endswith("/gfs2.ko")}
    assert gfs2 == {f"/usr/lib/modules/{v}/kernel/fs/gfs2/gfs2.ko" for v in (later, first)}
    one = build(run, two_kernels, tmp_path / "one.img")
    assert one["kernels"] == [later]
    assert not any(first in path for path in paths(tmp_path / "one.img"))


def test_an_inventory_makes_the_image_smaller(run: Run, sysroot: Path, tmp_path: Path) -> None:
    inventory = tmp_path / "node.hw"
    inventory.write_text("pci:v00008086d000010D3sv0000sd0000bc02sc00i00\n")  # e1000e
    whole = build(run, sysroot, tmp_path / "any.img")
    fitted = build(run, sysroot, tmp_path / "node.img", "--modalias-from", inventory)
    drivers = {path for path in paths(tmp_path / "node.img") if "/net/ethernet/" in path}
    assert {path.rpartition("/")[2] for path in drivers if path.endswith(".ko")} == {"e1000e.ko"}
    assert any(path.endswith("/virtio_net.ko") for path in paths(tmp_path / "node.img"))
    assert fitted["size"] < 0.6 * whole["size"]


def test_a_packed_sysroot_gives_the_same_image(run: Run, sysroot: Path, tmp_path: Path) -> None:
    archive = tmp_path / "root.tar.zst"
    command = f"tar -C '{sysroot}' -cf - . | zstd -q -1 -T0 -o '{archive}'"
    subprocess.run(["sh", "-c", command], check=True, timeout=120)
    expected = build(run, sysroot, tmp_path / "plain.img")
    packed = build(run, archive, tmp_path / "packed.img")
    assert packed["sha256"] == expected["sha256"]
    layout = Layout(tmp_path / "layout")
    layer = subprocess.run(["zstd", "-qdc", archive], check=True, capture_output=True).stdout
    kind = "application/vnd.oci.image.layer.v1.tar"
    layout.add(layout.manifest([layer], media_type=kind))
    assert build(run, layout.root, tmp_path / "oci.img")["sha256"] == expected["sha256"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--kernel", "1.2.3"), 4, "no kernel 1.2.3"),
        (("--kernel", ""), 3, "--kernel: is empty"),
        (("--modalias-from", "/nonexistent"), 3, "cannot read /nonexistent"),
        (("--modalias-from", "/proc/version"), 3, "is no modalias"),
        (("--arch", "arm64"), 2, "--arch chooses among"),
        (("--sysroot", "/nonexistent"), 4, "no sysroot at /nonexistent"),
        (("--sysroot", "/proc/version"), 7, "no tar archive"),
    ],
)
def test_what_cannot_be_used_is_told(
    sysroot: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.setenv("SRBUILD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SRBUILD_SYSROOT", str(sysroot))
    with pytest.raises(SystemExit) as caught:
        main(["check", "--fs", "gfs2", "--blk", "iscsi", *words])
    assert caught.value.code == code
    assert said in capsys.readouterr().err
