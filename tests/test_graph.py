"""The session graph and the global graph, each against the rules in the most obvious Python."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save_file

from srec.errors import DataError
from srec.graph import neighbours
from srec.graph.inputs import batch_of_one, lone_inputs, model_inputs
from srec.graph.neighbours import GlobalGraph, build_graph
from srec.graph.session import IN, IN_OUT, NO_EDGE, OUT, SELF, pad_clicks, pad_windows, session_graph
from srec.stores.array import ArrayStore
from tests.models.reference import edge_kinds

KIND = {"out": OUT, "in": IN, "in-out": IN_OUT, "self": SELF}
V = 6
# Few items, so that repeats, ties and edges both ways are common.
SESSIONS = st.lists(st.lists(st.integers(1, V), min_size=1, max_size=8), min_size=1, max_size=6)


@given(sessions=SESSIONS, max_clicks=st.integers(1, 10))
def test_session_graph_is_that_of_the_newest_clicks(sessions: list[list[int]], max_clicks: int) -> None:
    graph = session_graph(pad_clicks(sessions, max_clicks))
    width = max(len(set(session[-max_clicks:])) for session in sessions)
    assert graph.nodes.shape == (len(sessions), width)
    for row, session in enumerate(session[-max_clicks:] for session in sessions):
        distinct = sorted(set(session))
        assert graph.nodes[row].tolist() == distinct + [0] * (width - len(distinct))
        assert graph.lengths[row] == len(session)
        aliases = graph.alias[row].tolist()
        assert [distinct[node] for node in aliases[: len(session)]] == session
        assert set(aliases[len(session) :]) <= {0}
        kinds = edge_kinds(session)
        for i, u in enumerate(graph.nodes[row].tolist()):
            for j, v in enumerate(graph.nodes[row].tolist()):
                expected = KIND[kinds[u, v]] if (u, v) in kinds else NO_EDGE
                assert graph.edges[row, i, j] == expected, (session, u, v)


def test_the_four_kinds_by_hand() -> None:
    graph = session_graph(pad_clicks([[2, 1, 2, 3, 3]], 50))
    assert graph.nodes.tolist() == [[1, 2, 3]]
    assert graph.alias.tolist() == [[1, 0, 1, 2, 2]]
    assert graph.edges.tolist() == [[[SELF, IN_OUT, NO_EDGE], [IN_OUT, SELF, OUT], [NO_EDGE, IN, SELF]]]


@given(session=st.lists(st.integers(1, V), min_size=1, max_size=12), hops=st.integers(0, 2))
def test_the_inputs_of_a_lone_session_are_those_of_a_batch_of_one(session: list[int], hops: int) -> None:
    graph = brute_force([session, list(range(1, V + 1))], window=2, size=3)
    fetch = ArrayStore(graph).fetch
    alone = batch_of_one(session, fetch, hops)
    batch = model_inputs(pad_clicks([session], len(session)), fetch, hops)
    assert len(alone) == len(batch)
    for left, right in zip(alone, batch, strict=True):
        assert left.dtype == right.dtype
        assert torch.equal(left, right)


@given(session=st.lists(st.integers(1, V), min_size=1, max_size=12))
def test_the_arrays_of_a_lone_session_are_those_of_a_batch_of_one(session: list[int]) -> None:
    fetch = ArrayStore(brute_force([session, list(range(1, V + 1))], window=2, size=3)).fetch
    nodes, alias, edges, _, ids, weights = batch_of_one(session, fetch, 1)
    for array, tensor in zip(lone_inputs(session, fetch), (nodes, alias, edges, ids, weights), strict=True):
        np.testing.assert_array_equal(array, tensor[0].numpy())


@given(sessions=SESSIONS, extra=st.integers(1, 4))
def test_padding_columns_are_no_clicks(sessions: list[list[int]], extra: int) -> None:
    clicks = pad_clicks(sessions, 50)
    plain, padded = session_graph(clicks), session_graph(np.pad(clicks, ((0, 0), (0, extra))))
    np.testing.assert_array_equal(padded.nodes, plain.nodes)
    np.testing.assert_array_equal(padded.edges, plain.edges)
    np.testing.assert_array_equal(padded.lengths, plain.lengths)
    np.testing.assert_array_equal(padded.alias[:, : clicks.shape[1]], plain.alias)


@given(sessions=SESSIONS, max_clicks=st.integers(1, 10))
def test_padded_clicks_keep_the_newest_in_order(sessions: list[list[int]], max_clicks: int) -> None:
    clicks = pad_clicks(sessions, max_clicks)
    width = max(min(len(session), max_clicks) for session in sessions)
    newest = [session[-max_clicks:] for session in sessions]
    assert clicks.tolist() == [session + [0] * (width - len(session)) for session in newest]
    assert clicks.dtype == np.int64


@given(sessions=SESSIONS, max_clicks=st.integers(1, 10), data=st.data())
def test_windows_of_one_array_are_padded_as_their_clicks(
    sessions: list[list[int]], max_clicks: int, data: st.DataObject
) -> None:
    flat = np.array([item for session in sessions for item in session], np.int32)
    bounds = [
        sorted(data.draw(st.lists(st.integers(0, len(flat)), min_size=2, max_size=2, unique=True)))
        for _ in range(3)
    ]
    starts, stops = np.array(bounds).T
    expected = pad_clicks([flat[a:b].tolist() for a, b in bounds], max_clicks)
    windows = pad_windows(flat, starts, stops, max_clicks)
    np.testing.assert_array_equal(windows, expected)
    assert windows.dtype == expected.dtype


def test_model_inputs_fetch_once_a_hop_and_reach_the_neighbours_of_neighbours() -> None:
    graph = brute_force([[1, 2, 3, 4, 5]], window=1, size=2)
    asked: list[list[int]] = []

    def fetch(items: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        asked.append(items.tolist())
        return ArrayStore(graph).fetch(items)

    inputs = model_inputs(pad_clicks([[1], [3, 5]], 50), fetch, hops=2)
    assert asked == [[1, 0, 3, 5], [2, 0, 0, 0, 2, 4, 4, 0]]
    nodes, _, _, _, near, near_weights, far, far_weights = inputs
    assert nodes.tolist() == [[1, 0], [3, 5]]
    assert near.tolist() == [[[2, 0], [0, 0]], [[2, 4], [4, 0]]]
    assert near_weights.tolist() == [[[1, 0], [0, 0]], [[1, 1], [1, 0]]]
    assert far.tolist() == [[[1, 3], [0, 0], [0, 0], [0, 0]], [[1, 3], [3, 5], [3, 5], [0, 0]]]
    assert far_weights.shape == far.shape


def brute_force(sessions: list[list[int]], window: int, size: int) -> GlobalGraph:
    counts: list[Counter[int]] = [Counter() for _ in range(V + 1)]
    for session in sessions:
        for i, u in enumerate(session):
            for j, v in enumerate(session):
                if 0 < abs(i - j) <= window:
                    counts[u][v] += 1
    graph = GlobalGraph(np.zeros((V + 1, size), np.int32), np.zeros((V + 1, size), np.float32))
    for item, around in enumerate(counts):
        heaviest = sorted(around.items(), key=lambda pair: (-pair[1], pair[0]))[:size]
        for place, (neighbour, weight) in enumerate(heaviest):
            graph.neighbours[item, place], graph.weights[item, place] = neighbour, weight
    return graph


def built(sessions: list[list[int]], window: int = 3, size: int = 12) -> GlobalGraph:
    offsets = np.cumsum([0, *map(len, sessions)]).astype(np.int64)
    items = np.array([item for session in sessions for item in session], np.int32)
    return build_graph(items, offsets, V, window, size)


def assert_same(graph: GlobalGraph, expected: GlobalGraph) -> None:
    np.testing.assert_array_equal(graph.neighbours, expected.neighbours)
    np.testing.assert_array_equal(graph.weights, expected.weights)


@given(sessions=SESSIONS, window=st.integers(1, 5), size=st.integers(1, 8))
def test_global_graph_is_the_brute_force_count(sessions: list[list[int]], window: int, size: int) -> None:
    assert_same(built(sessions, window, size), brute_force(sessions, window, size))


@given(sessions=SESSIONS, chunk=st.integers(1, 12))
@settings(max_examples=50)
def test_global_graph_does_not_depend_on_the_size_of_chunks(sessions: list[list[int]], chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "CLICKS_PER_CHUNK", chunk)
        assert_same(built(sessions), brute_force(sessions, 3, 12))


def test_equal_counts_are_kept_by_ascending_item() -> None:
    graph = built([[4, 1], [3, 1], [5, 1], [2, 1], [5, 1]], size=3)
    assert graph.neighbours[1].tolist() == [5, 2, 3]
    assert graph.weights[1].tolist() == [2, 1, 1]


def test_empty_sequences_and_lonely_clicks_have_no_neighbours() -> None:
    graph = built([[], [1], [], [2, 3], []])
    assert graph.neighbours[[0, 1, 4]].sum() == 0
    assert graph.neighbours[2, 0] == 3
    assert (graph.n_items, graph.size) == (V, 12)


def test_the_digest_names_the_content() -> None:
    graph = built([[1, 2, 3]])
    # Written down once: stores and archives made earlier are found under it.
    assert graph.digest == "3292fbe9e54bd4e6ce8cbe38dfa4e4f5313d6b04b5f4aa83f164ec77a183b3b2"
    fortran = GlobalGraph(np.asfortranarray(graph.neighbours), np.asfortranarray(graph.weights))
    assert fortran.digest == graph.digest
    others = [built([[1, 2, 3]], size=6), built([[1, 3, 2]], window=1), built([[1, 2, 3]] * 2)]
    assert len({graph.digest, *(other.digest for other in others)}) == 4


def test_a_graph_is_read_as_it_was_saved(tmp_path: Path) -> None:
    graph = built([[1, 2, 3, 1], [4, 5]])
    graph.save(tmp_path / "graph.safetensors")
    loaded = GlobalGraph.load(tmp_path / "graph.safetensors")
    assert_same(loaded, graph)
    assert loaded.neighbours.dtype == np.int32
    assert loaded.weights.dtype == np.float32
    assert loaded.digest == graph.digest


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "noise"])
def test_a_damaged_graph_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "graph.safetensors"
    built([[1, 2, 3]]).save(path)
    content = {"empty": b"", "cut": path.read_bytes()[:-7], "noise": b"\xff" * 300}.get(damage)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"graph\.safetensors is no readable global graph .*again"):
        GlobalGraph.load(path)


def test_another_safetensors_file_is_no_graph(tmp_path: Path) -> None:
    save_file({"factors": np.zeros((2, 2), np.float32)}, tmp_path / "graph.safetensors")
    with pytest.raises(DataError, match="no readable global graph"):
        GlobalGraph.load(tmp_path / "graph.safetensors")
