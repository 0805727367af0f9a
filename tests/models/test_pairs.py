"""GCE-GNN over pairs, as it is trained, against the padded way in which it serves."""

from itertools import pairwise
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from srec.graph.distinct import SESSION, SIZES, distinct_inputs
from srec.graph.inputs import ModelInputs
from srec.graph.neighbours import GlobalGraph
from srec.graph.session import pad_clicks
from srec.models import edge_loops, edge_tensors, edges
from srec.models.edges import Pairs
from srec.models.gce_gnn import GceGnn
from srec.stores.array import ArrayStore
from tests.models.contract import (
    ITEMS,
    MAX_CLICKS,
    build,
    empty_graph,
    inputs_of,
    random_graph,
    random_sessions,
)


def pairs_of(sessions: list[list[int]], graph: GlobalGraph, hops: int) -> ModelInputs:
    return distinct_inputs(pad_clicks(sessions, MAX_CLICKS), ArrayStore(graph).fetch, hops)


def gradients(model: GceGnn, inputs: ModelInputs) -> tuple[Tensor, dict[str, Tensor]]:
    """Session vectors, and the gradients of a sum that weighs each of their components differently."""
    encoded = model.encode(*inputs)
    weights = torch.arange(1, 1 + encoded.numel()).cos().view(encoded.shape)
    model.zero_grad()
    (encoded * weights).sum().backward()  # type: ignore[no-untyped-call]
    return encoded.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("way", [edge_loops, edge_tensors], ids=["loops", "tensors"])
@pytest.mark.parametrize("hops", [1, 2, 3])
@pytest.mark.parametrize("graph", [random_graph(0), empty_graph()], ids=["graph", "no neighbours"])
def test_vectors_and_gradients_are_those_of_the_padded_way(
    hops: int, graph: GlobalGraph, way: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edges, "_way", lambda _: way)
    model = build(GceGnn, 0, dim=6, hops=hops)
    assert isinstance(model, GceGnn)
    with torch.no_grad():  # the drawn weights are small: stretched, every nonlinearity is left and right of 0
        for weights in model.parameters():
            weights.mul_(2)
    sessions = [[7], [3, 3], [1, 2, 1, 3, 2, 1], *random_sessions(0, 9)]
    expected, of_padded = gradients(model, inputs_of(model, sessions, graph))
    found, of_pairs = gradients(model, pairs_of(sessions, graph, hops))
    torch.testing.assert_close(found, expected)
    assert of_pairs.keys() == of_padded.keys()
    for name, gradient in of_padded.items():
        torch.testing.assert_close(of_pairs[name], gradient, rtol=1e-4, atol=1e-5, msg=name)
    assert any(name.startswith("aggregators") and g.abs().max() > 0 for name, g in of_pairs.items())


@given(
    sessions=st.lists(st.lists(st.integers(1, ITEMS), min_size=1, max_size=6), min_size=1, max_size=5),
    hops=st.integers(1, 3),
    seed=st.integers(0, 5),
)
@settings(deadline=None, max_examples=40)
def test_pairs_are_what_each_session_reaches_once_by_hops(
    sessions: list[list[int]], hops: int, seed: int
) -> None:
    """Against sets, hop by hop."""
    graph = random_graph(seed)
    (
        nodes,
        *_,
    ) = inputs = pairs_of(sessions, graph, hops)
    pairs = Pairs.of(inputs[4:])
    keys = list(zip(pairs.sessions.tolist(), pairs.items.tolist(), strict=True))
    there = [key for key in keys if key != (0, 0)]
    assert keys[0] == (0, 0)
    assert len(set(there)) == len(there)
    levels = [{(b, item) for b, session in enumerate(sessions) for item in session}]
    for _ in range(hops):
        near = {(b, int(j)) for b, item in levels[-1] for j in graph.neighbours[item] if j}
        levels.append(levels[-1] | near)
    sizes = [len(hop.around) for hop in pairs.edges] + [len(keys)]
    for level, size in zip(levels, sizes, strict=True):
        assert set(keys[:size]) - {(0, 0)} == level
        assert size % SIZES == 0
    assert torch.equal(pairs.items[pairs.slots], nodes)
    for hop in pairs.edges:
        for row, (b, item) in enumerate(keys[1 : len(hop.around)], start=1):
            expected = [(b, int(j)) if j else (0, 0) for j in graph.neighbours[item]]
            absent = [not j for _, j in expected]
            assert [keys[j] for j in hop.around[row].tolist()] == expected
            assert (hop.around[row] == 0).tolist() == absent
            assert hop.weights[row].tolist() == graph.weights[item].tolist()


def test_edges_are_ordered_by_where_they_lead() -> None:
    inputs = pairs_of(random_sessions(3, 6), random_graph(1), 2)
    for hop in Pairs.of(inputs[4:]).edges:
        leads_to = hop.around.flatten()
        bounds = [*hop.starts.tolist(), len(hop.order)]
        for pair, (start, stop) in enumerate(pairwise(bounds)):
            found = hop.order[start:stop].tolist()
            assert found == ([] if pair == 0 else torch.nonzero(leads_to == pair).flatten().tolist())


def test_sessions_and_items_fit_into_a_key() -> None:
    """Items are int32, sessions stand above them."""
    assert np.iinfo(np.int32).max < 1 << SESSION
    assert (65_536 << SESSION) + np.iinfo(np.int32).max < 1 << 62


def test_bfloat16_is_near() -> None:
    model = build(GceGnn, 0, dim=8, hops=2)
    assert isinstance(model, GceGnn)
    inputs = pairs_of(random_sessions(2, 8), random_graph(0), 2)
    exact, of_exact = gradients(model, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        rough, of_rough = gradients(model, inputs)
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.02)
    for name, gradient in of_exact.items():
        assert (of_rough[name] - gradient).abs().max() < 0.1 * gradient.abs().max() + 0.01, name
    assert not torch.equal(rough.float(), exact)


def test_loops_are_what_a_cpu_takes() -> None:
    assert edges._way(torch.zeros(1)) is edge_loops
    assert edges._way(torch.zeros(1, device="meta")) is edge_tensors


def test_loops_and_tensors_agree_where_sums_are_long() -> None:
    """4,000 edges of 64 dimensions, a third absent, to pairs with none to many of them."""
    random = torch.Generator().manual_seed(0)
    rows, neighbours, count, dim = 400, 12, 700, 64
    around = torch.randint(-count // 2, count, (rows, neighbours), generator=random).clamp(min=0)
    targets, order = around.flatten().sort(stable=True)
    starts = torch.searchsorted(targets, torch.arange(count)) - (targets == 0).sum()
    starts[0] = 0
    hop = edges.Edges(around, torch.rand(around.shape, generator=random), order[targets > 0], starts)
    given = [torch.randn(shape, generator=random) for shape in ((count, dim), (dim,), (dim,), around.shape)]
    upstream = torch.randn(rows, dim, generator=random)
    found = []
    for way in (edge_loops, edge_tensors):
        z, u, q, shares = (tensor.clone().requires_grad_() for tensor in given)
        scores = way.EdgeScores.apply(z, u, q, 0.2, *hop) * (around > 0)
        summed = way.WeightedSum.apply(shares * scores, z, *hop)
        (summed * upstream).sum().backward()
        found.append([scores.detach(), summed.detach(), *(t.grad for t in (z, u, q, shares))])
    for of_loops, of_tensors in zip(*found, strict=True):
        torch.testing.assert_close(of_loops, of_tensors, rtol=1e-4, atol=1e-3)
