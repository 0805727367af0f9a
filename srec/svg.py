"""Pieces of charts as SVG text: no drawing library, and a page that holds them needs no other file."""

import math
from html import escape
from typing import Final, NamedTuple

_STYLE: Final = (
    "text{font:12px system-ui,sans-serif;fill:#444}.title{font-weight:600;font-size:14px;fill:#111}"
)


class Axis(NamedTuple):
    """Values from ``low`` to ``high``, linear or logarithmic, onto pixels."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value; what lies outside is drawn on the edge."""
        place, low, high = min(max(value, self.low), self.high), self.low, self.high
        if self.log:
            place, low, high = math.log(place), math.log(low), math.log(high)
        return self.begin + (place - low) / (high - low) * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Round values along it: powers of ten, or about five steps of 1, 2 or 5."""
        if self.log:
            tens = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            return [10.0**ten for ten in tens]
        ten = 10.0 ** math.floor(math.log10((self.high - self.low) / 5))
        step = next(digit * ten for digit in (1, 2, 5, 10) if digit * ten * 5.01 >= self.high - self.low)
        return [step * n for n in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def short(value: float) -> str:
    """A number as a label: 950, 12.5k, 3M; never more than three digits of it."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"


def begin(title: str, width: float, height: float) -> str:
    """The head of a drawing, up to its style; ``</svg>`` ends it."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(title)}"><style>{_STYLE}</style>'
    )


def heading(title: str, x: float) -> str:
    """The title above a chart."""
    return f'<text x="{x:g}" y="18" class="title">{escape(title)}</text>'


def text(x: float, y: float, words: str, anchor: str) -> str:
    """Words that start, end or are centred (``middle``) at a point."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def grid(axis: Axis, left: float, right: float) -> list[str]:
    """A line from ``left`` to ``right`` for every round value of a vertical axis, and the value before it."""
    lines = []
    for value in axis.ticks():
        y = axis.at(value)
        lines.append(f'<path d="M{left} {y:.1f}H{right}" stroke="#e4e4e4"/>')
        lines.append(text(left - 7, y + 4, short(value), "end"))
    return lines
