"""What is kept of a batch for metrics, request log and traces: counts and seconds, never an appid."""

import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from srec.serving.stages import STAGES

PARSE, WRITE = "parse", "write"
ALL_STAGES: Final = (PARSE, *STAGES, WRITE)
NO_SOURCE: Final = "none"  # the source of what was not answered


class Outcome(NamedTuple):
    """How one request ended.

    Attributes:
        request_id: as in its answer.
        status: HTTP status.
        source: which part answered, ``NO_SOURCE`` for a refusal or a failure.
        clicks: appids in the request, repeats included.
        unknown: how many of them the model does not know.
        truncated: whether older clicks were left out.
        traceparent: the request's own header (W3C Trace Context), None without one.
    """

    request_id: str
    status: int
    source: str = NO_SOURCE
    clicks: int = 0
    unknown: int = 0
    truncated: bool = False
    traceparent: str | None = None


class ObservedBatch:
    """One call of the handler, from its start to its answers.

    Attributes:
        began_ns: unix time of the start, in nanoseconds.
        outcomes: one a request, in the order they were known.
        seconds: of each stage in ``ALL_STAGES``; together they are ``total``.
        total: seconds from start to end.
    """

    def __init__(self) -> None:
        self.began_ns = time.time_ns()
        self.outcomes: list[Outcome] = []
        self.seconds: dict[str, float] = {}
        self.total = 0.0
        self._start = time.perf_counter()

    def refused(self, request_id: str, status: int, traceparent: str | None = None) -> None:
        """Note a request that gets no games."""
        self.outcomes.append(Outcome(request_id, status, traceparent=traceparent))

    def answered(
        self,
        request_id: str,
        source: str,
        appids: Sequence[int],
        unknown_appids: Sequence[int],
        *,
        truncated: bool,
        traceparent: str | None = None,
    ) -> None:
        """Note an answered request; of the appids only numbers are kept."""
        strange = frozenset(unknown_appids)
        unknown = sum(appid in strange for appid in appids) if strange else 0
        self.outcomes.append(Outcome(request_id, 200, source, len(appids), unknown, truncated, traceparent))

    def parsed(self) -> None:
        """End the stage in which requests are read and checked."""
        self.seconds[PARSE] = time.perf_counter() - self._start

    def end(self, ranking: Mapping[str, float]) -> None:
        """Close the batch; what is neither parsing nor one of ``ranking``'s stages was writing."""
        self.total = time.perf_counter() - self._start
        parse = self.seconds.get(PARSE, self.total)
        inner = {stage: ranking.get(stage, 0.0) for stage in STAGES}
        write = max(0.0, self.total - parse - sum(inner.values()))
        self.seconds = {PARSE: parse, **inner, WRITE: write}
