"""Last-item Markov chain: what followed the last click in training, most often first."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srec.graph.neighbours import heaviest
from srec.models.base import ItemFeatures, ModelSettings, SessionModel
from srec.models.popularity import below_one

SUCCESSORS = 200  # kept an item: enough for k = 100 with a whole session of 50 excluded


class LastItemMarkov(SessionModel):
    """Scores an item by how often it directly followed the last click, then by popularity."""

    name = "markov"
    trained_by_gradient = False
    successors: Tensor
    counts: Tensor
    popularity: Tensor

    def __init__(self, settings: ModelSettings, features: ItemFeatures) -> None:
        super().__init__(settings, features)
        rows = features.n_items + 1
        self.register_buffer("successors", torch.zeros(rows, SUCCESSORS, dtype=torch.int64))
        self.register_buffer("counts", torch.zeros(rows, SUCCESSORS))
        self.register_buffer("popularity", torch.zeros(rows))

    def fit(self, items: NDArray[np.int32], offsets: NDArray[np.int64]) -> None:
        """Count the direct successions inside the sequences."""
        sequence = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        together = sequence[:-1] == sequence[1:]
        keys = items[:-1][together].astype(np.int64) * (self.n_items + 1) + items[1:][together]
        table = heaviest(*np.unique(keys, return_counts=True), self.n_items, SUCCESSORS)
        self.successors.copy_(torch.from_numpy(table.neighbours))
        self.counts.copy_(torch.from_numpy(table.weights))
        self.popularity.copy_(torch.from_numpy(below_one(items, self.n_items)))

    def forward(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """Successions plus a popularity below 1, float32 [B, V]."""
        last = nodes.gather(1, alias.gather(1, lengths.unsqueeze(1) - 1)).squeeze(1)  # [B]
        scores = self.popularity.repeat(nodes.size(0), 1)  # [B, V+1]
        scores.scatter_add_(1, self.successors[last], self.counts[last])
        return scores[:, 1:]
