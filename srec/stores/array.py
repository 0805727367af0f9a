"""The graph that came with the model, in this process's memory: never late, never missing."""

import numpy as np
from numpy.typing import NDArray

from srec.graph.neighbours import GlobalGraph
from srec.stores.base import Rows, check_items


class ArrayStore:
    """Takes rows from the arrays of a ``GlobalGraph``."""

    def __init__(self, graph: GlobalGraph) -> None:
        self._neighbours, self._weights, self._n_items = graph.neighbours, graph.weights, graph.n_items

    def fetch(self, items: NDArray[np.int32]) -> Rows:
        """Return the rows of ``items``; see ``NeighbourStore.fetch``."""
        if items.ndim != 1:
            check_items(items, self._n_items)
        places = items.view(np.uint32)  # what is below 0 becomes too large, which ``take`` refuses by itself
        try:
            return self._neighbours.take(places, axis=0), self._weights.take(places, axis=0)
        except IndexError:
            check_items(items, self._n_items)
            raise

    def close(self) -> None:
        """Nothing to release."""
