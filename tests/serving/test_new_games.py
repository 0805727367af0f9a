"""New games among the answers: at most a share, exactly the best, whatever else is asked."""

import itertools
from collections.abc import Sequence

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srec.serving.contract import Request
from srec.serving.new_games import NewGames
from srec.topk import Selection, TopK, select
from tests.serving.small import APPIDS, answered, ask, make_predictor

ITEMS = 9
scores_of = st.lists(st.integers(-3, 3), min_size=ITEMS, max_size=ITEMS)
flags = st.lists(st.booleans(), min_size=ITEMS, max_size=ITEMS)


def best_answer(
    scores: Sequence[float], allowed: list[bool], new: list[bool], k: int, most: int
) -> list[int]:
    """The best answer by trying all, in the order of their scores."""
    order = sorted((i for i in range(ITEMS) if allowed[i]), key=lambda i: (-scores[i], i))
    for size in range(k, -1, -1):
        # Combinations of an ordered list come out in order: the first that fits is the best of its size.
        fits = (c for c in itertools.combinations(order, size) if sum(new[i] for i in c) <= most)
        if (found := next(fits, None)) is not None:
            return [i + 1 for i in found]
    return []


@settings(deadline=None)
@given(scores_of, flags, flags, st.integers(1, ITEMS + 1), st.sampled_from([0.0, 0.2, 0.34, 0.5, 1.0]))
def test_the_answer_is_the_exact_best_under_the_limit(
    scores: list[int], allowed: list[bool], new: list[bool], k: int, share: float
) -> None:
    games = NewGames(torch.tensor(new), bonus=1.0, share=share)
    of_session = torch.tensor([scores], dtype=torch.float32)
    asked = [Selection(k, allowed=torch.tensor(allowed), handicap=torch.full((ITEMS,), 0.5))] * 2

    def rank(places: Sequence[int], selections: Sequence[Selection]) -> list[TopK]:
        return select(of_session.repeat(len(selections), 1), selections)

    first, second = games.rank(rank, asked)
    favoured = [score + flag - 0.5 for score, flag in zip(scores, new, strict=True)]
    assert first.items.tolist() == best_answer(favoured, allowed, new, min(k, ITEMS), games.most(k))
    assert first.scores.tolist() == [favoured[item - 1] for item in first.items.tolist()]
    assert second.items.tolist() == first.items.tolist()


def test_the_best_answer_found_by_trying_is_greedy_in_order() -> None:
    """The reference of the test above, on a case done by hand."""
    assert best_answer([9, 8, 7, 6, 5, 0, 0, 0, 0], [True] * 9, [True, True] + [False] * 7, 3, 1) == [1, 3, 4]


def test_shares_of_k() -> None:
    games = NewGames(torch.tensor([True]), 0.0, 0.29)
    assert [games.most(k) for k in (1, 3, 4, 100)] == [0, 0, 1, 29]


def test_a_new_game_is_answered_within_its_share_and_filters_hold() -> None:
    """Around game 50 the scorer likes 40, 50 and 60 best; 40 to 60 are new."""
    predictor = make_predictor()
    predictor.new_games = NewGames(torch.tensor([appid >= 40 for appid in APPIDS]), 0.0, 0.5)
    asked = {"k": 4, "exclude_clicked": False}
    assert answered(ask(predictor, 50, **asked)) == [50, 40, 30, 20]
    predictor.new_games = NewGames(predictor.new_games.new, -10.0, 0.5)
    assert answered(ask(predictor, 50, **asked)) == [30, 20, 10, 50]
    predictor.new_games = NewGames(predictor.new_games.new, 0.0, 0.5)
    filtered = ask(predictor, 50, filters={"exclude_appids": [50, 20]}, **asked)
    assert answered(filtered) == [40, 60, 30, 10]
    requests = [Request(appids=[appid], k=4, exclude_clicked=False) for appid in (50, 10)]
    both = predictor.answer(requests, ["a", "b"])
    assert [answered(one) for one in both] == [[50, 40, 30, 20], [10, 20, 30, 40]]


def test_popular_games_keep_to_the_share_too() -> None:
    """Only 40, 50 and 60 are left to answer with, and all of them are new."""
    predictor = make_predictor()
    predictor.new_games = NewGames(torch.tensor([appid >= 40 for appid in APPIDS]), 9.0, 0.5)
    assert answered(ask(predictor, k=4)) == [20, 30, 10, 60]  # by clicks, without a bonus
    assert answered(ask(predictor, k=4, filters={"exclude_appids": [10, 20, 30]})) == [60, 40]
