"""Charts as SVG text: no drawing library, and a page that holds them needs no other file."""

from collections.abc import Callable, Mapping, Sequence

from srec.svg import Axis, begin, grid, heading, short, text

Points = Sequence[tuple[float, float]]
Label = Callable[[float], str]

WIDTH, HEIGHT = 760, 270
LEFT, RIGHT, TOP, BOTTOM = 62, 20, 40, 44
COLOURS = ("#9db8cc", "#1b5e8a", "#c2571a")


def line_chart(
    title: str,
    lines: Mapping[str, Points],
    *,
    x_label: str,
    x_ticks: Mapping[float, str] | None = None,
    marks: Mapping[str, tuple[float, float]] | None = None,
    log: bool = False,
) -> str:
    """Draw each of ``lines`` over the same axes.

    Args:
        title: above the chart.
        lines: name -> (x, y) in order of x; at least one point in all.
        x_label: what x is.
        x_ticks: x -> its label; None: round numbers.
        marks: name -> a stretch of x that is shaded.
        log: both axes are logarithmic; all values are then positive.
    """
    points = [point for line in lines.values() for point in line]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x_axis = Axis(xs[0], max(*xs, xs[0] + 1), LEFT, WIDTH - RIGHT, log)
    y_axis = Axis(1 if log else 0, max(*ys, 2 if log else 1), HEIGHT - BOTTOM, TOP, log)
    labels = dict(x_ticks) if x_ticks is not None else {x: short(x) for x in x_axis.ticks()}
    parts = [part for name, stretch in (marks or {}).items() for part in _shade(name, x_axis, *stretch)]
    parts += grid(y_axis, LEFT, WIDTH - RIGHT)
    parts += [text(x_axis.at(x), HEIGHT - BOTTOM + 17, label, "middle") for x, label in labels.items()]
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "middle"))
    colours = COLOURS[1:] if len(lines) == 1 else COLOURS
    for colour, line in zip(colours, lines.values(), strict=False):
        places = " ".join(f"{x_axis.at(x):.1f},{y_axis.at(y):.1f}" for x, y in line)
        parts.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
    legend = list(zip(colours, lines, strict=False)) if len(lines) > 1 else []
    return _svg(title, parts, HEIGHT, legend)


def column_chart(title: str, columns: Sequence[tuple[str, float]], *, x_label: str) -> str:
    """Draw a column for each (label, value), the value above it."""
    y_axis = Axis(0, max(1, *(value for _, value in columns)), HEIGHT - BOTTOM, TOP + 12)
    step = (WIDTH - RIGHT - LEFT) / len(columns)
    parts = grid(y_axis, LEFT, WIDTH - RIGHT)
    for place, (label, value) in enumerate(columns):
        x, y = LEFT + step * (place + 0.12), y_axis.at(value)
        parts.append(_bar(x, y, step * 0.76, HEIGHT - BOTTOM - y))
        parts.append(text(x + step * 0.38, y - 4, short(value), "middle"))
        parts.append(text(x + step * 0.38, HEIGHT - BOTTOM + 17, label, "middle"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "middle"))
    return _svg(title, parts, HEIGHT)


def bar_chart(title: str, bars: Sequence[tuple[str, float, str]], whole: float) -> str:
    """Draw a horizontal bar for each (label, value, text behind it) against ``whole``, the full width."""
    row, left = 22, 190
    height = TOP + row * len(bars) + 8
    width = WIDTH - left - 170
    parts = []
    for place, (label, value, said) in enumerate(bars):
        y, filled = TOP + row * place, width * value / max(whole, 1)
        parts.append(text(left - 8, y + 14, label, "end"))
        parts.append(f'<rect x="{left}" y="{y + 2}" width="{width}" height="{row - 6}" fill="#eef2f5"/>')
        parts.append(_bar(left, y + 2, filled, row - 6))
        parts.append(text(left + width + 8, y + 14, said, "start"))
    return _svg(title, parts, height)


def _svg(title: str, parts: Sequence[str], height: float, legend: Sequence[tuple[str, str]] = ()) -> str:
    head = begin(title, WIDTH, height) + heading(title, 0)
    named = []
    for place, (colour, name) in enumerate(reversed(legend)):
        x = WIDTH - RIGHT - 110 * place
        named.append(f'<rect x="{x - 102}" y="9" width="14" height="10" fill="{colour}"/>')
        named.append(text(x - 84, 18, name, "start"))
    return head + "".join([*named, *parts]) + "</svg>"


def _shade(name: str, axis: Axis, first: float, last: float) -> list[str]:
    """A shaded stretch with a line where it begins; its name hangs at the line, turned, to fit anywhere."""
    x, end = axis.at(first), axis.at(last)
    size = f'width="{max(end - x, 1):.1f}" height="{HEIGHT - TOP - BOTTOM}"'
    return [
        f'<rect x="{x:.1f}" y="{TOP}" {size} fill="{COLOURS[2]}" fill-opacity="0.13"/>',
        f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{COLOURS[2]}"/>',
        f'<g transform="translate({x - 4:.1f} {TOP + 4}) rotate(-90)">{text(0, 0, name, "end")}</g>',
    ]


def _bar(x: float, y: float, width: float, height: float) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{COLOURS[1]}"/>'
