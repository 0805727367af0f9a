"""Cross-entropy over all items with its gradients, in one pass over the scores.

Most of a training step is this: [B, V] scores, and two products of their gradient with the session vectors
and the item table. Left to autograd it keeps several arrays of that size and visits memory many times more.
"""

from typing import Any

import torch
from torch import Tensor

from srec.matmul import columns_by_rows, rows_by_rows

LARGEST = 1 << 25  # scores held at once, 128 MB


class _FullSoftmax(torch.autograd.Function):
    """Computes the gradients with the loss, since both need the same probabilities."""

    @staticmethod
    def forward(ctx: Any, sessions: Tensor, table: Tensor, *constants: Any) -> Tensor:
        targets, added, weights = constants
        of_sessions, of_table = torch.empty_like(sessions), None
        loss = torch.zeros((), device=sessions.device)
        rows = max(1, LARGEST // len(table))
        for start in range(0, len(targets), rows):
            part = slice(start, start + rows)
            scores = rows_by_rows(sessions[part], table).float()
            scores = scores if added is None else scores.add_(added)
            losses, surplus = _softmax(scores, targets[part])
            loss += (losses * weights[part]).sum()
            surplus, weight = surplus.to(table.dtype), weights[part].unsqueeze(1)
            of_sessions[part] = rows_by_rows(surplus, table.T) * weight
            of_part = columns_by_rows(surplus, (sessions[part] * weight).to(table.dtype))
            of_table = of_part if of_table is None else of_table.add_(of_part)
        ctx.save_for_backward(of_sessions, of_table)
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        of_sessions, of_table = ctx.saved_tensors
        return of_sessions * upstream[0], of_table.mul_(upstream[0]), None, None, None


def _softmax(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Losses [n] of ``scores`` [n, V], which are overwritten by the gradients of those losses."""
    rows = torch.arange(len(targets), device=targets.device)
    above = scores.amax(1) - scores[rows, targets]
    probabilities = torch.softmax(scores, 1, out=scores)
    losses = above - probabilities.amax(1).log()  # the largest is 1 / sum(exp(score - largest score))
    probabilities[rows, targets] -= 1
    return losses, probabilities


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
    if weights is None:
        weights = sessions.new_ones(len(targets), dtype=torch.float32)
    loss: Tensor = _FullSoftmax.apply(  # type: ignore[no-untyped-call]
        sessions, table, targets, added, weights / len(targets)
    )
    return loss
