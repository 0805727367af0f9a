import functools
import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from srec.graph.inputs import model_inputs
from srec.graph.neighbours import GlobalGraph
from srec.graph.session import pad_clicks
from srec.models.session_edges import adjacency, transitions
from srec.models.sr_gnn import SrGnn, SrGnnSettings
from srec.stores.array import ArrayStore
from tests.models.contract import (
    MAX_CLICKS,
    Make,
    ModelContract,
    build,
    inputs_of,
    random_graph,
    random_sessions,
    scores_of,
)
from tests.models.reference_sr_gnn import SrGnnReference

SESSIONS = [[7], [3, 3], [1, 2, 1, 3, 2, 1, 2], [4, 9, 4, 4], [5, 8], *random_sessions(0, 4, longest=6)]
VARIANTS: list[dict[str, Any]] = [
    {},
    {"form": "guide", "steps": 2},
    {"messages": "attention", "scoring": "cosine"},
    {"form": "guide", "messages": "attention"},
    {"borrow_up_to": 3, "borrow": 2},
    {"form": "guide", "borrow_up_to": 2, "borrow": 4, "time_gaps": "optional", "gap_unit": 2.0},
    {"messages": "attention", "borrow_up_to": 3, "time_gaps": "required", "steps": 2},
]


class TestGuide(ModelContract):
    @pytest.fixture
    def make(self) -> Make:
        return functools.partial(build, SrGnn, dim=8, form="guide", messages="attention", steps=2)


class TestBorrowingWithOptionalTimes(ModelContract):
    @pytest.fixture
    def make(self) -> Make:
        return functools.partial(
            build, SrGnn, dim=8, borrow_up_to=3, borrow=2, time_gaps="optional", scoring="cosine"
        )


def graph_without_repeats(seed: int) -> GlobalGraph:
    """As real graphs are: an item is another's neighbour once."""
    graph = random_graph(seed)
    random = np.random.default_rng(seed)
    rows = [random.permutation(np.arange(1, len(graph.neighbours)))[: graph.size] for _ in graph.neighbours]
    weights = -np.sort(-graph.weights, axis=1)
    return GlobalGraph(np.array(rows, np.int32) * (weights > 0), weights)


def model_of(**settings: Any) -> SrGnn:
    model = build(SrGnn, 0, dim=5, **settings)
    assert isinstance(model, SrGnn)
    with torch.no_grad():  # the drawn weights are small: stretched, every nonlinearity is left and right of 0
        for weights in model.parameters():
            weights.mul_(1.5)
    return model


def reference_of(model: SrGnn, graph: GlobalGraph) -> SrGnnReference:
    settings = model.settings
    pairs = zip(graph.neighbours.tolist(), graph.weights.tolist(), strict=True)
    return SrGnnReference(
        weights={name: tensor.tolist() for name, tensor in model.state_dict().items()},
        neighbours=[[(j, w) for j, w in zip(*row, strict=True) if j] for row in pairs],
        form=settings.form,
        attention=settings.messages == "attention",
        steps=settings.steps,
        scale=settings.scale if settings.scoring == "cosine" else None,
        beta=model.beta / settings.gap_unit,
        borrow_up_to=settings.borrow_up_to,
        borrow=settings.borrow,
    )


@pytest.mark.parametrize("settings", VARIANTS, ids=lambda settings: "-".join(map(str, settings.values())))
def test_scores_are_those_of_the_equations(settings: dict[str, Any]) -> None:
    model, graph = model_of(**settings), graph_without_repeats(3)
    random = np.random.default_rng(0)
    gaps = [[0.0, *random.uniform(0, 9, len(session) - 1)] for session in SESSIONS]
    padded = np.zeros((len(SESSIONS), max(map(len, SESSIONS))), np.float32)
    for row, values in zip(padded, gaps, strict=True):
        row[: len(values)] = values
    timed = padded if model.reads_times else None
    inputs = model_inputs(pad_clicks(SESSIONS, MAX_CLICKS), ArrayStore(graph).fetch, model.hops, timed)
    reference = reference_of(model, graph)
    expected = [
        reference.scores(session, of_session if model.reads_times else None)
        for session, of_session in zip(SESSIONS, gaps, strict=True)
    ]
    with torch.no_grad():
        torch.testing.assert_close(model(*inputs), torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_the_guides_table_of_weights() -> None:
    """A, B, C, B, D: A to B 1, B to C and B to D one half, C to B 1."""
    a, b, c, d = range(4)
    counts = transitions(torch.tensor([[a, b, c, b, d]]), torch.tensor([5]), 4)
    incoming, outgoing = adjacency(counts, by_source=True)
    expected = torch.zeros(4, 4)
    expected[a, b], expected[b, c], expected[c, b], expected[b, d] = 1.0, 0.5, 1.0, 0.5
    assert torch.equal(outgoing[0], expected)
    assert torch.equal(incoming[0], expected.T)


def test_the_authors_divide_by_the_degree_of_who_hears() -> None:
    """The same session: B hears A and C in halves, and a transition that occurs twice is one edge."""
    counts = transitions(torch.tensor([[0, 1, 2, 1, 3, 0, 1]]), torch.tensor([7]), 4)
    incoming, outgoing = adjacency(counts, by_source=False)
    assert incoming[0, 1].tolist() == [0.5, 0, 0.5, 0]
    assert outgoing[0, 0].tolist() == [0, 1, 0, 0]
    assert outgoing[0, 1].tolist() == [0, 0, 0.5, 0.5]


def test_sessions_above_the_bound_borrow_nothing() -> None:
    model = build(SrGnn, 0, dim=8, borrow_up_to=2)
    sessions = [[9], [5, 9], [3, 5, 9]]
    with_graph, without = scores_of(model, sessions), scores_of(model, sessions, no_neighbours())
    differs = [not torch.allclose(*rows) for rows in zip(with_graph, without, strict=True)]
    assert differs == [True, True, False]


def no_neighbours() -> GlobalGraph:
    graph = random_graph(0)
    return GlobalGraph(np.zeros_like(graph.neighbours), np.zeros_like(graph.weights))


def test_an_edge_of_long_ago_is_none() -> None:
    """With all gaps endless, every click stands alone: the last one hears nothing of those before."""
    model = model_of(time_gaps="optional")
    clicks = pad_clicks([[1, 2, 3]], MAX_CLICKS)
    endless = np.array([[0, 1e9, 1e9]], np.float32)
    with torch.no_grad():
        h, linked = model._graph(*graph_of(model, clicks, endless))
        alone = model.messages(h, linked)
        assert torch.equal(alone, model.messages.bias.expand_as(alone))
        at_once = model(*model_inputs(clicks, no_fetch, 0, np.zeros((1, 3), np.float32)))
        torch.testing.assert_close(at_once, model(*model_inputs(clicks, no_fetch, 0)))


def graph_of(model: SrGnn, clicks: Any, gaps: Any) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, ...]]:
    nodes, alias, _, lengths, *rows = model_inputs(clicks, no_fetch, model.hops, gaps)
    return nodes, alias, lengths, tuple(rows)


def no_fetch(items: Any) -> Any:
    raise AssertionError("a model without neighbours asks for none")


def test_beta_starts_at_a_tenth_and_learns() -> None:
    model = model_of(time_gaps="required")
    fresh = build(SrGnn, 0, dim=5, time_gaps="required")
    assert isinstance(fresh, SrGnn)
    assert fresh.beta == pytest.approx(0.1)
    model(*inputs_of(model, [[1, 2, 3]])).logsumexp(1).sum().backward()
    assert model.log_beta is not None
    assert model.log_beta.grad is not None
    assert math.isfinite(model.log_beta.grad)
    assert float(model.log_beta.grad) != 0


def test_required_times_that_are_not_there_are_missed() -> None:
    model = build(SrGnn, 0, dim=8, time_gaps="required")
    with pytest.raises(ValueError, match="time_gaps=required: the inputs must end with the gaps"):
        model(*model_inputs(pad_clicks([[1, 2]], MAX_CLICKS), no_fetch, 0))


def test_optional_times_are_hidden_from_half_of_the_sessions_in_training_alone() -> None:
    model = model_of(time_gaps="optional")
    inputs = inputs_of(model, [[1, 2, 3]] * 200)
    plain = model(*inputs[:4])[0]
    answered = model(*inputs)
    assert not torch.allclose(answered[0], plain)
    torch.testing.assert_close(answered, answered[:1].expand_as(answered))
    torch.manual_seed(0)
    trained = model.train()(*inputs)
    hidden = torch.isclose(trained, plain, atol=1e-6).all(1)
    seen = torch.isclose(trained, answered[0], atol=1e-6).all(1)
    assert (hidden ^ seen).all()
    assert 60 < hidden.sum() < 140


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"form": "paper"}, {"gap_unit": 0}, {"borrow": 0}, {"time_gaps": "on"}]
)
def test_settings_have_bounds(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SrGnnSettings(**wrong)
