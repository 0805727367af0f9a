"""Where the handler tells what it did: metrics always, request log and traces where asked for."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from srec.serving.metrics import (
    FAST_FALLBACKS,
    STORE_FETCHES,
    STORE_ROWS,
    STORE_UP,
    Metrics,
    Sink,
)
from srec.serving.observed import ObservedBatch
from srec.serving.request_log import log as request_log
from srec.serving.request_log import request_log_level, write_request_log
from srec.serving.tracing import Tracer, tracer_from_environment
from srec.stores.base import NeighbourStore
from srec.stores.counters import StoreCounters
from srec.stores.fallback import FallbackStore

FAILED: Final = 503  # what TorchServe answers to every request of a batch whose handler raised


class Telemetry:
    """The one thing the handler knows of observability.

    Args:
        metrics: what counts.
        take_stages: gives the seconds of the ranking stages since it was last called.
        tracer: None where no traces are wanted.

    Raises:
        InputError: SREC_LOG_LEVEL is not a level.
    """

    def __init__(
        self, metrics: Metrics, take_stages: Callable[[], Mapping[str, float]], tracer: Tracer | None = None
    ) -> None:
        self.metrics = metrics
        self._take_stages = take_stages
        self._tracer = tracer
        request_log.setLevel(request_log_level())

    @contextmanager
    def batch(self, size: int) -> Iterator[ObservedBatch]:
        """Observe one call of the handler with ``size`` requests; if it raises, all of them have failed."""
        observed = ObservedBatch()
        try:
            yield observed
        except BaseException:
            observed.outcomes.clear()
            for _ in range(size):
                observed.refused("", FAILED)
            raise
        finally:
            observed.end(self._take_stages())
            self._tell(observed)

    def _tell(self, batch: ObservedBatch) -> None:
        self.metrics.add(batch)
        if request_log.isEnabledFor(logging.INFO):
            write_request_log(batch)
        if self._tracer is not None:
            self._tracer.trace(batch)


def open_telemetry(
    sink: Sink,
    version: str,
    *,
    sources: Sequence[str],
    take_stages: Callable[[], Mapping[str, float]],
    store: NeighbourStore,
    scorer: object = None,
) -> Telemetry:
    """What a worker starts with: everything the environment asks for, and metrics sent from now on.

    Args:
        sink: takes the metrics.
        version: of the archive.
        sources: what answers will name as their source.
        take_stages: gives the seconds of the ranking stages since it was last called.
        store: where neighbours come from; one with a fallback is watched.
        scorer: the model; one with a scan that counts its fallbacks is watched.
    """
    metrics = Metrics(sink, version, sources)
    if isinstance(store, FallbackStore):
        watch_store(metrics, store.counters)
    if (scan := getattr(scorer, "scan", None)) is not None:
        metrics.watch(FAST_FALLBACKS, (), lambda: int(scan.fallbacks))
    telemetry = Telemetry(metrics, take_stages, tracer_from_environment(version))
    metrics.start()
    return telemetry


def watch_store(metrics: Metrics, counters: StoreCounters) -> None:
    """Send what a store with a fallback counts, and whether it delivered when it was last asked."""
    seen = 0

    def up() -> float | None:
        nonlocal seen
        if counters.fetches == seen:  # not asked since: another worker may know better
            return None
        seen = counters.fetches
        return float(counters.up)

    metrics.watch(STORE_FETCHES, ("primary",), lambda: counters.fetches - counters.fallbacks)
    metrics.watch(STORE_FETCHES, ("fallback",), lambda: counters.fallbacks)
    metrics.watch(STORE_ROWS, ("cached",), lambda: counters.rows_cached)
    metrics.watch(STORE_ROWS, ("read",), lambda: counters.rows_read)
    metrics.watch(STORE_ROWS, ("missing",), lambda: counters.rows_missing)
    metrics.watch_gauge(STORE_UP, up)
