"""Attention over the edges of ``srec.graph.distinct``: sums over edges, and their gradients.

Autograd's own way keeps several arrays of a vector an edge, and adds gradients up row by row. Here an edge's
vector is made of its pair's when it is needed, and sums in both directions are sums of bags.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Edges(NamedTuple):
    """Edges from R pairs to the P pairs around them.

    Attributes:
        around: the neighbours, int64 [R, K], 0 where absent.
        weights: co-occurrence counts, float32 [R, K].
        order: the edges that exist (row * K + column) by the pair they lead to, int64 [edges].
        starts: where each pair's edges begin in ``order``, int64 [P].
    """

    around: Tensor
    weights: Tensor
    order: Tensor
    starts: Tensor


class Pairs(NamedTuple):
    """The part of ``srec.graph.distinct.distinct_inputs`` that is about pairs.

    Attributes:
        items, sessions: of the pairs, int64 [P].
        slots: the pair of each node, int64 [B, N].
        edges: from the pairs within 0, 1, ... hops.
    """

    items: Tensor
    sessions: Tensor
    slots: Tensor
    edges: list[Edges]

    @classmethod
    def of(cls, rows: tuple[Tensor, ...]) -> "Pairs":
        """Read what follows the session graph in the inputs."""
        items, sessions, slots, around, weights, reach, *backwards = rows
        edges = [
            Edges(around[:count], weights[:count], backwards[2 * hop], backwards[2 * hop + 1])
            for hop, count in enumerate(reach.tolist())
        ]
        return cls(items, sessions, slots, edges)


def edge_scores(of_pairs: Tensor, of_weight: Tensor, q: Tensor, slope: float, edges: Edges) -> Tensor:
    """q^T LeakyReLU(z_j + w_ij u) for every edge i -> j, float32 [R, K].

    Args:
        of_pairs: z, [P, D].
        of_weight: u, [D].
        q: [D].
        slope: of the LeakyReLU below 0.
        edges: from R pairs to P.
    """
    scores: Tensor = _EdgeScores.apply(  # type: ignore[no-untyped-call]
        of_pairs.float(), of_weight.float(), q.float(), slope, *edges
    )
    return scores


def weighted_sum(shares: Tensor, of_pairs: Tensor, edges: Edges) -> Tensor:
    """Sum over the edges i -> j of their shares [R, K] times the vectors of j [P, D]: float32 [R, D]."""
    summed: Tensor = _WeightedSum.apply(  # type: ignore[no-untyped-call]
        shares.float(), of_pairs.float(), *edges
    )
    return summed


class _EdgeScores(torch.autograd.Function):
    """See ``edge_scores``."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        of_pairs, of_weight, q, ctx.slope, around, weights, order, starts = given
        inside = of_pairs.index_select(0, around.flatten())  # [R K, D]
        inside.addcmul_(weights.view(-1, 1), of_weight)
        ctx.save_for_backward(inside, q, weights, order, starts)
        return torch.mv(F.leaky_relu(inside, ctx.slope), q).view(around.shape)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        inside, q, weights, order, starts = ctx.saved_tensors
        surplus = upstream[0].flatten()  # [R K]
        slopes = torch.where(inside > 0, 1.0, ctx.slope)  # [R K, D]
        of_pairs = _bags(slopes, order, starts, surplus[order]).mul_(q)  # [P, D]
        of_weight = torch.mv(slopes.T, surplus * weights.flatten()).mul_(q)
        of_q = torch.mv(slopes.mul_(inside).T, surplus)
        return of_pairs, of_weight, of_q, None, None, None, None, None


class _WeightedSum(torch.autograd.Function):
    """See ``weighted_sum``."""

    @staticmethod
    def forward(ctx: Any, *given: Tensor) -> Tensor:
        shares, of_pairs, around, _, order, starts = given
        ctx.save_for_backward(shares, of_pairs, around, order, starts)
        return F.embedding_bag(around, of_pairs, per_sample_weights=shares, mode="sum")

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
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
