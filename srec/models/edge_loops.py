"""``srec.models.edges`` in loops, on a CPU: an edge's vector is made in registers, and never written.

In calls of torch an array of a vector an edge, too large for caches, is written and read a dozen times.
"""

from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srec.compiled import compiled
from srec.models import edge_tensors

ONE: Final = np.float32(1)
ZERO: Final = np.float32(0)

Floats: TypeAlias = NDArray[np.float32]
Places: TypeAlias = NDArray[np.int64]


class _Scoring(NamedTuple):
    """What scores are made of: z [P, D], u [D], q [D] and the LeakyReLU's slope below 0."""

    of_pairs: Floats
    of_weight: Floats
    q: Floats
    slope: float


class _ByTarget(NamedTuple):
    """The edges by the pair that they lead to, [edges], and where each pair's begin, [P]."""

    order: Places
    starts: Places


class EdgeScores(torch.autograd.Function):
    """See ``srec.models.edges.edge_scores``."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        """As there."""
        of_pairs, of_weight, q, ctx.slope, around, weights, order, starts = given
        ctx.save_for_backward(of_pairs, of_weight, q, weights, order, starts)
        scores = torch.empty_like(weights)
        scoring = _Scoring(of_pairs.numpy(), of_weight.numpy(), q.numpy(), ctx.slope)
        _score(scoring, around.numpy(), weights.numpy(), scores.numpy())
        return scores

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of z, u and q."""
        of_pairs, of_weight, q, weights, order, starts = ctx.saved_tensors
        gradients, others = torch.empty_like(of_pairs), q.new_zeros(2, len(q))
        scoring = _Scoring(of_pairs.numpy(), of_weight.numpy(), q.numpy(), ctx.slope)
        edges = _ByTarget(order.numpy(), starts.numpy())
        surplus = upstream[0].contiguous().numpy()
        _score_gradients(scoring, edges, (weights.numpy(), surplus), gradients.numpy(), others.numpy())
        return gradients, others[0], others[1], None, None, None, None, None


class WeightedSum(edge_tensors.WeightedSum):
    """See ``srec.models.edges.weighted_sum``; the sums are bags, only their gradients are worth loops."""

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the shares and of the vectors."""
        shares, of_pairs, _, order, starts = ctx.saved_tensors
        of_shares, gradients = torch.zeros_like(shares), torch.empty_like(of_pairs)
        given = (shares.numpy(), of_pairs.numpy(), upstream[0].contiguous().numpy())
        edges = _ByTarget(order.numpy(), starts.numpy())
        _sum_gradients(given, edges, of_shares.numpy(), gradients.numpy())
        return of_shares, gradients, None, None, None, None


@compiled
def _score(scoring: _Scoring, around: Places, weights: Floats, scores: Floats) -> None:
    """Write q^T LeakyReLU(z_j + w_ij u) for the edges ``around`` [R, K] to ``scores``, 0 where none is."""
    below = np.float32(scoring.slope)
    for row in range(around.shape[0]):
        for column in range(around.shape[1]):
            pair, weight, score = around[row, column], weights[row, column], ZERO
            if pair > 0:
                for d in range(len(scoring.q)):
                    inside = scoring.of_pairs[pair, d] + weight * scoring.of_weight[d]
                    score += scoring.q[d] * max(inside, below * inside)
            scores[row, column] = score


@compiled
def _edges_to(pair: int, edges: _ByTarget) -> Places:
    """The edges that lead to a pair, row * K + column each."""
    stop = edges.starts[pair + 1] if pair + 1 < len(edges.starts) else len(edges.order)
    return edges.order[edges.starts[pair] : stop]


@compiled
def _score_gradients(
    scoring: _Scoring, edges: _ByTarget, given: tuple[Floats, Floats], gradients: Floats, others: Floats
) -> None:
    """The gradients of the scores, added up pair by pair.

    Args:
        scoring: what they were made of.
        edges: between pairs.
        given: their weights, and gradients of their scores, [R, K].
        gradients: of z, [P, D]; written.
        others: of u and q, zeros [2, D]; written.
    """
    of_pairs, of_weight, q = scoring.of_pairs, scoring.of_weight, scoring.q
    below = np.float32(scoring.slope)
    weights, surplus = given
    for pair in range(len(edges.starts)):
        gradients[pair] = ZERO
        for edge in _edges_to(pair, edges):
            row, column = edge // weights.shape[1], edge % weights.shape[1]
            weight, more = weights[row, column], surplus[row, column]
            for d in range(len(q)):
                inside = of_pairs[pair, d] + weight * of_weight[d]
                sloped = more * (ONE if inside > ZERO else below)
                gradients[pair, d] += sloped
                others[0, d] += sloped * weight
                others[1, d] += sloped * inside
        gradients[pair] *= q
    others[0] *= q


@compiled
def _sum_gradients(
    given: tuple[Floats, Floats, Floats], edges: _ByTarget, of_shares: Floats, gradients: Floats
) -> None:
    """The gradients of the sums over each row's edges of shares times the vectors that they lead to.

    Args:
        given: the shares [R, K], the vectors [P, D], and gradients of the sums [R, D].
        edges: between pairs.
        of_shares: gradients of the shares, zeros [R, K]; written where edges are.
        gradients: of the vectors, [P, D]; written.
    """
    shares, of_pairs, sums = given
    for pair in range(len(edges.starts)):
        gradients[pair] = ZERO
        for edge in _edges_to(pair, edges):
            row, column = edge // shares.shape[1], edge % shares.shape[1]
            share, product = shares[row, column], ZERO
            for d in range(of_pairs.shape[1]):
                product += of_pairs[pair, d] * sums[row, d]
                gradients[pair, d] += share * sums[row, d]
            of_shares[row, column] = product
