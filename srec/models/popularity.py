"""POP: the items clicked most often in training, the same for every session."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srec.models.base import ItemFeatures, ModelSettings, SessionModel


def below_one(items: NDArray[np.int32], n_items: int) -> NDArray[np.float64]:
    """Training clicks of every item as a number from 0 to below 1, [V+1]: what orders equal counts."""
    clicks = np.bincount(items, minlength=n_items + 1)
    shares: NDArray[np.float64] = clicks / (clicks.max() + 1)
    return shares


class Popularity(SessionModel):
    """Scores an item by its clicks in the training sequences."""

    name = "pop"
    trained_by_gradient = False
    clicks: Tensor

    def __init__(self, settings: ModelSettings, features: ItemFeatures) -> None:
        super().__init__(settings, features)
        self.register_buffer("clicks", torch.zeros(features.n_items))

    def fit(self, items: NDArray[np.int32], offsets: NDArray[np.int64]) -> None:
        """Count the clicks on every item."""
        counts = np.bincount(items, minlength=self.n_items + 1)[1:]
        self.clicks.copy_(torch.from_numpy(counts))

    def forward(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """Training clicks, float32 [B, V]."""
        return self.clicks.repeat(nodes.size(0), 1)  # a copy: the caller writes to it
