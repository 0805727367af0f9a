"""Visitors who ask without a pause, compare every answer, and count."""

import functools
import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from types import TracebackType
from typing import Self

from tests.faults.questions import Question
from tests.waiting import LIMIT, wait_until

PATH = "/predictions/srec"
CONNECTIONS = 8
SHOWN = 5  # faulty answers to keep
_STEP = 500
_PAUSE = 0.02  # after anything but an answer: a visitor waits before asking again


class Outcome(StrEnum):
    """What became of a good request."""

    RIGHT = "right"
    WRONG = "wrong"
    """Not the right answer, or another visitor's."""
    REFUSED = "503"
    FAILED = "500"
    """Or 507: by TorchServe itself, for the batch of a worker that died or hung."""
    BROKEN = "broken"
    """No answer: refused, reset, cut or too late, or a status that is none of these."""


class Load:
    """Eight connections kept open, on each one request after the other; a context manager.

    Attributes:
        seen: requests by outcome.
        shown: the first answers that were not right, as text.
        versions: right answers by the model's version.
    """

    def __init__(self, port: int, questions: Sequence[Question], connections: int = CONNECTIONS) -> None:
        self.seen: Counter[Outcome] = Counter()
        self.shown: list[str] = []
        self.versions: Counter[str] = Counter()
        self._port = port
        self._questions = questions
        self._first_error = self._last_error = 0.0
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._visit, args=(number,), name=f"visitor-{number}")
            for number in range(connections)
        ]

    @property
    def requests(self) -> int:
        """How many have an outcome."""
        return sum(self.seen.values())

    @property
    def error_seconds(self) -> float:
        """From the first request that was not answered rightly to the last."""
        return self._last_error - self._first_error

    def wait_for(self, more: int) -> None:
        """Return after ``more`` further requests; fails when they stand still."""
        while more > 0:
            wanted = self.requests + min(more, _STEP)
            wait_until(functools.partial(self._reached, wanted), "the outcome of the next requests")
            more -= _STEP

    def _reached(self, requests: int) -> bool:
        return self.requests >= requests

    def stop(self) -> None:
        """Let every visitor have the answer to what was asked, and go; may be called twice."""
        self._end.set()
        for thread in self._threads:
            thread.join(LIMIT)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _visit(self, number: int) -> None:
        draw = random.Random(number)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LIMIT)
        asked = 0
        while not self._end.is_set():
            asked += 1
            question, request_id = draw.choice(self._questions), f"visitor-{number}-{asked}"
            outcome, shown = self._ask(connection, question, request_id)
            with self._lock:
                self.seen[outcome] += 1
                if outcome is not Outcome.RIGHT:
                    self._last_error = time.monotonic()
                    self._first_error = self._first_error or self._last_error
                    self.shown += [shown] if len(self.shown) < SHOWN else []
            if outcome is not Outcome.RIGHT:
                connection.close()
                self._end.wait(_PAUSE)
        connection.close()

    def _ask(
        self, connection: http.client.HTTPConnection, question: Question, request_id: str
    ) -> tuple[Outcome, str]:
        headers = {"Content-Type": "application/json", "X-Request-Id": request_id}
        try:
            connection.request("POST", PATH, question.body, headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            return Outcome.BROKEN, repr(error)
        if response.status != 200:
            by_status = {503: Outcome.REFUSED, 500: Outcome.FAILED, 507: Outcome.FAILED}
            return by_status.get(response.status, Outcome.BROKEN), _told(response.status, body)
        try:
            answer = json.loads(body)
            fault = question.fault(answer, request_id)
        except (ValueError, LookupError, TypeError) as error:
            fault = f"{body!r} is no answer: {error!r}"
        if fault is None:
            with self._lock:
                self.versions[answer["model"]["version"]] += 1
        return (Outcome.WRONG, fault) if fault else (Outcome.RIGHT, "")


def _told(status: int, body: bytes) -> str:
    """The status and what TorchServe's error form says, else the body."""
    try:
        return f"{status} {json.loads(body)['message']}"
    except (ValueError, LookupError, TypeError):
        return f"{status} {body!r}"
