"""A small head that imitates a session model: last and mean item vector -> session vector.

Not a model to train on clicks: ``srec.training.distil`` teaches it the session vectors of a trained one
(Hinton et al., arXiv 1503.02531). It looks nothing up in the global graph, and of the order it knows the last
click only.
"""

from typing import cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from srec.models.base import ItemFeatures, ModelSettings, SessionModel
from srec.models.layers import at_clicks, click_mask, masked_mean


class DistilledSettings(ModelSettings):
    """Size of the head."""

    hidden: int = Field(256, ge=1, le=8192)


class DistilledHead(SessionModel):
    """Two layers between item vectors and session vector; items are scored as the teacher scores them."""

    name = "distilled"
    Settings = DistilledSettings
    table: Tensor

    def __init__(self, settings: DistilledSettings, teacher: SessionModel, max_clicks: int) -> None:
        """Take the teacher's item vectors as they are."""
        super().__init__(settings, ItemFeatures(teacher.n_items, max_clicks))
        vectors = teacher.item_vectors().detach()
        self.register_buffer("table", F.pad(vectors, (0, 0, 1, 0)))  # [V+1, D]
        self.repeats = teacher.repeats
        dim = vectors.size(1)
        self.body = nn.Sequential(
            nn.Linear(2 * dim, settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, dim)
        )

    def encode(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """Session vectors, float32 [B, D]."""
        clicks = at_clicks(F.embedding(nodes, self.table), alias)  # [B, L, D]
        last = clicks[torch.arange(clicks.size(0)), lengths - 1]  # [B, D]
        mean = masked_mean(clicks, click_mask(alias, lengths))
        return cast(Tensor, self.body(torch.cat([last, mean], dim=-1)))

    def item_vectors(self) -> Tensor:
        """The teacher's, [V, D]."""
        return self.table[1:]
