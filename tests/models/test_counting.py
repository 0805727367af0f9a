"""S-POP, Item-KNN, V-SKNN and the tag recommender, against slow references and by hand."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srec.errors import InputError
from srec.models import MODELS, ItemFeatures, SessionModel, model_class
from srec.models import item_knn as item_knn_module
from srec.topk import top_k
from tests.models import reference_counting as reference
from tests.models.contract import build, flat, random_sessions, scores_of

V = 8
ITEM = st.integers(1, V)
LOGS = st.lists(st.lists(ITEM, min_size=1, max_size=6), min_size=1, max_size=12)
SESSIONS = st.lists(ITEM, min_size=1, max_size=5)
DECAYS = st.sampled_from(["same", "linear", "quadratic", "harmonic", "log"])
TIES = 2e-6  # what popularity adds, at most


def fitted(name: str, log: list[list[int]], tags: torch.Tensor | None = None, **changes: Any) -> SessionModel:
    cls = model_class(name)
    model = cls(cls.Settings(**changes), ItemFeatures(V, 10, tags))
    sequences = flat(log)
    model.fit(sequences.items, sequences.offsets)
    return model.eval()


def scores(model: SessionModel, session: list[int]) -> list[float]:
    found: list[float] = scores_of(model, [session])[0].tolist()
    return found


def expected(of_items: reference.Scores) -> list[float]:
    return [of_items.get(item, 0.0) for item in range(1, V + 1)]


@given(log=LOGS, session=SESSIONS)
def test_session_popularity_orders_by_clicks_here_then_anywhere(
    log: list[list[int]], session: list[int]
) -> None:
    here, anywhere = Counter(session), Counter(item for other in log for item in other)
    order = sorted(range(1, V + 1), key=lambda item: (-here[item], -anywhere[item], item))
    assert top_k(scores_of(fitted("s-pop", log), [session]), V)[0].items.tolist() == order


def test_session_popularity_is_blended_as_the_sessions_own_clicks() -> None:
    model = fitted("s-pop", [[item] * item for item in range(1, V + 1)])
    scored = scores_of(model, [[1, 2, 1, 3]])
    distribution = model.log_scores(scored).softmax(1)[0]
    assert distribution[:3].tolist() == pytest.approx((scored[0, :3] / scored[0, :3].sum()).tolist())
    assert model.log_scores(scored).argsort(descending=True).equal(scored.argsort(descending=True))


@given(
    log=LOGS, session=SESSIONS, regularisation=st.sampled_from([0.0, 20.0]), alpha=st.sampled_from([0.5, 0.8])
)
def test_item_knn_is_the_regularised_cosine(
    log: list[list[int]], session: list[int], regularisation: float, alpha: float
) -> None:
    model = fitted("item-knn", log, regularisation=regularisation, alpha=alpha)
    similar = reference.item_knn(log, session[-1], regularisation, alpha)
    assert scores(model, session) == pytest.approx(expected(similar), abs=TIES)


def test_item_knn_keeps_the_most_similar_and_counts_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    log = [[1, 2, 3], [1, 2, 4], [1, 2], [3, 4, 1], [1, 5]]
    whole = fitted("item-knn", log, neighbours=2)
    assert np.array(scores(whole, [1])).argsort()[::-1][:2].tolist() == [1, 2]  # items 2, 3 (as 4, but lower)
    assert sum(score > TIES for score in scores(whole, [1])) == 2
    monkeypatch.setattr(item_knn_module, "PAIRS_PER_CHUNK", 1)
    chunked = fitted("item-knn", log, neighbours=2)
    assert all(torch.equal(chunked.state_dict()[name], table) for name, table in whole.state_dict().items())


@settings(max_examples=200, deadline=None)
@given(
    log=LOGS,
    session=SESSIONS,
    choice=st.fixed_dictionaries({
        "k": st.integers(1, 4),
        "sample": st.integers(1, 6),
        "similarity": st.sampled_from(["vector", "cosine"]),
        "click_decay": DECAYS,
        "score_decay": DECAYS,
        "idf": st.booleans(),
        "proximity": st.sampled_from([0.0, 1.5]),
    }),
    random=st.booleans(),
)  # fmt: skip
def test_v_sknn_is_the_papers(
    log: list[list[int]], session: list[int], choice: dict[str, Any], random: bool
) -> None:
    """All settings; similarities that differ in rounding alone are ties in both."""
    model = fitted("v-sknn", log, **choice, sampling="random" if random else "recent")
    order = list(reversed(range(len(log))))
    if random:
        numbers = np.random.default_rng(0).permutation(len(log))
        order = numbers.argsort().tolist()
    similar = reference.v_sknn(log, session, order, **choice)
    assert scores(model, session) == pytest.approx(expected(similar), rel=1e-5, abs=TIES)


def test_v_sknn_looks_at_new_sessions_first_and_late_clicks_most() -> None:
    log = [[1, 3], [1, 4], [2, 5]]
    model = fitted("v-sknn", log, sample=1)
    assert scores(model, [1])[3] > 0.5 > scores(model, [1])[2]  # the newer session alone was compared
    later = fitted("v-sknn", log)
    assert scores(later, [1, 2])[4] > scores(later, [1, 2])[3] > 0


def test_v_sknn_answers_popular_items_where_no_session_is_like_this() -> None:
    model = fitted("v-sknn", [[1, 2], [2, 3], [2, 1]])
    assert top_k(scores_of(model, [[7]]), 3)[0].items.tolist() == [2, 1, 3]


def test_a_random_sample_is_another_one_for_another_seed() -> None:
    log = [[1, 2 + number % 7] for number in range(12)]
    found = [
        scores(fitted("v-sknn", log, sample=3, sampling="random", sampling_seed=s), [1]) for s in (0, 0, 1)
    ]
    assert found[0] == found[1] != found[2]


VECTORS = [
    [0.0] * 3,
    *([float(item % 2), float(item % 3), float(item > 5)] for item in range(1, V)),
    [0.0] * 3,
]


@given(log=LOGS, session=SESSIONS)
def test_tags_are_the_cosine_to_the_mean_of_the_clicks(log: list[list[int]], session: list[int]) -> None:
    model = fitted("tags", log, torch.tensor(VECTORS))
    assert scores(model, session) == pytest.approx(expected(reference.tags(VECTORS, session)), abs=TIES)


@given(log=LOGS, session=SESSIONS, data=st.data())
def test_tags_do_not_feel_the_order_of_the_clicks(
    log: list[list[int]], session: list[int], data: st.DataObject
) -> None:
    model = fitted("tags", log, torch.rand(V + 1, 3))
    assert scores(model, data.draw(st.permutations(session))) == scores(model, session)


def test_tags_fall_back_to_popularity_and_take_it_as_a_prior() -> None:
    log = [[1, 2], [2, 3], [2, 8], [8, 5]]
    vectors = torch.tensor(VECTORS)
    without = fitted("tags", log, vectors)
    assert top_k(scores_of(without, [[8]]), 2)[0].items.tolist() == [2, 8]  # 8 has no tags
    popular = torch.tensor([1, 3, 1, 0, 1, 0, 0, 2]).log1p() / torch.tensor(4.0).log()
    added = scores_of(fitted("tags", log, vectors, prior=0.3), [[1]]) - scores_of(without, [[1]])
    torch.testing.assert_close(added[0], 0.3 * popular)


def test_tags_without_metadata_are_refused() -> None:
    with pytest.raises(InputError, match=r"needs tags, and this DATA has none: prepare it with --games"):
        fitted("tags", [[1]])


@pytest.mark.parametrize("name", [name for name, cls in MODELS.items() if not cls.trained_by_gradient])
def test_counts_are_not_negative(name: str) -> None:
    """Blends take their logarithms."""
    model = build(MODELS[name], 0)
    found = scores_of(model, random_sessions(1, 20))
    assert (found >= 0).all()
    assert model.log_scores(found).isfinite().all()


def test_fitting_again_forgets_what_was_counted_before() -> None:
    for name in ("s-pop", "item-knn", "v-sknn", "tags"):
        vectors = torch.rand(V + 1, 3)
        model = fitted(name, [[1, 2, 3]] * 5, vectors)
        again = flat([[4, 5]])
        model.fit(again.items, again.offsets)
        fresh = fitted(name, [[4, 5]], vectors)
        assert torch.equal(scores_of(model, [[1], [4]]), scores_of(fresh, [[1], [4]])), name
