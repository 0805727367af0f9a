"""Two models on the same examples: the paired bootstrap of their difference."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srec.errors import InputError
from srec.evaluation.evaluate import Progress
from srec.evaluation.measured import FACTS, Measured
from srec.evaluation.metrics import MAX_K, METRICS, bootstrap_means, gains
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

    Sessions are resampled with all their examples, never the seeds: an example counts by the mean over a
    model's seeds.

    Returns:
        for each of ``METRICS`` the means ``first`` and ``second``, their ``difference`` (first - second), its
        95 % ``interval_95``, and ``p``, twice the smaller share of resamples on either side of zero.

    Raises:
        InputError: they were not measured on the same examples in the same way, or none of them says which
            examples are of one session.
    """
    _check(first, second)
    sides = [_mean_gains(first), _mean_gains(second)]  # [E, metrics] each
    resampled = bootstrap_means(sides[0] - sides[1], _groups([*first, *second]), seed)  # [rounds, metrics]
    low, high = np.percentile(resampled, [2.5, 97.5], axis=0)
    p = 2 * np.minimum((resampled <= 0).mean(axis=0), (resampled >= 0).mean(axis=0))
    means = [side.mean(axis=0) for side in sides]
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


def _mean_gains(seeds: Sequence[Measured]) -> NDArray[np.float64]:
    """What each example contributes to each metric, over a model's seeds: [E, metrics]."""
    of_ranks = gains(np.arange(MAX_K + 1))
    table = np.stack([of_ranks[name] for name in METRICS], axis=1)  # [ranks, metrics]
    total = np.zeros((len(seeds[0].ranks), len(METRICS)))
    for seed in seeds:
        total += table[seed.ranks]
    return total / len(seeds)


def _groups(measured: Sequence[Measured]) -> NDArray[np.int64]:
    """The groups of the examples, which are those of all: of the first that knows them."""
    for one in measured:
        if len(one.groups):
            return one.groups
    raise InputError(
        "none of these files of ranks says which examples are of one session, as an earlier version wrote "
        "them: write one of them again with `srec evaluate --ranks`, or compare the runs themselves"
    )


def _check(first: Sequence[Measured], second: Sequence[Measured]) -> None:
    for one in (*first, *second):
        for name in FACTS[1:]:
            if one.facts[name] != first[0].facts[name]:
                raise InputError(
                    f"the two were not measured alike: {name} is {first[0].facts[name][:12]} for one and "
                    f"{one.facts[name][:12]} for another; compare runs of the same data and split"
                )
