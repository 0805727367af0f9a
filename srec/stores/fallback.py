"""A store that always answers: from another one whenever the first does not deliver."""

import numpy as np
from numpy.typing import NDArray

from srec.errors import StoreError
from srec.stores.base import NeighbourStore, Rows
from srec.stores.counters import StoreCounters

__all__ = ["FallbackStore", "StoreCounters"]


class FallbackStore:
    """Answers from ``primary``, and from ``fallback`` when that raises a ``StoreError``.

    Args:
        primary: the store to ask first.
        fallback: a store of the same graph that does not fail.
        counters: those of ``primary``'s parts; what all of them saw.
    """

    def __init__(
        self, primary: NeighbourStore, fallback: NeighbourStore, counters: StoreCounters | None = None
    ) -> None:
        self.counters = StoreCounters() if counters is None else counters
        self._primary = primary
        self._fallback = fallback

    def fetch(self, items: NDArray[np.int32]) -> Rows:
        """Return the rows of ``items``; see ``NeighbourStore.fetch``."""
        self.counters.fetches += 1
        try:
            return self._primary.fetch(items)
        except StoreError:
            self.counters.fallbacks += 1
            self.counters.rows_missing += int(np.count_nonzero(items))
            return self._fallback.fetch(items)

    def close(self) -> None:
        """Close both stores."""
        self._primary.close()
        self._fallback.close()
