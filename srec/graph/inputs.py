"""Clicks -> the tensors that a session model takes; training and serving call the same function."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srec.graph.session import SessionGraph, lone_graph, session_graph

Fetch: TypeAlias = Callable[[NDArray[np.int32]], tuple[NDArray[np.int32], NDArray[np.float32]]]
ModelInputs: TypeAlias = tuple[Tensor, ...]


class LoneInputs(NamedTuple):
    """What a model of one hop takes of one session, as arrays: for a request that comes alone.

    Attributes:
        nodes: distinct items, ascending, int32 [N].
        alias: node index of every click, oldest first, int64 [L].
        edges: kind of the edge seen from node i to node j, int64 [N, N].
        ids: the nodes' neighbours in the global graph, int32 [N, K]; 0 where absent.
        weights: their co-occurrence counts, float32 [N, K].
    """

    nodes: NDArray[np.int32]
    alias: NDArray[np.int64]
    edges: NDArray[np.int64]
    ids: NDArray[np.int32]
    weights: NDArray[np.float32]


def model_inputs(
    clicks: NDArray[np.int64], fetch: Fetch, hops: int, gaps: NDArray[np.float32] | None = None
) -> ModelInputs:
    """Build the session graphs and look up their global neighbours, one fetch a hop for the whole batch.

    Args:
        clicks: padded items, oldest first, int64 [B, L].
        fetch: rows of the global graph for items [n] -> (neighbours int32 [n, K], weights float32 [n, K]).
        hops: how far the model looks into the global graph; 0 fetches nothing.
        gaps: seconds from the click before to each click, float32 [B, L], for a model that reads them.

    Returns:
        nodes int64 [B, N], alias int64 [B, L], edges int64 [B, N, N], lengths int64 [B], then for each hop
        h = 1, 2, ...: neighbours int64 [B, N * K^(h-1), K], weights float32 [B, N * K^(h-1), K]; last the
        gaps, where given.
    """
    inputs = _with_neighbours(session_graph(clicks), fetch, hops)
    return inputs if gaps is None else (*inputs, torch.from_numpy(gaps))


def batch_of_one(session: Sequence[int], fetch: Fetch, hops: int) -> ModelInputs:
    """The same for one session of items, oldest first, at least one; its calls are fewer."""
    nodes, alias, edges = lone_graph(session)
    lengths = np.array([len(session)], np.int64)
    graph = SessionGraph(nodes.astype(np.int64)[np.newaxis], alias[np.newaxis], edges[np.newaxis], lengths)
    return _with_neighbours(graph, fetch, hops)


def lone_inputs(session: Sequence[int], fetch: Fetch) -> LoneInputs:
    """Build the graph of one session, oldest click first, and look up its neighbours."""
    graph = lone_graph(session)
    ids, weights = fetch(graph.nodes)  # a store may answer with a part of its rows
    return LoneInputs(*graph, np.ascontiguousarray(ids), np.ascontiguousarray(weights))


def _with_neighbours(graph: SessionGraph, fetch: Fetch, hops: int) -> ModelInputs:
    inputs = [torch.from_numpy(part) for part in graph]
    frontier: NDArray[np.int64] = graph.nodes
    for _ in range(hops):
        neighbours, weights = fetch(frontier.reshape(-1).astype(np.int32))
        shape = (*frontier.shape, neighbours.shape[1])  # [B, nodes of this hop, K]
        wide = neighbours.astype(np.int64).reshape(shape)
        inputs += [torch.from_numpy(wide), torch.from_numpy(weights.reshape(shape))]
        frontier = wide.reshape(len(graph.nodes), -1)
    return tuple(inputs)
