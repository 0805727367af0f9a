"""Synthetic models: reproducible, and alike in what their recipe says."""

import json

import numpy as np
import pytest
import torch

from srec.bench.recipe import CORNER, DIRECTIONS, POPULARITY, committed, learn, portrait
from srec.bench.synthetic import CONTEXT_VALUES, NEIGHBOURS, synthetic_model
from srec.errors import InputError
from srec.export.pipeline import served_module
from srec.graph.inputs import model_inputs
from srec.graph.session import pad_clicks
from srec.models import ItemFeatures
from srec.models.popularity import Popularity
from srec.stores.array import ArrayStore


def test_same_seed_same_bits_another_seed_another_model() -> None:
    first, second, other = (synthetic_model(200, 16, seed) for seed in (0, 0, 1))
    for name, value in first[0].state_dict().items():
        assert torch.equal(value, second[0].state_dict()[name]), name
    assert first[1].digest == second[1].digest
    assert first[1].digest != other[1].digest
    assert not torch.equal(first[0].item_vectors(), other[0].item_vectors())


def test_the_graph_is_one() -> None:
    _, graph = synthetic_model(200, 16)
    rows = np.sort(graph.neighbours[1:], axis=1)
    assert rows.shape == (200, NEIGHBOURS)
    assert rows.min() >= 1
    assert rows.max() <= 200
    assert (np.diff(rows, axis=1) > 0).all(), "an item is twice in a row"
    assert (np.diff(graph.weights[1:], axis=1) <= 0).all(), "heaviest first"
    assert not graph.neighbours[0].any()
    assert not graph.weights[0].any()


def test_the_preset_of_srec_has_its_parameters() -> None:
    """9 D^2 + 9 D beside the tables: 1.12 million at D 352."""
    model, _ = synthetic_model(200, 352)
    counted = sum(
        p.numel()
        for name, p in model.named_parameters()
        if not name.startswith(("items.", "tags.", "context.", "attention.positions."))
    )
    assert counted == 9 * 352**2 + 9 * 352
    assert model.state_dict()["context.values.weight"].shape == (CONTEXT_VALUES, 352)


@pytest.mark.parametrize(("items", "dim"), [(3400, 352)])
def test_session_vectors_lie_as_those_of_the_trained_model(items: int, dim: int) -> None:
    """Bounds around what the recipe's run has: common direction, popular and shorter winners, right tail."""
    recipe, found = committed(), portrait(*synthetic_model(items, dim))
    assert found["session length, mean"] == pytest.approx(recipe.session_length, rel=0.01)
    low, middle, high = found["row norm, 1 / 50 / 99 %"]
    assert 0.8 < low < middle < high < 1.9
    assert found["mean row / mean norm"] == pytest.approx(0.574, abs=0.03)
    assert found["table energy in 1 / 4 / 16 / 64 directions"][0] == pytest.approx(0.406, abs=0.03)
    assert 0.35 < found["session energy in the same"][0] < 0.7
    assert found["score spread / (session length x row norm)"] == pytest.approx(0.2, abs=0.05)
    assert found["norm of the best 20 / mean norm"] < 0.95
    assert found["standard score at 0.1 / 1 / 10 / 50 %"] == pytest.approx([2.97, 2.45, 1.44, -0.14], abs=0.4)


def test_learning_reads_back_what_was_put_in() -> None:
    model, graph = synthetic_model(4000, 352)
    first = model.item_vectors() @ torch.full((352,), 1.0)  # popular items lie low in the common direction
    recipe, _ = learn(model, graph, (-first).argsort().argsort().numpy() * -1, "none")
    known = committed()
    assert recipe.spread[2:] == pytest.approx(known.spread[2:], rel=0.2)
    assert recipe.ones == pytest.approx(known.ones, abs=0.03)
    assert recipe.weights["attention.w4.weight"] == pytest.approx(
        known.weights["attention.w4.weight"], abs=1e-3
    )
    assert len(recipe.popularity) == len(POPULARITY)
    assert len(recipe.mix_rows) == len(DIRECTIONS) + 1
    assert np.shape(recipe.mix_self) == (CORNER, CORNER)


def test_learning_refuses_a_model_without_a_dot_product() -> None:
    _, graph = synthetic_model(200, 16)
    model = Popularity(Popularity.Settings(), ItemFeatures(200, 50))
    with pytest.raises(InputError, match="gce-gnn with scoring=dot"):
        learn(model, graph, np.arange(200), "none")


@pytest.mark.parametrize(("items", "dim"), [(200, 48), (60, 64)])
def test_learning_refuses_a_model_of_too_few_directions(items: int, dim: int) -> None:
    with pytest.raises(InputError, match=f"{items} items of width {dim}: .*at least 64"):
        learn(*synthetic_model(items, dim), np.arange(items), "none")


@pytest.mark.parametrize(("items", "dim"), [(200, 64), (64, 64)])
def test_learning_takes_the_least_width(items: int, dim: int) -> None:
    recipe, found = learn(*synthetic_model(items, dim), np.arange(items), "none")
    assert recipe.dim == 64
    assert len(found["session energy in the same"]) == 4


def test_the_committed_recipe_is_a_few_dozen_numbers() -> None:
    numbers = json.dumps(committed().model_dump()).count(",")
    assert numbers < 150


def test_a_synthetic_model_is_served_as_any_other() -> None:
    model, graph = synthetic_model(200, 16, metadata=False)
    inputs = model_inputs(pad_clicks([[1, 2, 1], [7]], 50), ArrayStore(graph).fetch, model.hops)
    assert torch.allclose(served_module(model)(*inputs), model(*inputs), atol=1e-5)
