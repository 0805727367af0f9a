"""Ranking metrics with one right answer an example: recall (the papers' P), MRR and NDCG; their doubt."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

CUTOFFS: Final = (5, 10, 20)
MAX_K: Final = max(CUTOFFS)
ROUNDS: Final = 1000  # of the bootstrap
DRAWN: Final = 4_000_000  # counts of drawn groups held at once: 32 MB

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


def rank_intervals(
    ranks: NDArray[np.int64], groups: NDArray[np.int64], seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of every metric, resampling the groups [E] that the examples are of."""
    return bootstrap_intervals(gains(ranks), METRICS, groups, seed)


def bootstrap_intervals(
    values: Mapping[str, NDArray[np.float64]], names: Sequence[str], groups: NDArray[np.int64], seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of the means, resampling groups; the same resamples for all names."""
    table = np.stack([values[name] for name in names], axis=1)  # [E, names]
    low, high = np.percentile(bootstrap_means(table, groups, seed), [2.5, 97.5], axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(names)}


def bootstrap_means(
    values: NDArray[np.float64], groups: NDArray[np.int64], seed: int = 0
) -> NDArray[np.float64]:
    """Means of resamples, each of as many groups as there are, drawn with all of their examples.

    Examples of one session are found or missed together, so they count as one draw: taken one by one they
    would seem to know more than they do. A resample's mean is its sum over its number of examples.

    Args:
        values: of the examples, [E, n]; all columns see the same resamples.
        groups: the session of each example, or what else it is of, from 0, int64 [E].
        seed: of the draws.

    Returns:
        float64 [rounds, n].
    """
    kinds, groups_alike = _kinds(values, groups)
    random, size = np.random.default_rng(seed), groups_alike.sum()
    at_once = max(1, DRAWN // len(kinds))
    rounds = [min(at_once, ROUNDS - start) for start in range(0, ROUNDS, at_once)]
    # A resample is fully told by how often each kind of group was drawn.
    shares = groups_alike / size
    sums = np.concatenate([random.multinomial(size, shares, some) @ kinds for some in rounds])
    means: NDArray[np.float64] = sums[:, 1:] / sums[:, :1]
    return means


def _kinds(
    values: NDArray[np.float64], groups: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Number of examples and sums of the values that groups have, [kinds, 1 + n], and how many have them."""
    sums = [np.bincount(groups, column) for column in values.T]
    # Rounded: the same values in another order differ in the last bit, and would be a kind of their own.
    table = np.stack([np.bincount(groups), *np.round(sums, 12)], axis=1)
    table = np.ascontiguousarray(table[table[:, 0] > 0])
    row = np.dtype((np.void, table.itemsize * table.shape[1]))  # as bytes: ten times as fast as by columns
    kinds, counts = np.unique(table.view(row).ravel(), return_counts=True)
    return kinds.view(np.float64).reshape(-1, table.shape[1]), counts


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation over seeds; one seed has no deviation."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), deviation)
