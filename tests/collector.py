"""A collector of traces: takes OTLP over HTTP, keeps the spans."""

import gzip
import http.server
import queue
import threading
from types import TracebackType
from typing import Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.waiting import LIMIT


class Collector:
    """A context manager; ``url`` is what SREC_OTLP_ENDPOINT takes."""

    def __init__(self) -> None:
        received: queue.Queue[bytes] = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.put(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self._received = received
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def spans(self) -> list[Span]:
        """The spans of the next message, once there is one."""
        message = ExportTraceServiceRequest.FromString(self._received.get(timeout=LIMIT))
        scopes = [scope for resource in message.resource_spans for scope in resource.scope_spans]
        return [span for scope in scopes for span in scope.spans]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
