"""Cross-entropy over all items with its gradients, in one pass over the scores.

Most of a training step is this: [B, V] scores, and two products of their gradient with the session vectors
and the item table. Left to autograd it keeps several arrays of that size and visits memory many times more.
"""

from typing import Any

import torch
from torch import Tensor

LARGEST = 1 << 25  # scores held at once, 128 MB


class _FullSoftmax(torch.autograd.Function):
    """Computes the gradients with the loss, since both need the same probabilities."""

    @staticmethod
    def forward(ctx: Any, sessions: Tensor, table: Tensor, *constants: Tensor) -> Tensor:
        targets, added, weights = constants
        of_sessions, of_table = torch.empty_like(sessions), torch.empty_like(table)
        loss = torch.zeros((), device=sessions.device)
        rows = max(1, LARGEST // len(table))
        for start in range(0, len(targets), rows):
            part = slice(start, start + rows)
            scores = (sessions[part] @ table.T).float().add_(added)
            losses, surplus = _softmax(scores, targets[part], weights[part])
            loss += losses
            surplus = surplus.to(table.dtype)
            of_sessions[part] = surplus @ table
            of_table.addmm_(surplus.T, sessions[part], beta=int(start > 0))  # 0: not read
        ctx.save_for_backward(of_sessions, of_table)
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        of_sessions, of_table = ctx.saved_tensors
        return of_sessions * upstream[0], of_table.mul_(upstream[0]), None, None, None


def _softmax(scores: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted sum of the losses of ``scores`` [n, V], which are overwritten by the gradient of that sum."""
    rows = torch.arange(len(targets), device=targets.device)
    right = scores[rows, targets]
    peak = scores.amax(1, keepdim=True)
    probabilities = scores.sub_(peak).exp_()
    total = probabilities.sum(1, keepdim=True)
    losses = (total.log() + peak).squeeze(1) - right
    probabilities.mul_(weights.unsqueeze(1) / total)
    probabilities[rows, targets] -= weights
    return (losses * weights).sum(), probabilities


def full_softmax_loss(
    sessions: Tensor,
    table: Tensor,
    targets: Tensor,
    added: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """Mean cross-entropy of the targets among all items; gradients flow to ``sessions`` and ``table``.

    Equals ``F.cross_entropy(sessions @ table.T + added, targets)``. With vectors in bfloat16 the three large
    products are in bfloat16 too, and the softmax between them in float32.

    Args:
        sessions: session vectors, [B, D].
        table: the item table as scored, [V, D].
        targets: columns of the right items, int64 [B].
        added: a constant for every item's score, float32 [V].
        weights: what each example counts, float32 [B]; the loss is their weighted sum over B.
    """
    if added is None:
        added = sessions.new_zeros(1, dtype=torch.float32)
    if weights is None:
        weights = sessions.new_ones(len(targets), dtype=torch.float32)
    loss: Tensor = _FullSoftmax.apply(  # type: ignore[no-untyped-call]
        sessions, table, targets, added, weights / len(targets)
    )
    return loss
