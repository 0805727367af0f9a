"""A real HTTP server that does what a test's script says: one step a request."""

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

ANSWER: dict[str, Any] = {
    "items": [{"rank": 1, "appid": 220, "score": 7.31, "name": "Half-Life 2"}],
    "source": "gce-gnn",
    "unknown_appids": [],
    "truncated": False,
    "model": {"name": "srec", "version": "1.0", "graph": "3f2a"},
    "request_id": "visit-1",
}


@dataclass
class Step:
    """What is sent: a status and a body, of which only ``sent`` bytes arrive before the connection ends."""

    status: int = 200
    body: bytes = json.dumps(ANSWER).encode()
    headers: Sequence[str] = ()
    sent: int | None = None
    silent: bool = False
    """Send nothing until the server ends."""
    endless: bytes = b""
    """Send these bytes, and then one more every few milliseconds until the client has gone."""
    close: bool = False
    """Close after this response without a word about it, as TorchServe does from 400 on."""


@dataclass
class Seen:
    """A request as it arrived."""

    connection: int
    headers: dict[str, str]
    body: Any


@dataclass
class Server:
    """Where it listens, and what came."""

    url: str
    seen: list[Seen] = field(default_factory=list)
    closed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released at every connection that this server has closed."""


@contextlib.contextmanager
def scripted(*steps: Step) -> Iterator[Server]:
    """Serve the steps in order, the last one for ever."""
    left = list(steps)
    ended = threading.Event()
    lock = threading.Lock()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):
                while self._one():
                    pass

        def finish(self) -> None:
            super().finish()
            with contextlib.suppress(OSError):
                self.request.shutdown(socket.SHUT_RDWR)
            server.closed.release()

        def _one(self) -> bool:
            if not self.rfile.readline():
                return False
            lines = iter(lambda: self.rfile.readline().decode().strip(), "")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = json.loads(self.rfile.read(int(headers["content-length"])))
            with lock:
                server.seen.append(Seen(self.client_address[1], headers, body))
                step = left.pop(0) if len(left) > 1 else left[0]
            if step.silent:
                ended.wait()
                return False
            if step.endless:
                self.wfile.write(step.endless)
                while not ended.wait(0.005):
                    self.wfile.write(b".")
                return False
            head = [f"HTTP/1.1 {step.status} -", f"Content-Length: {len(step.body)}", *step.headers, "", ""]
            whole = "\r\n".join(head).encode() + step.body
            self.wfile.write(whole if step.sent is None else whole[: step.sent])
            return step.sent is None and not step.close

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listener:
        server = Server(f"http://127.0.0.1:{listener.server_address[1]}")
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            ended.set()
            listener.shutdown()
            thread.join()
