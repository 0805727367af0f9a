"""Figures of shapes, the report for people, and the plot."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from srec.loadtest import LoadReport, load_settings
from srec.loadtest.chart import line_chart
from srec.loadtest.page import html, plot
from srec.loadtest.report import machine, step_reports, timeline, warnings_of
from srec.loadtest.samples import Recorder, Samples, read_samples

Row = tuple[float, float, str | None]  # due, seconds until answered, fault


def _samples(folder: Path, rows: list[Row]) -> list[Samples]:
    recorder = Recorder()
    for due, response, wrong in rows:
        recorder.add(due, due, response, wrong, cpu=due / 2)
    recorder.write(folder / "1.npz")
    return read_samples(folder)


def _report(folder: Path, rows: list[Row], **values: Any) -> LoadReport:
    settings = load_settings({"url": "http://127.0.0.1:1", "warmup_seconds": 0, **values})
    samples = _samples(folder, rows)
    steps = step_reports(samples, settings)
    return LoadReport(
        settings=settings, sessions=7, sessions_sha256="0", versions={"srec": "0"}, machine=machine(),
        started="today", steps=steps, timeline=timeline(samples, settings), warnings=warnings_of(steps),
        passed=all(step.passed for step in steps),
    )  # fmt: skip


def _even(rate: int, seconds: int, begin: int = 0, response: float = 0.01) -> list[Row]:
    return [(begin + n / rate, response, None) for n in range(rate * seconds)]


def test_unsent_requests_are_failures(tmp_path: Path) -> None:
    report = _report(tmp_path, _even(10, 1)[:6], rates=(10,), seconds=1)
    (step,) = report.steps
    assert (step.requests, step.unsent, step.failures, step.failure_share) == (6, 4, 0, 0.4)
    assert not report.passed
    assert report.warnings == ("10 requests/s: only 60.0% of the offered requests could be sent in time",)


def test_a_spike_itself_is_looked_at_and_not_judged(tmp_path: Path) -> None:
    spike: list[Row] = [(1 + n / 40, 0.001, "status 503") for n in range(40)]
    rows = [*_even(10, 1), *spike, *_even(10, 1, begin=2)]
    report = _report(tmp_path, rows, shape="spike", rates=(10, 40), seconds=1, spike_seconds=1)
    assert [(step.failures, step.judged, step.checks == ()) for step in report.steps] == [
        (0, True, False),
        (40, False, True),
        (0, True, False),
    ]
    assert report.passed
    assert [(moment.requests, moment.failures) for moment in report.timeline] == [(10, 0), (40, 40), (10, 0)]


def test_thresholds_of_every_percentile(tmp_path: Path) -> None:
    rows: list[Row] = [(n / 100, (n + 1) / 1000, None) for n in range(100)]
    limits = {"max_p50_ms": 49, "max_p90_ms": 91, "max_p99_ms": 98}
    (step,) = _report(tmp_path, rows, rates=(100,), seconds=1, thresholds=limits).steps
    assert {check.threshold: check.passed for check in step.checks} == {
        "max_p50_ms": False, "max_p90_ms": True, "max_p99_ms": False, "max_failure_share": True,
    }  # fmt: skip


def test_the_page_needs_no_other_file_and_shows_every_step(tmp_path: Path) -> None:
    rows = [*_even(10, 2), *_even(40, 2, begin=2, response=0.08)]
    report = _report(tmp_path, rows, rates=(10, 40), seconds=2, thresholds={"max_p90_ms": 50})
    page = html(report)
    assert not re.search(r"(src|href)=", page)
    assert page.count("<svg") == 4
    assert '<span class="missed">missed</span>' in page
    for text in ("10 requests/s", "40 requests/s", "max_p90_ms 50", "80.0", "today", "7 sessions"):
        assert text in page


def test_the_plot_has_a_point_a_step(tmp_path: Path) -> None:
    rows = [*_even(10, 1), *_even(20, 1, begin=1), *_even(40, 1, begin=2)]
    drawn = ET.fromstring(plot(_report(tmp_path, rows, rates=(10, 20, 40), seconds=1)))
    names = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"p50", "p90", "p99", "failed, %", "requests/s offered"} <= set(names)
    lines = [line.attrib["points"] for line in drawn.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(points.split()) for points in lines] == [3, 3, 3, 0], "nothing failed: no place on a log axis"


def test_the_plot_of_one_rate_is_over_time(tmp_path: Path) -> None:
    assert "Latency over time" in plot(_report(tmp_path, _even(10, 3), rates=(10,), seconds=3))


def test_higher_values_are_drawn_higher() -> None:
    drawn = ET.fromstring(
        line_chart("a < b", "x", "y", {"one & two": [(0, 1.0), (5, 10.0), (10, 100.0)]}, log=True)
    )
    (line,) = drawn.iter("{http://www.w3.org/2000/svg}polyline")
    places = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert places == sorted(places)
    heights = [y for _, y in places]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)
    assert heights[1] - heights[2] > 10


def test_a_chart_without_points_says_so() -> None:
    assert "no data" in line_chart("t", "x", "y", {"p50": []})
