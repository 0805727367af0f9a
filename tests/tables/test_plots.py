"""Plots: what is written on them can be read."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from srec.tables.plots import by_length, quality

SVG = "{http://www.w3.org/2000/svg}"
WIDEST = 6.6  # pixels a letter, in a wide font of 12 pixels


def row(label: str, milliseconds: float, mrr: float) -> dict[str, Any]:
    return {
        "label": label,
        "figures": {"mrr@20": {"mean": mrr}},
        "served": {"alone_p50_ms": milliseconds},
        "by_length": {"1": {"mrr@20": mrr}, "2-3": {"mrr@20": mrr}},
    }


ROWS = [
    row("the row of a blend of two models, itself blended with another one", 1.0, 0.20),
    *(row(f"row {n}", 0.5 + n / 5, n / 100) for n in range(25)),
]


@pytest.mark.parametrize("plot", [by_length, quality])
def test_the_legend_is_whole(plot: Any) -> None:
    """Long labels and many rows make the picture larger."""
    drawn = ET.fromstring(plot("Title", ROWS, "mrr@20"))
    width, height = map(float, drawn.attrib["viewBox"].split()[2:])
    labels = [text for text in drawn.iter(f"{SVG}text") if "row" in (text.text or "")]
    assert len(labels) == len(ROWS)
    for label in labels:
        assert float(label.attrib["x"]) + WIDEST * len(label.text or "") <= width
        assert float(label.attrib["y"]) <= height


def test_numbers_of_near_points_stand_apart() -> None:
    near = [row(f"row {n}", 1 + n / 100, 0.2 + n / 1000) for n in range(3)]
    drawn = ET.fromstring(quality("Title", [*near, row("far", 9, 0.1)], "mrr@20"))
    dots = [dot for dot in drawn.iter(f"{SVG}circle") if float(dot.attrib["cx"]) < 610]
    numbers = [text for text in drawn.iter(f"{SVG}text") if text.text in {"1", "2", "3", "4"}]
    numbers = [text for text in numbers if float(text.attrib["y"]) < 340]  # above the axis
    assert [len(dots), len(numbers)] == [4, 4]
    places = [(float(text.attrib["x"]), float(text.attrib["y"]) - 4) for text in numbers]
    for number, (x, y) in enumerate(places):
        others = places[:number] + [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in dots]
        assert all(abs(x - a) > 10 or abs(y - b) > 10 for a, b in others)
