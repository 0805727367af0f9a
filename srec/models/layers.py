"""Layers that more than one session model uses."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DRAWS = 1 << 16  # chances of a component to be dropped are so many parts of 1


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last dimension among the true entries of ``mask``; all zeros where none is true.

    The least finite value stands for "absent": minus infinity would turn a row without a true entry, and its
    gradient, into NaN.
    """
    weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(dim=-1)
    return weights * mask


def dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """``F.dropout``; on CPUs from 16 random bits a component, which cost a fifth of torch's mask."""
    if not (training and rate):
        return x
    if x.device.type != "cpu":
        return F.dropout(x, rate)
    dropped = round(rate * DRAWS)
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    drawn = words.view(torch.int16)[: x.numel()].view(x.shape)  # -DRAWS / 2 to DRAWS / 2 - 1
    kept = (drawn >= dropped - DRAWS // 2).to(x.dtype)
    return x * kept.mul_(DRAWS / (DRAWS - dropped))


def click_mask(alias: Tensor, lengths: Tensor) -> Tensor:
    """Which positions of padded clicks hold a click, bool [B, L]."""
    return torch.arange(alias.size(1), device=alias.device) < lengths.unsqueeze(1)


def at_clicks(of_nodes: Tensor, alias: Tensor) -> Tensor:
    """Vectors of the nodes [B, N, D] -> vectors of the clicks [B, L, D]."""
    return of_nodes.gather(1, alias.unsqueeze(-1).expand(-1, -1, of_nodes.size(2)))


def masked_mean(of_clicks: Tensor, mask: Tensor) -> Tensor:
    """Mean over the clicks that are there: [B, L, D], [B, L] -> [B, D]."""
    present = mask.unsqueeze(-1).to(of_clicks.dtype)  # [B, L, 1]
    return (of_clicks * present).sum(1) / present.sum(1)


def last_click(of_clicks: Tensor, lengths: Tensor) -> Tensor:
    """The vector of each session's last click: [B, L, D], lengths [B] -> [B, D]."""
    last = (lengths - 1).view(-1, 1, 1).expand(-1, 1, of_clicks.size(2))
    return of_clicks.gather(1, last).squeeze(1)


class Gru(nn.Module):
    """One layer of gated recurrent units (Cho et al., arXiv 1406.1078) that starts from zeros.

    ``torch.nn.GRU`` cannot be traced without a warning: it compares widths in Python.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.of_input = nn.Linear(dim, 3 * hidden)  # reset, update, new
        self.of_state = nn.Linear(hidden, 3 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs [B, L, D] -> states after each of them, [B, L, H]."""
        start = x.new_zeros(1, x.size(0), self.hidden)
        gates = (self.of_input, self.of_state)
        weights = [*(gate.weight for gate in gates), *(gate.bias for gate in gates)]
        states: Tensor = torch.gru(x, start, weights, True, 1, 0.0, self.training, False, True)[0]
        return states
