"""The global graph of GCE-GNN: for every item, the items often clicked close to it (paper, section 3.2)."""

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from srec.errors import DataError
from srec.io import new_file

CLICKS_PER_CHUNK = 2_000_000  # bounds the pairs in memory to about 200 MB, whatever the log's size


@dataclass(frozen=True)
class GlobalGraph:
    """The heaviest neighbours of every item; row 0 is padding, absent neighbours are 0 with weight 0.

    Attributes:
        neighbours: items, int32 [V+1, K], heaviest first, equal weights by ascending item.
        weights: co-occurrence counts, float32 [V+1, K].
    """

    neighbours: NDArray[np.int32]
    weights: NDArray[np.float32]

    @property
    def n_items(self) -> int:
        """Number of items V."""
        return len(self.neighbours) - 1

    @property
    def size(self) -> int:
        """Neighbours kept an item, K."""
        return int(self.neighbours.shape[1])

    @functools.cached_property
    def digest(self) -> str:
        """Hex digest of the content; it names the graph in stores, manifests and answers."""
        content = hashlib.sha256(f"{self.neighbours.shape}".encode())
        content.update(np.ascontiguousarray(self.neighbours, dtype="<i4").tobytes())
        content.update(np.ascontiguousarray(self.weights, dtype="<f4").tobytes())
        return content.hexdigest()

    def save(self, path: Path) -> None:
        """Write as safetensors, whole or not at all."""
        with new_file(path) as temporary:
            save_file({"neighbours": self.neighbours, "weights": self.weights}, temporary)

    @classmethod
    def load(cls, path: Path) -> "GlobalGraph":
        """Read what ``save`` wrote; ``DataError`` where it is missing or damaged."""
        try:
            arrays = load_file(path)
            return cls(arrays["neighbours"], arrays["weights"])
        except (OSError, KeyError, SafetensorError) as error:
            raise DataError(
                f"{path} is no readable global graph ({error}): run the step that writes it again"
            ) from error


def build_graph(
    items: NDArray[np.int32],
    offsets: NDArray[np.int64],
    n_items: int,
    window: int = 3,
    size: int = 12,
) -> GlobalGraph:
    """Count, in both directions, the items within ``window`` positions of each other; keep the heaviest.

    As in the authors' code an item that is clicked again within the window is its own neighbour.

    Args:
        items: all sequences end to end, int32 [clicks].
        offsets: where each sequence starts, and the end of the last, int64 [S+1].
        n_items: number of items V.
        window: largest distance between two positions that counts (epsilon of the paper).
        size: neighbours kept an item, K.
    """
    keys, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for chunk in _chunks(items, offsets, n_items, window):
        keys, inverse = np.unique(np.concatenate([keys, chunk]), return_inverse=True)
        counts = np.bincount(inverse, weights=np.concatenate([counts, np.ones(len(chunk))])).astype(np.int64)
    return heaviest(keys, counts, n_items, size)


def heaviest(keys: NDArray[np.int64], counts: NDArray[np.int64], n_items: int, size: int) -> GlobalGraph:
    """Keep each item's ``size`` heaviest neighbours, equal counts by ascending neighbour.

    Args:
        keys: distinct pairs, ``item * (n_items + 1) + neighbour``, int64 [pairs].
        counts: how often each occurs, int64 [pairs].
        n_items: number of items V.
        size: neighbours kept an item, K.
    """
    source, neighbour = np.divmod(keys, n_items + 1)
    order = np.lexsort((neighbour, -counts, source))
    source, neighbour, counts = source[order], neighbour[order], counts[order]
    starts = np.searchsorted(source, np.arange(n_items + 2))
    rank = np.arange(len(source)) - starts[source]
    kept = rank < size
    neighbours = np.zeros((n_items + 1, size), np.int32)
    weights = np.zeros((n_items + 1, size), np.float32)
    neighbours[source[kept], rank[kept]] = neighbour[kept]
    weights[source[kept], rank[kept]] = counts[kept]
    return GlobalGraph(neighbours, weights)


def _chunks(
    items: NDArray[np.int32], offsets: NDArray[np.int64], n_items: int, window: int
) -> Iterator[NDArray[np.int64]]:
    """Yield the pairs (item, neighbour) of whole sequences, each packed into one int64."""
    first = 0
    while first < len(offsets) - 1:
        end = int(np.searchsorted(offsets, offsets[first] + CLICKS_PER_CHUNK, side="right")) - 1
        last = min(max(end, first + 1), len(offsets) - 1)
        clicks = items[offsets[first] : offsets[last]].astype(np.int64)
        sequence = np.repeat(np.arange(last - first), np.diff(offsets[first : last + 1]))
        pairs = []
        for distance in range(1, window + 1):
            together = sequence[:-distance] == sequence[distance:]
            left, right = clicks[:-distance][together], clicks[distance:][together]
            pairs += [left * (n_items + 1) + right, right * (n_items + 1) + left]
        yield np.concatenate(pairs) if pairs else np.empty(0, np.int64)
        first = last
