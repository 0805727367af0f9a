"""One HTTP attempt: a body out, the body of a 200 response in, or the error that fits what happened."""

import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NoReturn

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from srec.client.deadline import DEADLINE, keep_deadlines
from srec.client.policy import Timeouts
from srec.errors import DeadlineError, InputError, RefusedError, ServiceError, UnavailableError

PATH: Final = "/predictions/srec"
_MOST_BYTES: Final = 1 << 20  # of a response; the largest answer of the contract is about 50 kB
_SHOWN: Final = 200  # characters of a response without a message


class Transport:
    """Pooled connections to one address; safe to share between threads.

    TorchServe closes the connection after every status from 400 on: the pool notices, and makes another.
    """

    def __init__(self, url: str, timeouts: Timeouts, connections: int) -> None:
        """Connect to nothing yet; ``InputError`` where ``url`` is no address such as http://127.0.0.1:8080."""
        self._timeouts = timeouts
        self._url, path = _checked(url)
        self._target = path + PATH
        self._pool = urllib3.connection_from_url(url, maxsize=connections)
        keep_deadlines(self._pool)

    def post(self, body: bytes, headers: Mapping[str, str], deadline: float) -> bytes:
        """Send once; ``deadline`` is a time of ``time.monotonic``.

        Raises:
            RefusedError: a status of 4xx.
            UnavailableError: a status of 5xx, or (without a status) a connection that failed.
            DeadlineError: the service is silent, or the deadline has come.
            ServiceError: anything else, such as a redirection or a certificate that is not valid.
        """
        left = deadline - time.monotonic()
        if left <= 0:
            raise DeadlineError(f"{self._url} was not asked: the time of {self._timeouts.total:g} s was over")
        limits = self._timeouts
        DEADLINE.set(deadline)
        try:
            response = self._pool.urlopen(
                "POST",
                self._target,
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(connect=min(left, limits.connect), read=min(left, limits.read)),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            content = self._read(response)
        except HTTPError as error:
            self._raise_for(error)
        if response.status != HTTPStatus.OK:
            self._raise_for_status(response.status, content)
        return content

    def close(self) -> None:
        """Close the kept connections; calls under way end as they would."""
        self._pool.close()

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """The whole body."""
        content = bytearray()
        try:
            while chunk := response.read1(1 << 16):
                content += chunk
                if len(content) > _MOST_BYTES:
                    raise ServiceError(f"{self._url} sent more than {_MOST_BYTES} bytes: check the address")
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return bytes(content)

    def _raise_for(self, error: HTTPError) -> NoReturn:
        if isinstance(error, SSLError):
            raise ServiceError(f"{self._url} cannot be trusted: {error}") from error
        if isinstance(error, ReadTimeoutError):
            raise DeadlineError(
                f"{self._url} was silent for {self._timeouts.read:g} s, or its response was not whole at the "
                f"end of the {self._timeouts.total:g} s that were given"
            ) from error
        refused = isinstance(error, (NewConnectionError, ConnectTimeoutError))
        reason = "takes no connection" if refused else "closed the connection before its response was whole"
        raise UnavailableError(f"{self._url} {reason} ({error}): is the service running?") from error

    def _raise_for_status(self, status: int, content: bytes) -> NoReturn:
        message = f"{self._url} answered {status}: {_message(content)}"
        if 400 <= status < 500:
            raise RefusedError(message, status)
        if status >= 500:
            raise UnavailableError(message, status)
        raise ServiceError(f"{message}; check the address", status)


def _checked(url: str) -> tuple[str, str]:
    """The address without a slash at its end, and its path."""
    try:
        parts = urllib3.util.parse_url(url)
    except LocationParseError:
        parts = urllib3.util.Url()
    if parts.scheme not in {"http", "https"} or not parts.host or parts.query or parts.fragment or parts.auth:
        raise InputError(f'"{url}" is no address of a service: give one such as http://127.0.0.1:8080')
    return url.rstrip("/"), (parts.path or "").rstrip("/")


def _message(content: bytes) -> str:
    """What the service says in its own form, else the start of what it sent."""
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return content[:_SHOWN].decode(errors="replace") or "no message"
