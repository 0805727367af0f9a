"""Two models as one: short sessions answered by, or blended with, a counting model.

With p and q the distributions over items of the first and the second model, the weight w and the sharpness g
by the session's length, and f an item's clicks in training:

    score(v) = log(w p(v) + (1 - w) q(v)) - penalty * log(1 + f(v))
    p = softmax(logits), q = softmax(g log_scores) = counts^g / sum of counts^g

A mixture of distributions, as in kNN language models (Khandelwal et al., ICLR 2020, arXiv 1911.00172): with
w 1 or 0 the order is one model's own, so routing by length is a special case. Made by ``srec blend``.
"""

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor

from srec.errors import InputError
from srec.models.base import ItemFeatures, ModelSettings, SessionModel


class LengthGroup(BaseModel):
    """How sessions of some lengths are answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    longest: int | None = Field(default=None, ge=1)
    """Clicks, at most; None: all that are longer than the groups before."""
    weight: float = Field(ge=0, le=1)
    """w, of the first model."""
    sharpness: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """g, of the second model."""


class BlendSettings(ModelSettings):
    """Weights by session length, and what popular items lose."""

    groups: tuple[LengthGroup, ...]
    """By ascending length; the last one has no longest."""
    penalty: float = Field(default=0.0, ge=0, le=1)

    @field_validator("groups")
    @classmethod
    def _ascending(cls, groups: tuple[LengthGroup, ...]) -> tuple[LengthGroup, ...]:
        longest = [group.longest for group in groups[:-1]]
        if not groups or groups[-1].longest is not None or None in longest or longest != sorted(set(longest)):  # type: ignore[type-var]
            raise ValueError("groups ascend by their longest session, and only the last one has none")
        return groups


class Blend(SessionModel):
    """Runs both models over the same items and mixes what they say."""

    name = "blend"
    Settings = BlendSettings
    trained_by_gradient = False
    longest: Tensor
    log_weights: Tensor
    sharpness: Tensor
    handicap: Tensor

    def __init__(
        self, settings: BlendSettings, first: SessionModel, second: SessionModel, clicks: Tensor
    ) -> None:
        """Take two trained models and the items' clicks in training, float32 [V]."""
        if first.n_items != second.n_items:
            raise InputError(f"a blend needs models over the same items: {first.n_items}, {second.n_items}")
        super().__init__(settings, ItemFeatures(first.n_items, 0))
        self.settings: BlendSettings = settings
        self.first, self.second = first, second
        self.hops = max(first.hops, second.hops)
        weights = torch.tensor([[group.weight, 1 - group.weight] for group in settings.groups])
        bounds = [group.longest for group in settings.groups if group.longest is not None]
        self.register_buffer("longest", torch.tensor(bounds, dtype=torch.int64))  # [G-1]
        self.register_buffer("log_weights", weights.log())  # [G, 2]
        self.register_buffer("sharpness", torch.tensor([group.sharpness for group in settings.groups]))
        self.register_buffer("handicap", settings.penalty * clicks.log1p())  # [V]

    def forward(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """Logarithms of the mixture less the penalty, float32 [B, V]."""
        group = torch.bucketize(lengths, self.longest)  # [B]
        one, other = self.log_distributions(
            self.sharpness[group].unsqueeze(1), nodes, alias, edges, lengths, *rows
        )
        weights = self.log_weights[group]  # [B, 2]
        return torch.logaddexp(one + weights[:, :1], other + weights[:, 1:]) - self.handicap

    def log_distributions(self, sharpness: Tensor, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Log p and log q, float32 [B, V] each; ``sharpness`` [B, 1] is q's."""
        one, other = (
            model.log_scores(model(*inputs[: 4 + 2 * model.hops])) for model in (self.first, self.second)
        )
        return one.log_softmax(1), (sharpness * other).log_softmax(1)

    def log_scores(self, scores: Tensor) -> Tensor:
        """They are logarithms already."""
        return scores
