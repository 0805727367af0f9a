"""Attention over the edges of ``srec.graph.distinct``: sums over edges, and their gradients.

By loops on a CPU, in calls of torch elsewhere, with the same results.
"""

from types import ModuleType
from typing import NamedTuple

from torch import Tensor

from srec.models import edge_loops, edge_tensors


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
    scores: Tensor = _way(of_pairs).EdgeScores.apply(
        of_pairs.float(), of_weight.float(), q.float(), slope, *edges
    )
    return scores


def weighted_sum(shares: Tensor, of_pairs: Tensor, edges: Edges) -> Tensor:
    """Sum over the edges i -> j of their shares [R, K] times the vectors of j [P, D]: float32 [R, D]."""
    summed: Tensor = _way(of_pairs).WeightedSum.apply(shares.float(), of_pairs.float(), *edges)
    return summed


def _way(vectors: Tensor) -> ModuleType:
    """Where these vectors are worked on best."""
    return edge_loops if vectors.device.type == "cpu" else edge_tensors
