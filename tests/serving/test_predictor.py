"""Requests -> answers, over a model whose scores are known."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from srec.graph.inputs import ModelInputs
from srec.graph.neighbours import GlobalGraph
from srec.ids import Vocabulary
from srec.serving.contract import Request
from srec.serving.predictor import Catalogue, ModelInfo, Predictor
from srec.serving.ranker import DenseScorer, Ranker
from srec.stores.array import ArrayStore

APPIDS = [10, 20, 30, 40, 50, 60]
CLICKS = [5, 9, 9, 1, 0, 2]


class LastClickScorer(DenseScorer):
    """Scores an item by closeness to the last click, so that order, repeats and ties show."""

    hops = 1

    def scores(self, inputs: ModelInputs) -> Tensor:
        nodes, alias, _, lengths, *_ = inputs
        last = nodes.gather(1, alias.gather(1, lengths.unsqueeze(1) - 1))  # [B, 1]
        return -(torch.arange(1, len(APPIDS) + 1) - last).abs().float()


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    graph = GlobalGraph(np.zeros((7, 2), np.int32), np.zeros((7, 2), np.float32))
    ranker = Ranker(LastClickScorer(), ArrayStore(graph), max_clicks=3)
    names = [None if appid == 40 else f"game {appid}" for appid in APPIDS]
    catalogue = Catalogue(Vocabulary(APPIDS), names, CLICKS)
    return Predictor(ranker, catalogue, ModelInfo("last-click", "1.0", "abc"))


def ask(predictor: Predictor, *appids: int, k: int = 10, exclude_clicked: bool = True) -> dict[str, object]:
    return predictor.answer([Request(appids=list(appids), k=k, exclude_clicked=exclude_clicked)], ["id"])[0]


def answered(answer: dict[str, object]) -> list[int]:
    return [item["appid"] for item in answer["items"]]  # type: ignore[attr-defined]


def test_golden_answer(predictor: Predictor) -> None:
    """The answer's form is a contract: tests/serving/golden_answer.json is what clients parse."""
    golden = json.loads((Path(__file__).parent / "golden_answer.json").read_text())
    assert ask(predictor, 10, 999, 30, k=3) == golden


def test_equal_scores_put_the_lower_appid_first(predictor: Predictor) -> None:
    assert answered(ask(predictor, 30)) == [20, 40, 10, 50, 60]


def test_clicked_games_are_left_out_unless_wanted(predictor: Predictor) -> None:
    assert answered(ask(predictor, 20, 30)) == [40, 10, 50, 60]
    assert answered(ask(predictor, 20, 30, exclude_clicked=False)) == [30, 20, 40, 10, 50, 60]


def test_the_newest_click_is_the_last(predictor: Predictor) -> None:
    assert answered(ask(predictor, 10, 60, k=1)) == [50]
    assert answered(ask(predictor, 60, 10, k=1)) == [20]


def test_unknown_appids_are_skipped_and_listed_once(predictor: Predictor) -> None:
    answer = ask(predictor, 7, 60, 8, 7)
    assert answer["unknown_appids"] == [7, 8]
    assert answer["source"] == "last-click"
    assert answered(answer) == answered(ask(predictor, 60))


def test_a_long_session_keeps_its_newest_known_clicks_and_says_so(predictor: Predictor) -> None:
    answer = ask(predictor, 10, 20, 30, 60)
    assert answer["truncated"] is True
    assert answered(answer) == [50, 40]  # clicks that were cut off are still clicked games
    assert ask(predictor, 7, 20, 30, 60)["truncated"] is False  # unknown ones are taken out before


def test_nothing_known_gets_popular_games(predictor: Predictor) -> None:
    for appids in ([], [7, 8]):
        answer = ask(predictor, *appids, k=4)
        assert answer["source"] == "popular"
        assert answered(answer) == [20, 30, 10, 60]  # by clicks, ties by appid
        assert answer["unknown_appids"] == appids


def test_all_games_clicked_leaves_an_empty_list(predictor: Predictor) -> None:
    assert answered(ask(predictor, *APPIDS)) == []


@given(
    st.lists(
        st.builds(
            Request,
            appids=st.lists(st.sampled_from([*APPIDS, 7, 8]), max_size=6),
            k=st.integers(1, 8),
            exclude_clicked=st.booleans(),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_a_batch_answers_every_request_as_if_it_came_alone(
    predictor: Predictor, requests: list[Request]
) -> None:
    ids = [str(number) for number in range(len(requests))]
    together = predictor.answer(requests, ids)
    assert together == [predictor.answer([request], [i])[0] for request, i in zip(requests, ids, strict=True)]
