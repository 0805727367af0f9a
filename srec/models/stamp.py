"""STAMP: attention over the clicks, anchored on their mean and on the last one.

Liu et al., "STAMP: Short-Term Attention/Memory Priority Model for Session-based Recommendation", KDD 2018.

    m_s = mean(x), m_t = x_t
    alpha_i = w0^T sigmoid(W1 x_i + W2 x_t + W3 m_s + b_a)
    m_a = sum_i alpha_i x_i
    h_s = tanh(W_s (m_a + m_s) + b_s), h_t = tanh(W_t m_t + b_t)
    score of item i: <h_s, h_t, x_i> = (h_s * h_t)^T x_i  (trilinear composition)

The paper feeds m_a alone into h_s and puts a sigmoid around the score before the softmax. The authors' code
(uestcnlp/STAMP) and RecBole add m_s and have no such sigmoid, which would bound all logits to 0..1; so does
this file. The sigmoid would not change the order of the items.
"""

from typing import Final

import torch
from pydantic import Field
from torch import Tensor, nn

from srec.models.base import ItemFeatures
from srec.models.layers import at_clicks, click_mask, last_click, masked_mean
from srec.models.scoring import ScoringSettings
from srec.models.table_model import TableModel

STD_WEIGHTS: Final = 0.05
STD_ITEMS: Final = 0.002


class StampSettings(ScoringSettings):
    """Parameters of STAMP; the defaults are the paper's."""

    dim: int = Field(100, ge=2, le=4096)


class Stamp(TableModel):
    """The session vector is h_s * h_t."""

    name = "stamp"
    Settings = StampSettings

    def __init__(self, settings: StampSettings, features: ItemFeatures) -> None:
        """Build with random weights."""
        super().__init__(settings, features, settings.dim)
        self.settings: StampSettings = settings
        dim = settings.dim
        self.w1 = nn.Linear(dim, dim)
        self.w2 = nn.Linear(dim, dim, bias=False)
        self.w3 = nn.Linear(dim, dim, bias=False)
        self.w0 = nn.Parameter(torch.empty(dim))
        self.ws, self.wt = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self._initialise()

    def session(self, h: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor) -> Tensor:
        """The product h_s * h_t, [B, D]."""
        clicks, mask = at_clicks(h, alias), click_mask(alias, lengths)  # [B, L, D], [B, L]
        last, mean = last_click(clicks, lengths), masked_mean(clicks, mask)  # [B, D]
        anchor = (self.w2(last) + self.w3(mean)).unsqueeze(1)  # [B, 1, D]
        alpha = (torch.sigmoid(self.w1(clicks) + anchor) @ self.w0) * mask  # [B, L]
        attended = (alpha.unsqueeze(1) @ clicks).squeeze(1)  # [B, D]
        return torch.tanh(self.ws(attended + mean)) * torch.tanh(self.wt(last))

    def _initialise(self) -> None:
        """Draw weights from N(0, 0.05^2) and item vectors from N(0, 0.002^2); biases and padding are zero."""
        with torch.no_grad():
            for name, weights in self.named_parameters():
                if name.endswith("bias"):
                    weights.zero_()
                else:
                    weights.normal_(0, STD_WEIGHTS)
            self.items.weight.normal_(0, STD_ITEMS)
            self.items.weight[0] = 0
