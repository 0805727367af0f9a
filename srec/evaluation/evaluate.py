"""Examples -> ranks, through the very path that serves."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srec.data.dataset import Examples
from srec.evaluation.metrics import MAX_K, metrics
from srec.serving.ranker import Ranker
from srec.topk import Selection

BATCH = 128
LENGTH_GROUPS = {"1": (1, 1), "2-3": (2, 3), "4-6": (4, 6), "7+": (7, np.inf)}


@dataclass(frozen=True)
class Ranks:
    """Where the right items stood.

    Attributes:
        ranks: from 1, 0 where not among the first 20, int64 [E].
        lengths: clicks of each example's input, int64 [E].
        seconds: time spent in the ranker.
    """

    ranks: NDArray[np.int64]
    lengths: NDArray[np.int64]
    seconds: float

    def metrics(self) -> dict[str, float]:
        """Metrics over all examples."""
        return metrics(self.ranks)

    def metrics_by_length(self) -> dict[str, dict[str, float]]:
        """Metrics by the number of clicks; groups without an example are left out."""
        groups = {name: (self.lengths >= a) & (self.lengths <= b) for name, (a, b) in LENGTH_GROUPS.items()}
        return {
            name: {"examples": int(group.sum()), **metrics(self.ranks[group])}
            for name, group in groups.items()
            if group.any()
        }


def rank_targets(
    ranker: Ranker,
    examples: Examples,
    exclude_clicked: bool,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Ranks:
    """Rank every example's target; batches hold sessions of similar length, answers keep the order."""
    lengths = np.diff(examples.inputs.offsets)
    order = np.argsort(lengths, kind="stable")
    ranks = np.zeros(len(examples), np.int64)
    seconds = 0.0
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        sessions = [examples.inputs[index] for index in batch]
        selections = [Selection(MAX_K, session if exclude_clicked else ()) for session in sessions]
        began = time.perf_counter()
        answers = ranker.rank(sessions, selections)
        seconds += time.perf_counter() - began
        for index, answer in zip(batch, answers, strict=True):
            place = (answer.items == int(examples.targets[index])).nonzero()
            ranks[index] = int(place[0]) + 1 if len(place) else 0
        progress(min(start + BATCH, len(order)), len(order))
    return Ranks(ranks, lengths, seconds)
