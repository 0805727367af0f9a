"""Training sequences -> batches of examples (prefix expansion), grouped by length."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from srec.data.dataset import Sequences
from srec.graph.session import gap_windows, pad_windows

BATCHES_PER_POOL = 50  # examples are sorted by length inside a pool, so that little is padded


class PrefixExamples:
    """Every prefix of every sequence and the item after it: [a, b, c] gives ([a], b) and ([a, b], c)."""

    def __init__(self, sequences: Sequences, max_clicks: int) -> None:
        """Index the prefixes; nothing is copied."""
        self.items, self.times = sequences.items, sequences.times
        self.max_clicks = max_clicks
        lengths = np.diff(sequences.offsets)
        first = np.repeat(sequences.offsets[:-1], np.maximum(lengths - 1, 0))
        is_target = np.ones(len(sequences.items), bool)
        is_target[sequences.offsets[:-1][lengths > 0]] = False
        self.starts: NDArray[np.int64] = first
        self.targets: NDArray[np.int64] = np.flatnonzero(is_target)

    def __len__(self) -> int:
        return len(self.targets)

    def batch(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Padded clicks int64 [B, L] and target items int64 [B]."""
        stops = self.targets[indices]
        clicks = pad_windows(self.items, self.starts[indices], stops, self.max_clicks)
        return clicks, self.items[stops].astype(np.int64)

    def times_of(self, indices: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Unix seconds of the padded clicks, int64 [B, L]; None where the sequences came without times."""
        if self.times is None:
            return None
        return pad_windows(self.times, self.starts[indices], self.targets[indices], self.max_clicks)

    def gaps(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Seconds from the click before to each of the clicks of ``batch``, float32 [B, L]."""
        if self.times is None:
            raise ValueError("these sequences were read without times")
        return gap_windows(self.times, self.starts[indices], self.targets[indices], self.max_clicks)

    def epoch(self, batch_size: int, seed: int) -> Iterator[NDArray[np.int64]]:
        """Indices of all examples once, in batches, in an order that only ``seed`` decides."""
        random = np.random.default_rng(seed)
        order = random.permutation(len(self))
        lengths = np.minimum(self.targets - self.starts, self.max_clicks)
        batches = []
        for start in range(0, len(order), batch_size * BATCHES_PER_POOL):
            pool = order[start : start + batch_size * BATCHES_PER_POOL]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
        for index in random.permutation(len(batches)):
            yield batches[index]

    def steps(self, batch_size: int) -> int:
        """Batches an epoch."""
        return -(-len(self) // batch_size)
