"""The few HTTP calls that a launcher makes to its own server."""

import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from srec.api_key import key_header


class Answer(NamedTuple):
    """Status and body of an HTTP answer."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        """The body as text, or what its JSON calls its message."""
        text = self.body.decode(errors="replace").strip()
        try:
            return str(json.loads(text)["message"])
        except (ValueError, LookupError, TypeError):
            return text


FAILURES = (OSError, http.client.HTTPException)
"""What a call raises that got no answer."""


def post(url: str, body: bytes, timeout: float = 10.0) -> Answer:
    """POST a JSON ``body``; raises one of ``FAILURES`` without an answer."""
    return request("POST", url, body, timeout)


def get_json(url: str, timeout: float = 10.0) -> Any:
    """The parsed JSON of a 200 answer, None for any other status or for no answer at all."""
    try:
        answer = request("GET", url, timeout=timeout)
        return json.loads(answer.body) if answer.status == http.client.OK else None
    except (*FAILURES, ValueError):
        return None


def request(method: str, url: str, body: bytes | None = None, timeout: float = 10.0) -> Answer:
    """One request, with the service's key, on a connection of its own.

    Raises:
        OSError, HTTPException: there was no answer (``FAILURES``).
        InputError: SREC_API_KEY holds no key.
    """
    # http.client and not urllib.request: a proxy named in the environment has no place before loopback.
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    # TorchServe's management API takes a request that says JSON and has no body for an empty object.
    headers = key_header() | ({} if body is None else {"Content-Type": "application/json"})
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        return Answer(response.status, response.read())
    finally:
        connection.close()
