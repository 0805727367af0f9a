"""What the worker counts and sends; exact numbers, a clock of our own, no server."""

import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srec.serving import metrics
from srec.serving.metrics import EDGES, GAUGES, LABELS, Metrics, length_class
from srec.serving.observed import ALL_STAGES, ObservedBatch


class Page:
    """What /metrics would show: counters added up, gauges as last set, by name and labels."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, tuple[str, ...]], float] = {}
        self.lines = 0
        self.arrived = threading.Event()

    def __call__(self, name: str, value: float, labels: Sequence[str]) -> None:
        assert name in GAUGES or value >= 0  # TorchServe refuses a counter that falls
        series = name, tuple(labels)
        self.values[series] = value + (0 if name in GAUGES else self.values.get(series, 0))
        self.lines += 1
        self.arrived.set()

    def __getitem__(self, series: tuple[str, tuple[str, ...]]) -> float:
        return self.values[series]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def batch(seconds: float = 0.0) -> ObservedBatch:
    made = ObservedBatch()
    made.parsed()
    made.end({})
    made.seconds = dict.fromkeys(ALL_STAGES, seconds)
    made.total = seconds * len(ALL_STAGES)
    return made


def test_counts_of_requests_sessions_and_clicks() -> None:
    page = Page()
    counted = Metrics(page, "v1", ["gce-gnn", "popular"])
    first = batch()
    first.answered("a", "gce-gnn", [620, 400, 9, 9], [9], truncated=True)
    first.answered("b", "popular", [], [], truncated=False)
    first.refused("c", 400)
    second = batch()
    second.answered("d", "gce-gnn", [620] * 7, [], truncated=False)
    second.refused("e", 401)
    counted.add(first)
    counted.add(second)
    counted.flush()
    expected = {
        ("srec_requests_total", ("gce-gnn", "200")): 2,
        ("srec_requests_total", ("popular", "200")): 1,
        ("srec_requests_total", ("none", "400")): 1,
        ("srec_requests_total", ("none", "401")): 1,
        ("srec_requests_total", ("none", "503")): 0,
        ("srec_sessions_total", ("0",)): 1,
        ("srec_sessions_total", ("1",)): 0,
        ("srec_sessions_total", ("2-3",)): 0,
        ("srec_sessions_total", ("4-6",)): 1,
        ("srec_sessions_total", ("7+",)): 1,
        ("srec_clicks_total", ()): 11,
        ("srec_unknown_clicks_total", ()): 2,
        ("srec_truncated_total", ()): 1,
    }
    assert {series: page[series] for series in expected} == expected


def test_a_flush_sends_growth_only_once() -> None:
    page = Page()
    counted = Metrics(page, "v1")
    one = batch(0.001)
    one.answered("a", "gce-gnn", [1], [], truncated=False)
    counted.add(one)
    counted.flush()
    before = dict(page.values)
    counted.flush()
    del before["srec_worker_seconds_total", ("v1",)]
    assert before == {series: value for series, value in page.values.items() if series in before}


def test_every_known_series_is_there_at_zero_before_the_first_request() -> None:
    page = Page()
    Metrics(page, "v1", ["gce-gnn"]).flush()
    assert page["srec_requests_total", ("gce-gnn", "200")] == 0
    assert {labels[0] for name, labels in page.values if name == "srec_stage_seconds_count"} == set(
        ALL_STAGES
    )
    assert len([1 for name, _ in page.values if name == "srec_handler_seconds_bucket"]) == len(EDGES) + 1


def test_a_quiet_second_costs_one_line() -> None:
    page = Page()
    counted = Metrics(page, "v1")
    counted.flush()
    before = page.lines
    counted.flush()
    assert page.lines == before + 1


def test_seconds_of_life_tell_how_many_workers_there_are() -> None:
    page, clock = Page(), Clock()
    workers = [Metrics(page, "v1", clock=clock) for _ in range(2)]
    clock.now += 30
    for worker in workers:
        worker.flush()
        worker.flush()
    assert page["srec_worker_seconds_total", ("v1",)] == 60


@given(st.lists(st.floats(0, 3), min_size=1, max_size=20))
def test_buckets_are_those_of_a_prometheus_histogram(seconds: list[float]) -> None:
    page = Page()
    counted = Metrics(page, "v1")
    for one in seconds:
        counted.add(batch(one))
        counted.flush()
    for edge in EDGES:
        assert page["srec_stage_seconds_bucket", ("graph", str(edge))] == sum(s <= edge for s in seconds)
    assert page["srec_stage_seconds_bucket", ("graph", "+Inf")] == len(seconds)
    assert page["srec_stage_seconds_count", ("graph",)] == len(seconds)
    assert page["srec_stage_seconds_sum", ("graph",)] == pytest.approx(sum(seconds))


def test_the_handlers_time_is_counted_for_each_request_and_a_stages_for_each_batch() -> None:
    page = Page()
    counted = Metrics(page, "v1")
    three = batch(0.002)
    for name in "abc":
        three.answered(name, "gce-gnn", [1], [], truncated=False)
    counted.add(three)
    counted.flush()
    assert page["srec_handler_seconds_count", ()] == 3
    assert page["srec_handler_seconds_bucket", ("0.025",)] == 3
    assert page["srec_handler_seconds_sum", ()] == pytest.approx(3 * 0.002 * len(ALL_STAGES))
    assert page["srec_stage_seconds_count", ("model",)] == 1


def test_watched_counts_send_their_growth_and_never_fall() -> None:
    page = Page()
    counted = Metrics(page, "v1")
    reads = iter([5, 9, 8, 9, 10])
    counted.watch("srec_store_fetches_total", ("primary",), lambda: next(reads))
    for expected in (5, 9, 9, 9, 10):
        counted.flush()
        assert page["srec_store_fetches_total", ("primary",)] == expected


def test_a_gauge_is_sent_while_there_is_news() -> None:
    page = Page()
    counted = Metrics(page, "v1")
    reads = iter([None, 1.0, 0.0, None])
    counted.watch_gauge("srec_store_up", lambda: next(reads))
    counted.flush()
    assert ("srec_store_up", ()) not in page.values
    for expected in (1.0, 0.0, 0.0):
        counted.flush()
        assert page["srec_store_up", ()] == expected


def test_the_last_counts_are_sent_without_another_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FLUSH_SECONDS", 0.01)
    page = Page()
    counted = Metrics(page, "v1")
    counted.start()
    one = batch()
    one.refused("a", 400)
    counted.add(one)
    while page.values.get(("srec_requests_total", ("none", "400")), 0) < 1:
        page.arrived.clear()
        assert page.arrived.wait(60)
    counted.close()


def test_nothing_is_lost_or_counted_twice_between_two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "FLUSH_SECONDS", 0.0001)
    page = Page()
    counted = Metrics(page, "v1")
    counted.start()
    for _ in range(3000):
        one = batch()
        one.refused("a", 400)
        counted.add(one)
    counted.close()
    assert page["srec_requests_total", ("none", "400")] == 3000


def test_a_sink_that_fails_once_does_not_end_the_sending(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(metrics, "FLUSH_SECONDS", 0.01)
    page, failures = Page(), iter([OSError("no room")])

    def sink(name: str, value: float, labels: Sequence[str]) -> None:
        for failure in failures:
            raise failure
        page(name, value, labels)

    counted = Metrics(sink, "v1")
    counted.start()
    assert page.arrived.wait(60)
    counted.close()
    assert "not sent" in caplog.text


@pytest.mark.parametrize(
    ("clicks", "name"),
    [(0, "0"), (1, "1"), (2, "2-3"), (3, "2-3"), (4, "4-6"), (6, "4-6"), (7, "7+"), (999, "7+")],
)
def test_classes_of_lengths(clicks: int, name: str) -> None:
    assert length_class(clicks) == name


def test_names_follow_prometheus_conventions() -> None:
    for name in LABELS:
        assert name.startswith("srec_")
        assert name.endswith(("_total", "_seconds", "_up"))
