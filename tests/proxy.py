"""A TCP proxy for tests: what passes can be delayed, swallowed or cut, as a bad network does."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

PATIENCE = 30.0  # seconds for what takes milliseconds on an idle machine
CHUNK = 65536


class Proxy:
    """Listens on a loopback port of its own and passes everything on to ``upstream``.

    Attributes:
        port: where it listens.
        delay: seconds that every chunk of an answer is held back; may be changed at any time.
        black_hole: accept everything, pass nothing on, answer nothing; may be changed at any time.
    """

    def __init__(self, upstream: tuple[str, int] | str | os.PathLike[str]) -> None:
        """Take the address (host, port) of a server, or the path of its Unix socket."""
        self.delay = 0.0
        self.black_hole = False
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def cut(self) -> None:
        """Break every connection that is open now; new ones are accepted."""
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening and end all threads; may be called twice."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        while self._threads:
            self._threads.pop(0).join(PATIENCE)  # what accepts comes first: once it has ended, all have begun
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was shut down
            while not self._closing.is_set():
                front, _ = self._listener.accept()
                self._start(self._serve, front)

    def _serve(self, front: socket.socket) -> None:
        """Pass one connection on in both directions until either side ends."""
        with front, contextlib.suppress(OSError), self._connect() as back:
            with self._lock:
                self._open |= {front, back}
                if self._closing.is_set():
                    return
            try:
                answers = threading.Thread(target=self._pump, args=(back, front, True))
                answers.start()
                self._pump(front, back, False)
                answers.join(PATIENCE)
            finally:
                with self._lock:
                    self._open -= {front, back}

    def _connect(self) -> socket.socket:
        if isinstance(self._upstream, tuple):
            return socket.create_connection(self._upstream, PATIENCE)
        with contextlib.ExitStack() as undo:
            back = undo.enter_context(socket.socket(socket.AF_UNIX))
            back.connect(os.fspath(self._upstream))
            undo.pop_all()
        return back

    def _pump(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if answers and self.delay:
                    self._closing.wait(self.delay)
                if not self.black_hole:
                    target.sendall(data)
        for one in (source, target):  # the other direction ends too
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
