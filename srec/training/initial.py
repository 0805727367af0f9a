"""Item vectors of the co-click graph, for the item table to start at.

``node2vec``: Grover & Leskovec, KDD 2016 (arXiv 1607.00653), random walks and skip-gram with negative
sampling; p = q = 1 is DeepWalk (Perozzi et al., KDD 2014). ``pmi``: what skip-gram factorises implicitly
(Levy & Goldberg, NIPS 2014), the positive pointwise mutual information of near clicks, by a truncated SVD.
"""

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.sparse.linalg import svds
from torch import Tensor, nn

from srec.data.dataset import Sequences
from srec.training.settings import TrainSettings

PAIRS = 8192  # pairs of a step of skip-gram, fewer where that makes less than STEPS of them
STEPS = 150
NEGATIVES = 5  # of each pair, as in word2vec
SHARED = 256  # items drawn for a step, which stand for the negatives of its pairs
RATE = 0.05  # at the first step; it falls to 0 in a straight line


def item_vectors(
    sequences: Sequences, n_items: int, width: int, settings: TrainSettings
) -> tuple[Tensor, Tensor]:
    """Vectors of the items from their neighbours in sessions.

    Args:
        sequences: training sequences.
        n_items: number of items V.
        width: of the vectors, D, below V.
        settings: ``initial``, the walks' settings and the seed.

    Returns:
        vectors float32 [V+1, D], their mean 0 and their mean square 1; and which items have a neighbour at
        all, bool [V+1].
    """
    graph = co_clicks(sequences, n_items, settings.walk_window if settings.initial == "pmi" else 1)
    known = torch.from_numpy(np.diff(graph.indptr) > 0)
    if settings.initial == "pmi":
        vectors = _pmi_vectors(graph, width, settings.seed)
    else:
        random = np.random.default_rng(settings.seed)
        starts = np.repeat(np.flatnonzero(known.numpy()), settings.walks)
        graph_walks = Walks(graph, settings.walk_return, settings.walk_in_out)
        walks = graph_walks.walk(random.permutation(starts), settings.walk_length, random)
        vectors = skip_gram(walks, n_items, width, settings.walk_window, settings.seed)
    vectors = vectors - vectors[known].mean(0)
    return vectors / vectors[known].square().mean().sqrt(), known


def co_clicks(sequences: Sequences, n_items: int, window: int) -> sp.csr_array:
    """How often two different items were clicked within ``window`` positions; symmetric, [V+1, V+1]."""
    items = sequences.items.astype(np.int64)
    sequence = np.repeat(np.arange(len(sequences)), np.diff(sequences.offsets))
    counts = sp.csr_array((n_items + 1, n_items + 1), dtype=np.float64)
    for distance in range(1, window + 1):
        near = (sequence[:-distance] == sequence[distance:]) & (items[:-distance] != items[distance:])
        pairs = (items[:-distance][near], items[distance:][near])
        counts = counts + sp.coo_array((np.ones(len(pairs[0])), pairs), shape=counts.shape).tocsr()
    both = sp.csr_array(counts + counts.T)
    both.sort_indices()
    return both


class Walks:
    """Second-order random walks on a weighted graph, all of them a step at a time."""

    def __init__(self, graph: sp.csr_array, back: float, away: float) -> None:
        """Prepare the draws.

        Args:
            graph: symmetric weights, [V+1, V+1], column indices sorted.
            back: p, walks return to where they came from with weight 1 / p.
            away: q, and go where the node before has no edge to with weight 1 / q.
        """
        self.columns = graph.indices.astype(np.int64)
        self.cumulative = np.concatenate([[0.0], np.cumsum(graph.data)])
        self.first = self.cumulative[graph.indptr[:-1]]  # weight before each row, [V+1]
        self.total = self.cumulative[graph.indptr[1:]] - self.first
        rows = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
        self.n_rows = graph.shape[0]
        self.edges = rows * self.n_rows + self.columns  # ascending
        self.weights = np.array([1 / back, 1.0, 1 / away])  # of steps back, to a shared neighbour, away

    def walk(self, starts: NDArray[np.int64], length: int, random: np.random.Generator) -> NDArray[np.int64]:
        """Walk from each of ``starts`` [n], which have edges: items int64 [n, length]."""
        walks = np.empty((len(starts), length), np.int64)
        walks[:, 0] = starts
        for place in range(1, length):
            walks[:, place] = (
                self._draw(starts, random)
                if place == 1
                else self._second_order(walks[:, place - 2], walks[:, place - 1], random)
            )
        return walks

    def _draw(self, nodes: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        """A neighbour of each node, in proportion to its weight."""
        points = self.first[nodes] + random.random(len(nodes)) * self.total[nodes]
        drawn: NDArray[np.int64] = self.columns[np.searchsorted(self.cumulative, points, side="right") - 1]
        return drawn

    def _second_order(
        self, before: NDArray[np.int64], nodes: NDArray[np.int64], random: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw by weight and reject by p and q, until each walk has accepted a step."""
        if (self.weights == 1).all():
            return self._draw(nodes, random)
        found = np.empty_like(nodes)
        open_ = np.arange(len(nodes))
        while len(open_):
            drawn = self._draw(nodes[open_], random)
            kind = np.where(drawn == before[open_], 0, np.where(self._joined(before[open_], drawn), 1, 2))
            taken = random.random(len(open_)) * self.weights.max() < self.weights[kind]
            found[open_[taken]] = drawn[taken]
            open_ = open_[~taken]
        return found

    def _joined(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
        keys = left * self.n_rows + right
        places = np.minimum(np.searchsorted(self.edges, keys), len(self.edges) - 1)
        joined: NDArray[np.bool_] = self.edges[places] == keys
        return joined


def skip_gram(walks: NDArray[np.int64], n_items: int, width: int, window: int, seed: int) -> Tensor:
    """Vectors float32 [V+1, D] that tell which items are near on walks int64 [n, length].

    The loss of a pair is that of word2vec (Mikolov et al., 2013), but the pairs of a step share their drawn
    items, each counted as often as makes ``NEGATIVES`` a pair.
    """
    random = torch.Generator().manual_seed(seed)
    of_item, of_context = (nn.Embedding(n_items + 1, width, sparse=True) for _ in range(2))
    with torch.no_grad():
        of_item.weight.copy_((torch.rand(n_items + 1, width, generator=random) - 0.5) / width)
        of_context.weight.zero_()
    chance = torch.from_numpy(np.bincount(walks.ravel(), minlength=n_items + 1) ** 0.75)
    chance = (chance / chance.sum()).cumsum(0)
    optimizer = torch.optim.SparseAdam([of_item.weight, of_context.weight], lr=RATE)
    pairs_a_walk = sum(2 * max(walks.shape[1] - distance, 0) for distance in range(1, window + 1))
    chunks = np.array_split(walks, min(max(len(walks) * pairs_a_walk // PAIRS, STEPS), len(walks)))
    for step, chunk in enumerate(chunks):
        items, contexts = _pairs(chunk, window)
        points = torch.rand(SHARED, generator=random, dtype=torch.float64)
        drawn = of_context(torch.searchsorted(chance, points, right=True).clamp(max=n_items))  # [n, D]
        mine = of_item(items)  # [P, D]
        near = F.softplus(-(mine * of_context(contexts)).sum(1))
        far = F.softplus(mine @ drawn.T).sum(1) * (NEGATIVES / SHARED)
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / len(chunks))
        optimizer.zero_grad()
        (near + far).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()  # type: ignore[no-untyped-call]
    return of_item.weight.detach()


def _pairs(walks: NDArray[np.int64], window: int) -> tuple[Tensor, Tensor]:
    """Items and what is near them on the walks, both directions, int64 [P] each."""
    distances = range(1, min(window, walks.shape[1] - 1) + 1)
    earlier = np.concatenate([walks[:, :-distance].ravel() for distance in distances])
    later = np.concatenate([walks[:, distance:].ravel() for distance in distances])
    both = np.concatenate([earlier, later]), np.concatenate([later, earlier])
    return torch.from_numpy(both[0]), torch.from_numpy(both[1])


def _pmi_vectors(counts: sp.csr_array, width: int, seed: int) -> Tensor:
    """U sqrt(S) of the truncated SVD of max(PMI, 0), float32 [V+1, D]."""
    entries = counts.tocoo()
    of_item = counts.sum(1)
    chance = entries.data * of_item.sum() / (of_item[entries.coords[0]] * of_item[entries.coords[1]])
    positive = sp.csr_array((np.maximum(np.log(chance), 0), entries.coords), shape=counts.shape)
    start = np.random.default_rng(seed).random(counts.shape[0])
    left, values, _ = svds(positive, k=width, v0=start)
    return torch.from_numpy((left * np.sqrt(values)).astype(np.float32))
