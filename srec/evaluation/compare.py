"""Two models on the same examples: the paired bootstrap of their difference."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srec.errors import InputError
from srec.evaluation.evaluate import Progress
from srec.evaluation.measured import FACTS, Measured
from srec.evaluation.metrics import METRICS, ROUNDS, gains
from srec.evaluation.report import rank_run
from srec.manifest import RUN
from srec.training.run import Run


def measure(path: Path, split: str, exclude_clicked: bool | None, progress: Progress) -> Measured:
    """Ranks of a RUN folder, or of a file that ``srec evaluate --ranks`` wrote."""
    if path.is_file():
        return Measured.load(path)
    if not (path / RUN.name).is_file():
        raise InputError(f"{path} is neither a run nor a file of ranks: make one with `srec train`")
    run = Run(path)
    data = run.data()
    ranks, excluded = rank_run(run, data, split, exclude_clicked, progress)
    return Measured.of(run.settings.model, data, split, excluded, ranks)


def compare(first: Sequence[Measured], second: Sequence[Measured], seed: int = 0) -> dict[str, Any]:
    """Mean metrics of two models, each of one or more seeds, and the doubt about their difference.

    The examples are resampled, never the seeds: an example counts by the mean over a model's seeds.

    Returns:
        for each of ``METRICS`` the means ``first`` and ``second``, their ``difference`` (first - second), its
        95 % ``interval_95``, and ``p``, twice the smaller share of resamples on either side of zero.

    Raises:
        InputError: they were not measured on the same examples in the same way.
    """
    _check(first, second)
    ranks = np.stack([one.ranks for one in (*first, *second)], axis=1)  # [E, runs]
    kinds, counts = np.unique(ranks, axis=0, return_counts=True)  # examples that all runs ranked alike
    sides = [
        _mean_gains(kinds[:, : len(first)]),
        _mean_gains(kinds[:, len(first) :]),
    ]  # [kinds, metrics] each
    drawn = np.random.default_rng(seed).multinomial(len(ranks), counts / len(ranks), ROUNDS)
    resampled = drawn @ (sides[0] - sides[1]) / len(ranks)  # [rounds, metrics]
    low, high = np.percentile(resampled, [2.5, 97.5], axis=0)
    p = 2 * np.minimum((resampled <= 0).mean(axis=0), (resampled >= 0).mean(axis=0))
    means = [counts @ side / len(ranks) for side in sides]
    return {
        name: {
            "first": float(means[0][i]),
            "second": float(means[1][i]),
            "difference": float(means[0][i] - means[1][i]),
            "interval_95": (float(low[i]), float(high[i])),
            "p": min(1.0, float(p[i])),
        }
        for i, name in enumerate(METRICS)
    }


def _mean_gains(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Ranks of a model's seeds [E, seeds] -> what each example contributes to each metric, [E, metrics]."""
    of_seeds = [gains(column) for column in ranks.T]
    return np.stack([np.mean([each[name] for each in of_seeds], axis=0) for name in METRICS], axis=1)


def _check(first: Sequence[Measured], second: Sequence[Measured]) -> None:
    for one in (*first, *second):
        for name in FACTS[1:]:
            if one.facts[name] != first[0].facts[name]:
                raise InputError(
                    f"the two were not measured alike: {name} is {first[0].facts[name][:12]} for one and "
                    f"{one.facts[name][:12]} for another; compare runs of the same data and split"
                )
