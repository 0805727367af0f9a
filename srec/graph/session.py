"""Clicks -> session graph, the one definition that training, evaluation and serving share.

GCE-GNN, section 3.3 (session-level graph): the nodes are a session's distinct items; an edge has one of
four kinds. For a click u followed by v the edge is *out* seen from u and *in* seen from v; both seen:
*in-out*; every node has a *self* loop.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srec.ids import PADDING

NO_EDGE, OUT, IN, IN_OUT, SELF = range(5)  # IN_OUT is OUT | IN
EDGE_KINDS = 4


class SessionGraph(NamedTuple):
    """A batch of session graphs; padding is item 0 and has no edges.

    Attributes:
        nodes: distinct items of each session, ascending, int64 [B, N].
        alias: node index of every click, oldest first, int64 [B, L]; 0 behind the last click.
        edges: kind of the edge seen from node i to node j, int64 [B, N, N].
        lengths: clicks of each session, int64 [B].
    """

    nodes: NDArray[np.int64]
    alias: NDArray[np.int64]
    edges: NDArray[np.int64]
    lengths: NDArray[np.int64]


class LoneGraph(NamedTuple):
    """The graph of one session.

    Attributes:
        nodes: distinct items, ascending, int32 [N].
        alias: node index of every click, oldest first, int64 [L].
        edges: kind of the edge seen from node i to node j, int64 [N, N].
    """

    nodes: NDArray[np.int32]
    alias: NDArray[np.int64]
    edges: NDArray[np.int64]


def pad_clicks(sessions: Sequence[Sequence[int]], max_clicks: int) -> NDArray[np.int64]:
    """Put the newest ``max_clicks`` items of each session into one array, oldest first, int64 [B, L]."""
    stops = np.cumsum([len(session) for session in sessions])
    starts = np.concatenate([[0], stops[:-1]])
    flat = np.fromiter(itertools.chain.from_iterable(sessions), np.int64, count=int(stops[-1]))
    return pad_windows(flat, starts, stops, max_clicks)


def pad_windows(
    items: NDArray[np.integer], starts: NDArray[np.int64], stops: NDArray[np.int64], max_clicks: int
) -> NDArray[np.int64]:
    """The same for sessions that are windows ``starts[b]:stops[b]`` of one flat array of items."""
    starts = np.maximum(starts, stops - max_clicks)
    where = starts[:, np.newaxis] + np.arange((stops - starts).max())  # [B, L]
    inside = where < stops[:, np.newaxis]
    clicks = np.where(inside, items[np.where(inside, where, 0)], PADDING)
    return clicks.astype(np.int64, copy=False)


def pad_gaps(times: Sequence[Sequence[int]], max_clicks: int) -> NDArray[np.float32]:
    """Seconds from the click before to each of the clicks that ``pad_clicks`` keeps, float32 [B, L]."""
    stops = np.cumsum([len(session) for session in times])
    starts = np.concatenate([[0], stops[:-1]])
    flat = np.fromiter(itertools.chain.from_iterable(times), np.int64, count=int(stops[-1]))
    return gap_windows(flat, starts, stops, max_clicks)


def gap_windows(
    times: NDArray[np.int64], starts: NDArray[np.int64], stops: NDArray[np.int64], max_clicks: int
) -> NDArray[np.float32]:
    """The same for windows of one flat array of times; 0 at a window's first click and behind its last."""
    gaps = np.diff(times, prepend=times[:1])
    windows = pad_windows(gaps, starts, stops, max_clicks).astype(np.float32)
    windows[:, 0] = 0
    return windows


def session_graph(clicks: NDArray[np.int64]) -> SessionGraph:
    """Build the graphs of padded clicks, int64 [B, L]; every session has at least one click.

    Compares clicks pairwise: sessions are short, and a few calls for all of a batch cost less than sorting.
    """
    present = clicks != PADDING
    left, right = clicks[:, :, np.newaxis], clicks[:, np.newaxis, :]  # of click l and click m
    first = (left == right).argmax(axis=2) == np.arange(clicks.shape[1])  # [B, L], the first of its item
    first &= present
    alias = ((right < left) & first[:, np.newaxis, :]).sum(axis=2)  # how many distinct items are lower
    nodes = np.zeros((len(clicks), int(alias.max()) + 1), np.int64)
    row, click = first.nonzero()
    nodes[row, alias[row, click]] = clicks[row, click]
    return SessionGraph(nodes, alias, _edges(nodes, alias, present), present.sum(axis=1))


def lone_graph(session: Sequence[int]) -> LoneGraph:
    """The graph of one session of known items, as ``session_graph`` makes it of a batch.

    A lone request waits for every call: for a few clicks plain Python is done before NumPy has begun.
    """
    nodes = sorted(set(session))
    node = {item: index for index, item in enumerate(nodes)}
    alias = [node[item] for item in session]
    edges = [[NO_EDGE] * len(nodes) for _ in nodes]
    for left, right in itertools.pairwise(alias):
        edges[left][right] |= OUT
        edges[right][left] |= IN
    for index, row in enumerate(edges):
        row[index] = SELF
    return LoneGraph(np.array(nodes, np.int32), np.array(alias, np.int64), np.array(edges, np.int64))


def _edges(
    nodes: NDArray[np.int64], alias: NDArray[np.int64], present: NDArray[np.bool_]
) -> NDArray[np.int64]:
    edges = np.zeros((*nodes.shape, nodes.shape[1]), np.int64)
    row, click = present[:, 1:].nonzero()
    edges[row, alias[row, click], alias[row, click + 1]] = OUT
    edges += IN * edges.transpose(0, 2, 1)
    row, node = nodes.nonzero()
    edges[row, node, node] = SELF
    return edges
