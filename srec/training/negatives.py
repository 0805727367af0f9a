"""Items to compare a target with where scoring all of them costs too much (Bengio & Senecal, 2003)."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Drawn:
    """Negatives that all sessions of a batch share.

    Attributes:
        items: columns of the item table, int64 [n], with repeats.
        log_expected: log of how often each is expected among them, log(n q), float32 [n].
    """

    items: Tensor
    log_expected: Tensor


class NegativeSampler:
    """Draws items with replacement, with a chance in proportion to clicks ** power."""

    def __init__(self, clicks: Tensor, count: int, power: float) -> None:
        """Prepare the draw.

        Args:
            clicks: how often each item was clicked, [V]; items without a click are never drawn.
            count: items a draw, n.
            power: 0 draws evenly, 1 by popularity.
        """
        weights = clicks.double().pow(power) * (clicks > 0)
        self.count = count
        self.cumulative = weights.cumsum(0) / weights.sum()  # [V]
        self.log_chance = (weights / weights.sum()).log().float()  # [V], -inf where never drawn

    def draw(self) -> Drawn:
        """The negatives of one batch, from torch's global generator of the CPU."""
        device = self.cumulative.device
        points = torch.rand(self.count, dtype=torch.float64).to(device)
        items = torch.searchsorted(self.cumulative, points, right=True).clamp(max=len(self.cumulative) - 1)
        return Drawn(items, self.log_chance[items] + torch.tensor(float(self.count)).log().item())
