"""What a neighbour store promises: rows of one global graph, in order, within a deadline."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Rows = tuple[NDArray[np.int32], NDArray[np.float32]]


class NeighbourStore(Protocol):
    """Answers which items neighbour an item; every store passes ``tests/stores/contract.py``."""

    def fetch(self, items: NDArray[np.int32]) -> Rows:
        """Return neighbours int32 [n, K] and weights float32 [n, K] of ``items`` int32 [n].

        Rows come in the order asked, repeats included; item 0 has a row of zeros. The arrays belong to
        the caller.

        Raises:
            StoreError: the rows cannot be delivered, or not within the store's deadline.
            ValueError: an item outside 0..V, a fault of the caller that no other store would mend.
        """
        ...

    def close(self) -> None:
        """Release connections and threads; may be called twice."""
        ...


def check_items(items: NDArray[np.int32], n_items: int) -> None:
    """Raise ``ValueError`` unless ``items`` is one-dimensional and within 0..``n_items``."""
    if items.ndim != 1:
        raise ValueError(f"items must have one dimension, not {items.ndim}")
    if items.size and int(items.astype(np.uint32).max()) > n_items:  # one call; what is below 0 becomes large
        raise ValueError(f"items must lie in 0..{n_items}, not {items.min()}..{items.max()}")
