"""The image's HEALTHCHECK waits for a start, and says no to what does not become ready."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from srec.serve_config.ready import wait_ready


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

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/ready"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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
