"""The few HTTP calls that a launcher makes to its own server."""

import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """Status and body of an HTTP answer."""

    status: int
    body: bytes


def post(url: str, body: bytes, timeout: float = 10.0) -> Answer:
    """POST a JSON ``body``; raises ``OSError`` or ``http.client.HTTPException`` without an answer."""
    return _request("POST", url, body, timeout)


def get_json(url: str, timeout: float = 10.0) -> Any:
    """The parsed JSON of a 200 answer, None for any other status or for no answer at all."""
    try:
        answer = _request("GET", url, None, timeout)
        return json.loads(answer.body) if answer.status == http.client.OK else None
    except (OSError, ValueError, http.client.HTTPException):
        return None


def _request(method: str, url: str, body: bytes | None, timeout: float) -> Answer:
    # http.client and not urllib.request: a proxy named in the environment has no place before loopback.
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request(method, parts.path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return Answer(response.status, response.read())
    finally:
        connection.close()
