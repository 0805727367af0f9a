"""The page that an operator looks at before training."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from srec.io import read_json
from srec.prepare import Report, SessionSettings, prepare_sessions
from srec.prepare.page import page, warnings
from tests.prepare.conftest import DAY, START, Prepare, log, write_csv

SVG = "{http://www.w3.org/2000/svg}"


def drawings(html: str) -> dict[str, ET.Element]:
    """The charts by their titles; parsing them proves that they are well-formed."""
    found = [ET.fromstring(text) for text in re.findall(r"<svg.*?</svg>", html, re.DOTALL)]
    return {str(one.get("aria-label")): one for one in found}


def bars(chart: ET.Element, colour: str = "#1b5e8a") -> list[float]:
    """Width or height of every bar, whichever differs between them."""
    found = [rect for rect in chart.iter(f"{SVG}rect") if rect.get("fill") == colour]
    sides = [{float(str(rect.get(side))) for rect in found} for side in ("width", "height")]
    side = "width" if len(sides[0]) > len(sides[1]) else "height"
    return [float(str(rect.get(side))) for rect in found]


def test_the_page_shows_what_the_report_says_and_needs_no_other_file(
    prepare: Prepare, tmp_path: Path
) -> None:
    broken = [("<script>", "no number", START, 1)]
    report = prepare(write_csv(tmp_path / "reviews.csv", [*log(), *broken]))
    html = (tmp_path / "DATA" / "report.html").read_text()
    assert html == page(Report(**read_json(tmp_path / "DATA" / "report.json")))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert not re.findall(r"(?:src|href|url)\s*[=(]", html)
    assert f"<b>{report.counts['train_clicks']:,}</b>" in html
    for step in report.steps:
        assert f">{step.after.rows:,}<" in html
    charts = drawings(html)
    (lengths,) = (chart for title, chart in charts.items() if "by length" in title)
    (days,) = (chart for title, chart in charts.items() if title.startswith("Reviews a day"))
    seen = report.overview["lengths"]
    assert sum(count for _, count in seen) == report.counts["train_sequences"]
    heights = bars(lengths)
    assert len(heights) == len(seen)
    assert max(heights) == heights[max(range(len(seen)), key=lambda place: seen[place][1])]
    assert {text.text for text in days.iter(f"{SVG}text")} >= {"validation", "test", "read", "kept"}


def test_what_is_wrong_is_told_first(prepare: Prepare, tmp_path: Path) -> None:
    late = [(f"u{user}", 10, START + 90 * DAY + user, 1) for user in range(12)]
    rows = [*(row for row in log() if row[1] != 10), *late, ("me", "x", START, 1)]
    report = prepare(write_csv(tmp_path / "reviews.csv", rows), test_days=40, validation_days=20)
    told = "\n".join(warnings(report))
    assert f"reviews: 1 of {len(rows)} rows could not be read" in told
    assert "test has" in told
    assert re.search(r"no review for \d\d days after 20", told)
    assert told.replace("&", "&amp;").split("\n")[0] in page(report)


def test_days_before_and_after_the_filters_are_counted(prepare: Prepare, tmp_path: Path) -> None:
    rows = log()
    report = prepare(write_csv(tmp_path / "reviews.csv", [*rows, ("once", 10, START, 1)]), min_user_reviews=2)
    read, kept = dict(report.overview["days_read"]), dict(report.overview["days_kept"])
    assert sum(read.values()) == len(rows) + 1
    assert sum(kept.values()) == len(rows)
    assert {day: n - kept[day] for day, n in read.items() if n != kept[day]} == {START // DAY: 1}


def test_session_files_have_a_page_without_days(tmp_path: Path) -> None:
    (tmp_path / "sessions.txt").write_text("1 2 3\n2 3\n1 3 2 1\n" * 20)
    prepare_sessions(
        tmp_path / "sessions.txt", tmp_path / "sessions.txt", tmp_path / "DATA", SessionSettings()
    )
    charts = drawings((tmp_path / "DATA" / "report.html").read_text())
    assert [title.split(":")[0] for title in charts] == ["Training sequences by length", "Popularity"]
