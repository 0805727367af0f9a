"""FPMC: a factorised Markov chain, what follows the last click, and perhaps a taste.

Rendle et al., "Factorizing Personalized Markov Chains for Next-Basket Recommendation", WWW 2010. The paper
scores item i for user u after basket B with

    <v_u^UI, v_i^IU> + 1/|B| sum_{l in B} <v_i^IL, v_l^LI>

A session has no user and its basket is one click: without ``user`` only the transition from the last click is
left, the form that the papers on sessions compare with. With ``user`` the mean of the earlier clicks' own
vectors stands for v_u^UI. Trained by the trainer's loss instead of S-BPR.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from srec.models.base import ItemFeatures
from srec.models.layers import at_clicks, last_click
from srec.models.scoring import ScoringSettings
from srec.models.table_model import TableModel


class FpmcSettings(ScoringSettings):
    """Parameters of FPMC."""

    dim: int = Field(100, ge=2, le=4096)
    """Factors of each interaction."""
    user: bool = False
    """Earlier clicks stand for the user."""


class Fpmc(TableModel):
    """Session vector [v_last^LI ; v_u^UI], item vector [v_i^IL ; v_i^IU]; one half without ``user``."""

    name = "fpmc"
    Settings = FpmcSettings
    additive = True
    item_rows = ("items.weight", "clicked.weight")

    def __init__(self, settings: FpmcSettings, features: ItemFeatures) -> None:
        """Build with random weights."""
        width = settings.dim * (2 if settings.user else 1)
        super().__init__(settings, features, width)
        self.settings: FpmcSettings = settings
        self.clicked = nn.Embedding(features.n_items + 1, width, padding_idx=0)
        self.draw_uniform(settings.dim)

    @property
    def looked_up(self) -> Tensor:
        """Vectors [v^LI ; v^UI] of the clicks, [V+1, E]."""
        return self.clicked.weight

    def session(self, h: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor) -> Tensor:
        """Of the last click, and the mean of those before it, [B, E]."""
        if not self.settings.user:
            return last_click(at_clicks(h, alias), lengths)
        return self.terms(h, alias, edges, lengths).sum(1)

    def terms(self, h: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor) -> Tensor:
        """What each click adds, [B, L, E]: the last one v^LI, the others their share of v^UI."""
        clicks = at_clicks(h, alias)  # [B, L, E]
        place = torch.arange(alias.size(1), device=alias.device)  # [L]
        last = (lengths - 1).unsqueeze(1)  # [B, 1]
        is_last = (place == last).unsqueeze(-1)  # [B, L, 1]
        if not self.settings.user:
            return clicks * is_last
        transition, taste = clicks.chunk(2, dim=-1)  # [B, L, D] each
        share = ((place < last) / last.clamp(min=1)).unsqueeze(-1)  # [B, L, 1]
        return torch.cat([transition * is_last, taste * share], dim=-1)
