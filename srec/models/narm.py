"""NARM: a recurrent net over the clicks, and attention over its states.

Li et al., "Neural Attentive Session-based Recommendation", CIKM 2017 (arXiv 1711.04725).

    c_g = h_t                                            (global encoder)
    alpha_j = v^T sigmoid(A1 h_t + A2 h_j)
    c_l = sum_j alpha_j h_j                              (local encoder)
    score of item i: emb_i^T B [c_g ; c_l]               (bilinear decoder)

Both encoders share one net, as in the authors' code. B is multiplied with the session here, so that a score
is one dot product with the item table. Differs from the authors' code in: no softmax over alpha (nor has the
paper one), sigmoid instead of hard sigmoid.
"""

from typing import cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from srec.models.base import ItemFeatures
from srec.models.layers import Gru, at_clicks, click_mask, last_click
from srec.models.scoring import ScoringSettings
from srec.models.table_model import TableModel


class NarmSettings(ScoringSettings):
    """Parameters of NARM; ``dim`` is the papers' tables', the others the paper's."""

    dim: int = Field(100, ge=2, le=4096)
    """Width of item vectors; the paper has 50."""
    hidden: int = Field(100, ge=1, le=4096)
    """Width of the hidden states."""
    dropout_items: float = Field(0.25, ge=0, lt=1)
    """On the vectors of the clicks."""
    dropout_session: float = Field(0.5, ge=0, lt=1)
    """On [c_g ; c_l]."""


class Narm(TableModel):
    """The session vector is B [c_g ; c_l]."""

    name = "narm"
    Settings = NarmSettings

    def __init__(self, settings: NarmSettings, features: ItemFeatures) -> None:
        """Build with random weights."""
        super().__init__(settings, features, settings.dim)
        self.settings: NarmSettings = settings
        hidden = settings.hidden
        self.gru = Gru(settings.dim, hidden)
        self.a1 = nn.Linear(hidden, hidden, bias=False)
        self.a2 = nn.Linear(hidden, hidden, bias=False)
        self.v = nn.Parameter(torch.empty(hidden))
        self.b = nn.Linear(2 * hidden, settings.dim, bias=False)
        self.draw_uniform(hidden)

    def session(self, h: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor) -> Tensor:
        """B [c_g ; c_l], [B, D]."""
        drop = self.settings
        clicks = F.dropout(at_clicks(h, alias), drop.dropout_items, self.training)  # [B, L, D]
        states = self.gru(clicks)  # [B, L, H]
        last = last_click(states, lengths)  # [B, H]
        gates = torch.sigmoid(self.a1(last).unsqueeze(1) + self.a2(states))  # [B, L, H]
        alpha = (gates @ self.v) * click_mask(alias, lengths)  # [B, L]
        local = (alpha.unsqueeze(1) @ states).squeeze(1)  # [B, H]
        both = F.dropout(torch.cat([last, local], dim=-1), drop.dropout_session, self.training)
        return cast(Tensor, self.b(both))
