"""Services with one lever changed: every change applies, a real one answers, tables say what was seen."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from srec.errors import HostError, InputError
from srec.loadtest.answers import fault
from srec.loadtest.service.compare import NOOP
from srec.loadtest.service.levers import LEVERS, SHIPPED, Lever, set_properties
from srec.loadtest.service.servers import Stand, rewrite_archive
from srec.loadtest.service.tables import baseline_table, levers_table
from srec.loadtest.service.wrk import run_wrk
from srec.serve_config.client import get_json, post
from srec.serving.artifact import CATALOGUE
from tests.conftest import ROOT, Line, srec_ok

SOURCES = {"srec_handler.py": ROOT / "handlers", "model-config.yaml": ROOT / "serve_config"}


def test_every_lever_names_text_that_the_archive_holds() -> None:
    for lever in LEVERS:
        for file, old, new in lever.archive:
            assert old in (SOURCES[file] / file).read_text(), lever.name
            assert old != new
    assert len({lever.name for lever in LEVERS}) == len(LEVERS)


def test_every_property_that_a_lever_takes_out_is_there() -> None:
    known = (ROOT / "serve_config" / "config.properties").read_text()
    for lever in LEVERS:
        for key, value in lever.properties.items():
            assert value is not None or f"\n{key}=" in known, lever.name


def test_properties_are_set_replaced_and_taken_out() -> None:
    text = "# a comment\na=1\nb=2\n"
    assert set_properties(text, {"a": None, "b": "3", "c": "4"}) == "# a comment\nb=3\nc=4\n"


def test_a_lever_without_its_text_is_refused(line: Line, tmp_path: Path) -> None:
    lever = Lever("x", "y", archive=(("model-config.yaml", "batchSize: 99", "batchSize: 1"),))
    with pytest.raises(InputError, match=r'lever x: model-config.yaml does not hold "batchSize: 99"'):
        rewrite_archive(line.mar, tmp_path / "srec.mar", lever)


def test_a_changed_service_answers_beside_the_same_redis(line: Line) -> None:
    """Several levers at once in one real server: handler, properties and Java's options."""
    without_wait = next(lever for lever in LEVERS if lever.name == "delay-0")
    lever = Lever(
        "all", "", handler=NOOP.handler, properties=without_wait.properties, java_with=("-XX:+UseSerialGC",),
        workers=1,
    )  # fmt: skip
    with Stand(line.mar, workers=2) as stand, stand.serve(lever) as running:
        answer = post(f"{running.url}/predictions/srec", b'{"appids": [620, 400], "k": 20}')
        assert answer.status == 200
        assert fault(answer.body, [620, 400], 20) is None
        assert json.loads(answer.body)["source"] == "no-op"
        (model,) = get_json(f"{running.management_url}/models/srec")
        assert (model["maxBatchDelay"], model["batchSize"], len(model["workers"])) == (0, 32, 1)
        cpu = running.cpu_seconds()
        assert cpu["java"] > 0
        assert cpu["workers"] > 0
        if shutil.which("wrk"):
            seen = run_wrk(running.url, stand.appids, connections=2, seconds=1)
            assert (seen.wrong, seen.lost) == (0, 0)
            assert seen.requests > 0


@pytest.mark.skipif(shutil.which("wrk") is not None, reason="this machine has wrk")
def test_without_wrk_it_is_asked_for(line: Line) -> None:
    with pytest.raises(HostError, match="apt-get install wrk"):
        run_wrk("http://127.0.0.1:1", line.artifact / CATALOGUE, connections=1, seconds=1)


def test_shares_of_a_request_are_those_of_real_batches(line: Line, tmp_path: Path) -> None:
    report = tmp_path / "request.json"
    srec_ok(
        "bench", "request", "--mar", line.mar, "--batch", 1, "--batch", 3, "--repeats", 10, "--json", report
    )
    figures = json.loads(report.read_text())
    assert [row["batch"] for row in figures["rows"]] == [1, 3]
    for row in figures["rows"]:
        for parts in (row["microseconds"], row["cpu_microseconds"]):
            assert set(parts) == {"receive", "parse", "graph", "store", "model", "top_k", "write", "server"}
            assert all(value >= 0 for value in parts.values())
            assert parts["model"] > 0
        assert 0 < row["overhead_of_worker"] < row["overhead_of_handler"] < 1
    assert "| together |" in report.with_suffix(".md").read_text()


def _row(lever: Lever, mode: str, ratio: float) -> dict[str, Any]:
    cpu = {"java": 0.25, "workers": 0.5, "redis": 0.01, "client": 0.03}
    one = {"rate": 1000.0, "p50_ms": 2.0, "p90_ms": 3.0, "p99_ms": 4.0, "cpu_ms_a_request": cpu}
    return {
        "lever": lever.name, "what": lever.what, "shipped": lever.shipped, "mode": mode, "quantity": "rate",
        "ratio": {"median": ratio, "low": ratio / 2, "high": ratio * 2},
        "cpu_ratio": {"median": 1.2, "low": 1.1, "high": 1.3},
        "slices": {"shipped": [one], "changed": [{**one, "rate": 1000 * ratio}]},
    }  # fmt: skip


def _figures(*rows: dict[str, Any]) -> dict[str, Any]:
    machine = {"cores": 2, "cpu": "a processor"}
    return {
        "rows": list(rows), "skipped": [{"lever": "odd", "reason": "it does not start"}], "machine": machine,
        "pairs": 5, "seconds": 4.0, "workers": 2, "finished": "today",
    }  # fmt: skip


def test_the_table_of_levers_has_a_line_a_lever() -> None:
    batch = next(lever for lever in LEVERS if lever.name == "batch-1")
    text = levers_table(_figures(_row(batch, "busy", 0.5), _row(batch, "lone", 1.5), _row(NOOP, "busy", 4)))
    assert (
        "| batch-1 | no batches: one request a call | yes, this is without | 0.50 (0.25 to 1.00) | "
        "1.20 (1.10 to 1.30) | 1.50 (0.75 to 3.00) | - |" in text
    )
    assert "no, this is with" in text
    assert "Skipped: odd: it does not start" in text


def test_the_table_of_the_baseline_has_both_models() -> None:
    text = baseline_table(_figures(_row(NOOP, "busy", 4.0)))
    assert "| ours | 32 | 1000 | 2.00 | 3.00 | 4.00 | 0.250 | 0.500 | 0.010 | 0.030 |" in text
    assert "| no-op | 32 | 4000 |" in text


def test_the_shipped_service_changes_nothing() -> None:
    assert Lever("shipped", SHIPPED.what, shipped=True) == SHIPPED
