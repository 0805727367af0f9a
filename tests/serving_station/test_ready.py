"""The image's HEALTHCHECK waits for a start, and says no to what does not become ready."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from srec.serve_config.health import Health
from srec.serve_config.ready import wait_ready
from tests.web import in_a_thread


@contextmanager
def answering(*statuses: int) -> Iterator[str]:
    """An operations port that gives these statuses in turn, the last one for ever."""
    left = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = left.pop(0) if len(left) > 1 else left[0]
            body = json.dumps({"ready": status == 200}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with in_a_thread(Handler) as url:
        yield f"{url}/ready"


def test_waits_for_a_service_that_is_starting() -> None:
    with answering(503, 503, 200) as url:
        assert wait_ready(url, patience=60)


def test_says_no_when_it_does_not_become_ready() -> None:
    with answering(503) as url:
        assert not wait_ready(url, patience=0.6)


def test_says_no_when_nobody_answers() -> None:
    with answering(200) as url:
        pass
    assert not wait_ready(url, patience=0.1)


@pytest.mark.parametrize(
    ("status", "message", "well"),
    [(200, "", True), (503, "Model busy", True), (503, "Prediction failed", False), (500, "", False)],
)
def test_a_handler_that_raises_is_no_full_queue(status: int, message: str, *, well: bool) -> None:
    """TorchServe answers both with a 503."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"code": status, "message": message}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with in_a_thread(Handler) as url:
        fault = Health("http://127.0.0.1:1", url, b"{}")._probe_fault()
    assert (fault == "") == well
