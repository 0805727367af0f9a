"""Reasons: shares of the clicks where the model is a sum, else what a click's absence takes away."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from srec.graph.inputs import ModelInputs
from srec.models import MODELS
from srec.models.markov import LastItemMarkov
from srec.serving.explain import because
from srec.serving.ranker import DenseScorer, EagerScorer, Ranker
from srec.stores.array import ArrayStore
from tests.models.contract import MAX_CLICKS, build, inputs_of, random_graph, random_sessions
from tests.serving.small import APPIDS, ask, make_predictor, make_ranker


class WeightedClicks(DenseScorer):
    """A click on item c speaks for item v by ``weights[c - 1, v - 1]``, wherever it stands."""

    hops = 1

    def __init__(self, weights: Tensor, *, additive: bool) -> None:
        self.weights = weights
        self.additive = additive

    def scores(self, inputs: ModelInputs) -> Tensor:
        return self._of_clicks(inputs).sum(1)

    def shares(self, inputs: ModelInputs, items: Sequence[Tensor]) -> list[Tensor] | None:
        if not self.additive:
            return None
        return [
            row[:length, one - 1].T
            for row, one, length in zip(self._of_clicks(inputs), items, inputs[3].tolist(), strict=True)
        ]

    def _of_clicks(self, inputs: ModelInputs) -> Tensor:
        nodes, alias, _, lengths, *_ = inputs
        present = torch.arange(alias.shape[1]) < lengths.unsqueeze(1)
        return self.weights[nodes.gather(1, alias) - 1] * present.unsqueeze(-1)  # [B, L, V]


def weights(*rows: tuple[int, ...]) -> Tensor:
    """Rows are clicked items, columns what they speak for; items beyond speak for nothing."""
    full = torch.zeros(len(APPIDS), len(APPIDS))
    full[: len(rows)] = torch.tensor(rows, dtype=torch.float32)
    return full


VOTES = weights((0, 0, 3, 1, -2, 0), (0, 0, 2, 2, 5, 0), (0, 0, 9, 3, 1, 0))


@pytest.mark.parametrize("additive", [True, False])
def test_the_strongest_clicks_that_speak_for_a_game(additive: bool) -> None:
    ranker = make_ranker(WeightedClicks(VOTES, additive=additive))
    answered = [torch.tensor([3, 4]), torch.tensor([3])]
    assert because(ranker, [[1, 2, 1], [2, 1]], answered, 3) == [[[1, 2], [1, 2]], [[1, 2]]]
    assert because(ranker, [[1, 2, 1]], [torch.tensor([3, 4])], 1) == [[[1], [1]]]


@pytest.mark.parametrize(("additive", "of_five", "of_six"), [(True, [2, 1], [1, 2]), (False, [2], [])])
def test_shares_of_any_sign_but_only_losses(additive: bool, of_five: list[int], of_six: list[int]) -> None:
    """A negative share is the smaller one; without a click that speaks against a game, nothing is lost."""
    ranker = make_ranker(WeightedClicks(VOTES, additive=additive))
    assert because(ranker, [[1, 2, 1]], [torch.tensor([5, 6])], 3) == [[of_five, of_six]]


@pytest.mark.parametrize("additive", [True, False])
def test_only_clicks_that_the_model_sees(additive: bool) -> None:
    ranker = make_ranker(WeightedClicks(VOTES, additive=additive))
    assert because(ranker, [[3, 2, 1, 1]], [torch.tensor([3])], 3) == [[[1, 2]]]


def test_answers_name_clicked_appids_and_at_most_three() -> None:
    predictor = make_predictor(WeightedClicks(VOTES, additive=True))
    answer = ask(predictor, 7, 10, 20, 30, explain=True)
    assert {item["appid"]: item["because"] for item in answer["items"]} == {
        40: [30, 20, 10], 50: [20, 30, 10], 60: [10, 20, 30],
    }  # fmt: skip
    assert all("because" not in item for item in ask(predictor, 10)["items"])
    assert [item["because"] for item in ask(predictor, 7, explain=True)["items"]] == [[]] * len(APPIDS)


def test_a_lone_click_is_the_reason() -> None:
    ranker = make_ranker(WeightedClicks(VOTES, additive=False))
    assert because(ranker, [[1, 1]], [torch.tensor([4, 6])], 3) == [[[1], [1]]]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_asked(name: str) -> None:
    """Clicked items only, never more than asked for, the same in a batch as alone."""
    model = build(MODELS[name], 0)
    ranker = Ranker(EagerScorer(model, model.hops), ArrayStore(random_graph(0)), MAX_CLICKS)
    sessions = random_sessions(1, 9)
    answered = [best.items for best in ranker.rank_all(sessions, 6)]
    reasons = because(ranker, sessions, answered, 3)
    assert reasons == [because(ranker, [s], [a], 3)[0] for s, a in zip(sessions, answered, strict=True)]
    for session, of_session in zip(sessions, reasons, strict=True):
        assert len(of_session) == 6
        for clicked in of_session:
            assert len(set(clicked)) == len(clicked) <= 3
            assert set(clicked) <= set(session)
    assert any(clicked for of_session in reasons for clicked in of_session)


def test_the_last_click_is_the_reason_of_a_markov_chain() -> None:
    model = build(LastItemMarkov, 0)
    assert isinstance(model, LastItemMarkov)
    ranker = Ranker(EagerScorer(model, 0), ArrayStore(random_graph(0)), MAX_CLICKS)
    followers = torch.tensor([int(model.successors[5, 0])])
    assert model.counts[5, 0] > 0
    (reasons,) = because(ranker, [[9, 7, 5]], [followers], 3)
    assert reasons == [[5]]


def test_shares_of_an_additive_model_are_its_terms() -> None:
    """beta_i h'_i . v, summed over the occurrences of an item, from the model's own attention."""
    model = build(MODELS["gce-gnn"], 0, scoring="cosine")
    ranker = Ranker(EagerScorer(model, model.hops), ArrayStore(random_graph(0)), MAX_CLICKS)
    session, items = [4, 9, 4, 11], torch.tensor([3, 20, 21])
    with torch.no_grad():
        terms = model.shares(items.unsqueeze(0), *inputs_of(model, [session]))[0]  # [3, 4]
    by_item = {4: terms[:, 0] + terms[:, 2], 9: terms[:, 1], 11: terms[:, 3]}
    expected = [sorted(by_item, key=lambda i: -float(by_item[i][row])) for row in range(3)]
    assert because(ranker, [session], [items], 3) == [expected]
