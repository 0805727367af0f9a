"""The report as one page: what to look at before a model is trained."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from srec.data.dataset import moment
from srec.prepare.charts import Points, bar_chart, column_chart, line_chart
from srec.prepare.overview import DAY
from srec.prepare.report import Report

POINTS = 360  # of the curve of days; longer logs are shown as means of several days
FEW_EXAMPLES = 1000
_STYLE = """
:root { color-scheme: light }
body { font: 15px/1.45 system-ui, sans-serif; color: #222; background: #fff; max-width: 1180px;
       margin: 1.5em auto; padding: 0 1.2em }
h1 { font-size: 1.5em; margin: 0 } h2 { font-size: 1.1em; margin: 1.6em 0 .4em }
h3 { font-size: .95em; margin: 1em 0 .2em }
.facts { display: flex; flex-wrap: wrap; gap: .6em; margin: 1em 0 }
.facts div { background: #f3f6f8; border-radius: 6px; padding: .5em .9em; min-width: 7em }
.facts b { display: block; font-size: 1.35em } .facts span { color: #555; font-size: .85em }
.look { border-left: 4px solid #c2571a; background: #fdf4ee; padding: .5em 1em; margin: 1em 0 }
.look ul { margin: .2em 0 }
.fine { border-left: 4px solid #3c7a3c; background: #f1f7f1; padding: .5em 1em }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(460px, 1fr)); gap: 1.2em 2em }
@media (max-width: 560px) { .charts { grid-template-columns: 1fr } }
svg { width: 100%; height: auto; display: block }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .9em }
th, td { padding: .25em .8em .25em 0; text-align: right; border-bottom: 1px solid #e4e4e4 }
th:first-child, td:first-child { text-align: left } td.text { text-align: left; word-break: break-word }
"""


def page(report: Report) -> str:
    """One HTML file that refers to no other."""
    body = [
        f"<h1>Prepared data: {escape(report.kind)}</h1>",
        _facts(report),
        _look(list(warnings(report))),
        f'<div class="charts">{"".join(_charts(report))}</div>',
        *_filters(report),
        '<div class="charts"><section><h2>Split</h2>',
        _table(("what", "value"), [(_words(name), _value(v)) for name, v in _split(report).items()]),
        "</section><section><h2>Left out by the split and the vocabulary</h2>",
        _table(("reason", "number"), [(_words(name), f"{n:,}") for name, n in report.dropped.items()]),
        "<h2>What was read</h2>",
        *_readings(report),
        "</section></div>",
    ]
    head = (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>srec prepare</title>\n<style>{_STYLE}'
    )
    return f'{head}</style>\n<meta name="viewport" content="width=device-width">\n{"".join(body)}</html>\n'


def warnings(report: Report) -> Iterator[str]:
    """What deserves a second look, in the order in which it would hurt."""
    for what, reading in report.readings.items():
        if reading.unparsable:
            yield f"{what}: {reading.unparsable:,} of {reading.rows:,} rows could not be read"
        for column, empty in reading.empty.items():
            yield f"{what}: {empty:,} of {reading.rows:,} rows have no {column}"
    for part in ("validation", "test"):
        if (examples := report.counts[f"{part}_examples"]) < FEW_EXAMPLES:
            yield f"{part} has {examples:,} examples: its figures will be rough"
    for step in report.steps:
        if step.removed.rows * 2 > step.before.rows:
            share = step.removed.rows / step.before.rows
            yield f'the filter "{step.name}" removed {share:.0%} of the reviews'
    yield from _metadata_warnings(report)
    if silent := _silent_days(report.overview.get("days_read", [])):
        yield silent
    yield from report.notes


def _metadata_warnings(report: Report) -> Iterator[str]:
    items, metadata = report.counts["items"], report.metadata
    for name, what in (("games_without_metadata", "no metadata"), ("games_without_tags", "no tags")):
        if (missing := metadata.get(name, 0)) * 20 > items:
            yield f"{missing:,} of {items:,} games have {what}"
    if metadata.get("tag_factors_converged") is False:
        yield "the tag factors have not settled: their error is an upper bound"


def _silent_days(days: Sequence[tuple[int, int]]) -> str | None:
    """The longest stretch without a review in the newest year, if it is longer than a week."""
    recent = [day for day, _ in days if day > days[-1][0] - 365]
    gaps = [(after - before, before) for before, after in itertools.pairwise(recent)]
    length, before = max(gaps, default=(0, 0))
    return f"no review for {length - 1} days after {_date(before)}" if length > 8 else None


def _facts(report: Report) -> str:
    counts = report.counts
    shown = {
        "games": counts["items"],
        "training sequences": counts["train_sequences"],
        "training clicks": counts["train_clicks"],
        "validation examples": counts["validation_examples"],
        "test examples": counts["test_examples"],
    }
    boxes = "".join(f"<div><b>{value:,}</b><span>{name}</span></div>" for name, value in shown.items())
    return f'<div class="facts">{boxes}</div>'


def _look(found: Sequence[str]) -> str:
    if not found:
        return '<p class="fine">Nothing stands out.</p>'
    return f'<div class="look">Look at<ul>{"".join(f"<li>{escape(one)}</li>" for one in found)}</ul></div>'


def _charts(report: Report) -> Iterator[str]:
    seen = report.overview
    if seen.get("days_kept"):
        yield _days_chart(report)
    if seen:
        yield column_chart("Training sequences by length", seen["lengths"], x_label="clicks in a sequence")
        title = f"Popularity: the top 1 % of games has {seen['most_popular_hundredth']:.0%} of the clicks"
        lines = {"clicks": seen["popularity"]}
        yield line_chart(title, lines, x_label="rank of the game, by training clicks", log=True)
    if report.steps:
        rows = report.steps[0].before.rows
        bars = [("read", rows, f"{rows:,}")]
        for step in report.steps:
            removed = f" (-{step.removed.rows:,})" if step.removed.rows else ""
            bars.append((step.name, step.after.rows, f"{step.after.rows:,}{removed}"))
        yield bar_chart("Reviews left after every filter", bars, rows)
    if known := report.metadata.get("known"):
        items = report.counts["items"]
        bars = [(field, count, f"{count / items:.1%}") for field, count in known.items()]
        yield bar_chart("Games whose metadata is known", bars, items)
    if "tag_reconstruction_error" in report.metadata:
        yield _tags_chart(report.metadata)


def _days_chart(report: Report) -> str:
    read, kept = report.overview["days_read"], report.overview["days_kept"]
    first, last = read[0][0], read[-1][0] + 1
    width = max(1, -(-(last - first) // POINTS))
    lines = {"read": _means(read, first, last, width), "kept": _means(kept, first, last, width)}
    ends = [int(str(report.split[name])) / DAY for name in ("train_until", "validation_until", "test_until")]
    marks = {"validation": (ends[0], ends[1]), "test": (ends[1], ends[2])}
    mean = f", mean of {width} days" if width > 1 else ""
    title = f"Reviews a day{mean}; shaded: validation, test"
    return line_chart(title, lines, x_label="", x_ticks=_dates(first, last), marks=marks)


def _tags_chart(metadata: Mapping[str, Any]) -> str:
    error = float(metadata["tag_reconstruction_error"])
    said = "settled" if metadata["tag_factors_converged"] else "not settled"
    title = f"Tag factors: {metadata['tag_width']} for {metadata['tags']} tags, {said}"
    bars = [("kept", 1 - error**2, f"{1 - error**2:.2%}"), ("lost", error**2, f"{error**2:.2%}")]
    return bar_chart(f"{title}, error {error:.4f}", bars, 1)


def _means(days: Points, first: int, last: int, width: int) -> Points:
    """Reviews a day as means over ``width`` days; days without any count as 0."""
    sums = [0.0] * -(-(last - first) // width)
    for day, count in days:
        sums[int(day - first) // width] += count
    return [
        (first + width * (place + 0.5), total / min(width, last - first - width * place))
        for place, total in enumerate(sums)
    ]


def _dates(first: int, last: int) -> dict[float, str]:
    """Up to eight labelled days: the first of years where the log is long, of months where it is short."""
    days = [datetime.fromtimestamp(day * DAY, UTC) for day in range(first, last)]
    years = [day for day in days if (day.month, day.day) == (1, 1)]
    months = [day for day in days if day.day == 1]
    chosen, form = (
        (years, "%Y") if len(years) > 2 else (months, "%Y-%m") if len(months) > 2 else (days, "%d %b")
    )
    step = -(-len(chosen) // 8)
    return {day.timestamp() / DAY: day.strftime(form) for day in chosen[::step]}


def _filters(report: Report) -> list[str]:
    if not report.steps:
        return []
    rows = [
        (
            step.name + "".join(f", {name} {value}" for name, value in step.parameters.items()),
            *(f"{n:,}" for n in (step.removed.rows, step.removed.users, step.removed.games)),
            *(f"{n:,}" for n in (step.after.rows, step.after.users, step.after.games)),
        )
        for step in report.steps
    ]
    columns = ("filter", "reviews removed", "users", "games", "reviews left", "users", "games")
    return ["<h2>Filters</h2>", _table(columns, rows)]


def _split(report: Report) -> dict[str, int | str | None]:
    until = {name: value for name, value in report.split.items() if name.endswith("_until")}
    dates = {name: moment(int(str(value))) for name, value in until.items()}
    return {**report.split, **dates, **report.counts}


def _readings(report: Report) -> Iterator[str]:
    columns = ("file", "rows", "unparsable", "with an empty field")
    for what, reading in report.readings.items():
        rows = [(one.path, f"{one.rows:,}", f"{one.unparsable:,}", f"{one.empty:,}") for one in reading.files]
        yield f"<h3>{escape(_words(what))}</h3>{_table(columns, rows)}"
        if reading.shown:
            yield "<p>The first rows that could not be read:</p>"
            yield _table(
                ("why", "row"), [(f"{bad.file}: {bad.why}", bad.row) for bad in reading.shown], "text"
            )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    cells = ("".join(f'<td class="{kind}">{escape(cell)}</td>' for cell in row) for row in rows)
    return (
        f'<div class="wide"><table><tr>{head}</tr>{"".join(f"<tr>{row}</tr>" for row in cells)}</table></div>'
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _value(value: int | str | None) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _date(day: float) -> str:
    return datetime.fromtimestamp(day * DAY, UTC).strftime("%Y-%m-%d")
