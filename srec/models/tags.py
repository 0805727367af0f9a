"""The tag recommender: games whose tags are like those of the clicked games.

SRec's other system. With t_v the tag vector of game v (weights of its tags, or their NMF factors):

    score(v) = cos(mean over the clicks of t_click, t_v) + prior * log(1 + clicks_v) / log(1 + most clicks)

Every click counts, order plays no part, to the last bit: the same clicks in another order have the same
answer. Games without tags, and sessions without, are ordered by popularity.
"""

import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from srec.errors import InputError
from srec.models.base import ItemFeatures, ModelSettings, SessionModel
from srec.models.layers import click_mask

TIE = 1e-6  # of a popularity up to 1: orders equal cosines
SHORTEST = 1e-12  # a vector is not scaled up from less


class TagsSettings(ModelSettings):
    """Which tag vectors, and how much popularity."""

    tags: Literal["matrix", "factors"] = "matrix"
    """The tag weights themselves, or their factors of width ``dim``."""
    dim: int = Field(352, ge=2, le=4096)
    prior: float = Field(0.0, ge=0, le=1)
    """What the most popular game gets beside its cosine."""


class Tags(SessionModel):
    """Scores by a product: the session's unit vector and a 1 with a game's unit vector and its prior.

    Counts nothing but popularity, so it knows games that nobody has clicked.
    """

    name = "tags"
    Settings = TagsSettings
    trained_by_gradient = False
    additive = True
    vectors: Tensor
    popularity: Tensor

    def __init__(self, settings: TagsSettings, features: ItemFeatures) -> None:
        """Take the tag vectors; ``InputError`` where there are none."""
        super().__init__(settings, features)
        self.settings: TagsSettings = settings
        if features.tags is None:
            raise InputError(
                "the tag recommender needs tags, and this DATA has none: prepare it with --games"
            )
        self.register_buffer("vectors", features.tags, persistent=False)  # [V+1, T]; features keep them
        self.register_buffer("popularity", torch.zeros(features.n_items + 1))

    def fit(self, items: NDArray[np.int32], offsets: NDArray[np.int64]) -> None:
        """Take the logarithm of the clicks on every item, from 0 to 1."""
        clicks = np.bincount(items, minlength=self.n_items + 1)
        self.popularity.copy_(torch.from_numpy(np.log1p(clicks) / max(math.log1p(clicks.max()), 1)))

    def encode(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """The unit mean tag vector, then 1 for the prior, float32 [B, T+1]."""
        clicks = torch.zeros_like(nodes, dtype=self.vectors.dtype)
        clicks = clicks.scatter_add(1, alias, click_mask(alias, lengths).to(clicks.dtype))  # [B, N]
        # Over nodes, which ascend: a sum over clicks would round by their order.
        mean = (clicks.unsqueeze(1) @ F.embedding(nodes, self.vectors)).squeeze(1)  # [B, T]
        return F.pad(F.normalize(mean, dim=-1), (0, 1), value=1.0)

    def item_vectors(self) -> Tensor:
        """Unit tag vectors, then what popularity adds, float32 [V, T+1]."""
        added = (self.settings.prior + TIE) * self.popularity[1:].unsqueeze(1)
        return torch.cat([F.normalize(self.vectors[1:], dim=-1), added], dim=1)

    def parts(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """What each click adds to the session vector, the prior in equal shares, float32 [B, L, T+1]."""
        mask = click_mask(alias, lengths).unsqueeze(2).to(self.vectors.dtype)  # [B, L, 1]
        vectors = F.embedding(nodes.gather(1, alias), self.vectors) * mask  # [B, L, T]
        length = vectors.sum(1, keepdim=True).norm(dim=-1, keepdim=True).clamp(min=SHORTEST)
        return torch.cat([vectors / length, mask / lengths.view(-1, 1, 1)], dim=-1)
