"""Item-KNN: the items that share the most sessions with the last click.

A baseline of Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016 (arXiv
1511.06939), section 4: the cosine of the vectors of sessions, with regularisation against coincidences of
rarely clicked items,

    s(i, j) = |S_i and S_j| / ((|S_i| + lambda)^alpha (|S_j| + lambda)^(1 - alpha)),  j != i,

S_i the sessions that hold item i.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from srec.models.base import ItemFeatures, ModelSettings, SessionModel
from srec.models.popularity import below_one
from srec.models.ragged import entries, occurrences, rank_within, starts_of

TIE = 1e-6  # of a popularity below 1: orders equal similarities, and what has none
PAIRS_PER_CHUNK = 4_000_000  # bounds the pairs in memory to about 200 MB, unless one item has more


class ItemKnnSettings(ModelSettings):
    """Which similarity, and how much of it is kept."""

    neighbours: int = Field(100, ge=1, le=1000)
    """Most similar items kept an item."""
    regularisation: float = Field(20.0, ge=0, allow_inf_nan=False)
    """Lambda, in sessions."""
    alpha: float = Field(0.5, ge=0, le=1)
    """Share of the clicked item in the normalisation; 0.5 is the cosine."""


class ItemKnn(SessionModel):
    """Scores an item by its similarity to the last click, then by popularity."""

    name = "item-knn"
    Settings = ItemKnnSettings
    trained_by_gradient = False
    neighbours: Tensor
    similarities: Tensor
    popularity: Tensor

    def __init__(self, settings: ItemKnnSettings, features: ItemFeatures) -> None:
        super().__init__(settings, features)
        self.settings: ItemKnnSettings = settings
        shape = (features.n_items + 1, settings.neighbours)
        self.register_buffer("neighbours", torch.zeros(shape, dtype=torch.int64))
        self.register_buffer("similarities", torch.zeros(shape))
        self.register_buffer("popularity", torch.zeros(features.n_items + 1))

    def fit(self, items: NDArray[np.int32], offsets: NDArray[np.int64]) -> None:
        """Count the sessions that items share, some items at a time, and keep the most similar ones."""
        index = _Index.of(items, offsets, self.n_items)
        self.neighbours.zero_()
        self.similarities.zero_()
        pairs = F.pad(index.session_starts.diff()[index.sessions].cumsum(0), (1, 0))[index.item_starts]
        first = 1
        while first <= self.n_items:
            last = int(torch.searchsorted(pairs, pairs[first] + PAIRS_PER_CHUNK, right=True)) - 1
            last = min(max(last, first + 1), self.n_items + 1)
            self._keep(*self._similar(index, torch.arange(first, last)))
            first = last
        self.popularity.copy_(torch.from_numpy(TIE * below_one(items, self.n_items)))

    def _similar(self, index: "_Index", items: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pairs of some items, int64 [n] ascending, with others: item, other item, similarity, [M] each."""
        columns, alpha = self.n_items + 1, self.settings.alpha
        of_item, where = entries(index.item_starts, items)
        of_session, inside = entries(index.session_starts, index.sessions[where])
        pairs = items[of_item[of_session]] * columns + index.items[inside]
        keys, shared = torch.unique(pairs, return_counts=True)
        item, other = keys // columns, keys % columns
        support = index.item_starts.diff() + self.settings.regularisation  # [V+1]
        similarity = shared / (support[item] ** alpha * support[other] ** (1 - alpha))
        differs = item != other
        return item[differs], other[differs], similarity[differs]

    def _keep(self, item: Tensor, other: Tensor, similarity: Tensor) -> None:
        """Write the most similar ones of ascending pairs into their rows, equal ones by ascending item."""
        order = similarity.sort(descending=True, stable=True).indices
        order = order[item[order].sort(stable=True).indices]
        rank = rank_within(item[order], self.n_items + 1)
        order, rank = order[rank < self.settings.neighbours], rank[rank < self.settings.neighbours]
        self.neighbours[item[order], rank] = other[order]
        self.similarities[item[order], rank] = similarity[order]

    def forward(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """Similarities to the last click plus a popularity below ``TIE``, float32 [B, V]."""
        last = nodes.gather(1, alias.gather(1, lengths.unsqueeze(1) - 1)).squeeze(1)  # [B]
        scores = self.popularity.repeat(nodes.size(0), 1)  # [B, V+1]
        scores.scatter_add_(1, self.neighbours[last], self.similarities[last])
        return scores[:, 1:]


class _Index(NamedTuple):
    """Which sessions hold an item, and which items a session holds, each once; all int64.

    Attributes:
        items: of session 0, of session 1, ..., [P].
        session_starts: where each session starts in ``items``, [S+1].
        sessions: of item 0, of item 1, ..., [P].
        item_starts: where each item starts in ``sessions``, [V+2].
    """

    items: Tensor
    session_starts: Tensor
    sessions: Tensor
    item_starts: Tensor

    @classmethod
    def of(cls, items: NDArray[np.int32], offsets: NDArray[np.int64], n_items: int) -> "_Index":
        """Index training sequences."""
        known = occurrences(items, offsets, n_items)
        by_item = np.argsort(known.item, kind="stable")
        return cls(
            torch.from_numpy(known.item),
            torch.from_numpy(starts_of(known.sequence, len(offsets) - 1)),
            torch.from_numpy(known.sequence[by_item]),
            torch.from_numpy(starts_of(known.item[by_item], n_items + 1)),
        )
