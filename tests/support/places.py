"""Folders to build the main job in, from a real Debian tree, and what the images hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.clusters import FULLER

SRBUILD = str(Path(sys.executable).parent / "srbuild")
JOB = ("--fs", "gfs2", "--blk", "iscsi", "--cluster", "cluster.toml", "-o", "image")


@dataclass
class Place:
    """A folder to build in, with a cache and an environment of its own."""

    folder: Path
    sysroot: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "cluster.toml").write_text(FULLER)

    @property
    def image(self) -> Path:
        return self.folder / "image"

    def argv(self, *words: str) -> list[str]:
        return [SRBUILD, *JOB, "--sysroot", str(self.sysroot), *words]

    def start(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("SRBUILD_")}
        environ |= {"XDG_CACHE_HOME": str(self.folder / "cache"), **self.environ}
        pipe = subprocess.PIPE
        return subprocess.Popen(
            argv, cwd=self.folder, env=environ, text=True, stdout=pipe, stderr=pipe, **options
        )

    def run(self, *words: str, prefix: Sequence[str] = ()) -> tuple[int, str, str]:
        process = self.start([*prefix, *self.argv(*words)])
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def build(self, *words: str, prefix: Sequence[str] = ()) -> dict[str, Any]:
        code, out, err = self.run("--json", *words, prefix=prefix)
        assert code == 0, err
        document = json.loads(out)
        assert isinstance(document, dict)
        return document

    def state(self) -> list[tuple[int, int, bytes]]:
        files = (self.image, self.folder / "image.json")
        return [(f.stat().st_ino, f.stat().st_mtime_ns, f.read_bytes()) for f in files]

    def debris(self) -> list[str]:
        return [path.name for path in self.folder.glob(".*")]


def segments(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {segment["name"]: segment for segment in document["segments"]}


def part(image: Path, segment: dict[str, Any]) -> bytes:
    with image.open("rb") as file:
        file.seek(segment["offset"])
        return file.read(segment["length"])


def tree(image: Path) -> dict[str, dict[str, Any]]:
    """What `srbuild list` says of each path, reasons apart."""
    done = subprocess.run(
        [SRBUILD, "list", "--json", image], check=True, capture_output=True, timeout=60
    )
    known = ("type", "mode", "size", "target")
    return {
        row["path"]: {key: row.get(key) for key in known}
        for row in json.loads(done.stdout)["entries"]
    }


def unpacked(image: Path, document: dict[str, Any]) -> Iterator[bytes]:
    """The archives inside the segments, unpacked by zstd itself."""
    for segment in document["segments"]:
        data = part(image, segment)
        if segment["compression"] != "none":
            done = subprocess.run(["zstd", "-dc"], input=data, check=True, capture_output=True)
            data = done.stdout
        yield data
