"""Scores as dot products or cosines with an item table, for every model that has one."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from srec.models.base import ModelSettings
from srec.models.repeats import RepeatBonus

SHORTEST = 1e-12  # a vector is not scaled up from less, as in F.normalize


class ScoringSettings(ModelSettings):
    """How session vector and item vector make a score; a model's settings extend it."""

    scoring: Literal["dot", "cosine"] = "dot"
    """``cosine``: session and item vectors of length 1, times ``scale`` (NISER, arXiv 1909.04276)."""
    scale: float = Field(12.0, gt=0, allow_inf_nan=False)
    repeats: bool = False
    """What clicked items gain in their scores is fitted on validation (``srec.models.repeats``)."""

    def bonus(self, max_clicks: int) -> RepeatBonus | None:
        """What a model that is built with these settings keeps for clicked items."""
        return RepeatBonus(max_clicks) if self.repeats else None

    def sessions(self, vectors: Tensor) -> Tensor:
        """Session vectors [B, D] as they are scored."""
        return self.scale * F.normalize(vectors, dim=-1) if self.scoring == "cosine" else vectors

    def items(self, table: Tensor) -> Tensor:
        """Item vectors [V, D] as they are scored."""
        return unit_rows(table) if self.scoring == "cosine" else table

    def parts(self, parts: Tensor) -> Tensor:
        """Terms [B, L, D] whose sum over L is a session vector, scaled as ``sessions`` scales the sum."""
        if self.scoring == "dot":
            return parts
        length = parts.sum(1, keepdim=True).norm(dim=-1, keepdim=True)  # [B, 1, 1]
        scaled: Tensor = parts * (self.scale / length.clamp(min=SHORTEST))
        return scaled


def unit_rows(table: Tensor) -> Tensor:
    """Rows scaled to length 1, [V, D]; in training with a gradient of its own, in exports plain ones."""
    if torch.is_grad_enabled() and table.requires_grad:
        scaled: Tensor = _UnitRows.apply(table)  # type: ignore[no-untyped-call]
        return scaled
    return F.normalize(table, dim=-1)


class _UnitRows(torch.autograd.Function):
    """``F.normalize`` over rows; autograd's own way visits a table of this size several times more."""

    @staticmethod
    def forward(ctx: Any, table: Tensor) -> Tensor:
        inverse = table.norm(dim=1, keepdim=True).clamp_(min=SHORTEST).reciprocal_()  # [V, 1]
        unit: Tensor = table * inverse
        ctx.save_for_backward(unit, inverse)
        return unit

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Tensor:
        unit, inverse = ctx.saved_tensors
        along = torch.linalg.vecdot(upstream[0], unit).unsqueeze(1)  # [V, 1]
        across: Tensor = torch.addcmul(upstream[0], unit, along, value=-1)
        return across.mul_(inverse)
