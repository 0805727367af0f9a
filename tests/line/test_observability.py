"""Metrics and the request log of a real TorchServe with a real Redis: exact counts for known traffic."""

import http.client
import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from srec.graph.neighbours import GlobalGraph
from srec.serve_config import client, ports
from srec.serve_config.configuration import Ports, TorchServeSettings
from srec.serve_config.embedded_redis import EmbeddedRedis
from srec.serve_config.folders import run_folder
from srec.serve_config.torchserve import TorchServe
from srec.serving.metrics import EDGES, LABELS
from srec.serving.observed import ALL_STAGES
from srec.stores.load import load_graph
from tests.collector import Collector
from tests.conftest import Line
from tests.waiting import LIMIT

SERIES = re.compile(r"^(?P<name>\w+)\{(?P<labels>.*)\} (?P<value>\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')

Page = dict[tuple[str, ...], float]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def server(
    line: Line, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TorchServe]:
    with (
        pytest.MonkeyPatch.context() as patch,
        EmbeddedRedis(tmp_path_factory.mktemp("redis")) as redis,
        run_folder() as folder,
    ):
        load_graph(redis.url, GlobalGraph.load(line.artifact / "graph.safetensors"))
        patch.setenv("SREC_LOG_LEVEL", "info")
        patch.setenv("SREC_OTLP_ENDPOINT", collector.url)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        settings = TorchServeSettings(
            folder=folder,
            model_store=line.mar.parent,
            ports=Ports(**dict(zip(Ports.model_fields, ports.free_ports([None] * 5), strict=True))),
            logs=tmp_path_factory.mktemp("logs"),
            redis_url=redis.url,
        )
        with TorchServe(settings) as running:
            running.wait_ready(LIMIT)
            yield running


def read_page(server: TorchServe) -> Page:
    """The page /metrics: (name, label values in alphabetical order of the labels) -> value."""
    connection = http.client.HTTPConnection("127.0.0.1", server.settings.ports.metrics, timeout=LIMIT)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    page = {}
    for found in SERIES.finditer(text):
        labels = sorted((k, v) for k, v in LABEL.findall(found["labels"]) if k.lower() != "hostname")
        page[found["name"], *(value for _, value in labels)] = float(found["value"])
    return page


def eventually(server: TorchServe, true: Callable[[Page], bool]) -> Page:
    deadline = time.monotonic() + LIMIT
    while not true(page := read_page(server)):
        assert time.monotonic() < deadline, f"not within {LIMIT} s; the page is {page}"
        time.sleep(0.05)
    return page


def answered(page: Page) -> float:
    """Requests that the workers have reported."""
    return sum(value for series, value in page.items() if series[0] == "srec_requests_total")


def test_known_traffic_gives_exact_counts_without_another_request(server: TorchServe) -> None:
    def whole(page: Page) -> bool:
        # The count of this histogram is the last counter of a flush: all the others are there.
        return 0 < page.get(("srec_handler_seconds_count",), 0) == answered(page)

    first = eventually(server, whole)
    for body in ([620], [620, 400, 620], [], [999999999, 620], list(range(1000, 1060)), {"appids": ["x"]}):
        client.post(server.settings.predictions_url, json.dumps(body).encode())
    page = eventually(server, lambda page: whole(page) and answered(page) - answered(first) >= 6)
    unknown = sum(appid not in known_appids(server) for appid in range(1000, 1060))
    expected = {
        ("srec_requests_total", "none", "400"): 1,
        ("srec_handler_seconds_count",): 6,
        ("srec_handler_seconds_bucket", "+Inf"): 6,
        ("srec_sessions_total", "0"): 1,
        ("srec_sessions_total", "1"): 1,
        ("srec_sessions_total", "2-3"): 2,
        ("srec_sessions_total", "4-6"): 0,
        ("srec_sessions_total", "7+"): 1,
        ("srec_clicks_total",): 66,
        ("srec_unknown_clicks_total",): 1 + unknown,
        ("srec_truncated_total",): 0,
        ("ts_inference_requests_total", "srec", "default"): 6,
    }
    assert {series: page[series] - first[series] for series in expected} == expected
    for stage in ALL_STAGES:
        buckets = [page["srec_stage_seconds_bucket", str(edge), stage] for edge in EDGES]
        assert buckets == sorted(buckets)
        assert page["srec_stage_seconds_count", stage] == page["srec_stage_seconds_bucket", "+Inf", stage] > 0


def test_the_store_is_counted(server: TorchServe) -> None:
    client.post(server.settings.predictions_url, b"[620]")

    def counted(page: Page) -> bool:
        fetches = {result: page["srec_store_fetches_total", result] for result in ("primary", "fallback")}
        rows = {result: page["srec_store_rows_total", result] for result in ("cached", "read", "missing")}
        # On a busy machine a fetch may miss its deadline of 20 ms: then it is a fallback.
        by_store = (fetches["primary"] > 0) == (rows["cached"] + rows["read"] > 0)
        by_archive = (fetches["fallback"] > 0) == (rows["missing"] > 0)
        return sum(fetches.values()) > 0 and by_store and by_archive and ("srec_store_up",) in page

    eventually(server, counted)


def known_appids(server: TorchServe) -> set[int]:
    catalogue = server.settings.model_store.parent / "artifact" / "catalogue.json"
    return set(json.loads(catalogue.read_text())["appid"])


def test_every_metric_of_ours_is_on_the_page_from_the_start(server: TorchServe) -> None:
    names = {series[0] for series in read_page(server)}
    parts = {name: [f"{name}{end}" for end in ("_bucket", "_sum", "_count")] for name in LABELS}
    missing = [name for name in LABELS if name not in names and not names >= set(parts[name])]
    assert missing == []


def test_a_worker_tells_that_it_lives_without_traffic(server: TorchServe) -> None:
    (series,) = (series for series in read_page(server) if series[0] == "srec_worker_seconds_total")
    before = read_page(server)[series]
    eventually(server, lambda page: page[series] > before)


def test_the_request_log_has_a_json_line_a_request_and_no_appid(server: TorchServe) -> None:
    answer = client.post(server.settings.predictions_url, b'{"appids": [620, 987654321]}')
    number = json.loads(answer.body)["request_id"]
    file = server.settings.log_folder / "requests.jsonl"
    deadline = time.monotonic() + LIMIT
    while number not in (text := file.read_text() if file.exists() else ""):
        assert time.monotonic() < deadline, f"no line with {number} in {text}"
        time.sleep(0.05)
    (line,) = (record for record in map(json.loads, text.splitlines()) if record["request_id"] == number)
    assert (line["status"], line["source"], line["clicks"], line["unknown"]) == (200, "gce-gnn", 2, 1)
    assert set(line["ms"]) == set(ALL_STAGES)
    assert "987654321" not in text
    log = (server.settings.log_folder / "torchserve.log").read_text()
    assert number not in log
    assert "987654321" not in log


def test_the_callers_trace_goes_on_in_the_worker(server: TorchServe, collector: Collector) -> None:
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    request = urllib.request.Request(
        server.settings.predictions_url,
        b"[620]",
        {"Content-Type": "application/json", "traceparent": f"00-{trace}-{span}-01"},
    )
    with urllib.request.urlopen(request, timeout=LIMIT) as answer:
        number = json.loads(answer.read())["request_id"]
    found = [one for one in collector.spans() if one.name == "recommend"]
    while not found:
        found = [one for one in collector.spans() if one.name == "recommend"]
    assert (found[0].trace_id.hex(), found[0].parent_span_id.hex()) == (trace, span)
    assert number in {pair.value.string_value for pair in found[0].attributes}
