"""The kmods' head start: the same image with and without it, and a lost one costs nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from srbuild import headstart, pipeline
from srbuild.collect import collect_manifest
from srbuild.errors import SrbuildError, VerifyError
from srbuild.headstart import HeadStart
from srbuild.host import looks
from srbuild.host.cache import FactStore
from srbuild.host.sysroot import Identity, Sysroot
from srbuild.image import Image, Made, write_image
from srbuild.kernels import sharing
from srbuild.layers import Layers, split_layers
from srbuild.report import Report
from support.images import leftovers
from support.kernels import VERSION, FakeKmod, make_kernel
from support.plans import Project

KMODS = [
    FakeKmod("kernel/drivers/disk.ko", [("firmware", "disk/a.bin")], imports=["bus_find"]),
    FakeKmod("kernel/drivers/bus.ko", exports=["bus_find"]),
    FakeKmod("kernel/drivers/more.ko"),
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with two segments of kmods; the test's own threads stand in nobody's way."""
    monkeypatch.setattr(headstart, "may_fork", lambda: True)
    project = Project(tmp_path)
    make_kernel(project.sysroot, KMODS)
    project.put("/lib/firmware/disk/a.bin", "firmware")
    project.module("block", "disk", '[install]\nkmods = ["disk"]\n')
    project.module("net", "network", '[install]\nkmods = ["bus"]\n')
    return project


class Build:
    """One build of `project`: what its head start has, and the image with and without it."""

    def __init__(self, project: Project, head: HeadStart, **options: object) -> None:
        self.target = project.root / "out/image"
        self.head = head
        plan = project.plan(blk="disk", modules=["network"], **options)
        self.sysroot, self.facts = Sysroot(plan.config.sysroot), FactStore(None)
        head.begin(plan, self.sysroot, self.facts)
        self.collect: Callable[[], Layers] = lambda: split_layers(
            collect_manifest(plan, self.sysroot, self.facts)
        )

    def made(self) -> dict[str, Made | None]:
        return {one.name: self.head.find(one) for one in self.collect().segments}

    def write(self) -> tuple[Image, Report]:
        return write_image(self.collect(), self.target, ahead=self.head.find)

    def write_plainly(self) -> tuple[Image, Report]:
        return write_image(self.collect(), self.target.with_name("plain"))


@pytest.fixture
def head(tmp_path: Path) -> Iterator[HeadStart]:
    (tmp_path / "out").mkdir()
    with HeadStart(tmp_path / "out/image") as head:
        yield head
    assert not leftovers(tmp_path / "out")


def is_same(build: Build) -> bool:
    """Whether the image is the one without a head start, in every byte and fact."""
    image, report = build.write()
    plain, plain_report = build.write_plainly()
    assert report.ok
    same_bytes = build.target.read_bytes() == plain.path.read_bytes()
    told = [(one.sha256, one.segments, one.stored) for one in (image, plain)]
    return same_bytes and told[0] == told[1] and report == plain_report


def test_the_kmods_are_made_ahead_and_the_image_is_the_same(
    project: Project, head: HeadStart
) -> None:
    build = Build(project, head)
    ready = {name for name, made in build.made().items() if made}
    assert ready == {"kmods", "kmods-block"}
    assert is_same(build)


def test_kmods_that_a_file_of_the_image_adds_are_not_left_out(
    project: Project, head: HeadStart
) -> None:
    project.put("/etc/modprobe.d/x.conf", "softdep disk post: more\n")
    text = '[install]\nkmods = ["disk"]\nfiles = ["/etc/modprobe.d/x.conf"]\n'
    project.module("block", "disk", text)
    build = Build(project, head)
    made = build.made()
    assert made["kmods"]
    assert made["kmods-block"] is None
    assert is_same(build)
    assert f"/usr/lib/modules/{VERSION}/kernel/drivers/more.ko" in build.write()[1].tree()


def test_another_compression_is_not_taken_for_the_same(project: Project, head: HeadStart) -> None:
    build = Build(project, head, compression="gzip")
    assert not any(build.made().values())
    assert is_same(build)


@pytest.mark.parametrize("step", ["collect_kmods", "make_ahead"])
def test_a_head_start_that_fails_is_made_good(
    project: Project, head: HeadStart, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(headstart, step, lambda *_: os._exit(9))
    build = Build(project, head)
    assert not any(build.made().values())
    assert is_same(build)


def test_nothing_is_made_while_a_kmod_is_missing(project: Project, head: HeadStart) -> None:
    build = Build(project, head, kmods=["absent"])
    with pytest.raises(SrbuildError, match="absent"):
        build.write()
    assert not build.target.exists()


def test_what_is_found_ahead_is_known_here_as_if_it_had_been_found_here(
    project: Project, head: HeadStart, monkeypatch: pytest.MonkeyPatch
) -> None:
    with looks.recorded() as plain:
        without = Build(project, HeadStart(project.root / "nowhere/image"))
        layers = without.collect()
    with looks.recorded() as seen:
        build = Build(project, head)
        monkeypatch.setattr(sharing, "close_kmods", None)  # what was found need not be found
        assert build.collect() == layers
    assert (seen.followed, seen.plain) == (plain.followed, plain.plain)
    assert facts_of(build) == facts_of(without)
    assert facts_of(build)


def facts_of(build: Build) -> set[tuple[str, Identity, str]]:
    return {(row.table, row.identity, repr(row.value)) for row in build.facts.rows()}


def test_a_process_that_only_finds_is_of_use_too(
    project: Project, head: HeadStart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headstart, "make_ahead", lambda *_: os._exit(9))
    build = Build(project, head)
    with monkeypatch.context() as patch:
        patch.setattr(sharing, "close_kmods", None)
        layers = build.collect()
    assert not any(head.find(one) for one in layers.segments)
    assert is_same(build)


def test_nothing_begins_in_a_folder_that_is_not_there(project: Project) -> None:
    with HeadStart(project.root / "nowhere/image") as head:
        build = Build(project, head)
        assert not any(build.made().values())


def test_damage_on_the_way_into_the_image_is_found(project: Project, head: HeadStart) -> None:
    build = Build(project, head)
    made = build.made()["kmods"]
    assert made
    build.target.write_bytes(b"previous image")
    with made.path.open("r+b") as file:
        file.seek(made.written.offset + 40)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(VerifyError, match="its bytes are not those written"):
        build.write()
    assert build.target.read_bytes() == b"previous image"


def test_what_is_in_flight_is_dropped_when_the_rest_fails(
    project: Project, head: HeadStart
) -> None:
    project.module("block", "disk", '[install]\nkmods = ["disk"]\nbinaries = ["absent"]\n')
    build = Build(project, head)
    assert leftovers(build.target.parent)
    with pytest.raises(SrbuildError, match="absent"):
        build.write()


@pytest.mark.parametrize("cache", ["none", "cache"])
def test_a_build_that_finds_no_segments_begins_with_the_kmods(
    project: Project, tmp_path: Path, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Made | None] = []
    find = HeadStart.find
    monkeypatch.setattr(HeadStart, "find", lambda *a: (found.append(find(*a)), found[-1])[1])
    place = "none" if cache == "none" else str(tmp_path / cache)

    def build(name: str) -> int:
        found.clear()
        target = tmp_path / "out" / name
        target.parent.mkdir(exist_ok=True)
        options = {"blk": "disk", "modules": ["network"], "cache": place, "output": str(target)}
        built = pipeline.build(project.config(**options), project.catalog)
        assert built.report
        assert built.report.ok
        assert not leftovers(target.parent)
        return len([made for made in found if made])

    assert build("one") == 2
    assert build("two") == (2 if cache == "none" else 0)
