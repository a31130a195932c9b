"""Every recipe's image, unpacked: its own loader, kmod and busybox find all that they look for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from srbuild.closure.closer import ElfCloser, Seed
from srbuild.errors import Origin
from srbuild.host.sysroot import Sysroot
from srbuild.manifest import Reason, Symlink
from srbuild.paths import MERGED_DIRS, SysrootPath, to_image
from support.images import entry, write
from support.unpacked import elf_files, listed, run_inside, unpack

PROJECT = Path(__file__).resolve().parents[2]
SRBUILD = Path(sys.executable).with_name("srbuild")
RECIPES = sorted(path.stem for path in (PROJECT / "images").glob("*.toml"))
ASKED = Reason("file", Origin("image"))


@pytest.fixture(scope="module", params=RECIPES)
def root(
    request: pytest.FixtureRequest, sysroot: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The root tree of a recipe's image."""
    folder = tmp_path_factory.mktemp("oracle")
    argv = [SRBUILD, "--image", request.param, "--sysroot", sysroot, "--no-cache"]
    subprocess.run([*argv, "-o", folder / "image"], check=True, capture_output=True, timeout=240)
    return unpack(folder / "image", folder / "root")


def test_the_images_own_loader_finds_everything(root: Path) -> None:
    found = dict(elf_files(root))
    dynamic = {path: info for path, info in found.items() if info.is_dynamic}
    (loader,) = {info.interp for info in dynamic.values() if info.interp}
    assert loader
    looked = {path: listed(root, loader, path) for path, info in dynamic.items() if info.interp}
    assert looked
    seen = {real(root, path) for found, _ in looked.values() for path in found}
    # What no program loads by itself is a plug-in, opened into a process of its own accord.
    plugins = dynamic.keys() - looked.keys() - seen - {real(root, loader)}
    looked |= {path: listed(root, loader, path) for path in plugins}
    assert {path: missing for path, (_, missing) in looked.items() if missing} == {}


def test_the_oracle_sees_what_is_missing(root: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-a", root, tmp_path / "root"], check=True, timeout=60)
    programs = [(path, info) for path, info in elf_files(tmp_path / "root") if info.interp]
    path, info = next(item for item in programs if "libc.so.6" in item[1].needed)
    for libc in (tmp_path / "root").rglob("libc.so.6"):
        libc.unlink()
    assert info.interp
    (problem,) = listed(tmp_path / "root", info.interp, path)[1]
    assert "libc.so.6" in problem


def test_closing_over_the_image_again_finds_nothing_missing(root: Path) -> None:
    """What can be asked of an image of another architecture, too: nothing is run."""
    tree = Sysroot(root)
    closer = ElfCloser(tree)
    facts = dict(elf_files(root))
    programs = [path for path, info in facts.items() if info.interp]
    first = closer.close(Seed(SysrootPath(path), ASKED) for path in programs)
    known = {str(found.path) for found in first.new}
    plugins = sorted(facts.keys() - known)
    second = closer.close(Seed(SysrootPath(path), ASKED) for path in plugins)
    assert programs
    assert (first.missing, second.missing) == ((), ())


def test_kmod_and_busybox_find_every_kmod_and_what_it_needs(root: Path) -> None:
    (kernel,) = sorted(path.name for path in (root / "usr/lib/modules").iterdir())
    here = root / "usr/lib/modules" / os.uname().release  # where busybox looks
    if not here.exists():
        here.symlink_to(kernel)
    kmods = sorted(path for path in (root / "usr/lib/modules" / kernel).rglob("*.ko"))
    assert len(kmods) > 5
    names = [path.name.removesuffix(".ko").replace("-", "_") for path in kmods]
    argv = ["modprobe", "-d", str(root), "-S", kernel, "--show-depends", "--all", *names]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    files = [Path(line.split()[1]) for line in done.stdout.splitlines() if "insmod" in line]
    assert {path.name for path in kmods} <= {path.name for path in files}
    assert [path for path in files if not path.is_file()] == []
    for name in names:
        done = run_inside(root, "/usr/bin/busybox", "modprobe", "-D", name)
        lines = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("insmod")]
        assert (done.returncode, done.stderr) == (0, ""), name
        assert lines, name
        assert [path for path in lines if not (root / path.lstrip("/")).is_file()] == [], name


def real(root: Path, path: str) -> str:
    """Where `path` leads inside the tree."""
    return str(Sysroot(root).resolve(SysrootPath(path)).path)


def test_a_link_of_usr_to_itself_is_sound(tmp_path: Path) -> None:
    """What `$ORIGIN/../usr` of an unmerged tree needs in the image."""
    _, report = write(tmp_path / "image", {"/usr/usr": entry(Symlink("../usr"))})
    assert report.ok


THREAD = """
#include <pthread.h>
static void *leave(void *unused) { (void)unused; pthread_exit(0); }
int main(void) { pthread_t t; return pthread_create(&t, 0, leave, 0) || pthread_join(t, 0); }
"""


def test_a_thread_can_end_in_a_tree_of_nothing_but_the_closure(tmp_path: Path) -> None:
    """What libc opens itself is proved by running it: no loader lists that."""
    program = tmp_path / "thread"
    argv = ["gcc", "-pthread", "-x", "c", "-", "-o", program]
    subprocess.run(argv, input=THREAD, text=True, check=True, timeout=60)
    machine = Sysroot(Path("/"))
    closure = ElfCloser(machine).close([Seed(SysrootPath(str(program.resolve())), ASKED)])
    root = tmp_path / "root"
    for found in closure.new:
        here = root / to_image(found.path).lstrip("/")
        here.parent.mkdir(parents=True, exist_ok=True)
        if found.kind == "link":
            here.symlink_to(found.target)
        else:
            shutil.copy(found.path, here)
    for name in MERGED_DIRS:
        if (root / "usr" / name).is_dir():
            (root / name).symlink_to(f"usr/{name}")
    done = run_inside(root, str(program.resolve()))
    assert (done.returncode, done.stderr) == (0, "")
    (libgcc,) = root.rglob("libgcc_s.so.1")
    libgcc.unlink()
    assert "libgcc_s.so.1 must be installed" in run_inside(root, str(program.resolve())).stderr
