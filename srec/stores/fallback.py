"""A store that always answers: from another one whenever the first does not deliver."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srec.errors import StoreError
from srec.stores.base import NeighbourStore, Rows

log = logging.getLogger(__name__)


@dataclass
class StoreCounters:
    """What a ``FallbackStore`` has seen.

    Attributes:
        fetches: how often rows were asked for.
        fallbacks: how many of these the fallback answered.
        failing: the primary did not deliver when last asked.
        last_error: why it last failed, kept after it is back.
    """

    fetches: int = 0
    fallbacks: int = 0
    failing: bool = False
    last_error: str | None = None


class FallbackStore:
    """Answers from ``primary``, and from ``fallback`` when that raises a ``StoreError``.

    A primary that failed is left alone for a while, so that its deadline is not paid by every request.

    Args:
        primary: the store to ask first.
        fallback: a store of the same graph that does not fail.
        retry_after: seconds before a primary that failed is asked again.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        primary: NeighbourStore,
        fallback: NeighbourStore,
        retry_after: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counters = StoreCounters()
        self._primary = primary
        self._fallback = fallback
        self._retry_after = retry_after
        self._clock = clock
        self._retry_at = clock()

    def fetch(self, items: NDArray[np.int32]) -> Rows:
        """Return the rows of ``items``; see ``NeighbourStore.fetch``."""
        self.counters.fetches += 1
        if self._clock() >= self._retry_at:
            try:
                rows = self._primary.fetch(items)
            except StoreError as error:
                self._failed(str(error))
            else:
                if items.any():  # padding alone is answered without the server: no sign of its health
                    self._delivered()
                return rows
        self.counters.fallbacks += 1
        return self._fallback.fetch(items)

    def close(self) -> None:
        """Close both stores."""
        self._primary.close()
        self._fallback.close()

    def _failed(self, why: str) -> None:
        if not self.counters.failing:
            log.warning("%s; answering from the model's own copy of the graph", why)
        self.counters.failing = True
        self.counters.last_error = why
        self._retry_at = self._clock() + self._retry_after

    def _delivered(self) -> None:
        if self.counters.failing:
            log.warning("the neighbour store is back after: %s", self.counters.last_error)
        self.counters.failing = False
