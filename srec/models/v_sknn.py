"""V-SKNN: the items of the training sessions that are most like this one.

Ludewig & Jannach, "Evaluation of Session-based Recommendation Algorithms", UMUAI 2018 (arXiv 1803.09587),
section 3.2: session kNN with vector multiplication. For a session s with newest clicks first, i = 0, 1, ...:

    w_s(v)   = decay(i) of v's newest click
    sim(s,n) = sum over v in both: w_s(v)                     (``similarity=cosine``: / (|w_s| sqrt(|n|)))
    score(v) = sum over the k most similar n that hold v: sim(s, n) * score_decay(i*) [* idf(v)] [* near]

n among a sample of the sessions that share an item with s: the newest ones, or a random choice. i* is the
newest click that n holds, too. Two options are from STAN (Garg et al., SIGIR 2019): the cosine, and ``near =
exp(-d / proximity)``, d the distance in n between v and the shared click i*.

Differs from the authors' code in: equal similarities put the newer session first, where theirs leave it open;
a random sample is drawn once, by a fixed order of all sessions, so that equal sessions get equal answers.
"""

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from srec.models.base import ItemFeatures, ModelSettings, SessionModel
from srec.models.layers import click_mask
from srec.models.popularity import below_one
from srec.models.ragged import entries, occurrences, rank_within, starts_of

TIE = 1e-6  # of a popularity below 1: orders what no similar session holds
PLACES = 1 << 32  # more than the clicks of any session: two places in one number
Decay = Literal["same", "linear", "quadratic", "harmonic", "log"]


class VSknnSettings(ModelSettings):
    """Which sessions are looked at, and what they count.

    The defaults were chosen on validation, over logs of short and of long sessions. The paper's are k 100,
    sample 1000, similarity vector, click_decay linear, idf false, proximity 0.
    """

    k: int = Field(500, ge=1, le=100_000)
    """Most similar sessions that score."""
    sample: int = Field(5000, ge=1, le=1_000_000)
    """Sessions that are compared, of those that share an item."""
    sampling: Literal["recent", "random"] = "recent"
    """``recent``: the last in the order of the training sequences."""
    similarity: Literal["vector", "cosine"] = "cosine"
    click_decay: Decay = "log"
    """What a click of the session counts for similarity: linear (L - i) / L, log 1 / ln(i + e), ..."""
    score_decay: Decay = "linear"
    """What a similar session counts by its newest shared click."""
    idf: bool = True
    """Scores times log(sessions / sessions that hold the item)."""
    proximity: float = Field(5.0, ge=0, allow_inf_nan=False)
    """Clicks over which an item counts less, the farther it is from the shared click; 0: all count alike."""
    sampling_seed: int = Field(0, ge=0, lt=2**32)


class VSknn(SessionModel):
    """Session kNN over an inverted index, whose sessions are numbered in the order of the sample."""

    name = "v-sknn"
    Settings = VSknnSettings
    trained_by_gradient = False
    sized_by_data = ("item_starts", "sessions", "held_places", "session_starts", "items", "places")
    item_starts: Tensor
    sessions: Tensor
    held_places: Tensor
    session_starts: Tensor
    items: Tensor
    places: Tensor
    idf: Tensor
    popularity: Tensor

    def __init__(self, settings: VSknnSettings, features: ItemFeatures) -> None:
        """Build with an empty index."""
        super().__init__(settings, features)
        self.settings: VSknnSettings = settings
        rows = features.n_items + 1
        self.register_buffer("item_starts", torch.zeros(rows + 1, dtype=torch.int64))  # [V+2]
        self.register_buffer("sessions", torch.zeros(0, dtype=torch.int32))  # of item 0, of item 1, ...
        self.register_buffer("held_places", torch.zeros(0, dtype=torch.int32))  # the item's, in ``sessions``
        self.register_buffer("session_starts", torch.zeros(1, dtype=torch.int64))  # [S+1]
        self.register_buffer("items", torch.zeros(0, dtype=torch.int32))  # of session 0, of session 1, ...
        self.register_buffer("places", torch.zeros(0, dtype=torch.int32))  # in their sessions, as ``items``
        self.register_buffer("idf", torch.ones(rows))
        self.register_buffer("popularity", torch.zeros(rows))

    def fit(self, items: NDArray[np.int32], offsets: NDArray[np.int64]) -> None:
        """Index the sequences; of an item's sessions only those that a sample can hold are kept.

        Sessions are numbered in the order of the sample, which so is the lowest numbers of a union; they are
        among the lowest of each item.
        """
        count, rows = len(offsets) - 1, self.n_items + 1
        known = occurrences(items, offsets, self.n_items)
        number = np.arange(count)[::-1]
        if self.settings.sampling == "random":
            number = np.random.default_rng(self.settings.sampling_seed).permutation(count)
        session = number[known.sequence]
        by_session = np.argsort(session, kind="stable")
        self.session_starts = torch.from_numpy(starts_of(session[by_session], count))
        self.items = torch.from_numpy(known.item[by_session].astype(np.int32))
        self.places = torch.from_numpy(known.place[by_session].astype(np.int32))
        by_item = np.lexsort((session, known.item))
        item, session = known.item[by_item], session[by_item]
        held = np.bincount(item, minlength=rows)
        kept = np.arange(len(item)) - starts_of(item, rows)[item] < self.settings.sample
        self.item_starts = torch.from_numpy(starts_of(item[kept], rows))
        self.sessions = torch.from_numpy(session[kept].astype(np.int32))
        self.held_places = torch.from_numpy(known.place[by_item][kept].astype(np.int32))
        if self.settings.idf:
            self.idf = torch.from_numpy(np.log(count / np.maximum(held, 1))).float()
        self.popularity = torch.from_numpy(TIE * below_one(items, self.n_items)).float()

    def forward(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """Similar sessions' scores plus a popularity below ``TIE``, float32 [B, V]."""
        batch, columns = nodes.size(0), self.n_items + 1
        row, session, similarity, newest = self._similar(nodes, _newest(nodes, alias, lengths), lengths)
        of, where = entries(self.session_starts, session)  # [M] each: which similar session, which entry
        item = self.items[where].long()
        step = lengths[row] - 1 - newest // PLACES  # [n], clicks since the shared one
        worth = similarity * _decay(self.settings.score_decay, step, lengths[row])
        scores = worth[of] * self.idf[item]
        if self.settings.proximity:
            distance = (self.places[where] - (newest % PLACES)[of]).abs()
            scores = scores * torch.exp(-distance / self.settings.proximity)
        summed = torch.zeros(batch * columns, device=nodes.device)
        summed = summed.index_add(0, row[of] * columns + item, scores).view(batch, columns)
        return (summed + self.popularity)[:, 1:]

    def _similar(
        self, nodes: Tensor, newest: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Find each session's k most similar ones.

        Args:
            nodes: distinct items, int64 [B, N].
            newest: place of each one's newest click, int64 [B, N].
            lengths: int64 [B].

        Returns:
            int64, int64, float32, int64 [n]: the row in the batch, the similar session, its similarity, and
            the place of the newest click that both hold times ``PLACES`` plus the item's place in there.
        """
        batch, count = nodes.size(0), self.session_starts.size(0) - 1
        from_last = lengths.unsqueeze(1) - 1 - newest  # [B, N]
        weights = _decay(self.settings.click_decay, from_last, lengths.unsqueeze(1)) * (nodes > 0)
        node, where = entries(self.item_starts, nodes.reshape(-1))  # [M] each
        held = self.sessions[where].long()
        keys, which = torch.unique(node // nodes.size(1) * count + held, return_inverse=True)  # [P], [M]
        similarity = torch.zeros(keys.size(0), device=nodes.device)
        similarity = similarity.index_add(0, which, weights.reshape(-1)[node])
        shared = newest.reshape(-1)[node] * PLACES + self.held_places[where]
        latest = torch.zeros_like(keys).scatter_reduce(0, which, shared, "amax")
        row, session = keys // count, keys % count
        if self.settings.similarity == "cosine":
            size = self.session_starts[session + 1] - self.session_starts[session]
            similarity = similarity / (weights.norm(dim=1)[row] * size.sqrt())
        sampled = (rank_within(row, batch) < self.settings.sample).nonzero().squeeze(1)
        # Two stable sorts: by row, then the most similar first, then the lowest number first.
        order = sampled[similarity[sampled].sort(descending=True, stable=True).indices]
        order = order[row[order].sort(stable=True).indices]
        best = order[(rank_within(row[order], batch) < self.settings.k).nonzero().squeeze(1)]
        return row[best], session[best], similarity[best], latest[best]


def _newest(nodes: Tensor, alias: Tensor, lengths: Tensor) -> Tensor:
    """Place of each node's newest click, int64 [B, N]; 0 for padding."""
    place = torch.arange(alias.size(1), device=alias.device) * click_mask(alias, lengths)  # [B, L]
    return torch.zeros_like(nodes).scatter_reduce(1, alias, place, "amax")


def _decay(kind: Decay, step: Tensor, lengths: Tensor) -> Tensor:
    """What a click counts that lies ``step`` clicks behind the newest of ``lengths``, float32."""
    linear = (lengths - step) / lengths
    if kind == "linear":
        return linear
    if kind == "quadratic":
        return linear.square()
    if kind == "harmonic":
        return 1 / (step + 1.0)
    if kind == "log":
        return 1 / (step + math.e).log()
    return torch.ones_like(linear)
