"""``srec.models.edges`` in calls of torch, on any device.

Autograd's own way keeps several arrays of a vector an edge, and adds gradients up row by row. Here an edge's
vector is made of its pair's when it is needed, and sums in both directions are sums of bags.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class EdgeScores(torch.autograd.Function):
    """See ``srec.models.edges.edge_scores``."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        """As there."""
        of_pairs, of_weight, q, ctx.slope, around, weights, order, starts = given
        inside = of_pairs.index_select(0, around.flatten())  # [R K, D]
        inside.addcmul_(weights.view(-1, 1), of_weight)
        ctx.save_for_backward(inside, q, weights, order, starts)
        return torch.mv(F.leaky_relu(inside, ctx.slope), q).view(around.shape)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of z, u and q."""
        inside, q, weights, order, starts = ctx.saved_tensors
        surplus = upstream[0].flatten()  # [R K]
        slopes = torch.where(inside > 0, 1.0, ctx.slope)  # [R K, D]
        of_pairs = _bags(slopes, order, starts, surplus[order]).mul_(q)  # [P, D]
        of_weight = torch.mv(slopes.T, surplus * weights.flatten()).mul_(q)
        of_q = torch.mv(slopes.mul_(inside).T, surplus)
        return of_pairs, of_weight, of_q, None, None, None, None, None


class WeightedSum(torch.autograd.Function):
    """See ``srec.models.edges.weighted_sum``."""

    @staticmethod
    def forward(ctx: Any, *given: Tensor) -> Tensor:
        """As there."""
        shares, of_pairs, around, _, order, starts = given
        ctx.save_for_backward(shares, of_pairs, around, order, starts)
        return F.embedding_bag(around, of_pairs, per_sample_weights=shares, mode="sum")

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the shares and of the vectors."""
        shares, of_pairs, around, order, starts = ctx.saved_tensors
        sums = upstream[0].contiguous()  # [R, D]
        vectors = of_pairs.index_select(0, around.flatten()).view(*around.shape, -1)  # [R, K, D]
        of_shares = torch.bmm(vectors, sums.unsqueeze(2)).squeeze(2)  # [R, K]
        rows = order.div(around.size(1), rounding_mode="floor")
        of_vectors = _bags(sums, rows, starts, shares.flatten()[order])  # [P, D]
        return of_shares, of_vectors, None, None, None, None


def _bags(vectors: Tensor, rows: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of ``vectors[rows]``, a bag from each start to the next, [P, D]."""
    return F.embedding_bag(rows, vectors, starts, per_sample_weights=weights, mode="sum")
