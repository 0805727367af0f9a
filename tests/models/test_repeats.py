"""What clicked items gain, against a slow reference; the contract for models that have it."""

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from srec.models import MODELS, SessionModel
from srec.models.repeats import COUNTS, RepeatBonus
from tests.models.contract import (
    ITEMS,
    SESSIONS,
    Make,
    ModelContract,
    build,
    inputs_of,
    random_sessions,
    scores_of,
)

PLACES = 5  # fewer than a session has clicks: those before share the last number


def gaining(name: str, seed: int = 0, **more: object) -> SessionModel:
    """A model whose clicked items gain something, drawn from the seed."""
    model = build(MODELS[name], seed, dim=8, scoring="cosine", scale=2.0, repeats=True, **more)
    assert model.repeats is not None
    for part in model.repeats.buffers():
        part.copy_(torch.randn(part.shape, generator=torch.Generator().manual_seed(seed)))
    return model


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.trained_by_gradient])
class TestGaining(ModelContract):
    @pytest.fixture
    def make(self, name: str) -> Make:
        return functools.partial(gaining, name)


def reference(bonus: RepeatBonus, session: list[int], scores: list[float]) -> list[float]:
    """The docstring's formula, an item at a time."""
    places, counts, own = (part.tolist() for part in (bonus.places, bonus.counts, bonus.own))
    raised = list(scores)
    for item in set(session):
        since = session[::-1].index(item)
        raised[item - 1] += own[0] * scores[item - 1]
        raised[item - 1] += places[min(since, len(places) - 1)]
        raised[item - 1] += counts[min(session.count(item), COUNTS) - 1]
    return raised


@settings(max_examples=30, deadline=None)
@given(sessions=SESSIONS, seed=st.integers(0, 1000))
def test_gains_are_those_of_the_formula(sessions: list[list[int]], seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    bonus = RepeatBonus(PLACES)
    for part in bonus.buffers():
        part.copy_(torch.randn(part.shape, generator=draw))
    scores = torch.randn(len(sessions), ITEMS, generator=draw)
    nodes, alias, _, lengths, *_ = inputs_of(build(MODELS["pop"], 0), sessions)
    expected = [
        reference(bonus, session, row) for session, row in zip(sessions, scores.tolist(), strict=True)
    ]
    torch.testing.assert_close(bonus.raised(scores, nodes, alias, lengths), torch.tensor(expected))


def test_before_it_is_fitted_nothing_is_gained() -> None:
    sessions = random_sessions(1, 9)
    plain, unfitted = (
        build(MODELS["gce-gnn"], 0, dim=8, scoring="cosine", repeats=repeats) for repeats in (False, True)
    )
    assert torch.equal(scores_of(plain, sessions), scores_of(unfitted, sessions))


def test_gains_are_the_last_clicks_share() -> None:
    """Of an item that was clicked twice; the click between keeps its own."""
    model, plain = gaining("gce-gnn"), gaining("gce-gnn")
    plain.repeats = None
    inputs, asked = inputs_of(model, [[5, 3, 5, 7]]), torch.tensor([[5, 9]])
    with torch.no_grad():
        more: Tensor = model.shares(asked, *inputs) - plain.shares(asked, *inputs)
        gain = scores_of(model, [[5, 3, 5, 7]]) - scores_of(plain, [[5, 3, 5, 7]])
    assert more.nonzero().tolist() == [[0, 0, 2]]
    torch.testing.assert_close(more[0, 0, 2], gain[0, 4])
    assert (gain.nonzero()[:, 1] + 1).tolist() == [3, 5, 7]
