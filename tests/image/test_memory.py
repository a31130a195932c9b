"""What writing an image takes in memory does not follow from the image's size."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from srbuild.formats.compress import COMPRESSIONS

LIMIT = 200  # MiB, of the whole process
SIZE = 240  # MiB in the tree: more than may be held, and of the kind that is compressed quickly
WRITTEN = [(name, one.levels[2]) for name, one in COMPRESSIONS.items() if one.compress]

# Not ru_maxrss: what pytest had in memory when it forked is part of that.
CODE = """
import pathlib, re, sys
from support.images import *
entries = {f"/{p.name}": entry(file_at(p)) for p in pathlib.Path(sys.argv[1]).iterdir()}
layers = split_layers(manifest_of(entries), compression=sys.argv[3], level=int(sys.argv[4]))
image, report = write_image(layers, pathlib.Path(sys.argv[2]))
peak = re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]
print(report.content_size >> 20, int(peak) >> 10)
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise that fills every window and table, and zeros behind it."""
    folder = tmp_path_factory.mktemp("tree")
    for number in range(6):
        with (folder / str(number)).open("wb") as file:
            file.write(os.urandom(2 << 20))
            file.truncate(SIZE // 6 << 20)
    return folder


@pytest.mark.parametrize(("name", "level"), WRITTEN)
def test_a_large_tree_takes_bounded_memory(
    tmp_path: Path, tree: Path, name: str, level: int
) -> None:
    command = [sys.executable, "-c", CODE, str(tree), str(tmp_path / "image"), name, str(level)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    content, peak = map(int, done.stdout.split())
    assert content == SIZE
    assert peak < LIMIT
