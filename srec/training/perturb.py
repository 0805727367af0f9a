"""Perturbed copies of sessions: a click dropped, two neighbours swapped, the clicks of a day shuffled."""

import numpy as np
from numpy.typing import NDArray

from srec.training.options import PerturbOptions

DAY = 86_400  # seconds


class Perturber:
    """Perturbs a share of a batch's sessions, one perturbation each; the newest click is never dropped."""

    def __init__(self, options: PerturbOptions, seed: int) -> None:
        """``seed`` decides all draws."""
        self.kinds = options.perturb.split(",")
        self.share = options.perturb_share
        self.random = np.random.default_rng(seed)

    def __call__(
        self, clicks: NDArray[np.int64], times: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """Perturb padded sessions, which stay as they are.

        Args:
            clicks: padded items, oldest first, int64 [B, L].
            times: of the clicks, unix seconds, int64 [B, L]; needed to shuffle days.

        Returns:
            clicks of the same shape; sessions of one click are left alone.
        """
        lengths = (clicks > 0).sum(1)
        chosen = (self.random.random(len(clicks)) < self.share) & (lengths > 1)
        kinds = self.random.integers(len(self.kinds), size=len(clicks))
        places = (self.random.random(len(clicks)) * (lengths - 1)).astype(np.int64)  # [B], before the newest
        order = np.tile(np.arange(clicks.shape[1]), (len(clicks), 1))  # [B, L]
        for number, kind in enumerate(self.kinds):
            rows = np.flatnonzero(chosen & (kinds == number))
            if kind == "drop":
                order[rows] += order[rows] >= places[rows, None]
            elif kind == "swap":
                order[rows, places[rows]] += 1
                order[rows, places[rows] + 1] -= 1
            elif times is not None:
                order[rows] = self._shuffled(times[rows], lengths[rows])
        wider = np.pad(clicks, ((0, 0), (0, 1)))
        return np.take_along_axis(wider, order, axis=1)

    def _shuffled(self, times: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """An order [n, L] that mixes the clicks of each day (UTC) and keeps the days in place."""
        key = times // DAY + self.random.random(times.shape)
        key[np.arange(times.shape[1]) >= lengths[:, None]] = np.inf
        return np.argsort(key, axis=1, kind="stable")
