"""GCE-GNN, and SRec's modification of it.

Wang et al., "Global Context Enhanced Graph Neural Networks for Session-based Recommendation", SIGIR 2020
(arXiv 2106.05081). Equation numbers below are the paper's.

Differs from the authors' code in: absent global neighbours are masked, neighbours are the heaviest ones and
not drawn at random, attention in the session graph is computed as four bilinear forms (N x N memory, not
N x N x D), training computes what a session reaches in the global graph once an item, and the attention over
clicks has the bias b3 of equation 13.

SRec's modification (``tags`` and ``context`` on): the sum of local and global vector is concatenated with the
reversed position, a tag vector and the sum of the learnable context vectors before it enters equation 13; the
attention weights the plain sums. With all of width D that makes 9 D^2 + 9 D parameters beside the tables.
"""

import math
from typing import Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from srec.errors import InputError
from srec.models.base import ItemFeatures, SessionModel
from srec.models.edges import Edges, Pairs, edge_scores, weighted_sum
from srec.models.layers import at_clicks, click_mask, dropout, masked_mean, masked_softmax
from srec.models.scoring import ScoringSettings
from srec.models.side import context_table, tag_table

SLOPE = 0.2  # of the LeakyReLUs, as in the paper
CACHE_CHUNK = 4096  # items a step while neighbours are cached


class GceGnnSettings(ScoringSettings):
    """Parameters of GCE-GNN; the defaults are the paper's for one hop."""

    dim: int = Field(100, ge=2, le=4096)
    hops: int = Field(1, ge=1, le=3)
    dropout_global: float = Field(0.5, ge=0, lt=1)
    """On the global part before it is added to the local one (equation 12)."""
    dropout_aggregator: float = Field(0.0, ge=0, lt=1)
    """Inside the global aggregator, on [h ; h_N] (equation 7)."""
    dropout_local: float = Field(0.0, ge=0, lt=1)
    """On the local part."""
    attention_start: Literal["random", "one"] = "random"
    """Where beta of equation 15 starts: drawn as all weights are, or about 1 a click. A draw gives all
    clicks one sign by chance; from a negative one wide models never come back, and end far worse."""
    tags: bool = False
    tags_trainable: bool = False
    context: bool = False


class LocalAggregator(nn.Module):
    """Attention over the session graph, one vector for each kind of edge (equations 8 to 10)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.kinds = nn.Parameter(torch.empty(4, dim))

    def forward(self, h: Tensor, edges: Tensor) -> Tensor:
        """Node vectors [B, N, D] and edge kinds [B, N, N] -> local vectors [B, N, D]."""
        by_kind = (h.unsqueeze(1) * self.kinds.unsqueeze(1)) @ h.unsqueeze(1).transpose(2, 3)  # [B, 4, N, N]
        kind = (edges - 1).clamp(min=0).unsqueeze(1)  # [B, 1, N, N]
        scores = F.leaky_relu(by_kind.gather(1, kind).squeeze(1), SLOPE)  # [B, N, N]
        return masked_softmax(scores, edges > 0) @ h


class GlobalAggregator(nn.Module):
    """Session-aware attention over an item's neighbours in the global graph (equations 3 to 7)."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.w1 = nn.Linear(dim + 1, dim, bias=False)
        self.q1 = nn.Parameter(torch.empty(dim))
        self.w2 = nn.Linear(2 * dim, dim, bias=False)
        self.dropout = dropout

    def forward(self, h: Tensor, around: Tensor, weights: Tensor, present: Tensor, session: Tensor) -> Tensor:
        """Mix each node with its neighbours.

        Args:
            h: nodes, [B, N, D].
            around: their neighbours, [B, N, K, D].
            weights: co-occurrence counts, [B, N, K].
            present: which neighbours exist, bool [B, N, K].
            session: mean of the session's item vectors, [B, D].
        """
        like_session = around * session.unsqueeze(1).unsqueeze(1)  # [B, N, K, D]
        joined = torch.cat([like_session, weights.unsqueeze(-1)], dim=-1)  # [B, N, K, D+1]
        scores = F.leaky_relu(self.w1(joined), SLOPE) @ self.q1  # [B, N, K]
        mixed = (masked_softmax(scores, present).unsqueeze(-1) * around).sum(2)  # [B, N, D]
        return self._joined(h, mixed)

    def over_pairs(self, h: Tensor, session: Tensor, edges: Edges) -> Tensor:
        """The same for pairs [P, D] and the means of their sessions [P, D]: those with edges, [R, D]."""
        of_vector, of_weight = self.w1.weight[:, :-1], self.w1.weight[:, -1]
        scores = edge_scores(F.linear(h * session, of_vector), of_weight, self.q1, SLOPE, edges)  # [R, K]
        shares = masked_softmax(scores, edges.around > 0)
        return self._joined(h[: len(shares)], weighted_sum(shares, h, edges))

    def _joined(self, h: Tensor, mixed: Tensor) -> Tensor:
        """A node's own vector and what its neighbours mix to (equation 7)."""
        both = dropout(torch.cat([h, mixed], dim=-1), self.dropout, self.training)  # [..., 2D]
        return F.relu(self.w2(both))


class SessionAttention(nn.Module):
    """Soft attention over the clicks with reversed positions (equations 13 to 16)."""

    def __init__(self, dim: int, max_clicks: int, side_dim: int) -> None:
        super().__init__()
        self.positions = nn.Embedding(max_clicks, dim)
        self.w3 = nn.Linear(2 * dim + side_dim, dim)
        self.w4 = nn.Linear(dim, dim)
        self.w5 = nn.Linear(dim, dim, bias=False)
        self.q2 = nn.Parameter(torch.empty(dim))

    def forward(self, h: Tensor, side: list[Tensor], mask: Tensor, lengths: Tensor) -> Tensor:
        """Vectors of the clicks [B, L, D], more of their features [B, L, *], mask [B, L] -> [B, D]."""
        beta = self.weights(h, side, mask, lengths)
        return (beta.unsqueeze(1) @ h).squeeze(1)

    def weights(self, h: Tensor, side: list[Tensor], mask: Tensor, lengths: Tensor) -> Tensor:
        """What each click counts, beta [B, L]; 0 behind the last click."""
        from_last = lengths.unsqueeze(1) - 1 - torch.arange(h.size(1), device=h.device)  # [B, L]
        positions = self.positions(from_last.clamp(min=0))  # [B, L, D]
        z = torch.tanh(self.w3(torch.cat([h, positions, *side], dim=-1)))  # [B, L, D]
        mean = self.w5(masked_mean(h, mask)).unsqueeze(1)  # [B, 1, D]
        beta: Tensor = (torch.sigmoid(self.w4(z) + mean) @ self.q2) * mask  # [B, L]
        return beta


class GceGnn(SessionModel):
    """Session vectors from the session graph and the global graph; scores by dot product."""

    name = "gce-gnn"
    Settings = GceGnnSettings
    additive = True
    reads_pairs = True
    item_rows = ("items.weight", "tags.factors")

    def __init__(self, settings: GceGnnSettings, features: ItemFeatures) -> None:
        """Build with random weights; ``InputError`` where the settings ask for metadata that is not there."""
        super().__init__(settings, features)
        self.settings: GceGnnSettings = settings
        self.hops = settings.hops
        dim = settings.dim
        self.items = nn.Embedding(features.n_items + 1, dim, padding_idx=0)
        self.tags = tag_table(settings.tags, settings.tags_trainable, features)
        self.context = context_table(settings.context, dim, features)
        side_dim = sum(table.width for table in (self.tags, self.context) if table is not None)
        self.local = LocalAggregator(dim)
        self.aggregators = nn.ModuleList(
            GlobalAggregator(dim, settings.dropout_aggregator) for _ in range(settings.hops)
        )
        self.attention = SessionAttention(dim, features.max_clicks, side_dim)
        self.around: Tensor | None = None
        self.repeats = settings.bonus(features.max_clicks)
        self._initialise()

    def cache_neighbours(self, neighbours: Tensor, weights: Tensor) -> None:
        """Fix each item's global part, as if the session were that item alone: an approximation.

        Equation 3 weighs an item's neighbours by the whole session; afterwards it no longer does, and the
        model looks nothing up in the global graph. Needs a model of one hop.

        Args:
            neighbours: of the global graph, [V+1, K], 0 where absent.
            weights: co-occurrence counts, [V+1, K].
        """
        if self.hops != 1:
            raise InputError(f"neighbours can be cached for models of 1 hop, this one has {self.hops}")
        parts = []
        with torch.no_grad():
            for chunk in torch.split(torch.arange(self.n_items + 1), CACHE_CHUNK):
                alone = self.items(chunk)  # [n, D]
                rows = (neighbours[chunk].long().unsqueeze(1), weights[chunk].unsqueeze(1))
                parts.append(self._from_global_graph(alone.unsqueeze(1), alone, rows).squeeze(1))
        self.around, self.hops = torch.cat(parts), 0

    def encode(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """Session vectors [B, D].

        ``rows`` are neighbours and weights, two for each hop; or pairs as ``srec.graph.distinct`` gives them,
        with the same result, where the aggregator's dropout has one mask an item and session.
        """
        session: Tensor = self.attention(*self._clicks(nodes, alias, edges, lengths, *rows), lengths)
        return self.settings.sessions(session)

    def parts(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """The terms beta_i h'_i of equation 16, [B, L, D]; with cosine scoring scaled as their sum is."""
        h, side, mask = self._clicks(nodes, alias, edges, lengths, *rows)
        return self.settings.parts(self.attention.weights(h, side, mask, lengths).unsqueeze(-1) * h)

    def _clicks(
        self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor
    ) -> tuple[Tensor, list[Tensor], Tensor]:
        """Vectors h' of the clicks [B, L, D], their features for the attention [B, L, *], mask [B, L]."""
        drop = self.settings
        mask = click_mask(alias, lengths)  # [B, L]
        pairs = Pairs.of(rows) if len(rows) > 2 * self.hops else None
        vectors = self.items(nodes if pairs is None else pairs.items)
        h = vectors if pairs is None else _at(vectors, pairs.slots)  # [B, N, D]
        local = dropout(self.local(h, edges), drop.dropout_local, self.training)
        session = masked_mean(at_clicks(h, alias), mask)  # [B, D]
        if self.around is not None:
            around = F.embedding(nodes, self.around)
        elif pairs is not None:
            around = _at(self._over_pairs(vectors, session, pairs), pairs.slots)
        else:
            around = self._from_global_graph(h, session, rows)
        summed = at_clicks(local + dropout(around, drop.dropout_global, self.training), alias)  # [B, L, D]
        clicked = nodes.gather(1, alias)  # [B, L]
        side = [table(clicked) for table in (self.tags, self.context) if table is not None]
        return summed, side, mask

    def item_vectors(self) -> Tensor:
        """The item table without padding, [V, D]; rows of length 1 with cosine scoring."""
        return self.settings.items(self.items.weight[1:])

    def _from_global_graph(self, h: Tensor, session: Tensor, rows: tuple[Tensor, ...]) -> Tensor:
        """Aggregate from the farthest hop inwards, [B, N, D]."""
        batch, dim = h.size(0), h.size(2)
        levels: list[Tensor] = [h, *(self.items(neighbours).flatten(1, 2) for neighbours in rows[::2])]
        for step, aggregator in enumerate(self.aggregators):
            levels = [
                aggregator(
                    levels[hop],
                    levels[hop + 1].view(batch, levels[hop].size(1), -1, dim),  # [B, N_hop, K, D]
                    rows[2 * hop + 1],
                    rows[2 * hop] > 0,
                    session,
                )
                for hop in range(self.hops - step)
            ]
        return levels[0]  # [B, N, D]

    def _over_pairs(self, vectors: Tensor, session: Tensor, pairs: Pairs) -> Tensor:
        """The same for the pairs' vectors [P, D]: of those that are nodes."""
        sessions = session.index_select(0, pairs.sessions)  # [P, D]
        for aggregator, edges in zip(self.aggregators, reversed(pairs.edges), strict=True):
            vectors = cast(GlobalAggregator, aggregator).over_pairs(vectors, sessions[: len(vectors)], edges)
        return vectors

    def _initialise(self) -> None:
        """Draw all weights from U(-1/sqrt(D), 1/sqrt(D)), as the authors do; padding stays zero."""
        bound = 1 / math.sqrt(self.settings.dim)
        with torch.no_grad():
            for name, weights in self.named_parameters():
                if not name.startswith("tags."):
                    weights.uniform_(-bound, bound)
            self.items.weight[0] = 0
            if self.settings.attention_start == "one":
                q2 = self.attention.q2  # the sigmoids before it start near 1/2: beta is half its sum
                q2.add_(2 / self.settings.dim - q2.mean())


def _at(of_pairs: Tensor, slots: Tensor) -> Tensor:
    """Vectors of the pairs [P, D] -> of the nodes [B, N, D]."""
    return of_pairs.index_select(0, slots.flatten()).view(*slots.shape, -1)
