"""Real Locust runs against a real local server."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest

from srec.errors import HostError
from srec.loadtest import run_loadtest
from srec.loadtest.inputs import random_sessions
from srec.loadtest.run import SCENARIO
from tests.loadtest.small import CATALOGUE, answer_of, settings_of
from tests.waiting import wait_until


class _Server(http.server.ThreadingHTTPServer):
    """Answers predictions; every ``wrong_every``-th one recommends a clicked game."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, wrong_every: int = 0, seconds: float = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.wrong_every, self.seconds = wrong_every, seconds
        self.number = count(1)
        self.bodies: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/predictions/srec":
            self._send(404, {"code": 404, "message": "Model not\nfound"})
            return
        time.sleep(self.server.seconds)
        self.server.bodies.append(body)
        self.server.keys.add(self.headers["X-API-Key"])
        wrong = self.server.wrong_every and next(self.server.number) % self.server.wrong_every == 0
        others = [appid for appid in CATALOGUE if appid not in body["appids"]]
        self._send(200, answer_of((body["appids"][:1] if wrong else []) + others[: body["k"] - bool(wrong)]))

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


Serve = Callable[..., AbstractContextManager[_Server]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    @contextmanager
    def start(**behaviour: Any) -> Iterator[_Server]:
        with _Server(**behaviour) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                yield server
            finally:
                server.shutdown()
                thread.join()

    before = set(psutil.Process().children(recursive=True))  # servers that other tests share
    yield start
    left = set(psutil.Process().children(recursive=True)) - before
    assert not left, "no process may be left behind"


def test_closed_loop_reports_in_every_form(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SREC_API_KEY", "a-key")
    monkeypatch.setenv("LOCUST_USERS", "0")
    lines: list[str] = []
    with serve() as server:
        settings = settings_of(
            url=server.url, users=3, k=7, warmup_seconds=0.25, seconds=0.75, inputs={"count": 100, "seed": 4},
            json_file=tmp_path / "out" / "report.json", html_file=tmp_path / "out" / "report.html",
            plot_file=tmp_path / "out" / "plot.svg",
        )  # fmt: skip
        report = run_loadtest(settings, lines.append, CATALOGUE)
    (step,) = report.steps
    assert report.passed
    assert step.requests > 0
    assert step.rate == pytest.approx(step.requests / 0.75)
    assert step.latency is not None
    assert 0 < step.latency.p50_ms <= step.latency.p90_ms <= step.latency.p99_ms <= step.latency.max_ms
    sent = [body["appids"] for body in server.bodies[1:]]
    planned = random_sessions(CATALOGUE, 100, 4)
    assert Counter(map(tuple, sent[:100])).keys() <= set(map(tuple, planned))
    assert len(set(map(tuple, sent))) > 0.9 * len(set(map(tuple, planned[: len(sent)]))), (
        "never one fixed body"
    )
    assert ({body["k"] for body in server.bodies}, server.keys) == ({7}, {"a-key"})
    assert lines[1:] == [
        "step 1 of 2: warm-up, as fast as answers come, 0.25 s",
        "step 2 of 2: as fast as answers come, 0.75 s",
    ]
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert written == report.model_dump(mode="json")
    assert "a-key" not in json.dumps(written)
    assert "<html" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / "plot.svg").read_text().startswith("<svg")
    assert "locust" not in sys.modules, "Locust's patches must never reach the caller"


def test_offered_rates_from_two_processes_find_wrong_answers(serve: Serve) -> None:
    with serve(wrong_every=10) as server:
        settings = settings_of(
            url=server.url, users=40, processes=2, rates=(40, 80), warmup_seconds=0.5, seconds=0.75,
            thresholds={"min_rate": 50, "max_failure_share": 0.5},
        )  # fmt: skip
        report = run_loadtest(settings, appids=CATALOGUE)
    slow, fast = report.steps
    assert 0 < slow.requests <= 30, "no step sends more than it offers"
    assert 0 < fast.requests <= 60, "no step sends more than it offers"
    assert set(slow.faults) | set(fast.faults) == {"a clicked appid is recommended"}
    assert 1 <= slow.failures + fast.failures <= 10
    assert not slow.passed, "40 requests/s cannot reach 50"
    assert fast.passed == (fast.rate >= 50)
    assert not report.passed


def test_a_ramp_is_reported_by_window(serve: Serve) -> None:
    with serve() as server:
        settings = settings_of(
            url=server.url, users=8, rates=(10, 50), shape="ramp", windows=2, seconds=1.5, warmup_seconds=0.5
        )
        report = run_loadtest(settings, appids=CATALOGUE)
    assert [step.offered_rate for step in report.steps] == [20, 40]
    assert [step.requests + step.unsent for step in report.steps] == [15, 30]
    assert sum(step.requests for step in report.steps) > 0
    assert sum(moment.requests for moment in report.timeline) <= 45


def test_overload_shows_in_the_latency(serve: Serve) -> None:
    with serve(seconds=0.05) as server:
        settings = settings_of(
            url=server.url,
            users=2,
            rates=(100,),
            warmup_seconds=0,
            seconds=1.5,
            thresholds={"max_p90_ms": 300},
        )
        report = run_loadtest(settings, appids=CATALOGUE)
    (step,) = report.steps
    assert step.requests < 100, "2 users and 50 ms an answer can do 40/s, not 100/s"
    assert step.latency is not None
    assert step.response is not None
    assert step.latency.p90_ms > 300
    assert step.latency.p90_ms > step.response.p50_ms >= 50
    assert not report.passed
    assert "could be sent in time" in report.warnings[0]


def _processes_with(text: str) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if text in " ".join(p.info["cmdline"] or ())]


def test_interrupted_run_leaves_no_process(serve: Serve) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("step 1"):
            wait_until(lambda: len(server.bodies) > 10, limit=60)
            assert len(_processes_with(server.url)) >= 3
            raise KeyboardInterrupt

    with serve() as server:
        settings = settings_of(url=server.url, processes=2, seconds=60)
        with pytest.raises(KeyboardInterrupt):
            run_loadtest(settings, interrupt, CATALOGUE)
        wait_until(lambda: not _processes_with(server.url), limit=60)


def test_scenario_runs_alone(serve: Serve, tmp_path: Path) -> None:
    catalogue = tmp_path / "appids.txt"
    catalogue.write_text("\n".join(map(str, CATALOGUE)))
    options = ["--headless", "--run-time", "2s", "--only-summary", "--users", "2", "--json"]
    with serve() as server:
        done = subprocess.run(
            [sys.executable, "-m", "locust", "-f", str(SCENARIO), "--host", server.url, *options],
            env=os.environ | {"SREC_LOADTEST_APPIDS": str(catalogue), "SREC_LOADTEST_STEPS": "9@20"},
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = json.loads(done.stdout)
    assert (line["name"], line["num_failures"]) == ("/predictions/srec", 0)
    sent = len(server.bodies)
    assert 0 <= sent - line["num_requests"] <= 2  # of each user one may be under way at the end
    assert 1 <= line["num_requests"] <= 9 * 20


def test_unreachable_server_is_named() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: refuses every connection
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(HostError, match=rf"{url}/predictions/srec does not answer \(.*refused\)"):
            run_loadtest(settings_of(url=url), appids=CATALOGUE)


def test_first_answer_that_is_no_200_is_shown(serve: Serve) -> None:
    with (
        serve() as server,
        pytest.raises(HostError, match=r'status 404 instead of 200: .*"Model not.nfound"'),
    ):
        run_loadtest(settings_of(url=server.url, path="/predictions/none"), appids=CATALOGUE)


def test_locust_that_fails_shows_its_last_lines(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "not a number")
    with (
        serve() as server,
        pytest.raises(HostError, match=r"(?s)Locust ended with 1 and no .*PYTHONHASHSEED"),
    ):
        run_loadtest(settings_of(url=server.url, seconds=1), appids=CATALOGUE)
