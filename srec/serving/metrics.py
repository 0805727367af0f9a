"""The service's counters: added up in the worker, sent on once a second by a thread of its own.

A worker's counter is a line that TorchServe's Java reads from the worker's output and adds to the page
/metrics. A line for each request would cost more than the request, so sums are sent. Java's own histograms
take one observation a line and have no bucket below 5 ms: ours are sent as the three counters that a
Prometheus histogram consists of, ``_bucket``, ``_sum`` and ``_count``, which PromQL's histogram_quantile
cannot tell apart.
"""

import bisect
import itertools
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from srec.serving.observed import ALL_STAGES, NO_SOURCE, ObservedBatch

FLUSH_SECONDS: Final = 1.0
EDGES: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper bounds of the buckets, in seconds; the last bucket is without bound."""
LENGTHS: Final = {0: "0", 1: "1", 2: "2-3", 4: "4-6", 7: "7+"}
"""Least number of clicks of a class of sessions: its label."""

REQUESTS = "srec_requests_total"
STAGE_SECONDS = "srec_stage_seconds"
HANDLER_SECONDS = "srec_handler_seconds"
SESSIONS = "srec_sessions_total"
CLICKS = "srec_clicks_total"
UNKNOWN_CLICKS = "srec_unknown_clicks_total"
TRUNCATED = "srec_truncated_total"
STORE_FETCHES = "srec_store_fetches_total"
STORE_ROWS = "srec_store_rows_total"
STORE_UP = "srec_store_up"
FAST_FALLBACKS = "srec_fast_fallbacks_total"
WORKER_SECONDS = "srec_worker_seconds_total"

Series = tuple[str, tuple[str, ...]]
"""A metric's name and the values of its labels, in the order of ``LABELS``."""

LABELS: Final[dict[str, tuple[str, ...]]] = {
    REQUESTS: ("source", "status"),
    STAGE_SECONDS: ("stage",),
    HANDLER_SECONDS: (),
    SESSIONS: ("length",),
    CLICKS: (),
    UNKNOWN_CLICKS: (),
    TRUNCATED: (),
    STORE_FETCHES: ("result",),
    STORE_ROWS: ("result",),
    STORE_UP: (),
    FAST_FALLBACKS: (),
    WORKER_SECONDS: ("version",),
}
HISTOGRAMS: Final = (STAGE_SECONDS, HANDLER_SECONDS)
GAUGES: Final = (STORE_UP,)

log = logging.getLogger(__name__)
_CLASSES, _LENGTH_NAMES = tuple(LENGTHS), tuple(LENGTHS.values())
_LE = (*map(str, EDGES), "+Inf")


class Sink(Protocol):
    """Takes what is to be added to a counter, or the value of a gauge (``GAUGES``)."""

    def __call__(self, name: str, value: float, labels: Sequence[str]) -> None:
        """Send one value; ``labels`` as in ``LABELS``, after them ``le`` where the name is a bucket's."""


class Histogram:
    """Observations by bucket, and their sum."""

    def __init__(self) -> None:
        self.counts = [0] * len(_LE)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Add ``times`` observations of ``value``."""
        self.counts[bisect.bisect_left(EDGES, value)] += times
        self.sum += value * times


class Metrics:
    """Adds up on the worker's thread, sends on a thread of its own.

    Args:
        sink: where the sums go.
        version: of the archive; the label of ``WORKER_SECONDS``.
        sources: values that ``source`` will have, so that their series are there, at 0, from the start.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        sink: Sink,
        version: str,
        sources: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = sink
        self._version = version
        self._clock = clock
        self._lock = threading.Lock()  # held for microseconds: to add a batch, to take the sums
        self._flushing = threading.Lock()
        self._counts: dict[Series, float] = _zeros(sources)
        self._histograms: dict[Series, Histogram] = defaultdict(Histogram)
        self._watched: list[tuple[Series, Callable[[], float]]] = []
        self._gauges: list[tuple[str, Callable[[], float | None]]] = []
        self._sent: dict[Series, float] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._alive_since = clock()

    def add(self, batch: ObservedBatch) -> None:
        """Count a batch that has ended."""
        with self._lock:
            counts = self._counts
            for outcome in batch.outcomes:
                counts[REQUESTS, (outcome.source, str(outcome.status))] += 1
                if outcome.source != NO_SOURCE:
                    counts[SESSIONS, (length_class(outcome.clicks),)] += 1
                    counts[CLICKS, ()] += outcome.clicks
                    counts[UNKNOWN_CLICKS, ()] += outcome.unknown
                    counts[TRUNCATED, ()] += outcome.truncated
            for stage, seconds in batch.seconds.items():
                self._histograms[STAGE_SECONDS, (stage,)].observe(seconds)
            self._histograms[HANDLER_SECONDS, ()].observe(batch.total, len(batch.outcomes))

    def watch(self, name: str, labels: tuple[str, ...], read: Callable[[], float]) -> None:
        """Send the growth of a count that another part keeps; ``read`` is called at every flush."""
        self._watched.append(((name, labels), read))

    def watch_gauge(self, name: str, read: Callable[[], float | None]) -> None:
        """Send a value as it is at every flush, or nothing while ``read`` says None."""
        self._gauges.append((name, read))

    def start(self) -> None:
        """Send every ``FLUSH_SECONDS`` from now on, also when no request comes."""
        self._thread = threading.Thread(target=self._run, name="srec-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and send what is left; may be called twice."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def flush(self) -> None:
        """Send everything that was added since the last flush."""
        with self._flushing:
            now = self._clock()
            with self._lock:
                counts, self._counts = self._counts, defaultdict(float)
                histograms, self._histograms = self._histograms, defaultdict(Histogram)
            counts[WORKER_SECONDS, (self._version,)] = now - self._alive_since
            self._alive_since = now
            for series, value in itertools.chain(counts.items(), self._growth(), _as_counters(histograms)):
                self._sink(series[0], value, series[1])
            for name, read in self._gauges:
                if (value_now := read()) is not None:
                    self._sink(name, value_now, ())

    def _growth(self) -> Iterator[tuple[Series, float]]:
        for series, read in self._watched:
            total, before = read(), self._sent.get(series)
            # Never downwards: a difference may be read when one of its two counts has taken its step.
            if before is None or total > before:
                self._sent[series] = total
                yield series, total - (before or 0)

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            try:
                self.flush()
            except Exception:  # whatever happens here, requests are answered, and the next second counts
                log.exception("the metrics of the last second were not sent")


def length_class(clicks: int) -> str:
    """The label of a session of so many clicks."""
    return _LENGTH_NAMES[bisect.bisect_right(_CLASSES, clicks) - 1]


def _zeros(sources: Sequence[str]) -> dict[Series, float]:
    """Every series known beforehand, at 0: Prometheus sees no growth in a series that begins with it."""
    counts: dict[Series, float] = defaultdict(float)
    answered = [(REQUESTS, (source, "200")) for source in sources]
    refused = [(REQUESTS, (NO_SOURCE, status)) for status in ("400", "401", "503")]
    lengths = [(SESSIONS, (name,)) for name in LENGTHS.values()]
    single: list[Series] = [(name, ()) for name in (CLICKS, UNKNOWN_CLICKS, TRUNCATED, FAST_FALLBACKS)]
    histograms: dict[Series, Histogram] = {(STAGE_SECONDS, (stage,)): Histogram() for stage in ALL_STAGES}
    histograms[HANDLER_SECONDS, ()] = Histogram()
    empty = _as_counters(histograms, zeros=True)
    counts.update(dict.fromkeys([*answered, *refused, *lengths, *single], 0.0))
    counts.update(dict(empty))
    return counts


def _as_counters(histograms: dict[Series, Histogram], zeros: bool = False) -> Iterator[tuple[Series, float]]:
    """A histogram as the counters that make it up; a bucket counts all observations up to its bound."""
    for (name, labels), histogram in histograms.items():
        below = list(itertools.accumulate(histogram.counts))
        for le, count in zip(_LE, below, strict=True):
            if count or zeros:
                yield (f"{name}_bucket", (*labels, le)), count
        yield (f"{name}_sum", labels), histogram.sum
        yield (f"{name}_count", labels), below[-1]
