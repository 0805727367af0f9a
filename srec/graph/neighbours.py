"""The global graph of GCE-GNN: for every item, the items often clicked close to it (paper, section 3.2)."""

import functools
import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from srec.errors import DataError
from srec.io import new_file

CLICKS_PER_CHUNK = 4_000_000  # of the log at a time: about 100 MB of pairs at a window of 3
PAIRS_PER_BLOCK = 16_000_000  # of counted pairs at a time, both directions

Pairs: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Distinct pairs of items, ascending, each packed into one integer; and how often each occurs; [pairs]."""


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
    runs: list[Pairs] = []
    for pairs in _chunks(items, offsets, n_items, window):
        runs.append(_counted(pairs, None))
        # Runs are merged when they are of like size, so that every pair is moved a few times only.
        while len(runs) > 1 and len(runs[-2][0]) < 2 * len(runs[-1][0]):
            runs[-2:] = [_merged(runs[-2:])]
    return _both_ways(*_merged(runs), n_items, size)


def _merged(runs: list[Pairs]) -> Pairs:
    if not runs:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if len(runs) == 1:
        return runs[0]
    keys, counts = (np.concatenate(parts) for parts in zip(*runs, strict=True))
    return _counted(keys, counts)


def _counted(keys: NDArray[np.int64], counts: NDArray[np.int64] | None) -> Pairs:
    """Distinct keys, ascending, and how often each occurs (or the sum of its ``counts``)."""
    if counts is None:
        keys = np.sort(keys)
    else:
        order = np.argsort(keys, kind="stable")  # linear for what is sorted in runs
        keys, counts = keys[order], counts[order]
    starts = np.flatnonzero(np.concatenate([[len(keys) > 0], keys[1:] != keys[:-1]]))
    if counts is None:
        return keys[starts], np.diff(starts, append=len(keys))
    return keys[starts], np.add.reduceat(counts, starts) if len(starts) else counts


def _both_ways(keys: NDArray[np.int64], counts: NDArray[np.int64], n_items: int, size: int) -> GlobalGraph:
    """The heaviest neighbours from unordered pairs: some items at a time, so that memory stays bounded."""
    neighbours = np.zeros((n_items + 1, size), np.int32)
    weights = np.zeros((n_items + 1, size), np.float32)
    low, high = np.divmod(keys, n_items + 1)
    degree = np.bincount(low, minlength=n_items + 1) + np.bincount(high, minlength=n_items + 1)
    block = np.cumsum(degree) // PAIRS_PER_BLOCK
    starts = np.searchsorted(block, np.arange(block[-1] + 2))
    for first, last in itertools.pairwise(starts.tolist()):
        if first == last:
            continue
        up = slice(*np.searchsorted(low, [first, last]))
        # A pair of an item with itself is its own other direction: it counts for each of its two clicks.
        down = np.flatnonzero((high >= first) & (high < last) & (low != high))
        source = np.concatenate([low[up], high[down]]) - first
        neighbour = np.concatenate([high[up], low[down]])
        times = np.concatenate([counts[up] * (1 + (low[up] == high[up])), counts[down]])
        part = heaviest(source * (n_items + 1) + neighbour, times, n_items, size)
        neighbours[first:last] = part.neighbours[: last - first]
        weights[first:last] = part.weights[: last - first]
    return GlobalGraph(neighbours, weights)


def heaviest(keys: NDArray[np.int64], counts: NDArray[np.int64], n_items: int, size: int) -> GlobalGraph:
    """Keep each item's ``size`` heaviest neighbours, equal counts by ascending neighbour.

    Args:
        keys: distinct pairs, ``item * (n_items + 1) + neighbour``, int64 [pairs].
        counts: how often each occurs, int64 [pairs].
        n_items: number of items V.
        size: neighbours kept an item, K.
    """
    source, neighbour = np.divmod(keys, n_items + 1)
    most = int(counts.max(initial=0))
    if (n_items + 1) ** 2 * (most + 1) < 2**63:
        # One integer whose order is that of all three, as sorting values is ten times faster than places.
        packed = np.sort((source * (most + 1) + most - counts) * (n_items + 1) + neighbour)
        rest, neighbour = np.divmod(packed, n_items + 1)
        source, lighter = np.divmod(rest, most + 1)
        counts = most - lighter
    else:
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
    """Yield the pairs of whole sequences, the lower item first, each packed into one int64."""
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
            pairs.append(np.minimum(left, right) * (n_items + 1) + np.maximum(left, right))
        yield np.concatenate(pairs) if pairs else np.empty(0, np.int64)
        first = last
