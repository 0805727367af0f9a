"""The operations port: GET /ready, /live and /openapi.json, for orchestrators, load balancers and people."""

import json
import socketserver
import threading
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

from srec.errors import HostError
from srec.serve_config.health import Health

CLIENT_SECONDS = 5.0  # for a client to send its request


class Reply(NamedTuple):
    """Status and JSON body."""

    status: HTTPStatus
    body: Any


def reply(path: str, health: Health) -> Reply:
    """What a GET of ``path`` is answered with."""
    match path.partition("?")[0]:
        case "/ready":
            report = health.report()
            return Reply(HTTPStatus.OK if report["ready"] else HTTPStatus.SERVICE_UNAVAILABLE, report)
        case "/live":
            live = health.live()
            body = {"live": live, "phase": health.phase.value}
            return Reply(HTTPStatus.OK if live else HTTPStatus.SERVICE_UNAVAILABLE, body)
        case "/openapi.json":
            return Reply(HTTPStatus.OK, _openapi())
    return _error(HTTPStatus.NOT_FOUND, "there are /ready, /live and /openapi.json")


class Operations:
    """Serves ``health`` on ``address:port`` while entered; every request has a thread and 5 s to arrive."""

    def __init__(self, health: Health, address: str, port: int) -> None:
        class Handler(_Handler):
            def reply(self) -> Reply:
                return reply(self.path, health)

        try:
            self._server = _Server((address, port), Handler)
        except OSError as error:
            raise HostError(
                f"port {port} (operations) on {address} cannot be used ({error.strerror}): "
                "stop the program that listens there, or set SREC_OPERATIONS_ADDRESS to another address"
            ) from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="srec-operations", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    request_queue_size = 64

    def server_bind(self) -> None:
        """Without the base class's look-up of this host's name, which may wait for a DNS server."""
        socketserver.TCPServer.server_bind(self)


class _Handler(BaseHTTPRequestHandler):
    server_version = "srec"
    sys_version = ""
    timeout = CLIENT_SECONDS

    def reply(self) -> Reply:
        """Decide on the answer of a GET."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer one of the three paths."""
        self._send(self.reply())

    def _refuse(self) -> None:
        self._send(_error(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is answered here"))

    do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = _refuse  # noqa: N815 (http.server's names)

    def _send(self, answer: Reply) -> None:
        body = json.dumps(answer.body, ensure_ascii=False).encode() + b"\n"
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if answer.status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (http.server's name)
        """No line a request: probes come every second."""


def _error(status: HTTPStatus, message: str) -> Reply:
    """TorchServe's form of an error."""
    kind = "".join(word.capitalize() for word in status.phrase.split())
    return Reply(status, {"code": status.value, "type": kind, "message": message})


@cache
def _openapi() -> dict[str, Any]:
    from srec.serving.openapi import document  # noqa: PLC0415 (only when somebody asks)

    return dict(document())
