"""A table's plots as SVG text: the first two metrics by session length, and quality against milliseconds."""

import math
from collections.abc import Sequence
from typing import Any, Final

from srec.evaluation.evaluate import LENGTH_GROUPS
from srec.svg import Axis, begin, grid, heading, text
from srec.tables.markdown import shown_name

Entry = dict[str, Any]
WIDTH, HEIGHT = 860, 380
LEFT, RIGHT, TOP, BOTTOM = 56, 250, 54, 48
COLOURS: Final = (
    "#1b5e8a", "#c2571a", "#3c7a3c", "#8a3b8f", "#b3261e", "#7a6a1b", "#2a8f8f", "#555555",
)  # fmt: skip
DASHES: Final = ("", "6 3", "2 3")


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
    x_axis = Axis(0, max(1, len(groups) - 1), LEFT + 30, WIDTH - RIGHT - 30)
    top = max(100 * found[metric] for row in rows for found in row["by_length"].values())
    y_axis = Axis(0, max(top, 1e-6), HEIGHT - BOTTOM, TOP)
    parts = grid(y_axis, LEFT, WIDTH - RIGHT)
    parts += _labels(x_axis, groups, "clicks of the session", shown_name(metric))
    for number, row in enumerate(rows):
        points = [
            (x_axis.at(place), y_axis.at(100 * row["by_length"][group][metric]))
            for place, group in enumerate(groups)
            if group in row["by_length"]
        ]
        parts += _line(points, number)
        parts += _legend(number, row["label"])
    return _svg(f"{title}: {shown_name(metric)} in % by session length", parts)


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
    x_axis = Axis(low, max(high, 10 * low), LEFT + 10, WIDTH - RIGHT - 10, log=True)
    y_axis = Axis(0, max([y for _, y in points] + [1e-6]) * 1.05, HEIGHT - BOTTOM, TOP)
    parts = grid(y_axis, LEFT, WIDTH - RIGHT)
    parts += [text(x_axis.at(tick), HEIGHT - BOTTOM + 17, f"{tick:g}", "middle") for tick in x_axis.ticks()]
    parts += _labels(x_axis, [], "milliseconds an input, alone (median)", shown_name(metric))
    for number, (row, (x, y)) in enumerate(zip(timed, points, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<circle cx="{x_axis.at(x):.1f}" cy="{y_axis.at(y):.1f}" r="5" fill="{colour}"/>')
        parts.append(text(x_axis.at(x) + 7, y_axis.at(y) + 4, str(number + 1), "start"))
        parts += _legend(number, f"{number + 1} {row['label']}{'' if row['served'] else ' (eager)'}")
    return _svg(f"{title}: {shown_name(metric)} in % against milliseconds an input", parts)


def _milliseconds(row: Entry) -> float:
    served = row["served"]
    found: float = served["alone_p50_ms"] if served else row["figures"]["alone_p50_ms"]["mean"]
    return found


def _labels(axis: Axis, groups: Sequence[str], x_label: str, y_label: str) -> list[str]:
    parts = [
        text(axis.at(place), HEIGHT - BOTTOM + 17, group, "middle") for place, group in enumerate(groups)
    ]
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_label, "middle"))
    return [*parts, text(LEFT - 40, TOP - 10, f"{y_label}, %", "start")]


def _line(points: Sequence[tuple[float, float]], number: int) -> list[str]:
    colour = COLOURS[number % len(COLOURS)]
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = DASHES[number // len(COLOURS) % len(DASHES)]
    style = f'fill="none" stroke="{colour}" stroke-width="1.8" stroke-dasharray="{dash}"'
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    return [f'<polyline points="{places}" {style}/>', *dots]


def _legend(number: int, label: str) -> list[str]:
    x, y = WIDTH - RIGHT + 14, TOP + 18 * number
    colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
    stroke = f'stroke="{colour}" stroke-width="3" stroke-dasharray="{dash}"'
    return [f'<path d="M{x} {y}h20" {stroke}/>', text(x + 26, y + 4, label, "start")]


def _svg(title: str, parts: Sequence[str]) -> str:
    head = begin(title, WIDTH, HEIGHT) + '<rect width="100%" height="100%" fill="white"/>'
    return head + heading(title, 8) + "".join(parts) + "</svg>\n"
