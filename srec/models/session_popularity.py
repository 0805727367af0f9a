"""S-POP: the session's own items, most clicked first, then the globally most clicked.

A baseline of Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016 (arXiv
1511.06939), section 4: the count inside the session, ties and all other items by global popularity.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srec.models.base import LEAST_COUNT, ItemFeatures, ModelSettings, SessionModel
from srec.models.layers import click_mask
from srec.models.popularity import below_one


class SessionPopularity(SessionModel):
    """Scores an item by its clicks in the session, plus a global popularity below 1."""

    name = "s-pop"
    trained_by_gradient = False
    popularity: Tensor

    def __init__(self, settings: ModelSettings, features: ItemFeatures) -> None:
        super().__init__(settings, features)
        self.register_buffer("popularity", torch.zeros(features.n_items + 1))

    def fit(self, items: NDArray[np.int32], offsets: NDArray[np.int64]) -> None:
        """Count the clicks on every item."""
        self.popularity.copy_(torch.from_numpy(below_one(items, self.n_items)))

    def forward(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """Clicks in the session plus popularity, float32 [B, V]."""
        clicked = nodes.gather(1, alias)  # [B, L]
        scores = self.popularity.repeat(nodes.size(0), 1)  # [B, V+1]
        scores.scatter_add_(1, clicked, click_mask(alias, lengths).to(scores.dtype))
        return scores[:, 1:]

    def log_scores(self, scores: Tensor) -> Tensor:
        """As of counts; the rest of the catalogue, which would outweigh the session, counts for nothing."""
        return torch.where(scores < 1, scores * LEAST_COUNT, scores).clamp(min=LEAST_COUNT**2).log()
