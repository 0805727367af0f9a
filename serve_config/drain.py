"""Let requests in flight finish before TorchServe is ended, which has no such step of its own."""

import http.client
import re
import time
from typing import NamedTuple

from srec.errors import HostError
from srec.serve_config import client
from srec.serve_config.management import Management

_SAMPLE = re.compile(r"^(?P<name>\w+)(?:\{[^}]*\})? (?P<value>\S+)$", re.MULTILINE)
_POLL_SECONDS = 0.1
_QUIET_POLLS = 3  # so many in a row: an answer is counted a moment before it is on its way


class Counters(NamedTuple):
    """What TorchServe has counted since it started, gRPC included."""

    received: int
    answered: int
    failed: int
    """Answers from 500 up, which are not among ``answered``."""

    @property
    def in_flight(self) -> int:
        """Requests without an answer yet, in a queue or with a worker."""
        return self.received - self.answered - self.failed


def read_counters(metrics_url: str) -> Counters:
    """Read them from the metrics port; ``HostError`` when it does not tell."""
    try:
        answer = client.request("GET", metrics_url, timeout=2.0)
    except client.FAILURES as error:
        raise HostError(f"TorchServe's metrics at {metrics_url} cannot be read ({error})") from None
    if answer.status != http.client.OK:
        raise HostError(f"TorchServe's metrics at {metrics_url} cannot be read (status {answer.status})")
    sums: dict[str, float] = {}
    for sample in _SAMPLE.finditer(answer.body.decode()):
        sums[sample["name"]] = sums.get(sample["name"], 0.0) + float(sample["value"])
    names = ("ts_inference_requests_total", "QueueTime_count", "Requests5XX")
    return Counters(*(int(sums.get(name, 0)) for name in names))


def wait_until_idle(metrics_url: str, management: Management, limit: float) -> bool:
    """Return True once no request is in flight, False after ``limit`` seconds or when nobody can tell."""
    deadline = time.monotonic() + limit
    quiet = 0
    while quiet < _QUIET_POLLS:
        if time.monotonic() > deadline:
            return False
        try:
            waiting = sum(version.waiting for version in management.versions(timeout=2.0).values())
            busy = waiting > 0 or read_counters(metrics_url).in_flight > 0
        except HostError:
            return False
        quiet = 0 if busy else quiet + 1
        time.sleep(_POLL_SECONDS)
    return True
