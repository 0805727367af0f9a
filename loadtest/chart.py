"""Line charts as SVG text: no drawing library, and a page that holds them needs no other file."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 760, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 110, 34, 46
COLOURS = ("#1b6ca8", "#e08e0b", "#b3261e", "#3c7a3c")


class _Axis(NamedTuple):
    """Values of a stretch, linear or logarithmic, onto pixels."""

    low: float
    high: float
    begin: float
    end: float
    log: bool

    def at(self, value: float) -> float:
        """The pixel of a value; what lies outside the stretch is drawn on its edge."""
        place, low, high = min(max(value, self.low), self.high), self.low, self.high
        if self.log:
            place, low, high = math.log(place), math.log(low), math.log(high)
        return self.begin + (place - low) / (high - low) * (self.end - self.begin)


def line_chart(title: str, x_label: str, y_label: str, lines: Mapping[str, Points], log: bool = False) -> str:
    """Draw each of ``lines`` over the same axes; ``log``: a logarithmic y axis, where 0 has no place.

    Returns:
        an ``<svg>`` element; one that says "no data" where no line has a point.
    """
    drawn = {name: [(x, y) for x, y in points if y > 0 or not log] for name, points in lines.items()}
    points = [point for line in drawn.values() for point in line]
    parts = [f'<text x="{LEFT}" y="20" class="title">{escape(title)}</text>']
    if not points:
        parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle">no data</text>')
        return _svg(parts)
    x_axis = _axis([x for x, _ in points], LEFT, WIDTH - RIGHT, log=False)
    y_axis = _axis([y for _, y in points], HEIGHT - BOTTOM, TOP, log=log)
    parts += _grid(x_axis, y_axis)
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">')
    parts.append(f"{escape(x_label)}</text>")
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">')
    parts.append(f"{escape(y_label)}</text>")
    for number, (name, line) in enumerate(drawn.items()):
        parts += _line(name, line, number, x_axis, y_axis)
    return _svg(parts)


def _svg(parts: Sequence[str]) -> str:
    style = "text{font:12px sans-serif;fill:#333}.title{font-weight:bold;font-size:14px}"
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style>'
    return head + '<rect width="100%" height="100%" fill="white"/>' + "".join(parts) + "</svg>\n"


def _axis(values: Sequence[float], begin: float, end: float, log: bool) -> _Axis:
    low, high = min(values), max(values)
    if log:
        return _Axis(
            10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high * 1.001)), begin, end, log
        )
    low = min(low, 0.0)
    return _Axis(low, high if high > low else low + 1, begin, end, log)


def _ticks(axis: _Axis) -> list[float]:
    if axis.log:
        tens = range(round(math.log10(axis.low)), round(math.log10(axis.high)) + 1)
        values = [digit * 10.0**ten for ten in tens for digit in (1, 2, 5)]
        return [value for value in values if value <= axis.high * 1.0001]
    rough = (axis.high - axis.low) / 6
    ten = 10.0 ** math.floor(math.log10(rough))
    step = next(digit * ten for digit in (1, 2, 5, 10) if digit * ten >= rough)
    first = math.ceil(axis.low / step)
    return [step * n for n in range(first, math.floor(axis.high / step * 1.0001) + 1)]


def _grid(x_axis: _Axis, y_axis: _Axis) -> list[str]:
    parts = []
    for value in _ticks(y_axis):
        y = y_axis.at(value)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in _ticks(x_axis):
        x, bottom = x_axis.at(value), HEIGHT - BOTTOM
        parts.append(f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="#eee"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{value:g}</text>')
    return parts


def _line(name: str, points: Points, number: int, x_axis: _Axis, y_axis: _Axis) -> list[str]:
    colour = COLOURS[number % len(COLOURS)]
    places = [f"{x_axis.at(x):.1f},{y_axis.at(y):.1f}" for x, y in points]
    legend = TOP + 12 + 18 * number
    parts = [f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}" stroke-width="2"/>']
    if len(points) <= 100:
        parts += [
            f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in (p.split(",") for p in places)
        ]
    parts.append(f'<path d="M{WIDTH - RIGHT + 12} {legend}h18" stroke="{colour}" stroke-width="3"/>')
    parts.append(f'<text x="{WIDTH - RIGHT + 36}" y="{legend + 4}">{escape(name)}</text>')
    return parts
