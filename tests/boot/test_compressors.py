"""Every compressor's image on the kernel of the sysroot: all of it, to the last byte, is there."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from srbuild import pipeline
from srbuild.config.load import load_config
from srbuild.errors import Origin
from srbuild.image import write_image
from srbuild.kernels.microcode import HOME
from srbuild.lab.build import find_kernel
from srbuild.lab.qemu import Machine, Vm, join_initrds
from srbuild.lab.server import Agent
from srbuild.layers import split_layers
from srbuild.manifest import Entry, Inline, Reason
from srbuild.paths import ImagePath
from support.images import archive
from support.telling import CLUSTER

pytestmark = [pytest.mark.boot, pytest.mark.timeout(300)]

UPDATES = ImagePath(f"{HOME}/GenuineIntel.bin")  # no update: QEMU's processors take none
JOB = ImagePath("/lab/jobs/digests.sh")
DIGESTS = b"find / -xdev -type f -exec sha256sum {} +\n"
CMDLINE = "console=ttyS0 loglevel=4 panic=1 rd.shell=0 rd.srb.reboot_delay=1"
LATE = b"what a boot loader puts behind the image\n"


def item(data: bytes, segment: str) -> Entry:
    return Entry(Inline(data), segment, (Reason("file", Origin("test")),))


def write(compression: str, sysroot: Path, target: Path) -> tuple[str, dict[str, str]]:
    """An image with every kind of segment; its kernel, and path → sha256 of all its files."""
    catalog = pipeline.find_modules()
    cluster = target.with_name("cluster.toml")
    cluster.write_text(CLUSTER)
    wanted = {"modules": ["lab"], "sysroot": sysroot, "cluster": cluster, "cache": "none"}
    config = load_config({**wanted, "compression": compression}, {}, catalog)
    prepared = pipeline.prepare(config, catalog)
    own = {UPDATES: item(bytes(4096), "early"), JOB: item(DIGESTS, "site")}
    manifest = replace(prepared.manifest, entries={**prepared.manifest.entries, **own})
    name, level = config.compression
    _, report = write_image(split_layers(manifest, compression=name, level=level), target)
    kinds = [segment.place.compression for segment in report.segments]
    assert kinds == ["none", *[name] * (len(kinds) - 2), "none"]
    digests = {path: r.sha256 for path, r in report.tree().items() if r.kind == "file"}
    return manifest.kernel, digests


@pytest.mark.parametrize(
    "compression",
    [
        "lz4",
        "xz",
        *(pytest.param(c, marks=pytest.mark.matrix) for c in ("gzip", "none", "zstd:19", "lz4:1")),
    ],
)
def test_the_kernel_unpacks_all_of_it(compression: str, sysroot: Path, tmp_path: Path) -> None:
    kernel, meant = write(compression, sysroot, tmp_path / "image")
    (tmp_path / "late").write_bytes(archive(b"late", LATE))
    initrd = join_initrds((tmp_path / "image", tmp_path / "late"), tmp_path / "initrd")
    machine = Machine("node", find_kernel(sysroot, kernel), initrd, CMDLINE)
    with Vm(machine, tmp_path, tmp_path) as vm:
        agent = Agent(vm)
        agent.wait_ready(120)
        lines = agent.require("digests")
    found = {path: digest for digest, path in (line.split(maxsplit=1) for line in lines)}
    assert meant.items() <= found.items()
    assert found["/late"] == hashlib.sha256(LATE).hexdigest()
