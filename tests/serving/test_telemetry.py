"""Batches as the handler reports them: metrics, the request log, traces."""

import json
import logging
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from srec.errors import InputError
from srec.graph.neighbours import GlobalGraph
from srec.serving import request_log
from srec.serving.metrics import GAUGES, STORE_ROWS, Metrics
from srec.serving.observed import ObservedBatch
from srec.serving.telemetry import Telemetry, open_telemetry, watch_store
from srec.serving.tracing import Tracer, tracer_from_environment
from srec.stores.array import ArrayStore
from srec.stores.counters import StoreCounters
from srec.stores.fallback import FallbackStore
from tests.collector import Collector

STAGES = {"graph": 0.001, "store": 0.002, "model": 0.004, "top_k": 0.0005}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOT_SAMPLED = PARENT[:-1] + "0"
APPIDS = [620123, 400456, 999999999]


class Sums:
    def __init__(self) -> None:
        self.values: dict[tuple[str, tuple[str, ...]], float] = {}

    def __call__(self, name: str, value: float, labels: Sequence[str]) -> None:
        series = name, tuple(labels)
        self.values[series] = value if name in GAUGES else self.values.get(series, 0) + value


@pytest.fixture(autouse=True)
def level_as_before() -> Iterator[None]:
    before = request_log.log.level
    yield
    request_log.log.setLevel(before)


def telemetry(sums: Sums, tracer: Tracer | None = None) -> Telemetry:
    return Telemetry(Metrics(sums, "v1"), lambda: dict(STAGES), tracer)


def observe(batch: ObservedBatch) -> None:
    batch.parsed()
    batch.answered("visit-1", "gce-gnn", APPIDS, APPIDS[2:], truncated=False, traceparent=PARENT)
    batch.answered("visit-2", "popular", [], [], truncated=False, traceparent=NOT_SAMPLED)
    batch.refused("visit-3", 400)


def test_stages_fill_the_batch_and_their_sum_is_its_time() -> None:
    sums = Sums()
    watched = telemetry(sums)
    with watched.batch(3) as batch:
        observe(batch)
        batch._start -= 1.0  # as if a second had passed
    assert sum(batch.seconds.values()) == pytest.approx(batch.total)
    assert {stage: batch.seconds[stage] for stage in STAGES} == STAGES
    watched.metrics.flush()
    assert sums.values["srec_stage_seconds_sum", ("model",)] == STAGES["model"]
    assert sums.values["srec_handler_seconds_count", ()] == 3


def test_a_handler_that_raises_has_failed_all_its_requests() -> None:
    sums = Sums()
    watched = telemetry(sums)

    def handle() -> None:
        with watched.batch(3) as batch:
            batch.refused("visit-1", 400)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        handle()
    watched.metrics.flush()
    assert sums.values["srec_requests_total", ("none", "503")] == 3
    assert sums.values["srec_requests_total", ("none", "400")] == 0


def test_the_stores_health_is_that_of_the_last_fetch() -> None:
    sums, counters = Sums(), StoreCounters()
    metrics = Metrics(sums, "v1")
    watch_store(metrics, counters)
    metrics.flush()
    assert ("srec_store_up", ()) not in sums.values
    counters.fetches, counters.fallbacks, counters.failing = 5, 2, True
    counters.rows_cached, counters.rows_read, counters.rows_missing = 30, 12, 7
    metrics.flush()
    rows = {labels[0]: value for (name, labels), value in sums.values.items() if name == STORE_ROWS}
    assert rows == {"cached": 30, "read": 12, "missing": 7}
    assert sums.values["srec_store_fetches_total", ("primary",)] == 3
    assert sums.values["srec_store_fetches_total", ("fallback",)] == 2
    assert sums.values["srec_store_up", ()] == 0
    counters.fetches, counters.failing = 6, False
    metrics.flush()
    assert sums.values["srec_store_up", ()] == 1


def test_what_the_environment_asks_for_is_open_at_once_and_all_parts_are_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SREC_OTLP_ENDPOINT", raising=False)
    sums, graph = Sums(), GlobalGraph(np.zeros((3, 2), np.int32), np.zeros((3, 2), np.float32))
    store = FallbackStore(ArrayStore(graph), ArrayStore(graph))
    scorer = SimpleNamespace(scan=SimpleNamespace(fallbacks=0))
    opened = open_telemetry(
        sums, "v1", sources=("gce-gnn",), take_stages=lambda: dict(STAGES), store=store, scorer=scorer
    )
    store.fetch(np.array([1, 2], np.int32))
    scorer.scan.fallbacks = 4
    opened.metrics.close()
    assert sums.values["srec_fast_fallbacks_total", ()] == 4
    assert sums.values["srec_store_fetches_total", ("primary",)] == 1
    assert sums.values["srec_requests_total", ("gce-gnn", "200")] == 0


class TestRequestLog:
    def test_by_default_a_request_leaves_no_line(self, caplog: pytest.LogCaptureFixture) -> None:
        with telemetry(Sums()).batch(3) as batch:
            observe(batch)
        assert caplog.records == []

    @pytest.mark.parametrize("word", ["info", "INFO"])
    def test_info_gives_a_json_line_a_request_and_never_an_appid(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, word: str
    ) -> None:
        monkeypatch.setenv("SREC_LOG_LEVEL", word)
        with telemetry(Sums()).batch(3) as batch:
            observe(batch)
        lines = [json.loads(record.getMessage()) for record in caplog.records]
        assert [(line["request_id"], line["status"], line["source"]) for line in lines] == [
            ("visit-1", 200, "gce-gnn"),
            ("visit-2", 200, "popular"),
            ("visit-3", 400, "none"),
        ]
        assert (lines[0]["clicks"], lines[0]["unknown"], lines[0]["batch"]) == (3, 1, 3)
        assert lines[0]["ms"]["model"] == 4.0
        assert not any(str(appid) in caplog.text for appid in APPIDS)

    def test_a_request_id_cannot_forge_a_line(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SREC_LOG_LEVEL", "info")
        with telemetry(Sums()).batch(1) as batch:
            batch.refused('x"}\n[METRICS]srec_requests_total.Count:9|#', 400)
        (record,) = caplog.records
        assert "\n" not in record.getMessage()

    def test_another_level_is_refused_with_the_known_ones(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SREC_LOG_LEVEL", "inf")
        with pytest.raises(InputError, match=r'SREC_LOG_LEVEL="inf".*did you mean "info".*warning, info'):
            telemetry(Sums())


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


class TestTraces:
    def test_a_batch_its_stages_and_the_callers_requests_reach_a_collector(
        self, collector: Collector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SREC_OTLP_ENDPOINT", collector.url + "/")
        tracer = tracer_from_environment("v1")
        assert tracer is not None
        with telemetry(Sums(), tracer).batch(3) as batch:
            observe(batch)
        tracer.close()
        spans = {span.name: span for span in collector.spans()}
        assert list(spans) == ["parse", "graph", "store", "model", "top_k", "write", "batch", "recommend"]
        whole, model, request = spans["batch"], spans["model"], spans["recommend"]
        assert model.parent_span_id == whole.span_id
        assert model.end_time_unix_nano - model.start_time_unix_nano == round(STAGES["model"] * 1e9)
        assert request.trace_id.hex() == PARENT.split("-")[1]
        assert request.parent_span_id.hex() == PARENT.split("-")[2]
        assert request.links[0].span_id == whole.span_id
        attributes = {pair.key: pair.value for pair in request.attributes}
        assert attributes["srec.request_id"].string_value == "visit-1"
        assert not any(str(appid) in str(spans) for appid in APPIDS)

    def test_a_traceparent_that_is_none_is_no_request_span(self, collector: Collector) -> None:
        tracer = Tracer(collector.url, "v1")
        with telemetry(Sums(), tracer).batch(1) as batch:
            batch.refused("visit-1", 400, traceparent="rubbish \n")
        tracer.close()
        assert "recommend" not in {span.name for span in collector.spans()}

    def test_off_imports_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SREC_OTLP_ENDPOINT", raising=False)
        assert tracer_from_environment("v1") is None

    def test_without_the_packages_the_service_goes_on_and_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("SREC_OTLP_ENDPOINT", "http://127.0.0.1:4318")
        monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
        with caplog.at_level(logging.WARNING):
            assert tracer_from_environment("v1") is None
        assert "install srec[tracing]" in caplog.text
