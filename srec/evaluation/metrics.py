"""Ranking metrics with one right answer an example: recall (the papers' P), MRR and NDCG."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

CUTOFFS = (5, 10, 20)
MAX_K = max(CUTOFFS)

Gain = Callable[[NDArray[np.float64]], NDArray[np.float64]]
GAINS: Mapping[str, Gain] = {
    "recall": np.ones_like,
    "mrr": lambda rank: 1 / rank,
    "ndcg": lambda rank: 1 / np.log2(rank + 1),
}
METRICS = tuple(f"{name}@{k}" for k in CUTOFFS for name in GAINS)


def gains(ranks: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """What every example contributes to every metric.

    Args:
        ranks: where the right item stands, from 1; 0 where it is not among the first ``MAX_K``; int64 [E].

    Returns:
        For each of ``METRICS`` an array [E] of values from 0 to 1; a metric is its mean.
    """
    rank = np.maximum(ranks, 1).astype(np.float64)
    return {
        f"{name}@{k}": np.where((ranks >= 1) & (ranks <= k), gain(rank), 0.0)
        for k in CUTOFFS
        for name, gain in GAINS.items()
    }


def metrics(ranks: NDArray[np.int64]) -> dict[str, float]:
    """The mean of every metric, as fractions."""
    return {name: float(values.mean()) for name, values in gains(ranks).items()}


def bootstrap_intervals(
    values: Mapping[str, NDArray[np.float64]], names: Sequence[str], seed: int = 0, rounds: int = 1000
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of the means, resampling the examples; the same resamples for all names."""
    random = np.random.default_rng(seed)
    table = np.stack([values[name] for name in names], axis=1)  # [E, names]
    draws = (table[random.integers(0, len(table), len(table))].mean(axis=0) for _ in range(rounds))
    low, high = np.percentile(np.stack(list(draws)), [2.5, 97.5], axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(names)}
