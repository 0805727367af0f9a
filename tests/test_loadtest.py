"""Load tests: inputs, schedule, answers, figures, and real Locust runs against a real local server."""

import gzip
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

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srec.errors import HostError, InputError
from srec.loadtest import LoadSettings, load_settings, run_loadtest
from srec.loadtest.answers import fault
from srec.loadtest.inputs import (
    click_by_click,
    file_sessions,
    make_sessions,
    power_law_sessions,
    random_sessions,
)
from srec.loadtest.report import step_reports, warnings_of
from srec.loadtest.run import SCENARIO
from srec.loadtest.samples import Recorder, Samples, read_samples
from srec.loadtest.schedule import Arrivals, Step, steps_from_text, steps_to_text
from tests.conftest import srec_ok

CATALOGUE = list(range(10, 2010, 10))


def _settings(**values: Any) -> LoadSettings:
    return load_settings({"url": "http://127.0.0.1:1", **values})


# ---- inputs ----


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 50))
def test_random_sessions_are_repeatable_and_within_bounds(seed: int, n: int) -> None:
    sessions = random_sessions(CATALOGUE, n, seed)
    assert sessions == random_sessions(CATALOGUE, n, seed)
    assert len(sessions) == n
    assert all(1 <= len(clicks) <= 5 and set(clicks) <= set(CATALOGUE) for clicks in sessions)


def test_random_sessions_are_uniform_in_length_and_items() -> None:
    sessions = random_sessions(CATALOGUE, 20_000, seed=1)
    lengths = Counter(map(len, sessions))
    assert all(abs(lengths[length] / 20_000 - 0.2) < 0.02 for length in range(1, 6))
    clicks = Counter(appid for session in sessions for appid in session)
    assert set(clicks) == set(CATALOGUE)
    assert max(clicks.values()) < 1.5 * min(clicks.values())
    assert sessions != random_sessions(CATALOGUE, 20_000, seed=2)


def test_power_law_sessions_follow_both_exponents() -> None:
    sessions = power_law_sessions(
        CATALOGUE, 50_000, 3, length_exponent=1.5, popularity_exponent=1.2, max_length=40
    )
    lengths = Counter(map(len, sessions))
    assert max(lengths) <= 40
    assert lengths[1] / lengths[4] == pytest.approx(4**1.5, rel=0.1)
    clicks = Counter(appid for session in sessions for appid in session).most_common()
    assert clicks[0][1] / clicks[7][1] == pytest.approx(8**1.2, rel=0.15)
    assert {appid for appid, _ in clicks} <= set(CATALOGUE)
    other = power_law_sessions(CATALOGUE, 50_000, 4, popularity_exponent=1.2)
    assert Counter(a for s in other for a in s).most_common(5) != clicks[:5], "the seed draws who is popular"


@pytest.mark.parametrize("compress", [False, True])
def test_file_sessions_reads_plain_and_gzip(tmp_path: Path, compress: bool) -> None:
    path = tmp_path / "sessions"
    text = b"620 400\n\n 70\t220 \n"
    path.write_bytes(gzip.compress(text) if compress else text)
    assert list(file_sessions(path)) == [[620, 400], [70, 220]]


@pytest.mark.parametrize("word", ["Portal", "0", "-1", "2147483648", "9" * 30, "1.5", "²"])
def test_file_sessions_names_the_line_and_the_word(tmp_path: Path, word: str) -> None:
    path = tmp_path / "sessions.txt"
    path.write_text(f"620\n400 {word}\n")
    with pytest.raises(InputError, match=r"sessions.txt, line 2: .* is no appid: an integer from 1 to"):
        list(file_sessions(path))


def test_unusable_session_files_are_input_errors(tmp_path: Path) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b"620 400\n" * 1000)[:-12])
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    for path, text in (
        (tmp_path / "none.txt", "No such file"),
        (cut, "cannot be read"),
        (empty, "no session"),
    ):
        with pytest.raises(InputError, match=text):
            make_sessions(_settings(inputs={"kind": "file", "sessions": path}).inputs)


def test_replay_sends_a_request_per_click() -> None:
    assert list(click_by_click([[1, 2, 3], [4]])) == [[1], [1, 2], [1, 2, 3], [4]]
    inputs = _settings(inputs={"count": 5, "click_by_click": True}).inputs
    assert make_sessions(inputs, CATALOGUE) == list(click_by_click(random_sessions(CATALOGUE, 5, 0)))


def test_prepared_sessions_are_replayed_as_appids(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("30 10 20\n40 30\n10 20 30 40\n20 10\n")
    (tmp_path / "test.txt").write_text("10 30\n")
    srec_ok(
        "prepare", "--train-sessions", tmp_path / "train.txt", "--test-sessions", tmp_path / "test.txt",
        "--out", tmp_path / "data",
    )  # fmt: skip
    values = {"kind": "data", "data": tmp_path / "data", "count": 2, "max_length": 3}
    sessions = make_sessions(_settings(inputs=values).inputs)
    written = [[30, 10, 20], [40, 30], [20, 30, 40], [20, 10]]
    assert len(sessions) == 2
    assert all(session in written for session in sessions)
    replayed = make_sessions(_settings(inputs={**values, "click_by_click": True}).inputs)
    assert replayed == list(click_by_click(sessions))


def test_drawing_needs_a_catalogue() -> None:
    with pytest.raises(InputError, match="no appids to draw sessions from"):
        make_sessions(_settings().inputs)


# ---- schedule ----


def _drain(arrivals: Arrivals) -> list[float]:
    return list(iter(lambda: arrivals.take(0.0), None))


@given(
    st.lists(st.tuples(st.floats(0.5, 20), st.floats(1, 200)), min_size=1, max_size=4),
    st.integers(1, 5),
)
def test_processes_share_all_arrivals_evenly(loads: list[tuple[float, float]], workers: int) -> None:
    steps = [Step(seconds, rate) for seconds, rate in loads]
    whole = _drain(Arrivals(steps))
    parts = [_drain(Arrivals(steps, worker, workers)) for worker in range(workers)]
    assert sorted(due for part in parts for due in part) == whole
    assert len(whole) == pytest.approx(sum(s * r for s, r in loads), abs=len(loads))
    assert steps_from_text(steps_to_text(steps)) == tuple(steps)


def test_a_step_owes_its_rate_exactly() -> None:
    assert len(_drain(Arrivals([Step(5, 1000.0), Step(30, 1000.0)]))) == 35_000


def test_backlog_ends_with_its_step_and_a_closed_loop_with_the_clock() -> None:
    arrivals = Arrivals([Step(1, 100.0), Step(1, 10.0), Step(1, None)])
    assert arrivals.take(0.0) == 0.0
    assert arrivals.take(0.9) == pytest.approx(0.01), "late, but still owed"
    assert arrivals.take(1.0) == pytest.approx(1.0), "98 arrivals of the first step are dropped"
    assert arrivals.take(2.5) == 2.5
    assert arrivals.take(3.0) is None


@pytest.mark.parametrize(
    "text", ["30", "30@fast", "0@10", "-1@max", "5@0", "nan@5", "5@inf", "5@1:0", "5@max:9", "+5@1:x"]
)
def test_unreadable_steps_say_how_to_write_them(text: str) -> None:
    with pytest.raises(InputError, match="write SECONDS@RATE, SECONDS@RATE:RATE or SECONDS@max"):
        steps_from_text(f"5@max {text}")


# ---- answers ----


def _answer(appids: list[int], first_rank: int = 1) -> dict[str, Any]:
    return {"items": [{"rank": rank, "appid": a} for rank, a in enumerate(appids, start=first_rank)]}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (_answer([1, 2, 3]), None),
        (_answer([1, 2]), "the answer does not hold 3 items"),
        (_answer([1, 2, 3], 0), "the ranks are not 1 to 3"),
        (_answer([1, 2, 2]), "an appid is recommended twice"),
        (_answer([1, 7, 3]), "a clicked appid is recommended"),
        ({"code": 200}, "the answer holds no list of items with rank and appid"),
        ([1, 2, 3], "the answer holds no list of items with rank and appid"),
        ({"items": [{"rank": 1, "appid": []}]}, "the answer holds no list of items with rank and appid"),
    ],
)
def test_fault_names_what_is_wrong(answer: Any, expected: str | None) -> None:
    assert fault(json.dumps(answer).encode(), [7, 9], 3) == expected


def test_fault_survives_bytes_that_are_no_json() -> None:
    for body in (b"", b"<html>", b"\xff\xfe\xff", b"[" * 100_000):
        assert fault(body, [7], 3) == "the answer is not JSON"


# ---- settings ----


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"user": 3}, r'option "user" is unknown \(did you mean "users"\?\)'),
        ({"thresholds": {"max_p90": 3}}, r'"thresholds.max_p90" is unknown \(did you mean "max_p90_ms"\?\)'),
        ({"k": 101}, "k is 101: Input should be less than or equal to 100"),
        ({"rates": [100, 0]}, "rates.1 is 0"),
        ({"url": "localhost:8080"}, "url is 'localhost:8080': a server's address is asked for"),
        ({"inputs": {"kind": "file"}}, 'inputs: kind "file" needs a sessions file'),
        ({"inputs": {"kind": "data"}}, 'inputs: kind "data" needs a folder of prepared data'),
        ({"users": 2, "processes": 3}, "3 processes need at least as many users, not 2"),
    ],
)
def test_bad_options_are_named(values: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        _settings(**values)


def test_presets_are_complete_and_can_be_changed_key_by_key() -> None:
    etude = load_settings({"url": "http://127.0.0.1:1/", "thresholds": {"min_rate": 500}}, preset="etude")
    assert (etude.thresholds.max_p90_ms, etude.thresholds.min_rate) == (50, 500)
    assert (etude.rates, etude.inputs.kind, etude.url) == ((1000,), "power-law", "http://127.0.0.1:1")
    srec = load_settings({"url": "http://127.0.0.1:1", "inputs": {"seed": 5}}, preset="srec")
    assert (srec.inputs.kind, srec.inputs.seed, srec.rates) == ("random", 5, ())
    with pytest.raises(
        InputError, match=r'"etud" is unknown \(did you mean "etude"\?\): one of etude, replay, srec'
    ):
        load_settings({"url": "http://127.0.0.1:1"}, preset="etud")


# ---- figures ----


def _measured(tmp_path: Path, rows: list[tuple[float, float, float, str | None]]) -> list[Samples]:
    recorder = Recorder()
    for due, sent, response, wrong in rows:
        recorder.add(due, sent, response, wrong, cpu=sent / 2)
    recorder.write(tmp_path / "1.npz")
    Recorder().write(tmp_path / "2.npz")
    return read_samples(tmp_path)


def test_figures_come_from_measured_times(tmp_path: Path) -> None:
    rows: list[tuple[float, float, float, str | None]] = [(i / 100, i / 100, 9.0, None) for i in range(100)]
    rows += [(1 + i / 100, 1 + i / 100, (i + 1) / 1000, None) for i in range(100)]
    rows += [(1.5, 1.5, 0.0001, "status 503")] * 25
    settings = _settings(
        rates=(100,), warmup_seconds=1, seconds=1, thresholds={"max_p90_ms": 89.9, "min_rate": 100}
    )
    (step,) = step_reports(_measured(tmp_path, rows), settings)
    assert (step.requests, step.failures, step.failure_share) == (125, 25, 0.2)
    assert (step.rate, step.faults) == (100, {"status 503": 25})
    assert step.latency is not None, "fast failures and the warm-up must not show in the times"
    assert step.latency.model_dump() == pytest.approx(
        {"p50_ms": 50, "p90_ms": 90, "p99_ms": 99, "max_ms": 100}
    )
    assert {check.threshold: check.passed for check in step.checks} == {
        "max_p90_ms": False,
        "min_rate": True,
        "max_failure_share": False,
    }


def test_latency_counts_the_wait_that_a_closed_loop_hides(tmp_path: Path) -> None:
    settings = _settings(rates=(10,), warmup_seconds=0, seconds=1)
    rows: list[tuple[float, float, float, str | None]] = [
        (i / 10, 0.5 + i / 10, 0.01, None) for i in range(8)
    ]
    (step,) = step_reports(_measured(tmp_path, rows), settings)
    assert step.latency is not None
    assert step.response is not None
    assert (step.latency.p90_ms, step.response.p90_ms) == pytest.approx((510, 10))
    assert warnings_of([step]) == ("10 requests/s: only 80.0% of the offered requests could be sent in time",)


def test_a_step_without_a_request_fails() -> None:
    (step,) = step_reports([], _settings(seconds=1, thresholds={"max_p90_ms": 50}))
    assert (step.latency, step.requests, step.passed) == (None, 0, False)
    assert [check.value for check in step.checks] == [None, None]


def test_samples_hold_no_pickle(tmp_path: Path) -> None:
    np.savez(tmp_path / "1.npz", rows=np.array([{}], dtype=object), faults=np.array([""]))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_samples(tmp_path)


# ---- real runs ----


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
        self._send(200, _answer((body["appids"][:1] if wrong else []) + others[: body["k"] - bool(wrong)]))

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
        settings = _settings(
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
        settings = _settings(
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
        settings = _settings(
            url=server.url, users=8, rates=(10, 50), shape="ramp", windows=2, seconds=1.5, warmup_seconds=0.5
        )
        report = run_loadtest(settings, appids=CATALOGUE)
    assert [step.offered_rate for step in report.steps] == [20, 40]
    assert [step.requests + step.unsent for step in report.steps] == [15, 30]
    assert sum(step.requests for step in report.steps) > 0
    assert sum(moment.requests for moment in report.timeline) <= 45


def test_overload_shows_in_the_latency(serve: Serve) -> None:
    with serve(seconds=0.05) as server:
        settings = _settings(
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


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.02)


def _processes_with(text: str) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if text in " ".join(p.info["cmdline"] or ())]


def test_interrupted_run_leaves_no_process(serve: Serve) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("step 1"):
            _until(lambda: len(server.bodies) > 10)
            assert len(_processes_with(server.url)) >= 3
            raise KeyboardInterrupt

    with serve() as server:
        settings = _settings(url=server.url, processes=2, seconds=60)
        with pytest.raises(KeyboardInterrupt):
            run_loadtest(settings, interrupt, CATALOGUE)
        _until(lambda: not _processes_with(server.url))


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
            run_loadtest(_settings(url=url), appids=CATALOGUE)


def test_first_answer_that_is_no_200_is_shown(serve: Serve) -> None:
    with (
        serve() as server,
        pytest.raises(HostError, match=r'status 404 instead of 200: .*"Model not.nfound"'),
    ):
        run_loadtest(_settings(url=server.url, path="/predictions/none"), appids=CATALOGUE)


def test_locust_that_fails_shows_its_last_lines(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "not a number")
    with (
        serve() as server,
        pytest.raises(HostError, match=r"(?s)Locust ended with 1 and no .*PYTHONHASHSEED"),
    ):
        run_loadtest(_settings(url=server.url, seconds=1), appids=CATALOGUE)
