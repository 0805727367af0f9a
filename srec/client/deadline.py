"""Connections on which a response has a deadline, however it arrives.

A socket's own limit is for one arrival of bytes: a server that sends one now and then would never meet it.
"""

import io
import socket
import time
from contextvars import ContextVar
from http.client import HTTPResponse
from typing import Any

from urllib3.connectionpool import HTTPConnectionPool

DEADLINE: ContextVar[float] = ContextVar("deadline")
"""Of the call under way in this thread, a time of ``time.monotonic``; set it before a request."""


class _Arrivals(io.RawIOBase):
    """The bytes that come in at a socket; no wait for them goes beyond the deadline."""

    def __init__(self, connected: socket.socket, source: io.RawIOBase) -> None:
        self._socket, self._source = connected, source
        self._longest, self._deadline = connected.gettimeout(), DEADLINE.get()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has come")
        self._socket.settimeout(left if self._longest is None else min(left, self._longest))
        return self._source.readinto(buffer)

    def close(self) -> None:
        self._source.close()
        super().close()


class _Response(HTTPResponse):
    """Status, headers and body, read through ``_Arrivals``."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Arrivals(sock, self.fp.detach()))


def keep_deadlines(pool: HTTPConnectionPool) -> None:
    """Let the connections that ``pool`` will make keep ``DEADLINE``."""
    kind: Any = pool.ConnectionCls
    pool.ConnectionCls = type(kind.__name__, (kind,), {"response_class": _Response})
