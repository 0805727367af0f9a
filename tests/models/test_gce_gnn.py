from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from srec.errors import InputError
from srec.graph.neighbours import GlobalGraph
from srec.models import ItemFeatures
from srec.models.gce_gnn import GceGnn, GceGnnSettings
from tests.models.contract import (
    ITEMS,
    MAX_CLICKS,
    build,
    empty_graph,
    flat,
    inputs_of,
    random_features,
    random_graph,
    random_sessions,
    scores_of,
)
from tests.models.reference import Hop, Reference, unit

TABLES = ("items.weight", "attention.positions.weight", "tags.factors", "context.values.weight")


def reference_of(model: GceGnn, graph: GlobalGraph, features: ItemFeatures) -> Reference:
    weights: dict[str, Any] = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    pairs = zip(graph.neighbours.tolist(), graph.weights.tolist(), strict=True)
    settings = model.settings
    return Reference(
        items=weights["items.weight"],
        a=dict(zip(("out", "in", "in-out", "self"), weights["local.kinds"], strict=True)),
        hops=[
            Hop(*(weights[f"aggregators.{hop}.{name}"] for name in ("w1.weight", "q1", "w2.weight")))
            for hop in range(settings.hops)
        ],
        positions=weights["attention.positions.weight"],
        w3=weights["attention.w3.weight"],
        b3=weights["attention.w3.bias"],
        w4=weights["attention.w4.weight"],
        b4=weights["attention.w4.bias"],
        w5=weights["attention.w5.weight"],
        q2=weights["attention.q2"],
        neighbours=[[(j, w) for j, w in zip(*row, strict=True) if j] for row in pairs],
        side=[side_of(item, weights, settings, features) for item in range(ITEMS + 1)],
        scale=settings.scale if settings.scoring == "cosine" else None,
    )


def side_of(
    item: int, weights: dict[str, Any], settings: GceGnnSettings, features: ItemFeatures
) -> list[float]:
    side: list[float] = []
    if settings.tags and features.tags is not None:
        tags = features.tags[item].tolist()
        side += unit(tags) if any(tags) else tags
    if settings.context and features.context is not None:
        known = [index for index in features.context[item].tolist() if index]
        vectors = [weights["context.values.weight"][index] for index in known]
        side += [sum(vector[d] for vector in vectors) for d in range(settings.dim)]
    return side


@pytest.mark.parametrize(
    "settings",
    [{}, {"hops": 2}, {"tags": True, "context": True}, {"tags": True, "hops": 2, "scoring": "cosine"}],
    ids=["paper", "two hops", "srec", "cosine"],
)
@pytest.mark.parametrize("graph", [random_graph(0), empty_graph()], ids=["graph", "no neighbours"])
def test_scores_are_those_of_the_formulas(settings: dict[str, Any], graph: GlobalGraph) -> None:
    model = build(GceGnn, 0, dim=5, **settings)
    assert isinstance(model, GceGnn)
    with torch.no_grad():  # the drawn weights are small: stretched, every nonlinearity is left and right of 0
        for weights in model.parameters():
            weights.mul_(1.5)
    features = random_features(5)
    if model.tags is not None:
        assert features.tags is not None
        model.tags.factors.data = torch.nn.functional.normalize(features.tags, dim=-1)
    reference = reference_of(model, graph, features)
    sessions = [[7], [3, 3], [1, 2, 1, 3, 2, 1], [4, 9, 4, 4], *random_sessions(0, 3, longest=6)]
    expected = torch.tensor([reference.scores(session) for session in sessions])
    torch.testing.assert_close(scores_of(model, sessions, graph), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dim", [8, 32])
def test_srecs_modification_has_nine_d_squared_and_nine_d_parameters_beside_its_tables(dim: int) -> None:
    model = build(GceGnn, 0, dim=dim, tags=True, context=True)
    assert count_beside_tables(model) == 9 * dim**2 + 9 * dim


def test_the_paper_has_the_two_side_blocks_less() -> None:
    assert count_beside_tables(build(GceGnn, 0, dim=16)) == 7 * 16**2 + 9 * 16


def count_beside_tables(model: torch.nn.Module) -> int:
    return sum(weights.numel() for name, weights in model.named_parameters() if name not in TABLES)


def test_repeated_clicks_and_their_order_count() -> None:
    scores = scores_of(build(GceGnn, 0, dim=8), [[1, 2], [2, 1], [1, 1, 2], [1, 2, 2]])
    assert len({tuple(row.tolist()) for row in scores}) == 4


def test_cosine_scores_lie_within_the_scale() -> None:
    model = build(GceGnn, 0, dim=8, scoring="cosine", scale=3.0)
    scores = scores_of(model, random_sessions(1, 20))
    assert scores.abs().max() <= 3.0 + 1e-5
    assert scores.abs().max() > 1.0


def test_tag_vectors_have_length_one_and_stay_unless_trainable() -> None:
    for trainable in (False, True):
        model = build(GceGnn, 0, dim=8, tags=True, tags_trainable=trainable)
        assert isinstance(model, GceGnn)
        assert model.tags is not None
        lengths = model.tags.factors.detach().norm(dim=1)
        torch.testing.assert_close(lengths[[0, 2, 3]], torch.zeros(3))
        torch.testing.assert_close(lengths[4:], torch.ones(ITEMS - 3))
        assert model.tags.factors.requires_grad == trainable


def test_padding_stays_zero_and_absent_neighbours_learn_nothing() -> None:
    model = build(GceGnn, 0, dim=8, hops=2).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=0.1)
    before = padding_row(model).clone()
    for seed in range(3):
        sessions = random_sessions(seed, 8)
        scores = differentiable(model, sessions)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(scores, torch.arange(8)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert torch.equal(before, torch.zeros(8))
    assert torch.equal(padding_row(model), torch.zeros(8))


def differentiable(model: Any, sessions: list[list[int]]) -> Tensor:
    scores: Tensor = model(*inputs_of(model, sessions))
    return scores


def padding_row(model: Any) -> Tensor:
    row: Tensor = model.items.weight[0].detach()
    return row


@pytest.mark.parametrize("name", ["dropout_global", "dropout_local", "dropout_aggregator"])
def test_dropout_works_in_training_alone(name: str) -> None:
    model = build(GceGnn, 0, dim=8, **{"dropout_global": 0.0, name: 0.5})
    sessions = random_sessions(1, 4)
    assert torch.equal(scores_of(model, sessions), scores_of(model, sessions))
    model.train()
    assert not torch.equal(scores_of(model, sessions), scores_of(model, sessions))


@pytest.mark.parametrize("what", ["tags", "context"])
def test_metadata_that_is_not_there_is_named(what: str) -> None:
    with pytest.raises(InputError, match=f"{what}=true needs metadata.*--games.*--set {what}=false"):
        GceGnn(GceGnnSettings.model_validate({what: True}), ItemFeatures(ITEMS, MAX_CLICKS))


@pytest.mark.parametrize("wrong", [{"dim": 0}, {"hops": 0}, {"dropout_global": 1.0}, {"dims": 8}])
def test_settings_have_bounds(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GceGnnSettings(**wrong)


def test_a_model_by_gradient_has_nothing_to_fit() -> None:
    sequences = flat([[1, 2]])
    with pytest.raises(TypeError, match="GceGnn is trained by gradient"):
        build(GceGnn, 0, dim=8).fit(sequences.items, sequences.offsets)
