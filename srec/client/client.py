"""The client: one method, pooled connections, retries within a deadline."""

import json
import operator
import time
from collections.abc import Iterable
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self

from pydantic import ValidationError

from srec import __version__
from srec.api_key import check_api_key
from srec.client.policy import Retries, Timeouts
from srec.client.transport import Transport
from srec.errors import InputError, ServiceError, UnavailableError
from srec.serving.forms import DEFAULT_K, MAX_REQUEST_ID, Answer, Filters, is_request_id

_ANOTHER_ATTEMPT: Final = (None, HTTPStatus.SERVICE_UNAVAILABLE)  # no connection; a full queue


class SrecClient:
    """Asks one service for recommendations.

    Safe to share between threads, and meant to be: it keeps up to ``connections`` open between calls. In
    asyncio, call it by ``asyncio.to_thread``. Environment variables that name a proxy are not read.

    A full queue (503) and a failed connection are tried again: a request changes nothing in the service, so
    it does no harm to arrive twice. All else is raised at once.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        connections: int = 10,
    ) -> None:
        """Connect to nothing yet.

        Raises:
            InputError: ``url`` is no address such as http://127.0.0.1:8080, or no header carries ``api_key``.
        """
        self.url = url
        self.timeouts = timeouts or Timeouts()
        self.retries = retries or Retries()
        self._transport = Transport(url, self.timeouts, connections)
        self._headers = {"Content-Type": "application/json", "User-Agent": f"srec-client/{__version__}"}
        if api_key:  # empty is none, as SREC_API_KEY is to the service
            self._headers["X-API-Key"] = check_api_key(api_key)

    def recommend(
        self,
        appids: Iterable[int],
        k: int = DEFAULT_K,
        *,
        exclude_clicked: bool = True,
        explain: bool = False,
        filters: Filters | None = None,
        popularity_penalty: float = 0.0,
        request_id: str | None = None,
    ) -> Answer:
        """Ask for the ``k`` games to look at next; the arguments are the fields of docs/http.md.

        Args:
            appids: clicked games in click order, the newest last; may be empty.
            k: how many games, 1 to 100.
            exclude_clicked: leave the clicked games out.
            explain: ask which clicks speak for each game.
            filters: what a game must be.
            popularity_penalty: 0 to 1.
            request_id: names the request in the service's logs and comes back in the answer; 1 to 128
                printable ASCII characters.

        Raises:
            InputError: ``request_id`` is none.
            RefusedError: the service refuses the request; its message says why.
            UnavailableError: no connection or a full queue, at every attempt; or a failed worker.
            DeadlineError: no answer within ``timeouts``.
            ServiceError: the base of these, itself where something answers that is no service of srec.
        """
        fields: dict[str, Any] = {"appids": [operator.index(appid) for appid in appids], "k": k}
        # What is left at its default is not sent, so that a service without such a field understands.
        if not exclude_clicked:
            fields["exclude_clicked"] = False
        if explain:
            fields["explain"] = True
        if filters is not None:
            fields["filters"] = filters.model_dump(exclude_unset=True)
        if popularity_penalty:
            fields["popularity_penalty"] = popularity_penalty
        named = {} if request_id is None else {"X-Request-Id": _checked_id(request_id)}
        headers = self._headers | named
        return self._understood(self._ask(json.dumps(fields, allow_nan=False).encode(), headers))

    def close(self) -> None:
        """Close the kept connections; calls under way end as they would."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, body: bytes, headers: dict[str, str]) -> bytes:
        """The body of the 200 response, after as many attempts as are allowed and fit in the time."""
        deadline = time.monotonic() + self.timeouts.total
        failures = 0
        while True:
            try:
                return self._transport.post(body, headers, deadline)
            except UnavailableError as error:
                failures += 1
                pause = self.retries.pause(failures)
                hopeless = error.status not in _ANOTHER_ATTEMPT or failures >= self.retries.attempts
                if hopeless or time.monotonic() + pause >= deadline:
                    raise
            time.sleep(pause)

    def _understood(self, content: bytes) -> Answer:
        """The answer; fields that a newer service adds are left out."""
        try:
            return Answer.model_validate_json(content, extra="ignore")
        except ValidationError as error:
            raise ServiceError(
                f"{self.url} answered 200 with no answer of srec ({error.error_count()} things are missing "
                "or wrong): check the address",
                HTTPStatus.OK,
            ) from None


def _checked_id(request_id: str) -> str:
    if not is_request_id(request_id):
        raise InputError(
            f"request_id is {request_id[:MAX_REQUEST_ID]!r}: give 1 to {MAX_REQUEST_ID} printable ASCII "
            "characters"
        )
    return request_id
