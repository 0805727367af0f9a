"""Clicks -> the tensors of a batch in which every item stands once a session: what training reads.

``srec.graph.inputs`` gives each node of a session its neighbours, and each of those theirs, padded to one
shape. A session's nodes share many neighbours, and short sessions are padded to the longest: at two hops most
of that is the same vectors again. Here a *pair* is a session and an item that its nodes reach, once.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from srec.graph.inputs import Fetch, ModelInputs
from srec.graph.session import session_graph

SESSION = 32  # bits that the session stands above the item in a pair's key
# Pairs of a hop, filled up with padding: libraries make, and keep, a program for every new size of a product.
SIZES = 256


class _Level(NamedTuple):
    """The edges that go out from the m pairs that a hop has reached first.

    Attributes:
        around: the pairs that they lead to, int64 [m, K]; 0 where absent.
        weights: float32 [m, K].
    """

    around: NDArray[np.int64]
    weights: NDArray[np.float32]


def distinct_inputs(clicks: NDArray[np.int64], fetch: Fetch, hops: int) -> ModelInputs:
    """Build the session graphs, and the part of the global graph that they reach, each pair once.

    Pairs stand in the order of the hop that reaches them first; pair 0 is padding, as are those that fill up
    each hop's to a multiple of ``SIZES``.

    Args:
        clicks: padded items, oldest first, int64 [B, L].
        fetch: rows of the global graph for items [n] -> (neighbours int32 [n, K], weights float32 [n, K]).
        hops: how far to look into the global graph, at least 1.

    Returns:
        nodes int64 [B, N], alias int64 [B, L], edges int64 [B, N, N], lengths int64 [B]; then

        - items int64 [P] and sessions int64 [P] of the pairs, and the pair of each node int64 [B, N];
        - of the R pairs within ``hops`` - 1: neighbours, as pairs, int64 [R, K], 0 where absent, and their
          weights float32 [R, K];
        - reach int64 [hops]: pairs within 0, 1, ... hops (the last of them is R);
        - for each of those the edges (row * K + column) that go out from its pairs, by the pair that they
          lead to, int64 [edges]; and where each of those pairs' edges begin, int64 [pairs within a hop more].
    """
    graph = session_graph(clicks)
    keys = (np.arange(len(clicks))[:, np.newaxis] << SESSION) + graph.nodes  # [B, N]
    present = graph.nodes > 0
    pairs = _filled_up(np.zeros(1, np.int64), keys[present])
    slots = np.where(present, np.cumsum(present).reshape(present.shape), 0)  # [B, N]
    levels, reach = [], []
    first = 0
    for _ in range(hops):
        level, found = _step(pairs, first, fetch)
        levels.append(level)
        reach.append(len(pairs))
        first, pairs = len(pairs), _filled_up(pairs, found)
    around = np.concatenate([level.around for level in levels])  # [R, K]
    weights = np.concatenate([level.weights for level in levels])
    items, sessions = pairs & ((1 << SESSION) - 1), pairs >> SESSION
    parts = [*graph, items, sessions, slots, around, weights, np.array(reach)]
    for sources, targets in zip(reach, [*reach[1:], len(pairs)], strict=True):
        parts += _backwards(around[:sources].reshape(-1), targets)
    return tuple(torch.from_numpy(part) for part in parts)


def _filled_up(pairs: NDArray[np.int64], more: NDArray[np.int64]) -> NDArray[np.int64]:
    count = len(pairs) + len(more)
    return np.concatenate([pairs, more, np.zeros(-count % SIZES, np.int64)])


def _step(pairs: NDArray[np.int64], first: int, fetch: Fetch) -> tuple[_Level, NDArray[np.int64]]:
    """The edges of the pairs from ``first`` on, and the keys of the pairs that they reach first."""
    keys = pairs[first:]
    neighbours, weights = fetch((keys & ((1 << SESSION) - 1)).astype(np.int32))
    owner = (keys >> SESSION << SESSION)[:, np.newaxis]
    reached = np.where(neighbours > 0, owner + neighbours, 0)  # [m, K]
    distinct, where = np.unique(np.concatenate([pairs, reached.reshape(-1)]), return_inverse=True)
    index = np.full(len(distinct), -1)
    index[where[: len(pairs)]] = np.arange(len(pairs))
    index[0] = 0  # of all padding
    new = index < 0
    index[new] = len(pairs) + np.arange(np.count_nonzero(new))
    around = index[where[len(pairs) :]].reshape(reached.shape)
    return _Level(around, weights), distinct[new]


def _backwards(targets: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
    """Edges ordered by the pair they lead to, those to padding left out; and where each pair's begin."""
    degree = np.bincount(targets, minlength=count)
    absent = int(degree[0])
    degree[0] = 0
    packed = np.sort(targets * len(targets) + np.arange(len(targets)))  # sorts values: faster than places
    return [packed[absent:] % len(targets), np.cumsum(degree) - degree]
