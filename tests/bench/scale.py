"""`python -m tests.bench.scale`: what many images in one run cost, and a plot of it.

Axes that need no more than gfs2 on iscsi: kmods, options, compressors, parts. A run of so many
images is compared with as many separate cold builds (measured on a few, spread over all).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from .measure import BenchError, Command, run, run_sampled
from .root import BLK, FS
from .subjects import CLUSTER

PROJECT = Path(__file__).resolve().parents[2]
COUNTS = (1, 10, 30, 100)
SEPARATE = 5  # images that are also built alone
MARGIN, WIDTH, HEIGHT = 60, 360, 240  # of a plot, in pixels

MATRIX = """\
output = "out/{compression}-{kmod}-{mtu}-{part}.img"
[axes]
compression = ["zstd:3", "zstd:1"]
kmod = ["dummy", "nbd", "veth", "tun", "bonding"]
mtu = [%s]
part = ["all", "base"]
"""


@dataclass(frozen=True, slots=True)
class Point:
    """A run of `count` images: seconds, compressed bytes of all and of the distinct segments."""

    count: int
    wall: float
    cpu: float
    size: int
    distinct: int
    memory: int


def matrix_text() -> str:
    """A matrix of 100 images; the first ten, thirty are of fewer compressors and kmods."""
    sets = (f'{{ label = "m{n}", set = ["network.mtu={n}"] }}' for n in range(1500, 1505))
    return MATRIX % ", ".join(sets)


def measure(folder: Path, sysroot: Path, count: int) -> Point:
    """Build about the first `count` images cold, in one run, in the new folder `folder`."""
    begin(folder)
    log = folder / "log"
    shard = f"1/{100 // count}"
    argv = (*base(sysroot), "--matrix", "matrix.toml", "--shard", shard, "--json")
    command = Command(argv, folder, {"XDG_CACHE_HOME": str(folder / "cache")})
    sample = run(command, log)
    text = log.read_text()
    told = json.loads(text[text.index("{\n") : text.rindex("}") + 1])
    for name in ("cache", "out"):
        shutil.rmtree(folder / name)
    begin(folder)
    memory = run_sampled(command, log).together
    return Point(
        len(told["images"]), sample.wall, sample.cpu, told["size"], told["distinct_size"], memory
    )


def alone(folder: Path, sysroot: Path) -> tuple[list[float], list[float]]:
    """Wall and cpu of single cold builds."""
    walls, cpus = [], []
    for number in range(SEPARATE):
        begin(folder / str(number))
        more = ("--set", f"network.mtu={1500 + number}", "--kmod", "nbd", "-o", "image")
        argv = (*base(sysroot), "--fs", FS, "--blk", BLK, *more)
        place = folder / str(number)
        command = Command(argv, place, {"XDG_CACHE_HOME": str(place / "cache")})
        sample = run(command, place / "log")
        walls.append(sample.wall)
        cpus.append(sample.cpu)
    return walls, cpus


def begin(folder: Path) -> None:
    """The inputs of a run."""
    (folder / "out").mkdir(parents=True, exist_ok=True)
    (folder / "cluster.toml").write_text(CLUSTER.format(token=3000))
    head = f'[options]\nfs = "{FS}"\nblk = "{BLK}"\n'
    output, _, axes = matrix_text().partition("[axes]")
    (folder / "matrix.toml").write_text(f"{output}{head}[axes]{axes}")


def base(sysroot: Path) -> tuple[str, ...]:
    """What all commands begin with."""
    program = str(Path(sys.executable).with_name("srbuild"))
    return (program, "build", "--sysroot", str(sysroot), "--cluster", "cluster.toml")


def report(points: Sequence[Point], walls: Sequence[float], cpus: Sequence[float]) -> str:
    """The measurements as a table."""
    wall, cpu = median(walls), median(cpus)
    rows = [
        "| images | wall s | cpu s | cpu s each | MB | distinct MB | MiB | alone s | alone cpu s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {p.count} | {p.wall:.2f} | {p.cpu:.2f} | {p.cpu / p.count:.3f} | {p.size / 1e6:.0f} "
        f"| {p.distinct / 1e6:.1f} | {p.memory / 2**20:.0f} | {p.count * wall:.1f} "
        f"| {p.count * cpu:.1f} |"
        for p in points
    ]
    return "\n".join(rows)


def plot(points: Sequence[Point], cpus: Sequence[float]) -> str:
    """Two plots beside each other as SVG: cpu against images and against distinct bytes."""
    each = median(cpus)
    images = [(float(p.count), p.cpu) for p in points]
    lone = [(float(p.count), p.count * each) for p in points]
    distinct = [(p.distinct / 1e6, p.cpu) for p in points]
    width, height = 2 * (MARGIN + WIDTH + 20), HEIGHT + 2 * MARGIN
    size = f'width="{width}" height="{height}"'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">',
            f'<rect {size} fill="white"/>',
            '<g font-size="12">',
            *_axes(0, "images in one run", "cpu s", {"one run": images, "separate builds": lone}),
            *_axes(width // 2, "MB of distinct segments", "cpu s", {"one run": distinct}),
            "</g></svg>\n",
        )
    )


def _axes(
    left: int, across: str, up: str, lines: dict[str, list[tuple[float, float]]]
) -> list[str]:
    """A plot of `lines` whose left margin begins at `left`."""
    far = max(x for line in lines.values() for x, _ in line)
    high = max(y for line in lines.values() for _, y in line)
    x0, y0 = left + MARGIN, MARGIN // 2 + HEIGHT
    out = [f'<path d="M{x0} {y0 - HEIGHT}V{y0}H{x0 + WIDTH}" fill="none" stroke="black"/>']
    for share in (0.0, 0.5, 1.0):
        x, y = x0 + share * WIDTH, y0 - share * HEIGHT
        out.append(f'<text x="{x:.0f}" y="{y0 + 16}" text-anchor="middle">{far * share:g}</text>')
        out.append(
            f'<text x="{x0 - 6}" y="{y + 4:.0f}" text-anchor="end">{high * share:.1f}</text>'
        )
    middle = x0 + WIDTH // 2
    out.append(f'<text x="{middle}" y="{y0 + 36}" text-anchor="middle">{across}</text>')
    out.append(f'<text x="{x0 + 6}" y="{y0 - HEIGHT - 8}">{up}</text>')
    for (name, line), colour in zip(lines.items(), ("#1f6fb4", "#c0392b"), strict=False):
        spots = [(x0 + x / far * WIDTH, y0 - y / high * HEIGHT) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in spots]
        x, y = spots[-1]
        out.append(
            f'<text x="{x - 8:.0f}" y="{y - 8:.0f}" text-anchor="end" fill="{colour}">{name}</text>'
        )
    return out


def main() -> int:
    """Measure, print the table and write the plot; 1 when nothing could be measured."""
    parser = argparse.ArgumentParser(prog="make bench", description="Many images in one run.")
    parser.add_argument("--root", type=Path, default=PROJECT / "build/sysroot")
    parser.add_argument("--plot", type=Path, default=PROJECT / "docs/scale.svg")
    options = parser.parse_args()
    try:
        root = options.root.absolute()
        with tempfile.TemporaryDirectory(prefix=".scale-", dir=root.parent) as work:
            points = [measure(Path(work) / str(count), root, count) for count in COUNTS]
            walls, cpus = alone(Path(work) / "alone", root)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(report(points, walls, cpus))
    options.plot.write_text(plot(points, cpus))
    options.root.with_name("scale.json").write_text(json.dumps([asdict(p) for p in points]))
    print(f"\nplot: {options.plot}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
