"""A table's plots as SVG text: the first two metrics by session length, and quality against milliseconds."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from srec.evaluation.evaluate import LENGTH_GROUPS
from srec.svg import Axis, begin, grid, heading, text
from srec.tables.markdown import shown_name

Entry = dict[str, Any]
Point = tuple[float, float]
LEFT, RIGHT, TOP, BOTTOM = 56, 610, 54, 332  # the edges of what is plotted; right of it stands the legend
HEIGHT: Final = BOTTOM + 48  # of the picture, where the legend is no longer
LINE: Final = 18  # of the legend
RADIUS: Final = 5  # of a point
LETTER: Final = 7  # at most, on average
COLOURS: Final = (
    "#1b5e8a", "#c2571a", "#3c7a3c", "#8a3b8f", "#b3261e", "#7a6a1b", "#2a8f8f", "#555555",
)  # fmt: skip
DASHES: Final = ("", "6 3", "2 3")
DIRECTIONS: Final = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, 1), (-1, -1))


def plots(table: Entry) -> dict[str, str]:
    """File name -> SVG, for every data set with a finished row."""
    drawn = {}
    metric = table["metrics"][-1]
    for name, dataset in table["datasets"].items():
        rows = [row for row in dataset["rows"] if "figures" in row]
        if rows and metric in rows[0]["intervals_95"]:
            drawn[f"by-length-{name}.svg"] = by_length(dataset["title"], rows, metric)
            drawn[f"quality-{name}.svg"] = quality(dataset["title"], rows, metric)
    return drawn


def by_length(title: str, rows: Sequence[Entry], metric: str) -> str:
    """A line a row over the groups of session length; the metric in percent."""
    groups = [group for group in LENGTH_GROUPS if any(group in row["by_length"] for row in rows)]
    x_axis = Axis(0, max(1, len(groups) - 1), LEFT + 30, RIGHT - 30)
    top = max(100 * found[metric] for row in rows for found in row["by_length"].values())
    y_axis = Axis(0, max(top, 1e-6), BOTTOM, TOP)
    parts = grid(y_axis, LEFT, RIGHT)
    parts += _labels(x_axis, groups, "clicks of the session", shown_name(metric))
    for number, row in enumerate(rows):
        points = [
            (x_axis.at(place), y_axis.at(100 * row["by_length"][group][metric]))
            for place, group in enumerate(groups)
            if group in row["by_length"]
        ]
        parts += _line(points, number)
    labels = [row["label"] for row in rows]
    return _svg(f"{title}: {shown_name(metric)} in % by session length", parts, labels, _stroke)


def quality(title: str, rows: Sequence[Entry], metric: str) -> str:
    """A point a row: the metric in percent against the median milliseconds of a lone session.

    They are those of the artifact; where it was not measured those of the run, eager.
    """
    timed = [row for row in rows if row["served"] or "alone_p50_ms" in row["figures"]]
    points = [(_milliseconds(row), 100 * row["figures"][metric]["mean"]) for row in timed]
    xs = [x for x, _ in points] or [1.0]
    low, high = (
        10.0**end for end in (math.floor(math.log10(min(xs))), math.ceil(math.log10(max(xs) * 1.001)))
    )
    x_axis = Axis(low, max(high, 10 * low), LEFT + 10, RIGHT - 10, log=True)
    y_axis = Axis(0, max([y for _, y in points] + [1e-6]) * 1.05, BOTTOM, TOP)
    parts = grid(y_axis, LEFT, RIGHT)
    parts += [text(x_axis.at(tick), BOTTOM + 17, f"{tick:g}", "middle") for tick in x_axis.ticks()]
    parts += _labels(x_axis, [], "milliseconds an input, alone (median)", shown_name(metric))
    places = [(x_axis.at(x), y_axis.at(y)) for x, y in points]
    parts += [_dot(number, x, y, RADIUS) for number, (x, y) in enumerate(places)]
    parts += [text(x, y + 4, str(n), "middle") for n, (x, y) in enumerate(_beside(places), start=1)]
    labels = [
        f"{n} {row['label']}{'' if row['served'] else ' (eager)'}" for n, row in enumerate(timed, start=1)
    ]
    title = f"{title}: {shown_name(metric)} in % against milliseconds an input"
    return _svg(title, parts, labels, lambda number, x, y: _dot(number, x + 10, y, RADIUS))


def _milliseconds(row: Entry) -> float:
    served = row["served"]
    found: float = served["alone_p50_ms"] if served else row["figures"]["alone_p50_ms"]["mean"]
    return found


def _labels(axis: Axis, groups: Sequence[str], x_label: str, y_label: str) -> list[str]:
    parts = [text(axis.at(place), BOTTOM + 17, group, "middle") for place, group in enumerate(groups)]
    parts.append(text((LEFT + RIGHT) / 2, HEIGHT - 8, x_label, "middle"))
    return [*parts, text(LEFT - 40, TOP - 10, f"{y_label}, %", "start")]


def _line(points: Sequence[Point], number: int) -> list[str]:
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    drawn = f'<polyline points="{places}" fill="none" stroke-width="1.8" {_style(number)}/>'
    return [drawn, *(_dot(number, x, y, 3) for x, y in points)]


def _style(number: int) -> str:
    """Colour and dashes of a row's line."""
    dash = DASHES[number // len(COLOURS) % len(DASHES)]
    return f'stroke="{COLOURS[number % len(COLOURS)]}" stroke-dasharray="{dash}"'


def _stroke(number: int, x: float, y: float) -> str:
    """A row's line in the legend."""
    return f'<path d="M{x} {y}h20" stroke-width="3" {_style(number)}/>'


def _dot(number: int, x: float, y: float, radius: float) -> str:
    colour = COLOURS[number % len(COLOURS)]
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>'


def _beside(points: Sequence[Point]) -> list[Point]:
    """The middle of each point's number: right of it, or where no other point or number is in the way."""
    numbers: list[Point] = []
    for x, y in points:
        around = [(x + 15 * right, y + 14 * below) for right, below in DIRECTIONS]
        free = [
            (u, v)
            for u, v in around
            if all(abs(u - a) > LETTER + RADIUS or abs(v - b) > 10 for a, b in points)
            and all(abs(u - a) > 2 * LETTER or abs(v - b) > 12 for a, b in numbers)
        ]
        numbers.append((free or around)[0])
    return numbers


def _svg(
    title: str, parts: Sequence[str], labels: Sequence[str], key: Callable[[int, float, float], str]
) -> str:
    """The picture, as large as its legend asks for; ``key`` draws a row's sign there."""
    left = RIGHT + 14
    width = left + 26 + LETTER * max(map(len, labels), default=0)
    height = max(HEIGHT, TOP + LINE * len(labels))
    head = begin(title, width, height) + '<rect width="100%" height="100%" fill="white"/>'
    legend = []
    for number, label in enumerate(labels):
        y = TOP + LINE * number
        legend += [key(number, left, y), text(left + 26, y + 4, label, "start")]
    return head + heading(title, 8) + "".join([*parts, *legend]) + "</svg>\n"
