"""Weighted edges of session graphs, derived from the clicks: how often, how long ago, and to whom else.

``srec.graph.session`` gives the kinds of edges; models that weigh edges count the transitions here, in tensor
operations that a trace keeps for any shape.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from srec.models.layers import click_mask, masked_softmax

SLOPE = 0.2  # of the LeakyReLU


class SessionEdges(NamedTuple):
    """Edges from nodes i (rows) to nodes j (columns).

    Attributes:
        counts: how often j followed i, [B, N, N]; a borrowed edge counts a part of 1.
        lasting: what of an edge is left after its time, 0 to 1, [B, N, N]; None: all of every edge.
    """

    counts: Tensor
    lasting: Tensor | None = None


def transitions(alias: Tensor, lengths: Tensor, nodes: int, weights: Tensor | None = None) -> Tensor:
    """Count or weigh the transitions from node to node.

    Args:
        alias: node of each click, [B, L].
        lengths: clicks of each session, [B].
        nodes: N.
        weights: of the transition into each click, [B, L]; None: 1.

    Returns:
        sums over the transitions from node i to node j, [B, N, N].
    """
    at_node = alias.unsqueeze(2) == torch.arange(nodes, device=alias.device)  # [B, L, N]
    clicked = (at_node & click_mask(alias, lengths).unsqueeze(2)).float()
    into = clicked if weights is None else clicked * weights.unsqueeze(2)
    return clicked[:, :-1].transpose(1, 2) @ into[:, 1:]


def decayed(alias: Tensor, lengths: Tensor, nodes: int, factors: Tensor) -> SessionEdges:
    """Edges whose transitions decay by a factor each, [B, L]; an edge lasts as its mean transition does."""
    counts = transitions(alias, lengths, nodes)
    total = transitions(alias, lengths, nodes, factors)
    return SessionEdges(counts, total / counts.clamp(min=1))


def adjacency(counts: Tensor, by_source: bool) -> tuple[Tensor, Tensor]:
    """Weights of incoming and of outgoing edges, [B, N, N] each; row i is what node i hears.

    Args:
        counts: transitions from i to j, [B, N, N].
        by_source: divide counts by the source's out-degree, in both; otherwise each transition is an edge of
            weight 1 (a borrowed one keeps its part), divided by in-degree and out-degree.
    """
    weights = counts if by_source else counts.clamp(max=1)
    outgoing = weights / _or_one(weights.sum(2, keepdim=True))
    if by_source:
        return outgoing.transpose(1, 2), outgoing
    return (weights / _or_one(weights.sum(1, keepdim=True))).transpose(1, 2), outgoing


def _or_one(degrees: Tensor) -> Tensor:
    return degrees + (degrees == 0)


def attended(projected: Tensor, linked: Tensor, vectors: Tensor) -> Tensor:
    """Weights of linked nodes: softmax_j LeakyReLU(a^T [W h_i ; W h_j]) (Velickovic et al., ICLR 2018).

    Args:
        projected: W h, [B, N, D].
        linked: which j node i hears, bool [B, N, N].
        vectors: both halves of a, [2, D].
    """
    own, other = (projected @ vectors.T).unbind(-1)  # [B, N] each
    return masked_softmax(F.leaky_relu(own.unsqueeze(2) + other.unsqueeze(1), SLOPE), linked)


class Borrowed(NamedTuple):
    """Nodes that join the session graphs; they stand behind the session's own.

    Attributes:
        nodes: items, 0 where nothing joins, [B, k].
        shares: of the last item's transitions, each way; together 1, or 0 where none joins, [B, k].
    """

    nodes: Tensor
    shares: Tensor


def borrow(nodes: Tensor, last: Tensor, rows: tuple[Tensor, Tensor], short: Tensor, size: int) -> Borrowed:
    """Let the last item's heaviest neighbours in the global graph join the graphs of short sessions.

    A neighbour that the session has clicked itself does not join. What joins weighs, each way, together as
    much as one transition, in proportion to how often it was clicked near the last item.

    Args:
        nodes: [B, N].
        last: node of the last click, [B, 1].
        rows: of the global graph for the nodes: neighbours, heaviest first, and weights, [B, N, K].
        short: which sessions borrow, bool [B].
        size: neighbours that are looked at.
    """
    at = last.unsqueeze(2).expand(-1, -1, rows[0].size(2))  # [B, 1, K]
    items, weights = (row.gather(1, at).squeeze(1)[:, :size] for row in rows)  # [B, k]
    clicked = (items.unsqueeze(2) == nodes.unsqueeze(1)).any(2)
    joins = (items > 0) & ~clicked & short.unsqueeze(1)
    kept = weights * joins
    return Borrowed(items * joins, kept / kept.sum(1, keepdim=True).clamp(min=1))


def with_borrowed(edges: SessionEdges, last: Tensor, shares: Tensor) -> SessionEdges:
    """Append the borrowed nodes to the edges, linked with the last item both ways: [B, N + k, N + k]."""
    k, n = shares.size(1), edges.counts.size(1)
    at_last = (torch.arange(n + k, device=last.device) == last).float()  # [B, N + k]
    links = at_last.unsqueeze(2) * F.pad(shares, (n, 0)).unsqueeze(1)
    counts = F.pad(edges.counts, (0, k, 0, k)) + links + links.transpose(1, 2)
    if edges.lasting is None:
        return SessionEdges(counts)
    return SessionEdges(counts, F.pad(edges.lasting, (0, k, 0, k), value=1.0))
