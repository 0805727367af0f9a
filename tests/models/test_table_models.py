"""GRU4Rec, NARM, STAMP and FPMC against slow references; the contract for forms that the registry lacks."""

import functools
from typing import Any

import pytest
import torch
from hypothesis import given, settings

from srec.models import MODELS, SessionModel
from tests.models.contract import (
    SESSIONS,
    Make,
    ModelContract,
    build,
    inputs_of,
    random_sessions,
    scores_of,
)
from tests.models.reference_tables import scores

FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "gru4rec": ("gru4rec", {}),
    "two layers, two tables": ("gru4rec", {"layers": 2, "shared": False}),
    "narm": ("narm", {"hidden": 4}),
    "stamp": ("stamp", {}),
    "fpmc": ("fpmc", {}),
    "fpmc with user": ("fpmc user", {"user": True}),
}


def make(form: str, seed: int = 0, /, dim: int = 5, **more: Any) -> SessionModel:
    name, own = FORMS[form]
    return build(MODELS[name.split()[0]], seed, dim=dim, **own, **more)


@functools.cache
def stretched(form: str, scoring: str) -> SessionModel:
    """Drawn weights are small: stretched, every nonlinearity is left and right of 0."""
    model = make(form, scoring=scoring, scale=3.0)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            weights.mul_(0 if weights.std() == 0 else 0.7 / float(weights.std()))
            if name.endswith("bias"):
                weights.add_(torch.randn_like(weights) * 0.3)
    return model


@pytest.mark.parametrize("scoring", ["dot", "cosine"])
@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=8, deadline=None, derandomize=True)
@given(sessions=SESSIONS)
def test_scores_are_those_of_the_equations(form: str, scoring: str, sessions: list[list[int]]) -> None:
    model = stretched(form, scoring)
    weights = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    scale = 3.0 if scoring == "cosine" else None
    expected = [scores(FORMS[form][0], weights, session, scale) for session in sessions]
    torch.testing.assert_close(scores_of(model, sessions), torch.tensor(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["two layers, two tables", "fpmc with user"])
class TestForms(ModelContract):
    @pytest.fixture
    def make(self, form: str) -> Make:
        return functools.partial(make, form, dim=8)


@pytest.mark.parametrize("form", FORMS)
class TestCosine(ModelContract):
    @pytest.fixture
    def make(self, form: str) -> Make:
        return functools.partial(make, form, dim=8, scoring="cosine")


@pytest.mark.parametrize(
    ("form", "items", "other"),
    [
        ("gru4rec", 0.5, {"dropout_hidden": 0.0}),
        ("gru4rec", 0.0, {"dropout_hidden": 0.5}),
        ("narm", 0.5, {"dropout_session": 0.0}),
        ("narm", 0.0, {"dropout_session": 0.5}),
    ],
)
def test_each_dropout_acts_in_training_alone(form: str, items: float, other: dict[str, Any]) -> None:
    model, sessions = make(form, dim=16, dropout_items=items, **other), random_sessions(0, 4)
    served = scores_of(model, sessions)
    assert torch.equal(scores_of(model, sessions), served)
    trained = scores_of(model.train(), sessions)
    assert not torch.equal(trained, served)
    torch.manual_seed(3)
    first = scores_of(model, sessions)
    torch.manual_seed(3)
    assert torch.equal(scores_of(model, sessions), first)


@pytest.mark.parametrize("form", FORMS)
def test_padding_rows_stay_zero_and_every_weight_learns(form: str) -> None:
    model = make(form, dim=8).train()
    before = {name: weights.detach().clone() for name, weights in model.named_parameters()}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    loss = torch.nn.functional.cross_entropy(model(*inputs_of(model, random_sessions(0, 8))), torch.arange(8))
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    for name, weights in model.named_parameters():
        assert not torch.equal(weights, before[name]), name
        if name in {"items.weight", "inputs.weight", "clicked.weight"}:
            assert not weights[0].any(), name


def test_what_each_model_reads_of_a_session() -> None:
    """The order counts for nets over clicks; FPMC sees the last click, with a user also which came before."""
    sessions = [[1, 2, 3], [2, 1, 3], [1, 1, 2, 3], [9, 9, 3], [3]]
    kinds = {
        "gru4rec": [0, 1, 2, 3, 4],
        "narm": [0, 1, 2, 3, 4],
        "stamp": [0, 0, 2, 3, 4],
        "fpmc": [0, 0, 0, 0, 0],
        "fpmc with user": [0, 0, 2, 3, 4],
    }
    for form, expected in kinds.items():
        found = scores_of(stretched(form, "dot"), sessions)
        same = [next(i for i, row in enumerate(found) if torch.allclose(row, mine)) for mine in found]
        assert same == expected, form


def test_shares_of_fpmc_go_to_the_last_click_and_evenly_to_the_user() -> None:
    model = stretched("fpmc with user", "dot")
    asked = torch.tensor([[5, 6]])
    shares = model.shares(asked, *inputs_of(model, [[7, 7, 2]]))[0]  # [n, L]
    torch.testing.assert_close(shares[:, 0], shares[:, 1])
    torch.testing.assert_close(shares.sum(1), scores_of(model, [[7, 7, 2]])[0][asked[0] - 1])
    torch.testing.assert_close(shares[:, 2], model.shares(asked, *inputs_of(model, [[2]]))[0][:, 0])
