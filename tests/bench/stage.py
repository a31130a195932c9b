"""One sysroot and all that is measured on it: srbuild in its situations and the other tools."""

from __future__ import annotations

import compileall
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import srbuild

from .content import Wanted, kmods_in, read_wanted, unpack
from .measure import BenchError, Command, Sample, run
from .mkosi import configure_mkosi
from .peers import FOLDER, Peer, configure
from .root import NEWEST, WISHED, Tree, link_copy, mount_virtual
from .subjects import (
    CLUSTER_CHANGED,
    COLD,
    COLD_WITHOUT_CACHE,
    FLOOR,
    IMPORT_CLICK,
    KMOD,
    KMOD_CHANGED,
    PROGRAM,
    PROGRAM_CHANGED,
    REASSEMBLED,
    WARM,
    WRITING,
    Build,
    Subject,
    change_file,
    floor,
    inside,
)

SLOW_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Stage:
    """What is measured on one tree.

    `absent` are the tools that can't be measured on it, each with the reason; `versions` those
    of the tools that can. `cold` is the build of the subject of that name.
    """

    tree: Tree
    work: Path
    wanted: Wanted
    cold: Build
    subjects: tuple[Subject, ...]
    absent: dict[str, str]
    versions: dict[str, str]


@contextmanager
def set_up(tree: Tree, work: Path) -> Iterator[Stage]:
    """Make ready what is measured on `tree` in the folder `work`, which is made.

    On the newest suite, which is there for the newest tools, srbuild is measured cold only.
    What the other tools left in the tree is removed in the end. Raises BenchError without tree
    or srbuild.
    """
    tree.make()
    # As pip leaves a package: whether this checkout's modules were ever compiled must not count.
    compileall.compile_dir(srbuild.__path__[0], quiet=1)
    work.mkdir()
    cold = Build(work / "cold", tree.root)
    run_once(Subject(COLD, cold.command(), cold.forget), work)
    wanted = read_wanted(cold.image.with_name("image.json"))
    unpack(cold.image, work / "tree")
    own = [
        Subject(FLOOR, floor(work / "tree", work / "floor.img"), nothing, work / "floor.img"),
        Subject(COLD, cold.command(), cold.forget, cold.image),
        *(_situations(tree, work, cold) if tree.suite != NEWEST else ()),
    ]
    mount_virtual(tree.root)
    absent = find_unpackaged(tree) if tree.suite == NEWEST else {}
    try:
        peers = _try_peers(tree, work, wanted, absent)
        others = [
            Subject(one.name, one.command, nothing, one.image, rounds=_rounds(one)) for one in peers
        ]
        versions = _versions(tree)
        yield Stage(tree, work, wanted, cold, (*own, *others), absent, versions)
    finally:
        shutil.rmtree(tree.root / FOLDER, ignore_errors=True)


def run_once(subject: Subject, work: Path, number: int = 0) -> Sample:
    """Measure `subject` in round `number`. Raises BenchError when it fails."""
    subject.prepare(number)
    os.sync()  # what others left to be written must not be on this one's clock
    sample = run(subject.command, work / "log")
    if subject.inner is None:
        return sample
    seconds = json.loads(subject.inner.read_text())
    return Sample(seconds["wall"], seconds["cpu"])


def nothing(_run: int) -> None:
    """What has to be done before a run: nothing."""


def find_unpackaged(tree: Tree) -> dict[str, str]:
    """Why the tools that the bench would like to measure can't be."""
    missing = f"Debian {tree.suite} has no package of that name"
    untold = f"Debian {tree.suite} has it now, but the bench does not know how to configure it"
    return {name: missing if tree.lacks_package(name) else untold for name in WISHED}


def works(peer: Peer, work: Path, absent: dict[str, str]) -> bool:
    """Whether the tool runs on this machine; if not, the reason is put into `absent`."""
    try:
        run(peer.command, work / "log")
    except BenchError as error:
        absent[peer.name] = f"it does not run here: {error}"
        return False
    return True


def _rounds(peer: Peer) -> int:
    return SLOW_ROUNDS if peer.slow else sys.maxsize


def _situations(tree: Tree, work: Path, cold: Build) -> list[Subject]:
    """srbuild in all situations but the cold one, and what these are compared with."""
    root, copy = tree.root, work / "copy"
    link_copy(root, copy)
    builds = {
        name: Build(work / name, source)
        for name, source in (
            ("bare", root), ("warm", root), ("gone", root), ("cluster", root),
            ("program", copy), ("kmod", copy),
        )
    }  # fmt: skip
    for build in builds.values():
        run_once(Subject("", build.command(), build.forget), work)
    program, kmod = copy / PROGRAM, copy / KMOD.format(kernel=tree.kernel())
    bare, warm, gone = builds["bare"], builds["warm"], builds["gone"]
    changed = builds["cluster"]
    writing = work / "writing.json"
    alone = inside(
        "writing", writing, str(root), str(cold.cluster), str(work / "writing.img"), build=cold
    )
    python = Command((sys.executable, "-c", "import click"))
    return [
        Subject(COLD_WITHOUT_CACHE, bare.command("--no-cache"), bare.forget),
        Subject(WARM, warm.command(), nothing),
        Subject(REASSEMBLED, gone.command(), gone.forget_image),
        Subject(CLUSTER_CHANGED, changed.command(), lambda run: changed.set_token(4000 + run)),
        Subject(PROGRAM_CHANGED, builds["program"].command(), partial(change_file, program)),
        Subject(KMOD_CHANGED, builds["kmod"].command(), partial(change_file, kmod)),
        Subject(WRITING, alone, nothing, inner=writing),
        Subject(IMPORT_CLICK, python, nothing),
    ]


def _try_peers(tree: Tree, work: Path, wanted: Wanted, absent: dict[str, str]) -> list[Peer]:
    """The other tools that work on this machine; the others are put into `absent`.

    Those that add kernel modules of their own accord are told to leave them out.
    """
    kernel = tree.kernel()
    first = configure(tree.root, kernel, wanted.kmods, wanted.programs)
    working = [peer for peer in first if works(peer, work, absent)]
    kmods = {name for peer in working for name in kmods_in(peer.image)}
    unwanted = sorted(kmods - {*wanted.kmods})
    again = configure(tree.root, kernel, wanted.kmods, wanted.programs, unwanted)
    peers = [peer for peer in again if peer.name not in absent]
    if tree.suite == NEWEST:
        mkosi = configure_mkosi(tree, kernel, wanted.kmods)
        peers += [mkosi] if works(mkosi, work, absent) else []
    return peers


def _versions(tree: Tree) -> dict[str, str]:
    """The upstream version of each tool's package."""
    packages = {"mkinitramfs": "initramfs-tools", "dracut": "dracut-core"}
    if tree.suite == NEWEST:
        packages["mkosi-initrd"] = "mkosi"
    return {name: tree.version_of(package) for name, package in packages.items()}
