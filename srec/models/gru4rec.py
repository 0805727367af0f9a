"""GRU4Rec: a recurrent net over the clicks.

Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016 (arXiv 1511.06939);
Hidasi and Karatzoglou, "Recurrent Neural Networks with Top-k Gains", CIKM 2018 (arXiv 1706.03847), from
which the item table shared by input and output comes.

Differs from the authors' code in: training on prefixes instead of session-parallel batches, the trainer's
loss and optimizer instead of TOP1 or BPR-max with Adagrad, no bias for each item.
"""

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from srec.models.base import ItemFeatures
from srec.models.layers import Gru, at_clicks, last_click
from srec.models.scoring import ScoringSettings
from srec.models.table_model import TableModel


class Gru4RecSettings(ScoringSettings):
    """Parameters of GRU4Rec; the defaults are the authors' for 100 units and cross-entropy."""

    dim: int = Field(100, ge=2, le=4096)
    """Width of item vectors and of the hidden state."""
    layers: int = Field(1, ge=1, le=8)
    dropout_items: float = Field(0.0, ge=0, lt=1)
    """On the vectors of the clicks."""
    dropout_hidden: float = Field(0.4, ge=0, lt=1)
    """On the states of every layer."""
    shared: bool = True
    """Clicks and scores use one item table; ``false``: a table each, as in 2016."""


class Gru4Rec(TableModel):
    """The session vector is the last hidden state."""

    name = "gru4rec"
    Settings = Gru4RecSettings
    item_rows = ("items.weight", "inputs.weight")

    def __init__(self, settings: Gru4RecSettings, features: ItemFeatures) -> None:
        """Build with random weights."""
        super().__init__(settings, features, settings.dim)
        self.settings: Gru4RecSettings = settings
        self.inputs = None
        if not settings.shared:
            self.inputs = nn.Embedding(features.n_items + 1, settings.dim, padding_idx=0)
        self.layers = nn.ModuleList(Gru(settings.dim, settings.dim) for _ in range(settings.layers))
        self.draw_uniform(settings.dim)

    @property
    def looked_up(self) -> Tensor:
        """The input's table, [V+1, D]."""
        return self.items.weight if self.inputs is None else self.inputs.weight

    def session(self, h: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor) -> Tensor:
        """Hidden state after the last click, [B, D]."""
        drop = self.settings
        states = F.dropout(at_clicks(h, alias), drop.dropout_items, self.training)  # [B, L, D]
        for layer in self.layers:
            states = F.dropout(layer(states), drop.dropout_hidden, self.training)
        return last_click(states, lengths)
