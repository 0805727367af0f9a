import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from srec.errors import InputError
from srec.models import ItemFeatures, SessionModel, model_class
from srec.topk import top_k
from tests.models.contract import flat, random_sessions, scores_of

V = 8
LOGS = st.lists(st.lists(st.integers(1, V), min_size=1, max_size=6), min_size=1, max_size=12)


def fitted(name: str, log: list[list[int]]) -> SessionModel:
    cls = model_class(name)
    model = cls(cls.Settings(), ItemFeatures(V, 10))
    sequences = flat(log)
    model.fit(sequences.items, sequences.offsets)
    return model.eval()


def ranking(model: SessionModel, session: list[int]) -> list[int]:
    best: list[int] = top_k(scores_of(model, [session]), V)[0].items.tolist()
    return best


@given(log=LOGS)
def test_popularity_counts_clicks(log: list[list[int]]) -> None:
    clicks = Counter(item for session in log for item in session)
    scores = scores_of(fitted("pop", log), [[1], [2, 3]])
    assert scores.tolist() == [[clicks[item] for item in range(1, V + 1)]] * 2


@given(log=LOGS, session=st.lists(st.integers(1, V), min_size=1, max_size=5))
def test_markov_orders_by_successions_of_the_last_click_then_popularity_then_item(
    log: list[list[int]], session: list[int]
) -> None:
    followed: Counter[tuple[int, int]] = Counter()
    for clicked in log:
        followed.update(itertools.pairwise(clicked))
    popular = Counter(item for clicked in log for item in clicked)
    expected = sorted(range(1, V + 1), key=lambda item: (-followed[session[-1], item], -popular[item], item))
    assert ranking(fitted("markov", log), session) == expected


def test_markov_looks_at_the_last_click_and_not_across_sessions() -> None:
    model = fitted("markov", [[1, 2], [3, 4], [3, 4], [2, 5]])
    assert ranking(model, [1, 3])[0] == 4
    assert ranking(model, [3, 1])[0] == 2
    assert ranking(model, [2])[0] == 5  # not 3, which only follows in the file


def test_fitting_again_forgets_what_was_counted_before() -> None:
    for name in ("pop", "markov"):
        model = fitted(name, [[1, 2, 3]] * 5)
        again = flat([[4, 5]])
        model.fit(again.items, again.offsets)
        fresh = fitted(name, [[4, 5]])
        assert torch.equal(scores_of(model, [[1], [4]]), scores_of(fresh, [[1], [4]]))


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r'no model "gcegnn" \(did you mean "gce-gnn"\?\).*markov.*pop'):
        model_class("gcegnn")


def test_a_blend_is_no_model_to_train() -> None:
    with pytest.raises(InputError, match="a blend is made of two runs: train each, then `srec blend`"):
        model_class("blend")


def test_random_sessions_have_all_lengths_and_repeats() -> None:
    """The contract stands on these sessions."""
    sessions = random_sessions(1, 30)
    assert {1, 12} <= {len(session) for session in sessions}
    assert any(len(set(session)) < len(session) for session in sessions)
