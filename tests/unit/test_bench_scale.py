"""The scale bench's table and plot say what was measured."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from bench.scale import HEIGHT, WIDTH, Point, matrix_text, plot, report
from srbuild.config.convert import parse_toml
from srbuild.matrix import parse_matrix

POINTS = [
    Point(1, 1.0, 1.0, 10_000_000, 10_000_000, 80 << 20),
    Point(100, 9.0, 10.0, 10**9, 2 * 10**7, 120 << 20),
]
SVG = "{http://www.w3.org/2000/svg}"


def test_the_table_has_a_row_a_run_and_the_separate_builds_beside_it() -> None:
    last = report(POINTS, [0.5, 2.0, 9.0], [1.0]).splitlines()[-1]
    cells = [cell.strip() for cell in last.strip("|").split("|")]
    assert cells == ["100", "9.00", "10.00", "0.100", "1000", "20.0", "120", "200.0", "100.0"]


def test_the_plot_has_every_point_inside_its_axes() -> None:
    root = ET.fromstring(plot(POINTS, [1.0]))
    circles = root.findall(f".//{SVG}circle")
    assert len(circles) == 3 * len(POINTS)
    first = root.findall(f".//{SVG}polyline")[0].attrib["points"].split()
    (x0, y0), (x1, y1) = ((float(n) for n in spot.split(",")) for spot in first)
    assert round(x1 - x0, 1) == round(WIDTH * 0.99, 1)
    assert round(y0 - y1, 1) == round(HEIGHT * 9 / 100, 1)  # of what 100 separate builds take


def test_the_matrix_is_of_a_hundred_images() -> None:
    known = {"compression": False, "kmod": True, "part": False, "set": True}
    matrix = parse_matrix(parse_toml(matrix_text().encode(), "m"), "m", known)
    assert len(matrix.rows) == 100
