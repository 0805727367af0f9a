"""Ranking metrics with one right answer an example: recall (the papers' P), MRR and NDCG; their doubt."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

CUTOFFS: Final = (5, 10, 20)
MAX_K: Final = max(CUTOFFS)
ROUNDS: Final = 1000  # of the bootstrap

Gain = Callable[[NDArray[np.float64]], NDArray[np.float64]]
GAINS: Mapping[str, Gain] = {
    "recall": np.ones_like,
    "mrr": lambda rank: 1 / rank,
    "ndcg": lambda rank: 1 / np.log2(rank + 1),
}
METRICS = tuple(f"{name}@{k}" for k in CUTOFFS for name in GAINS)


class Spread(NamedTuple):
    """One figure of several trainings that differ in their seed: mean, and sample standard deviation."""

    mean: float
    deviation: float | None


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


def rank_intervals(ranks: NDArray[np.int64], seed: int = 0) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of every metric, resampling the examples.

    An example counts by its rank alone, so a resample is fully told by how often each rank was drawn: a
    multinomial draw over ``MAX_K`` + 1 ranks instead of one over the examples.
    """
    shares = np.bincount(ranks, minlength=MAX_K + 1) / len(ranks)
    drawn = np.random.default_rng(seed).multinomial(len(ranks), shares, ROUNDS)  # [rounds, ranks]
    each = gains(np.arange(MAX_K + 1))
    table = np.stack([each[name] for name in METRICS], axis=1)  # [ranks, metrics]
    low, high = np.percentile(drawn @ table / len(ranks), [2.5, 97.5], axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(METRICS)}


def bootstrap_means(values: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Means of resamples of the examples: values [E] or [E, n] -> [rounds] or [rounds, n].

    The columns of one call, and calls with as many examples and the same seed, see the same resamples.
    """
    random = np.random.default_rng(seed)
    size = len(values)
    means = [values[random.integers(0, size, size)].mean(axis=0) for _ in range(ROUNDS)]
    return np.stack(means)


def bootstrap_intervals(
    values: Mapping[str, NDArray[np.float64]], names: Sequence[str], seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of the means, resampling the examples; the same resamples for all names."""
    table = np.stack([values[name] for name in names], axis=1)  # [E, names]
    low, high = np.percentile(bootstrap_means(table, seed), [2.5, 97.5], axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(names)}


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation over seeds; one seed has no deviation."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), deviation)
