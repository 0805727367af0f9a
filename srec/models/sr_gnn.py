"""SR-GNN, its variants, and the ways to help it with short sessions and with time.

Wu et al., "Session-based Recommendation with Graph Neural Networks", AAAI 2019 (arXiv 1811.00855). Equation
numbers below are the paper's.

``form="authors"`` is what their public code computes, and the default: a transition is an edge of weight 1
however often it occurs; incoming edges are divided by the in-degree, outgoing ones by the out-degree; a
projection with a bias for each direction; the cell of a GRU, whose reset gate acts behind the projection of
the state; attention over clicks. Differs from that code in: padding stays zero.

``form="guide"`` is the model as equations 1 to 7 and most accounts of it have it: an edge weighs its count
divided by the *source's* out-degree, in both directions; no biases but b and c; the reset gate acts before
the projection of the state; attention over the distinct items.
"""

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from srec.models.base import ItemFeatures
from srec.models.layers import at_clicks, click_mask
from srec.models.scoring import ScoringSettings
from srec.models.session_edges import (
    SessionEdges,
    adjacency,
    attended,
    borrow,
    decayed,
    transitions,
    with_borrowed,
)
from srec.models.table_model import TableModel

FIRST_BETA = 0.1  # a gap unit, where the decay over time begins to learn
UNTIMED = 0.5  # share of the sessions that see no times while they are optional


class SrGnnSettings(ScoringSettings):
    """Parameters of SR-GNN; the defaults are the authors'."""

    dim: int = Field(100, ge=2, le=4096)
    steps: int = Field(1, ge=1, le=8)
    """T, rounds of messages."""
    form: Literal["authors", "guide"] = "authors"
    messages: Literal["adjacency", "attention"] = "adjacency"
    """``attention``: learned weights of a node's edges in place of the fixed ones."""
    time_gaps: Literal["off", "optional", "required"] = "off"
    """An edge decays as exp(-beta gap). ``optional``: half of the sessions learn without times."""
    gap_unit: float = Field(1.0, gt=0, allow_inf_nan=False)
    """Seconds that beta counts as one."""
    borrow_up_to: int = Field(0, ge=0, le=1000)
    """Sessions of at most so many clicks borrow the last item's neighbours of the global graph; 0: none."""
    borrow: int = Field(4, ge=1, le=100)
    """Neighbours that they borrow."""


class Messages(nn.Module):
    """What each node hears from the nodes before and behind it (equation 1)."""

    def __init__(self, dim: int, settings: SrGnnSettings) -> None:
        super().__init__()
        own_bias = settings.form == "authors"
        self.by_source = settings.form == "guide"
        self.incoming = nn.Linear(dim, dim, bias=own_bias)
        self.outgoing = nn.Linear(dim, dim, bias=own_bias)
        self.bias = nn.Parameter(torch.empty(2 * dim))
        attends = settings.messages == "attention"
        self.attention = nn.Parameter(torch.empty(2, 2, dim)) if attends else None

    def forward(self, h: Tensor, edges: SessionEdges) -> Tensor:
        """Nodes [B, N, D] -> messages [B, N, 2D], of incoming then of outgoing edges."""
        before, behind = self.incoming(h), self.outgoing(h)  # [B, N, D]
        if self.attention is None:
            incoming, outgoing = adjacency(edges.counts, self.by_source)
        else:
            incoming = attended(before, edges.counts.transpose(1, 2) > 0, self.attention[0])
            outgoing = attended(behind, edges.counts > 0, self.attention[1])
        if edges.lasting is not None:
            incoming, outgoing = incoming * edges.lasting.transpose(1, 2), outgoing * edges.lasting
        return torch.cat([incoming @ before, outgoing @ behind], dim=-1) + self.bias


class GatedCell(nn.Module):
    """Update of a node by its message (equations 2 to 5)."""

    def __init__(self, dim: int, form: str) -> None:
        super().__init__()
        bias = form == "authors"
        self.reset_first = form == "guide"
        self.message = nn.Linear(2 * dim, 3 * dim, bias=bias)  # W_r, W_z, W
        self.gates = nn.Linear(dim, 2 * dim, bias=bias)  # U_r, U_z
        self.candidate = nn.Linear(dim, dim, bias=bias)  # U

    def forward(self, a: Tensor, h: Tensor) -> Tensor:
        """Messages [B, N, 2D] and states [B, N, D] -> new states."""
        heard_r, heard_z, heard = self.message(a).chunk(3, dim=-1)
        own_r, own_z = self.gates(h).chunk(2, dim=-1)
        r, z = torch.sigmoid(heard_r + own_r), torch.sigmoid(heard_z + own_z)
        own = self.candidate(r * h) if self.reset_first else r * self.candidate(h)
        new: Tensor = h + z * (torch.tanh(heard + own) - h)
        return new


class Readout(nn.Module):
    """The last click, and an attention over all of them that is anchored on it (equations 6 and 7)."""

    def __init__(self, dim: int, form: str) -> None:
        super().__init__()
        bias = form == "authors"
        self.over_nodes = form == "guide"
        self.w1 = nn.Linear(dim, dim)  # its bias is c
        self.w2 = nn.Linear(dim, dim, bias=bias)
        self.q = nn.Parameter(torch.empty(dim))
        self.local = nn.Linear(dim, dim, bias=bias)  # W3, its left half
        self.globally = nn.Linear(dim, dim, bias=False)  # and its right half

    def forward(self, h: Tensor, alias: Tensor, lengths: Tensor) -> Tensor:
        """Nodes [B, N, D] -> session vectors [B, D]."""
        clicks = at_clicks(h, alias)  # [B, L, D]
        last = last_of(clicks, lengths)
        mixed = (self._weights(clicks, last, alias, lengths).unsqueeze(1) @ clicks).squeeze(1)
        session: Tensor = self.local(last) + self.globally(mixed)
        return session

    def terms(self, h: Tensor, alias: Tensor, lengths: Tensor) -> Tensor:
        """What each click adds to the session vector, [B, L, D]; the local part is the last click's."""
        clicks = at_clicks(h, alias)
        last = last_of(clicks, lengths)
        beta = self._weights(clicks, last, alias, lengths).unsqueeze(-1)  # [B, L, 1]
        is_last = torch.arange(alias.size(1), device=alias.device) == lengths.unsqueeze(1) - 1  # [B, L]
        terms: Tensor = beta * self.globally(clicks) + is_last.unsqueeze(-1) * self.local(last).unsqueeze(1)
        return terms

    def _weights(self, clicks: Tensor, last: Tensor, alias: Tensor, lengths: Tensor) -> Tensor:
        """alpha [B, L]; over distinct items, the clicks on one share its alpha."""
        mask = click_mask(alias, lengths)  # [B, L]
        gate = torch.sigmoid(self.w1(last).unsqueeze(1) + self.w2(clicks))  # [B, L, D]
        alpha: Tensor = (gate @ self.q) * mask
        if self.over_nodes:
            same = (alias.unsqueeze(2) == alias.unsqueeze(1)) & mask.unsqueeze(1)  # [B, L, L]
            alpha = alpha / same.sum(2).clamp(min=1)
        return alpha


def last_of(clicks: Tensor, lengths: Tensor) -> Tensor:
    """The last click of each session: [B, L, D] -> [B, D]."""
    at = (lengths - 1).view(-1, 1, 1).expand(-1, -1, clicks.size(2))
    return clicks.gather(1, at).squeeze(1)


class SrGnn(TableModel):
    """Session vectors from gated messages over the session graph."""

    name = "sr-gnn"
    Settings: ClassVar[type[SrGnnSettings]] = SrGnnSettings
    settings: SrGnnSettings
    additive = True

    def __init__(self, settings: SrGnnSettings, features: ItemFeatures) -> None:
        """Build with weights from U(-1/sqrt(D), 1/sqrt(D)), as the authors do."""
        super().__init__(settings, features, settings.dim)
        self.hops = 1 if settings.borrow_up_to else 0
        self.reads_times = settings.time_gaps != "off"
        self.needs_times = settings.time_gaps == "required"
        self.messages = Messages(settings.dim, settings)
        self.cell = GatedCell(settings.dim, settings.form)
        self.readout = Readout(settings.dim, settings.form)
        self.log_beta = nn.Parameter(torch.empty(())) if self.reads_times else None
        self.draw_uniform(settings.dim)
        if self.log_beta is not None:
            nn.init.constant_(self.log_beta, math.log(FIRST_BETA))

    def encode(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """Session vectors [B, D].

        ``rows`` are neighbours and weights where short sessions borrow, then the gaps where they are known.
        """
        h, linked = self._graph(nodes, alias, lengths, rows)
        return self.settings.sessions(self.readout(self._propagate(h, linked), alias, lengths))

    def parts(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """What each click adds to the session vector, [B, L, D]."""
        h, linked = self._graph(nodes, alias, lengths, rows)
        return self.settings.parts(self.readout.terms(self._propagate(h, linked), alias, lengths))

    def session(self, h: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor) -> Tensor:
        """Session vectors from the rows of the nodes alone: nothing borrowed, no times."""
        linked = SessionEdges(transitions(alias, lengths, h.size(1)))
        session: Tensor = self.readout(self._propagate(h, linked), alias, lengths)
        return session

    def terms(self, h: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor) -> Tensor:
        """What each click adds to ``session``."""
        linked = SessionEdges(transitions(alias, lengths, h.size(1)))
        return self.readout.terms(self._propagate(h, linked), alias, lengths)

    @property
    def beta(self) -> float:
        """The decay that was learned, per ``gap_unit``; 0 without time gaps."""
        return 0.0 if self.log_beta is None else math.exp(float(self.log_beta.detach()))

    def _propagate(self, h: Tensor, linked: SessionEdges) -> Tensor:
        for _ in range(self.settings.steps):
            h = self.cell(self.messages(h, linked), h)
        return h

    def _graph(
        self, nodes: Tensor, alias: Tensor, lengths: Tensor, rows: tuple[Tensor, ...]
    ) -> tuple[Tensor, SessionEdges]:
        """Rows of the nodes, borrowed ones among them, and the edges between them."""
        gaps = rows[2 * self.hops] if len(rows) > 2 * self.hops else None
        if gaps is None and self.needs_times:
            raise ValueError("time_gaps=required: the inputs must end with the gaps between the clicks")
        n = nodes.size(1)
        if gaps is None or self.log_beta is None:
            linked = SessionEdges(transitions(alias, lengths, n))
        else:
            linked = decayed(alias, lengths, n, self._factors(gaps, self.log_beta))
        if self.hops:
            last = alias.gather(1, lengths.unsqueeze(1) - 1)  # [B, 1]
            short = lengths <= self.settings.borrow_up_to
            borrowed = borrow(nodes, last, (rows[0], rows[1]), short, self.settings.borrow)
            nodes = torch.cat([nodes, borrowed.nodes], dim=1)
            linked = with_borrowed(linked, last, borrowed.shares)
        return F.embedding(nodes, self.looked_up, padding_idx=0), linked

    def _factors(self, gaps: Tensor, log_beta: Tensor) -> Tensor:
        """exp(-beta gap) of the transition into each click, [B, L]."""
        factors = torch.exp(-log_beta.exp() / self.settings.gap_unit * gaps)
        if self.training and not self.needs_times:
            untimed = torch.rand(gaps.size(0), 1, device=gaps.device) < UNTIMED
            factors = factors.masked_fill(untimed, 1.0)
        return factors
