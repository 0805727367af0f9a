"""A store behind a circuit breaker."""

import logging

import numpy as np
from numpy.typing import NDArray

from srec.errors import StoreError
from srec.stores.base import NeighbourStore, Rows
from srec.stores.breaker import Breaker
from srec.stores.counters import StoreCounters

log = logging.getLogger(__name__)


class GuardedStore:
    """Asks ``store`` only when the breaker admits it: a slow one does not cost every batch its deadline.

    Args:
        store: what is asked.
        breaker: decides whether.
        counters: where the store's health is noted.
    """

    def __init__(self, store: NeighbourStore, breaker: Breaker, counters: StoreCounters) -> None:
        self._store = store
        self._breaker = breaker
        self._counters = counters

    def fetch(self, items: NDArray[np.int32]) -> Rows:
        """Return the rows of ``items``; see ``NeighbourStore.fetch``."""
        if not items.any():  # answered without the server: no sign of its health
            return self._store.fetch(items)
        if not self._breaker.admits():
            raise StoreError(f"not asked again yet after: {self._counters.last_error}")
        try:
            rows = self._store.fetch(items)
        except StoreError as error:
            self._failed(str(error))
            raise
        self._delivered()
        return rows

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _failed(self, why: str) -> None:
        if not self._counters.failing:
            log.warning("%s; answering from the model's own copy of the graph", why)
        self._breaker.failed()
        self._counters.failing = True
        self._counters.last_error = why
        self._counters.breaker = self._breaker.state

    def _delivered(self) -> None:
        self._breaker.succeeded()
        if self._counters.failing:
            log.warning("the neighbour store is back after: %s", self._counters.last_error)
            self._counters.failing = False
            self._counters.breaker = self._breaker.state
