"""Requests -> answers, over a model whose scores are known."""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from srec.errors import RequestError
from srec.graph.inputs import ModelInputs
from srec.serving.contract import Answer, Filters, Request
from srec.serving.predictor import Predictor, ShortSessions, TagFallback
from tests.serving.small import (
    APPIDS,
    CLICKS,
    FREE,
    PRICES,
    TAG_NAMES,
    TAGS,
    LastClickScorer,
    answered,
    ask,
    make_predictor,
    make_ranker,
)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return make_predictor()


def test_golden_answer(predictor: Predictor) -> None:
    """The answer's form is a contract: tests/serving/golden_answer.json is what clients parse."""
    golden = json.loads((Path(__file__).parent / "golden_answer.json").read_text())
    assert ask(predictor, 10, 999, 30, k=3, explain=True) == golden


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


def passes(index: int, filters: Filters) -> bool:
    """The filters' rules, written again for one game."""
    price, tags = PRICES[index], {TAG_NAMES[tag] for tag in TAGS[index]}
    return (
        (not filters.tags_any or bool(tags & set(filters.tags_any)))
        and not tags & set(filters.tags_none)
        and (filters.max_price is None or (price is not None and price <= filters.max_price))
        and (filters.free is None or FREE[index] == filters.free)
        and APPIDS[index] not in filters.exclude_appids
    )


some_tags = st.lists(st.sampled_from(TAG_NAMES), max_size=2)
filters = st.builds(
    Filters,
    tags_any=some_tags,
    tags_none=some_tags,
    max_price=st.none() | st.sampled_from([0.0, 9.98, 9.99, 19.99, 20.0]),
    free=st.none() | st.booleans(),
    exclude_appids=st.lists(st.sampled_from([*APPIDS, 7]), max_size=3),
)
requests_of_all_kinds = st.builds(
    Request,
    appids=st.lists(st.sampled_from([*APPIDS, 7, 8]), max_size=6),
    k=st.integers(1, 8),
    exclude_clicked=st.booleans(),
    explain=st.booleans(),
    filters=st.none() | filters,
    popularity_penalty=st.sampled_from([0.0, 0.3, 1.0]),
)


@settings(deadline=None)
@given(requests_of_all_kinds)
def test_filters_answer_the_best_of_what_passes(predictor: Predictor, request: Request) -> None:
    """Also when few pass, for popular games, and with a penalty: the full ranking, filtered afterwards."""
    wanted = request.filters or Filters()
    everything = ask(
        predictor,
        *request.appids,
        k=100,
        exclude_clicked=False,
        popularity_penalty=request.popularity_penalty,
    )
    clicked = request.appids if request.exclude_clicked else []
    allowed = [
        (item["appid"], item["score"])
        for item in everything["items"]
        if passes(APPIDS.index(item["appid"]), wanted) and item["appid"] not in clicked
    ]
    answer = predictor.answer([request], ["id"])[0]
    assert [(item["appid"], item["score"]) for item in answer["items"]] == allowed[: request.k]
    assert answer["source"] == everything["source"]


@settings(deadline=None)
@given(st.lists(requests_of_all_kinds, min_size=1, max_size=6))
def test_a_batch_answers_every_request_as_if_it_came_alone(
    predictor: Predictor, requests: list[Request]
) -> None:
    ids = [str(number) for number in range(len(requests))]
    together = predictor.answer(requests, ids)
    assert together == [predictor.answer([request], [i])[0] for request, i in zip(requests, ids, strict=True)]
    for answer, request in zip(together, requests, strict=True):
        Answer.model_validate(answer, strict=True)
        assert all(("because" in item) == request.explain for item in answer["items"])


def test_many_requests_are_encoded_a_few_at_a_time() -> None:
    """Bodies of many requests in one batch would fill a worker's memory."""
    sizes = list[int]()

    class Sized(LastClickScorer):
        def scores(self, inputs: ModelInputs) -> Tensor:
            sizes.append(len(inputs[0]))
            return super().scores(inputs)

    requests = [Request(appids=[appid], k=3) for appid in APPIDS * 12]
    predictor = make_predictor(Sized())
    answers = predictor.answer(requests, ["id"] * len(requests))
    assert sizes == [32, 32, 8]
    assert answers == [predictor.answer([request], ["id"])[0] for request in requests]


def test_nothing_passes(predictor: Predictor) -> None:
    for appids in ([20], []):
        answer = ask(
            predictor, *appids, explain=True, filters=Filters(tags_any=["Puzzle"], max_price=0, free=False)
        )
        assert answer["items"] == []


def test_filters_that_demand_nothing(predictor: Predictor) -> None:
    demands = Filters(tags_any=[], tags_none=[], exclude_appids=[])
    assert ask(predictor, 30, filters=demands) == ask(predictor, 30)
    assert ask(make_predictor(metadata=False), 30, filters=demands) == ask(predictor, 30)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Filters(tags_any=["Puzzle", "puzle"]),
         'filters.tags_any[1]: unknown tag "puzle" (did you mean "Puzzle"?)'),
        (Filters(tags_none=["Xyz"]), 'filters.tags_none[0]: unknown tag "Xyz"'),
    ],
)  # fmt: skip
def test_an_unknown_tag_names_the_nearest(predictor: Predictor, wanted: Filters, message: str) -> None:
    for check in (predictor.check, lambda request: predictor.answer([request], ["id"])):
        with pytest.raises(RequestError) as refused:
            check(Request(appids=[10], filters=wanted))
        assert str(refused.value) == message


@pytest.mark.parametrize(
    "demand", [{"tags_any": ["Puzzle"]}, {"tags_none": ["Puzzle"]}, {"max_price": 0}, {"free": False}]
)
def test_a_model_without_metadata_says_so(demand: dict[str, object]) -> None:
    predictor = make_predictor(metadata=False)
    (field,) = demand
    with pytest.raises(RequestError) as refused:
        predictor.check(Request(appids=[10], filters=Filters.model_validate(demand)))
    assert str(refused.value) == (
        f"filters.{field} cannot be used: this model was made without metadata of its games, "
        "only exclude_appids can"
    )
    assert answered(ask(predictor, 30, filters=Filters(exclude_appids=[20, 40, 999]))) == [10, 50, 60]


def test_the_popularity_penalty_takes_off_the_logarithm_of_training_clicks(predictor: Predictor) -> None:
    scores = {item["appid"]: item["score"] for item in ask(predictor, 30)["items"]}
    penalised = ask(predictor, 30, popularity_penalty=0.7)["items"]
    for item in penalised:
        taken_off = 0.7 * math.log(1 + CLICKS[APPIDS.index(item["appid"])])
        assert item["score"] == pytest.approx(scores[item["appid"]] - taken_off, abs=1e-5)
    assert [item["appid"] for item in penalised][:2] == [40, 50]  # 20 was as near as 40, but has nine clicks


class FarFromLastClick(LastClickScorer):
    def scores(self, inputs: ModelInputs) -> Tensor:
        return -super().scores(inputs)


@pytest.fixture(scope="module")
def routed() -> Predictor:
    """Sessions of one or two known clicks are answered by a model that likes what is far away."""
    return make_predictor(short=ShortSessions(make_ranker(FarFromLastClick()), 2))


def test_known_clicks_decide_which_model_answers(routed: Predictor, predictor: Predictor) -> None:
    for appids in ([10], [10, 10], [7, 10, 8, 10]):
        answer = ask(routed, *appids)
        assert (answer["source"], answered(answer)[0]) == ("short-session", 60)
    assert ask(routed, 20, 10, 10) == ask(predictor, 20, 10, 10)
    assert ask(routed, 7) == ask(predictor, 7)


def test_both_models_answer_in_one_batch(routed: Predictor) -> None:
    bodies = [[20, 30, 10], [10], [], [7], [40, 40], [60, 50, 40, 30]]
    requests = [Request(appids=appids, explain=True) for appids in bodies]
    together = routed.answer(requests, [""] * len(requests))
    assert together == [routed.answer([request], [""])[0] for request in requests]
    assert [answer["source"] for answer in together] == [
        "last-click", "short-session", "popular", "popular", "short-session", "last-click",
    ]  # fmt: skip


def test_sources(routed: Predictor, predictor: Predictor) -> None:
    assert routed.sources == ("last-click", "popular", "short-session")
    assert predictor.sources == ("last-click", "popular")


@pytest.fixture(scope="module")
def with_tags() -> Predictor:
    """Three models; games of less than two training clicks (40 and 50) are rare."""
    far = make_ranker(FarFromLastClick())
    return make_predictor(
        short=ShortSessions(make_ranker(LastClickScorer()), 1),
        tags=TagFallback(far, torch.tensor(CLICKS) < 2),
    )


def test_clicks_on_rare_games_alone_are_answered_by_tags(with_tags: Predictor, predictor: Predictor) -> None:
    for appids in ([40], [50, 40, 7], [40, 50, 50, 40]):
        answer = ask(with_tags, *appids)
        assert (answer["source"], answered(answer)[0]) == ("tags", 10)
    assert ask(with_tags, 40, 20) == ask(predictor, 40, 20)  # one that is known well is enough
    assert ask(with_tags, 20)["source"] == "short-session"
    assert [ask(with_tags, *appids)["source"] for appids in ([], [7])] == ["popular", "popular"]


def test_three_models_answer_in_one_batch(with_tags: Predictor) -> None:
    requests = [Request(appids=appids) for appids in ([40], [20, 30], [20], [], [50])]
    together = with_tags.answer(requests, [""] * 5)
    assert together == [with_tags.answer([request], [""])[0] for request in requests]
    assert with_tags.sources == ("last-click", "popular", "short-session", "tags")
